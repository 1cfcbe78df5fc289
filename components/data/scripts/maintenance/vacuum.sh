#!/bin/sh
# Vacuums and analyzes every table, after the backup. Tables that are locked wait until tomorrow.
#
# Environment: as common.sh; GRACE_SECONDS, for the backup to begin; PATIENCE_SECONDS, for it to end;
# WORK_SECONDS, for the vacuum itself.
. "$(dirname "$0")/common.sh"

in_session "$WORK_SECONDS" --set grace="$GRACE_SECONDS" --set patience="$PATIENCE_SECONDS" \
    --file "$scripts/lock.sql" --file "$scripts/vacuum.sql"
