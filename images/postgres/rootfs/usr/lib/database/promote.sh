#!/bin/bash
# Makes this standby a primary: docs/runbooks/promote-a-standby.md. Run it in the standby's own pod, when the
# primary is stopped for good. From then on the old one's volume is refused by entrypoint.sh.
#
#   promote.sh          refuses while the primary answers
#   promote.sh --force  promotes all the same: two would then take writes
#
# Environment: PGDATA, PGPORT; DATABASE_PRIMARY.
set -euo pipefail

ask() { psql -XAtq -v ON_ERROR_STOP=1 -U postgres -d postgres -c "$1"; }

[ "$(ask 'SELECT pg_is_in_recovery()')" = t ] || { echo 'this is a primary already'; exit 0; }
if [ "${1-}" != --force ] && pg_isready --quiet --timeout=5 --host="$DATABASE_PRIMARY" --port="$PGPORT"; then
    echo "refused: the primary at $DATABASE_PRIMARY still answers; stop it first" >&2
    exit 1
fi
echo "replayed up to $(ask 'SELECT pg_last_wal_replay_lsn()'), whose last commit was at" \
    "$(ask 'SELECT pg_last_xact_replay_timestamp()')"
[ "$(ask 'SELECT pg_promote(wait_seconds => 120)')" = t ] || { echo 'it was not promoted in time' >&2; exit 1; }
# A checkpoint writes the new timeline down where a later start of the old primary looks for it.
ask CHECKPOINT
echo "this is the primary now, on timeline $(ask 'SELECT timeline_id FROM pg_control_checkpoint()')"
