#!/bin/bash
# Starts PostgreSQL on the pod's volume, making the data folder first where there is none.
#
# Arguments are the server's. Environment: PGDATA; PGPORT; DATABASE_ROLE, `primary` or `standby`; as peers.sh and
# restore.sh, and for a standby as standby.sh.
set -euo pipefail

here=${0%/*}
volume=${PGDATA%/*}
config=/etc/database/postgresql.conf
bin=/usr/lib/postgresql/17/bin

. "$here/peers.sh"
. "$here/standby.sh"
. "$here/restore.sh"

say() { echo "entrypoint: $*"; }
refuse() { say "refused: $*"; exit 78; } # EX_CONFIG: a restart alone mends nothing

# One server at a time: all of PostgreSQL's processes inherit the lock, so it is free when the last has ended,
# however it ended. Only then is what a kill has left surely stale; the process number in it may well be another
# process's by now, and PostgreSQL would not start for it.
exec 9>>"$volume/lock"
flock --nonblock 9 || refuse "another server is using $volume"
rm -f "$PGDATA/postmaster.pid" "/run/postgresql/.s.PGSQL.$PGPORT" "/run/postgresql/.s.PGSQL.$PGPORT.lock"

initialise() {
    say "making a new data folder"
    # Made beside and renamed: what is found under its name is always whole.
    rm -rf "$PGDATA.new"
    # Checksums tell a rotten disk from a bug. The built-in locale sorts by code point and never changes: with
    # the C library's or ICU's, an upgrade of the system silently corrupts indexes on text. Queries that sort
    # for people say so: ORDER BY name COLLATE "de-x-icu".
    "$bin/initdb" --pgdata="$PGDATA.new" --username=postgres --data-checksums --encoding=UTF8 \
        --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8 \
        --auth-local=peer --auth-host=reject --no-instructions
    mv --no-target-directory "$PGDATA.new" "$PGDATA"
    sync "$volume"
}

stopping= server= recovering= ending=TERM
heard=$(mktemp)
trap 'stopping=1; [ -z "$server" ] || kill -"$ending" "$server"' TERM INT

# A program that takes its time, and is asked to stop when the pod is. The shell itself would wait for its end, and so it
# would for that of a $(...), however long a storage does not answer.
asked() {
    local code=0
    "$@" &
    server=$!
    [ -z "$stopping" ] || kill -"$ending" "$server"
    while :; do
        wait "$server" && code=0 || code=$?
        # A signal that was passed on ends `wait` too, and the program later.
        kill -0 "$server" 2>/dev/null || break
    done
    server=
    return "$code"
}

# The same for one that answers: what it prints is in $heard. Nothing that is left to do follows a stop.
heard_of() {
    local code=0
    asked "$@" >"$heard" || code=$?
    [ -z "$stopping" ] || exit 0
    return "$code"
}

if [ "$DATABASE_ROLE" = standby ]; then
    restore_standby
else
    restore
fi
# Whatever broke a restore off, no server is started on half of it.
[ ! -e "$restoring" ] || [ -n "$recovering" ] || later 'a restore has begun here and not ended; the next start goes on'

if [ -e "$PGDATA/PG_VERSION" ]; then
    found=$(<"$PGDATA/PG_VERSION")
    [ "$found" = 17 ] || refuse "the data are of PostgreSQL $found, and this is 17: run pg_upgrade first"
elif [ -n "$(ls -A "$PGDATA" 2>/dev/null)" ]; then
    refuse "$PGDATA is no data folder of PostgreSQL, and not empty"
elif [ "$DATABASE_ROLE" = standby ]; then
    seed
else
    refuse_to_forget
    initialise
fi

if [ "$DATABASE_ROLE" = standby ]; then
    follow
elif [ -n "$recovering" ]; then
    # Which timeline it will be of is not known yet, so no standby is asked for its own.
    await_recovery &
else
    # A restore has left there where it was to end.
    [ -e "$PGDATA/recovery.signal" ] || : >"$PGDATA/postgresql.auto.conf"
    demoted=$(newer_peer) && refuse "$demoted: start from its data; these are of the past"
fi

[ -z "$stopping" ] || exit 0
# The kubelet opens all of a volume to the pod's group when it hands it over, and PostgreSQL refuses that.
chmod u=rwx,g=,o= "$PGDATA"
# Whoever stops a pod says SIGTERM, upon which PostgreSQL would wait for every client to leave by itself.
ending=INT
# Arguments win over files, so that nothing left in the data folder can move them.
asked "$bin/postgres" -D "$PGDATA" -c "config_file=$config" -c "port=$PGPORT" "$@" && code=0 || code=$?
if [ "$code" != 0 ] && [ -n "$recovering" ] && [ -e "$PGDATA/recovery.signal" ]; then
    say "restore $restore_id has not reached its end; PostgreSQL's last lines say why, and the next start goes on." \
        "Were WAL missing or broken: docs/runbooks/restore-the-database.md"
fi
exit "$code"
