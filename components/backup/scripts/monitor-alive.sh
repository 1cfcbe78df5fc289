#!/bin/bash
# Whether the monitor still looks: exit code 0 when what it writes is young, or itself is.
#
# Environment: METRICS_FOLDER; MONITOR_SECONDS, from one look to the next.
set -eu

# Until the first look is over there is no file, and after a restart an old one.
newest=$(stat --format=%Y "$METRICS_FOLDER/begun" "$METRICS_FOLDER/backup.prom" 2>/dev/null | sort -n | tail -n 1)
[ -n "$newest" ] || exit 0 # its first line is yet to be run
age=$(($(date +%s) - newest))
# A storage that does not answer makes a look take minutes.
[ "$age" -le $((MONITOR_SECONDS + 900)) ] || { echo "the last look was $age seconds ago"; exit 1; }
