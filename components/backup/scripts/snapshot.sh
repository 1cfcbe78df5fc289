#!/bin/bash
# Before a release: a backup of what has changed, and a point with a name to go back to. Nothing is expired by it.
#
# Environment: as common.sh; PATIENCE_SECONDS, for a backup that is under way; RELEASE, the image that is about to migrate
# the database, if it is for that; SNAPSHOT, the point's name, made up unless told.
. "$(dirname "$0")/common.sh"

made_up=snapshot-$(date -u +%Y%m%dT%H%M%SZ)
tagged=${RELEASE-} # and its digest
tagged=${tagged%@*}
[ -z "$tagged" ] || made_up=before-$(cut -c 1-56 <<<"${tagged##*:}")
name=${SNAPSHOT:-$made_up}
[[ $name =~ ^[A-Za-z0-9._-]{1,63}$ ]] || fail 78 name "SNAPSHOT is not a name of up to 63 letters, digits, dots, dashes and underscores"

note release "$(jq -n --arg image "${RELEASE-}" '$image | if . == "" then null else . end')"

pgbackrest_info 'the repository was not read'
# The backup itself says what it was for, for as long as it is kept.
until pgbackrest_do --type=incr --no-expire-auto --annotation=snapshot="$name" \
    ${RELEASE:+--annotation=before="$RELEASE"} backup; do
    # The nightly one, say: its end is waited for.
    if ! grep -Eq '\[050\]|unable to acquire lock|another pgBackRest process' "$complaints" ||
        [ $(($(date +%s) - began)) -ge "$PATIENCE_SECONDS" ]; then
        explain 'no backup was made'
    fi
    tell info waiting 'another backup is under way'
    pause 5
done
# After the backup, so that this point is reached from it; what comes after is the release's.
ask "SELECT pg_create_restore_point('$name'), to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US+00'),
            pg_walfile_name(pg_switch_wal())" || explain 'no restore point was made'
IFS='|' read -r lsn at segment <"$answer"
until ask "SELECT coalesce(last_archived_wal, '') >= '$segment' FROM pg_stat_archiver" && [ "$(<"$answer")" = t ]; do
    [ $(($(date +%s) - began)) -lt "$PATIENCE_SECONDS" ] || fail 75 archive_behind "the point's WAL $segment is not archived: docs/runbooks/archive-behind.md"
    pause 1
done
pgbackrest_info 'the repository was not read'
label=$(jq -r '[.[].backup[]] | max_by(.timestamp.stop) | .label' "$answer")
made=$(jq -nc --arg name "$name" --arg at "$at" --arg lsn "$lsn" --arg label "$label" '{restore_point: $name, $at, $lsn, $label}')
note snapshot "$made"
tell info finished "to go back to it: make restore TO=\"$at\"" "$made"
finish 0
