#!/bin/bash
# Whether the monitor still looks: exit code 0 when what it writes is young.
#
# Environment: METRICS_FOLDER; MONITOR_SECONDS, from one look to the next.
set -eu

age=$(($(date +%s) - $(stat --format=%Y "$METRICS_FOLDER/backup.prom")))
# A storage that does not answer makes a look take minutes.
[ "$age" -le $((MONITOR_SECONDS + 900)) ] || { echo "the last look was $age seconds ago"; exit 1; }
