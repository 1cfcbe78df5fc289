# shellcheck shell=bash
# A database of one's own, made from the repository: nobody but this pod reaches it, and it archives nothing. Sourced
# after common.sh.
#
# Environment: SCRATCH, a folder that is large enough; DATABASE_NAME; PROCESSES, how many files and tables at once;
# RECOVERY_SECONDS, how long the log may be replayed; CHECK_SECONDS, how long the checks may take.

bin=/usr/lib/postgresql/17/bin
instance=$SCRATCH/pgdata
instance_log=$SCRATCH/postgresql.log
server=''
plan='{}'
proved=''
: "${PROCESSES:=2}" "${RECOVERY_SECONDS:=3600}" "${CHECK_SECONDS:=7200}"

of_plan() { jq -r ".$1" <<<"$plan"; }
query() { # SQL [database]: as the superuser, through a socket in the scratch folder
    psql -XAtqw -v ON_ERROR_STOP=1 -h "$SCRATCH" -p 5432 -U postgres -d "${2-$DATABASE_NAME}" -c "$1"
}

clear_scratch() {
    [ -z "$server" ] || { kill -QUIT "$server"; wait "$server"; } 2>/dev/null
    server=''
    find "$SCRATCH" -mindepth 1 -delete 2>/dev/null
}
# Nothing of it outlives the job; what a kill has left, the next one clears away first.
eval "finish_job() $(declare -f finish | tail -n +2)"
finish() {
    [ -n "$ended" ] || { [ -z "$child" ] || kill "$child"; clear_scratch; } 2>/dev/null
    finish_job "$@"
}

# find_way TO [BACKUP]: how to get there; ends the job when there is no way.
find_way() {
    local code=0
    TMPDIR=$SCRATCH run bash "$scripts/reach.sh" "$@" || code=$?
    plan=$(<"$answer")
    case $code in
    0) tell info planned "$(jq -r '"backup \(.set), timeline \(.timeline), to \(.type) \(.target // "consistency")"' <<<"$plan")" ;;
    75)
        of_plan error >"$complaints"
        explain 'the repository was not read'
        ;;
    *) fail "$code" unreachable "$(of_plan error): docs/runbooks/restore-test-failed.md" ;;
    esac
}

fetch_files() {
    local backup type target timeline exclusive options
    # Asked one by one: bash parses a list when it makes it, and a SIGTERM that comes while a command in it runs breaks
    # that off, with all the rest of the function, and without the trap.
    backup=$(of_plan set)
    type=$(of_plan type)
    target=$(of_plan target)
    timeline=$(of_plan timeline)
    exclusive=$(of_plan exclusive)
    options=(--set="$backup" --type="$type" --target-action=promote --archive-mode=off)
    case $type in
    immediate) options+=(--recovery-option=recovery_target_timeline=current) ;;
    *) options+=(--target="$target" --target-timeline="$timeline") ;;
    esac
    [ "$exclusive" != true ] || options+=(--target-exclusive)
    mkdir -p -m 0700 "$instance"
    pgbackrest_do restore --pg1-path="$instance" --process-max="$PROCESSES" "${options[@]}" && return 0
    case $(<"$complaints") in
    *'No space left'* | *'[Errno 28]'*)
        fail 75 no_space "the scratch space is too small for the database: docs/runbooks/restore-test-failed.md. $(tail -c 500 "$complaints")" ;;
    *'unable to connect'* | *'HTTP request failed'* | *timeout* | *'timed out'*) explain 'the backup was not fetched' ;;
    # The key and the credentials were good for reach.sh, and every file's checksum is compared with the backup's.
    *) fail 65 damaged "backup $(of_plan set) can't be restored: docs/runbooks/repository-damaged.md. $(tail -c 2000 "$complaints")" ;;
    esac
}

start_instance() { # to the end of recovery
    local until=$((SECONDS + RECOVERY_SECONDS))
    cat >"$SCRATCH/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$SCRATCH'
port = 5432
hba_file = '$SCRATCH/pg_hba.conf'
ident_file = '/dev/null'
archive_mode = off
hot_standby = off
shared_buffers = ${SHARED_BUFFERS-128MB}
max_connections = 20
max_wal_size = 1GB
autovacuum = off
ssl = off
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
CONF
    echo 'local all postgres peer' >"$SCRATCH/pg_hba.conf"
    chmod 0700 "$instance"
    "$bin/postgres" -D "$instance" -c "config_file=$SCRATCH/postgresql.conf" >"$instance_log" 2>&1 &
    server=$!
    until [ "$(query 'SELECT pg_is_in_recovery()' postgres 2>/dev/null)" = f ]; do
        kill -0 "$server" 2>/dev/null || fail 65 recovery_failed \
            "the WAL does not lead there: docs/runbooks/restore-test-failed.md. $(why)"
        [ "$SECONDS" -lt "$until" ] || fail 65 recovery_slow "recovery took more than $RECOVERY_SECONDS s"
        pause 0.2
    done
}
why() {
    grep -E 'FATAL|PANIC|ERROR|WARNING|invalid|could not|incorrect' "$instance_log" |
        grep -v 'not accepting\|starting up\|incomplete startup' | tail -n 4
}

stop_instance() {
    kill -INT "$server"
    wait "$server" || fail 65 stop_failed "the instance did not stop in peace: $(why)"
    server=''
}

# Each index against its table and each table's own structure. A check that does not end in time is one that failed.
check_structure() {
    local code=0
    run timeout "$CHECK_SECONDS" "$bin/pg_amcheck" --host="$SCRATCH" --port=5432 --username=postgres \
        --database="$DATABASE_NAME" --install-missing=pg_catalog --heapallindexed --parent-check --no-password \
        --jobs="$PROCESSES" || code=$?
    [ "$code" != 124 ] || fail 65 check_slow "pg_amcheck took more than $CHECK_SECONDS s"
    [ "$code" = 0 ] || fail 65 corrupt "the data are damaged: docs/runbooks/disaster-database-corruption.md. $(cat "$answer" "$complaints" | head -c 2000)"
}
check_pages() { # each page's checksum; of the stopped instance
    run "$bin/pg_checksums" --check --pgdata="$instance" ||
        fail 65 corrupt "pages are damaged: docs/runbooks/disaster-database-corruption.md. $(head -c 2000 "$complaints")"
}

row_counts() { # {table: rows}
    query "SELECT format('SELECT %L, count(*) FROM ONLY %s', oid::regclass, oid::regclass)
           FROM pg_class WHERE relkind = 'r' AND relpersistence = 'p' AND relnamespace NOT IN
               (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema')
           ORDER BY oid" |
        while IFS= read -r statement; do query "$statement"; done |
        jq -Rn '[inputs | capture("^(?<key>.*)[|](?<value>[0-9]+)$") | .value |= tonumber] | from_entries'
}

# Restores to where find_way has found the way, checks all of it, and notes what was measured. What `before_end` says
# of the running instance comes in between.
prove() { # name of a function
    local counted files
    fetch_files
    files=$(date +%s.%N)
    start_instance
    query 'SELECT beats FROM platform.heartbeat' >/dev/null || fail 65 no_heartbeat \
        'there is no heartbeat in what was restored: docs/runbooks/restore-test-failed.md'
    # From an empty folder to the first answer.
    note rto_seconds "$(seconds_since "$restoring")"
    note fetch_seconds "$(jq -n "$files - $restoring | . * 10 | round / 10")"
    "$1"
    counted=$(row_counts)
    note tables "$(jq length <<<"$counted")"
    note rows "$(jq '[.[]] | add // 0' <<<"$counted")"
    note counts "$counted"
    compare_counts "$counted"
    check_structure
    stop_instance
    check_pages
    note bytes "$(of_plan bytes)"
    note backup "$(jq .set <<<"$plan")"
    proved=1
}
# Whatever broke the proof off: what was not checked to its end is not proved.
require_proof() { [ -n "$proved" ] || fail 70 unproved 'the checks did not run to their end: docs/runbooks/restore-test-failed.md'; }
seconds_since() { jq -n "$(date +%s.%N) - $1 | . * 10 | round / 10"; }

# A table that was there and has lost most of its rows may be somebody's wish, or an accident that nobody has seen.
compare_counts() {
    local gone
    gone=$(timeout 60 rclone cat "$RESULT" 2>/dev/null | jq -c --argjson now "$1" '
        [(.counts // {}) | to_entries[] | select(.value > 0 and (($now[.key] // 0) < .value / 2))
            | "\(.key): \(.value) -> \($now[.key] // "gone")"]' 2>/dev/null)
    note shrunk_tables "$(jq -n --argjson gone "${gone:-[]}" '$gone | length')"
    [ "${gone:-[]}" = '[]' ] ||
        tell warning shrunk 'tables have lost more than half of their rows since the last time' "{\"shrunk\": $gone}"
}
