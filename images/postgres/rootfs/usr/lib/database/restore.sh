# shellcheck shell=bash
# Brings the volume to a moment of the past, from the repository alone: onto an empty volume or over what is there.
# Sourced by entrypoint.sh, after peers.sh.
#
# A restore has a number, and is done once: `restored` on the volume and an object in the repository tell that it was.
# Whatever ends it before that, it begins again where it was, with what it chose the first time. Nothing of the
# volume is touched before it is known that the moment can be reached.
#
#   $volume/restoring   what is under way: {id, to, set, plan, phase}
#   $volume/restored    the number of the last one that was completed here
#   $volume/unarchived-ID   WAL that was on the volume and not in the repository when restore ID began
#
# Environment: PGDATA, PGPORT; RESTORE_ID, RESTORE_TO and RESTORE_SET, of the settings' `database.restore`; 0 is none.

restore_id=${RESTORE_ID-0}
restoring=$volume/restoring
restored=$volume/restored
stanza=main

has_repository() { [ -e /etc/pgbackrest/pgbackrest.conf ]; }
later() { say "$*"; exit 75; } # EX_TEMPFAIL: the next start may well do better
under_way() { jq -r ".$1 // empty" "$restoring"; }
put() { # file: what is on stdin, whole and for good
    cat >"$1.new"
    sync "$1.new"
    mv "$1.new" "$1"
    sync "$volume"
}

# What pgBackRest says of a failure, on one line: when the storage refuses, the rest is a page with all that was signed.
brief() {
    local said
    said=$(tr -cd '\n -~') # what was deciphered with another key is no text
    {
        sed '/^ *\*\*\*/,$d' <<<"$said" | head -n 3 | cut -c 1-400
        sed -n 's/.*<Code>\([^<]*\)<\/Code><Message>\([^<]*\)<.*/\1: \2/p' <<<"$said" | head -n 1
    } | tr -s '\n ' ' ' | sed 's/ $//'
}

# With what it complains of.
pgbackrest_said() { exec pgbackrest --stanza=$stanza --log-level-stderr=error "$@" 2>&1; }

# The repository's own memory of what was done: a setting that is old must not do it again on a new volume.
done_before() { # id
    heard_of pgbackrest_said repo-ls "archive/$stanza/restored" ||
        later "only the repository knows whether this restore was done before, and it does not answer:" \
            "$(brief <"$heard")"
    grep -qx "$1" "$heard"
}

reach() { # to, set: sets `plan`, as JSON; refuses when there is none
    local code=0
    TMPDIR=$volume heard_of bash /etc/database/reach.sh "$@" || code=$?
    case $code in
    0) plan=$(<"$heard") ;;
    75) later "$(jq -r .error "$heard")" ;;
    *) refuse "restore $restore_id: $(jq -r .error "$heard"). Nothing was changed" ;;
    esac
}

# What the old data have that the repository has not yet.
keep_unarchived() {
    local wal name left=''
    [ -d "$PGDATA/pg_wal" ] && [ ! -e "$PGDATA/backup.manifest" ] || return 0
    for wal in "$PGDATA"/pg_wal/archive_status/*.ready; do
        [ -e "$wal" ] || continue
        name=$(basename "$wal" .ready)
        asked pgbackrest --stanza=$stanza --log-level-stderr=error archive-push "$PGDATA/pg_wal/$name" &&
            mv "$wal" "${wal%.ready}.done" || left=1
        [ -z "$stopping" ] || exit 0
    done
    [ -n "$left" ] || [ "$(control 'Database cluster state')" != 'shut down' ] || return 0
    say "not all of its WAL is in the repository: it is kept in $volume/unarchived-$restore_id"
    mkdir -p "$volume/unarchived-$restore_id"
    find "$PGDATA/pg_wal" -maxdepth 1 -type f -exec ln -f -t "$volume/unarchived-$restore_id" {} +
}

note() { # phase
    jq -n --argjson id "$restore_id" --arg to "$RESTORE_TO" --arg set "${RESTORE_SET-}" --argjson plan "$plan" \
        --arg phase "$1" '{$id, $to, $set, $plan, $phase}' | put "$restoring"
}

fetch() {
    local backup type target timeline exclusive options
    # Asked one by one: bash parses a list when it makes it, and a signal that comes while a command in it runs breaks
    # that off, with all the rest, and without the trap.
    backup=$(jq -r .set <<<"$plan")
    type=$(jq -r .type <<<"$plan")
    target=$(jq -r '.target // "consistency"' <<<"$plan")
    timeline=$(jq -r .timeline <<<"$plan")
    exclusive=$(jq -r .exclusive <<<"$plan")
    say "restore $restore_id: to $type $target, from backup $backup, on timeline $timeline"
    # Delta trusts only what looks like a data folder; what half a folder has is compared all the same.
    mkdir -p "$PGDATA"
    [ -z "$(ls -A "$PGDATA")" ] || [ -e "$PGDATA/PG_VERSION" ] || echo 17 >"$PGDATA/PG_VERSION"
    # A server that was killed leaves it, and pgBackRest takes it for one that runs.
    rm -f "$PGDATA/postmaster.pid"
    # Nobody reads what is still of the past, not even who asks the pod and not its Service.
    options=(--recovery-option=hot_standby=off)
    options+=(--set="$backup" --type="$type" --target-action=promote)
    if [ "$type" = immediate ]; then
        options+=(--recovery-option=recovery_target_timeline=current)
    else
        options+=(--target="$target" --target-timeline="$timeline")
    fi
    [ "$exclusive" != true ] || options+=(--target-exclusive)
    asked pgbackrest --stanza=$stanza --log-level-console=info --delta "${options[@]}" restore
}

question() { psql -XAtqw -U postgres -d postgres -c "$1" 2>/dev/null || true; }

# Runs beside the server: it serves nobody before it has left recovery.
await_recovery() {
    local first
    until [ "$(question 'SELECT pg_is_in_recovery()')" = f ]; do sleep 0.5; done
    # Once the archive has the first segment of the new timeline, whoever follows it can't run past where it began.
    first=$(question 'SELECT pg_walfile_name(pg_switch_wal())')
    until [ "$(question "SELECT last_archived_wal >= '$first' FROM pg_stat_archiver")" = t ]; do sleep 0.5; done
    record
}

record() {
    # Its name says all; where WAL goes, the database may write.
    until echo "$restore_id" | pgbackrest --stanza=$stanza --log-level-stderr=error \
        repo-put "archive/$stanza/restored/$restore_id"; do
        say "restore $restore_id is done, and the repository can't be told yet"
        sleep 5
    done
    echo "$restore_id" | put "$restored"
    rm -f "$restoring"
    say "restore $restore_id is done"
}

# Killed between the end of recovery and the checkpoint after it, PostgreSQL would know of no target any more: it would
# replay all the WAL that it finds, past the moment. Then the files are fetched once more.
on_new_timeline() { [ "$(control "Latest checkpoint's TimeLineID")" -gt "$(under_way plan.timeline)" ] 2>/dev/null; }

restore() { # sets `recovering` when the server has yet to recover
    local last=0 plan
    [ ! -e "$restored" ] || last=$(<"$restored")
    if [ "$restore_id" = 0 ] && [ -e "$restoring" ]; then
        refuse "restore $(under_way id) has begun here and not ended; tell it again, or another one with a higher id:" \
            "database.restore, see docs/runbooks/restore-the-database.md"
    fi
    if [ "$restore_id" -le "$last" ]; then
        [ ! -e "$restoring" ] || rm -f "$restoring"
        return 0
    fi
    if [ -e "$restoring" ] && [ "$(under_way id)" = "$restore_id" ]; then
        plan=$(under_way plan)
        if [ "$(under_way phase)" = recover ] && on_new_timeline; then
            say "restore $restore_id had reached its end"
            recovering=1
            return 0
        fi
        if [ "$(under_way to) $(under_way set)" != "$RESTORE_TO ${RESTORE_SET-}" ]; then
            reach "$RESTORE_TO" "${RESTORE_SET-}"
            note files
        elif [ "$(under_way phase)" = recover ] && [ -e "$PGDATA/recovery.signal" ]; then
            say "restore $restore_id goes on"
            recovering=1
            return 0
        fi
    else
        ! done_before "$restore_id" || refuse "restore $restore_id was done before, and these data are not what came" \
            "of it. To get back the newest data: database.restore with a higher id and \`to: latest\`; see" \
            "docs/runbooks/restore-the-database.md. Nothing was changed"
        reach "$RESTORE_TO" "${RESTORE_SET-}"
        keep_unarchived
        note files
    fi
    fetch || { [ -z "$stopping" ] || exit 0; later "restore $restore_id: the files did not all come; the next start goes on"; }
    note recover
    recovering=1
}

# Instead of a new database, when there is an old one in the repository.
refuse_to_forget() {
    local said
    has_repository || return 0
    heard_of pgbackrest_said --output=json info ||
        later "the volume is empty, and a new database is made only when the repository is empty too; it does not" \
            "answer: $(brief <"$heard")"
    said=$(<"$heard")
    # It exits with 0 also when it could read nothing: only "missing stanza path" and "no valid backups" say so.
    case $(jq -r '.[0].status.code // 1' <<<"$said" 2>/dev/null) in
    0 | 1 | 2) ;;
    *) later "the volume is empty, and the repository was not read:" \
        "$({ jq -r '.[].repo[]?.status.message' <<<"$said" 2>/dev/null || echo "$said"; } | brief)" ;;
    esac
    [ "$(jq '[.[].backup[]?] | length' <<<"$said")" = 0 ] || refuse "the volume is empty, and the repository has" \
        "backups of a database, the newest of $(jq -r '[.[].backup[].timestamp.stop] | max | todate' <<<"$said")." \
        "To get it back: \`make restore TO=latest NEW_CLUSTER=1\`; see docs/runbooks/restore-the-database.md"
}

# A standby of the data of before follows nobody any more: it takes those that the primary has been brought back to.
restore_standby() {
    local last=0 told=
    [ ! -e "$restored" ] || last=$(<"$restored")
    [ "$restore_id" -gt "$last" ] || return 0
    until done_before "$restore_id"; do
        [ -n "$told" ] || say "waiting for the primary to complete restore $restore_id"
        told=1
        asked sleep 5 || true
        [ -z "$stopping" ] || exit 0
    done
    rm -rf "$PGDATA"
    seed
    echo "$restore_id" | put "$restored"
}
