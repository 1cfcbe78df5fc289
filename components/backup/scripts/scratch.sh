#!/bin/bash
# A database beside the live one, as it was at some moment, to look into: restores it into this pod, and keeps it for a
# while. Nobody else reaches it: `kubectl exec` into the pod, then `psql -h /scratch`.
#
# Environment: as common.sh and instance.sh; TO, `latest` unless told, `backup`, or a time with its zone; SET, a backup;
# KEEP_SECONDS, for how long it is there.
. "$(dirname "$0")/common.sh"
. "$scripts/instance.sh"

clear_scratch
restoring=$(date +%s.%N)
find_way "${TO:-latest}" "${SET-}"
fetch_files
start_instance
query 'SELECT 1' >/dev/null || fail 70 unproved 'it was not restored to its end: docs/runbooks/restore-test-failed.md'
note rto_seconds "$(jq -n "$(date +%s.%N) - $restoring | . * 10 | round / 10")"
tell info serving "ready for $KEEP_SECONDS s: kubectl exec into this pod, then psql -h $SCRATCH -U postgres -d $DATABASE_NAME" "$numbers"
pause "$KEEP_SECONDS"
kill -0 "$server" 2>/dev/null || fail 70 ended "the instance has ended by itself: $(why)"
tell info finished 'its time is over'
finish 0
