#!/bin/bash
# Restores the newest backup and all WAL since into a database of its own, and checks all of it: that is what makes a
# backup one. Measures what an emergency would cost: RPO, what would be lost if the cluster were gone at this moment;
# RTO, from an empty folder to the first answer.
#
# Environment: as common.sh and instance.sh.
. "$(dirname "$0")/common.sh"
. "$scripts/instance.sh"

freshness() {
    local newest
    # The last commit that came back: what was committed after it and before now would have been lost.
    newest=$(query "SELECT extract(epoch FROM greatest(beaten_at, pg_last_xact_replay_timestamp())) FROM platform.heartbeat")
    note rpo_seconds "$(jq -n "[$restoring - $newest, 0] | max | . * 10 | round / 10")"
    note heartbeat_age_seconds "$(query "SELECT round($restoring - extract(epoch FROM beaten_at)) FROM platform.heartbeat")"
}

clear_scratch
restoring=$(date +%s.%N)
find_way latest
prove freshness
require_proof
tell info finished "the backup $(of_plan set) and all WAL since were restored and checked" "$numbers"
finish 0
