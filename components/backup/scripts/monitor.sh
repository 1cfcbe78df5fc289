#!/bin/bash
# Asks the repository again and again what is in it, and writes that down for Prometheus: the backups, and what the
# jobs have written of themselves. It needs no database, so it also tells what there is when that is lost.
#
# Environment: REPOSITORY_BUCKET; REPLICA_BUCKET, if there is a replica; METRICS_FOLDER; MONITOR_SECONDS, from one look to
# the next; SIZE_SECONDS, the same for the size of everything, which takes a list of it; PROMISED_RPO_SECONDS;
# PROMISED_RTO_SECONDS; pgBackRest's and rclone's own.
set -uo pipefail

work=$(mktemp -d)
export RCLONE_RETRIES=1 RCLONE_LOW_LEVEL_RETRIES=2 RCLONE_CONTIMEOUT=15s RCLONE_TIMEOUT=60s
export XDG_CACHE_HOME=$work HOME=$work TZ=UTC LC_ALL=C.UTF-8
here=$(dirname "$0")
child=''
trap '[ -z "$child" ] || kill "$child" 2>/dev/null; exit 0' TERM INT

run() { # file, command...: in the background, so that a SIGTERM gets through
    local file=$1 code=0
    shift
    timeout 120 "$@" >"$file" 2>"$work/complaints" &
    child=$!
    wait "$child" || code=$?
    child=
    return "$code"
}

say() { jq -nc --arg event "$1" --arg message "$2" '{time: (now | todate), level: "warning", job: "monitor", $event, $message}'; }

results() { # remote:bucket, folder
    local code=0
    mkdir -p "$2"
    run /dev/null rclone sync "$1/results/" "$2" --include '/*.json' || code=$?
    case $code in
    0) ;;
    3) rm -rf "$2"/*.json ;; # there is none yet
    *) return "$code" ;;
    esac
    # One that was cut off says nothing, and of none at all the repository is no worse.
    for file in "$2"/*.json; do
        jq -c 'select(type == "object" and .job)' "$file" 2>/dev/null || :
    done | jq -s . >"$2.json"
}

look() {
    local now
    run "$work/info" pgbackrest --stanza=main --log-level-console=off --log-level-stderr=error info --output=json || return
    jq -e '.[0].status.code | IN(0, 2)' "$work/info" >/dev/null || {
        jq -r '[.[].repo[]?.status.message, .[0].status.message] | join("; ")' "$work/info" | head -c 500 >"$work/complaints"
        return 1
    }
    results "repository:$REPOSITORY_BUCKET" "$work/results" || return
    if [ -n "${REPLICA_BUCKET-}" ]; then
        # The copy is another region's: that it does not answer says nothing of the original.
        results "replica:$REPLICA_BUCKET" "$work/replica" || {
            say replica "the copy was not read: $(tail -n 2 "$work/complaints")"
            rm -f "$work/replica.json"
        }
    fi
    now=$(date +%s)
    if [ $((now - sized)) -ge "$SIZE_SECONDS" ] && run "$work/size" rclone size --json "repository:$REPOSITORY_BUCKET/pgbackrest/"; then
        sized=$now
    fi
    [ -s "$work/size" ] || echo null >"$work/size"
    [ -e "$work/replica.json" ] || echo null >"$work/replica.json"
    jq -nr --slurpfile info "$work/info" --slurpfile results "$work/results.json" --slurpfile replica "$work/replica.json" \
        --slurpfile size "$work/size" --argjson rpo "$PROMISED_RPO_SECONDS" --argjson rto "$PROMISED_RTO_SECONDS" \
        --from-file "$here/metrics.jq" >"$work/known" 2>"$work/complaints"
}

sized=0
: >"$METRICS_FOLDER/begun"
: >"$work/known"
while :; do
    if look; then
        up=1
    else
        up=0
        say unreachable "the repository was not read: docs/runbooks/backup-late.md. $(tail -c 500 "$work/complaints")"
    fi
    {
        # What was known last stays, with its times in it: who asks how old a backup is gets the truth.
        cat "$work/known"
        echo '# HELP backup_repository_up Whether the repository could be read at the last look.'
        echo '# TYPE backup_repository_up gauge'
        echo "backup_repository_up $up"
        echo '# HELP backup_monitor_last_refresh_timestamp_seconds When the repository was looked at last, with whatever success.'
        echo '# TYPE backup_monitor_last_refresh_timestamp_seconds gauge'
        echo "backup_monitor_last_refresh_timestamp_seconds $(date +%s)"
    } >"$METRICS_FOLDER/backup.prom.new"
    chmod 0644 "$METRICS_FOLDER/backup.prom.new"
    mv "$METRICS_FOLDER/backup.prom.new" "$METRICS_FOLDER/backup.prom"
    sleep "$MONITOR_SECONDS" &
    child=$!
    wait "$child"
    child=
done
