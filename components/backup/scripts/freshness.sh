#!/bin/bash
# Looks each hour whether one could go back to a moment ago: WAL gets into the repository right now, none is missing
# there, and the newest backup is young.
#
# Environment: as common.sh; BACKUP_SECONDS, how old the newest backup may be; RPO_SECONDS, what is promised.
. "$(dirname "$0")/common.sh"
. "$scripts/verify.sh"

# What the database itself knows: how long ago it archived, and its heart beat last.
ask "SELECT coalesce(extract(epoch FROM now() - last_archived_time)::bigint, -1),
            (SELECT extract(epoch FROM now() - beaten_at)::bigint FROM platform.heartbeat),
            coalesce(last_archived_wal, '')
     FROM pg_stat_archiver" || explain 'the database was not asked'
IFS='|' read -r archived beaten segment <"$answer"
note archive_age_seconds "$archived"
note heartbeat_age_seconds "${beaten:-null}"
# An idle database archives each minute all the same: its heart beats.
if [ "$archived" -lt 0 ] || [ "$archived" -gt "$RPO_SECONDS" ]; then
    fail 75 archive_behind "the last WAL was archived $archived seconds ago, and $RPO_SECONDS are promised (-1: never): docs/runbooks/archive-behind.md"
fi
if [ "${beaten:-999999}" -gt "$RPO_SECONDS" ]; then
    fail 75 heartbeat "the database's heart beat ${beaten:-never} seconds ago, so nobody can tell what a restore would lose: docs/runbooks/archive-behind.md"
fi

# A segment of now goes all the way: it is switched, archived, and found in the repository.
pgbackrest_do check --archive-timeout=120 || explain 'a segment of now did not reach the repository'

pgbackrest_info 'the repository was not read'
newest=$(jq '[.[].backup[]? | select(.error != true) | .timestamp.stop] | max // 0' "$answer")
[ "$newest" != 0 ] || fail 75 no_backup 'there is no backup yet: docs/runbooks/backup-late.md'
age=$((began - newest))
note backup_age_seconds "$age"
highest=$(jq -r '[.[].archive[]?] | last | .max // ""' "$answer")
# Of one timeline alone can they be compared.
if [ "${segment:0:8}" = "${highest:0:8}" ] && [[ ${segment:0:24} > $highest ]]; then
    fail 65 archive_lost "the database has archived $segment, and the repository has nothing after $highest: docs/runbooks/repository-damaged.md"
fi
continuous
if [ "$age" -gt "$BACKUP_SECONDS" ]; then
    fail 75 backup_late "the newest backup is $((age / 3600)) hours old: docs/runbooks/backup-late.md"
fi
tell info finished "the newest backup is $age seconds old, the archive $archived" 
finish 0
