#!/bin/sh
# Tells, on the first Sunday of a month, what nobody looks at every day. The schedule is weekly, because cron's days
# of the month and of the week are alternatives; on any other day somebody has started it by hand.
#
# Environment: as common.sh; PATIENCE_SECONDS, for the lock; WORK_SECONDS, for each question; TODAY, weekday (7 is
# Sunday) and day of the month instead of the clock's.
. "$(dirname "$0")/common.sh"

today=${TODAY-$(date -u '+%u %d')}
day=${today#* }
if [ "${today% *}" = 7 ] && [ "${day#0}" -gt 7 ]; then
    tell info skipped 'not the first Sunday of the month'
    exit 0
fi
in_session "$WORK_SECONDS" --set grace=0 --set patience="$PATIENCE_SECONDS" \
    --file "$scripts/lock.sql" --file "$scripts/report.sql"
tell info finished
