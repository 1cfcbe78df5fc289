#!/bin/bash
# Takes a backup of the database and verifies it: in full on Sundays, when the last full one is a week old, and when the
# last run has found damage; else what has changed since the last one.
#
# Environment: as common.sh; PATIENCE_SECONDS, for the nightly maintenance to end; TYPE, full, diff or incr instead;
# TODAY, the weekday (7 is Sunday) instead of the clock's.
. "$(dirname "$0")/common.sh"
. "$scripts/verify.sh"

WEEK_SECONDS=$((7 * 86400 - 43200)) # a little less: not a day later because of a slow hour

# What is damaged, as the last run found or a gap shows, is not built upon: a new full backup is whole.
damaged=$(previous | jq 'if .verified == 0 then 1 else 0 end')
look_for_gaps
[ -z "$gaps_now" ] || damaged=1

kind() {
    local newest
    newest=$(jq '[.[].backup[]? | select(.type == "full" and .error != true) | .timestamp.stop] | max // 0' "$answer")
    if [ "${TODAY-$(date -u +%u)}" = 7 ] || [ $((began - newest)) -ge "$WEEK_SECONDS" ] || [ "$damaged" = 1 ]; then
        echo full
    else
        echo incr
    fi
}

pgbackrest_info 'the repository was not read'
type=${TYPE-$(kind)}
note type "\"$type\""

keep_lock "$PATIENCE_SECONDS"
tell info started "$type"
pgbackrest_do --type="$type" backup || explain 'no backup was made'
note backup_seconds "$(($(date +%s) - began))"

pgbackrest_info 'the repository was not read'
made=$(jq -c '[.[].backup[]] | max_by(.timestamp.stop)
    | {label, type, size: .info.size, delta: .info.repository.delta, error}' "$answer")
label=$(jq -r .label <<<"$made")
note label "\"$label\""
tell info made "$label" "$made"
# pgBackRest takes the backup all the same, and says so by this alone.
if [ "$(jq -r .error <<<"$made")" = true ]; then
    note verified 0
    fail 65 page_checksums "$label has pages whose checksums are wrong: the database's own disk is damaged. docs/runbooks/repository-damaged.md"
fi

# With a full backup everything, else this one and what it is made of. After damage this one alone: that it is whole is
# the news, and the damage is told again in a week, until it is expired.
set=$label
[ "$type" != full ] || [ "$damaged" = 1 ] || set=
note verified 0
verify "$set"
note verified 1
tell info finished "$label"
finish 0
