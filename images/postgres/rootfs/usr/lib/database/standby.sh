# shellcheck shell=bash
# How a standby gets its data and follows the primary. Sourced by entrypoint.sh, after peers.sh.
#
# Environment: PGDATA, PGPORT; DATABASE_PRIMARY, the primary's host name; HOSTNAME, which is the pod's name.

slot() { echo "${HOSTNAME//[^a-z0-9]/_}"; }

primary() { echo "$(conninfo "$DATABASE_PRIMARY") application_name=$(slot)"; }

# From the repository when it can: the primary has no work with it then. What was archived since comes after that,
# and the rest by the slot, which keeps it from now on.
seed_from_repository() {
    local plan
    has_repository || return 1
    TMPDIR=$volume heard_of bash /etc/database/reach.sh latest || return 1
    plan=$(<"$heard")
    say "taking the data from backup $(jq -r .set <<<"$plan")"
    mkdir "$PGDATA.new"
    asked pgbackrest --stanza=main --pg1-path="$PGDATA.new" --log-level-console=warn --type=standby \
        --set="$(jq -r .set <<<"$plan")" restore
}

seed() {
    rm -rf "$PGDATA.new"
    write_passfile
    # A slot that stands already, of an earlier volume, is as good; its primary bounds what it may hold back.
    psql -Xqw "$(primary) replication=true" -c "CREATE_REPLICATION_SLOT $(slot) PHYSICAL RESERVE_WAL" \
        >/dev/null 2>&1 || true
    if ! seed_from_repository; then
        [ -z "$stopping" ] || exit 0
        say "copying the data from $DATABASE_PRIMARY"
        rm -rf "$PGDATA.new"
        asked /usr/lib/postgresql/17/bin/pg_basebackup --dbname="$(primary)" --no-password \
            --pgdata="$PGDATA.new" --wal-method=stream --slot="$(slot)" --checkpoint=fast
    fi
    touch "$PGDATA.new/standby.signal"
    mv --no-target-directory "$PGDATA.new" "$PGDATA"
    sync "$volume"
}

follow() {
    # One that was promoted stays what it is; whoever wants it as a standby again empties its volume.
    if [ ! -e "$PGDATA/standby.signal" ]; then
        say "these data are a primary's, not a standby's: it was promoted"
        return
    fi
    write_passfile
    # Written anew at each start: the addresses may have changed.
    printf "primary_conninfo = '%s'\nprimary_slot_name = '%s'\n" "$(primary)" "$(slot)" \
        > "$PGDATA/postgresql.auto.conf"
    ! has_repository || echo "restore_command = 'pgbackrest --stanza=main archive-get %f \"%p\"'" \
        >> "$PGDATA/postgresql.auto.conf"
}
