#!/bin/bash
# What an operator would do if the region were gone: restores from the copy in the other region, to a moment that nobody
# has chosen, and checks all of it. The moment is hit when the heart had beaten shortly before it and not after.
#
# Environment: as common.sh and instance.sh, with the replica's configuration; BEAT_SECONDS, how long the heart may have
# been silent; TO, a moment instead of a random one.
. "$(dirname "$0")/common.sh"
. "$scripts/instance.sh"

hit() {
    local beaten
    beaten=$(query 'SELECT extract(epoch FROM beaten_at) FROM platform.heartbeat')
    note heartbeat_before_target_seconds "$(jq -n "$target - $beaten | . * 10 | round / 10")"
    jq -en "$beaten <= $target" >/dev/null ||
        fail 65 missed "the restored data are of a later time than $to: docs/runbooks/restore-test-failed.md"
    jq -en "$beaten > $target - ${BEAT_SECONDS-120}" >/dev/null ||
        fail 65 missed "the last heartbeat before $to is $(jq -n "$target - $beaten | round") s older: was the database down then? Run the drill again; docs/runbooks/restore-test-failed.md"
}

clear_scratch
if [ -z "${TO-}" ]; then
    find_way latest
    earliest=$(of_plan earliest) newest=$(of_plan newest)
    note replica_age_seconds "$((began - newest))"
    TO="@$(jq -n --argjson random "$((RANDOM * 32768 + RANDOM))" \
        "$earliest + ($newest - $earliest) * \$random / 1073741824 | floor")"
fi
to=$(date -u -d "$TO" '+%F %T+00') || fail 78 no_time "$TO is no time with its zone"
target=$(date -d "$to" +%s)
note target "$target"
restoring=$(date +%s.%N)
find_way "$to"
prove hit
require_proof
tell info finished "the copy of the other region was restored to $to and checked" "$numbers"
finish 0
