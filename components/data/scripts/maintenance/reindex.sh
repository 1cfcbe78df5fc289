#!/bin/sh
# Rebuilds every index beside its users, and drops what interrupted rebuilds have left, before and after.
#
# Each index is a session of its own under the lock: one that fails stops none of the others, and a backup that is
# due gets its turn between two.
#
# Environment: as common.sh; PATIENCE_SECONDS, for the others' end before the first; WORK_SECONDS, when the last
# must have ended.
. "$(dirname "$0")/common.sh"

until=$(($(date +%s) + WORK_SECONDS))
failed=0
rebuilt=0
left=0

# locked SECONDS ARGUMENT...: one session that holds the lock, and waits for it and works so long.
locked() {
    seconds=$1
    shift
    in_session "$seconds" --set grace=0 --set patience="$seconds" --file "$scripts/lock.sql" "$@"
}

locked "$PATIENCE_SECONDS" --set strict=0 --file "$scripts/leftovers.sql"
indexes=$(mktemp)
in_session 60 --file "$scripts/indexes.sql" --output "$indexes"
while read -r index <&3; do
    rest=$((until - $(date +%s)))
    if [ "$rest" -le 0 ]; then
        left=$((left + 1))
    elif locked "$rest" --set index="$index" --file "$scripts/reindex.sql"; then
        rebuilt=$((rebuilt + 1))
    else
        failed=$((failed + 1))
    fi
done 3<"$indexes"
locked 600 --set strict=1 --file "$scripts/leftovers.sql" || failed=$((failed + 1))
tell info finished "$rebuilt rebuilt, $failed failed, $left left for the next time"
[ "$failed" = 0 ]
