#!/bin/bash
# Dumps the database table by table: what is left of one's data when the physical backups can't be used any more, and
# what a single table comes back from. With a manifest of each table's rows and sum, counted in the dump's own snapshot,
# and of each file; read back before it counts, and kept for KEEP_DAYS, the newest for ever.
#
# Environment: as common.sh and dumps.sh; PROCESSES; KEEP_DAYS.
. "$(dirname "$0")/common.sh"
. "$scripts/dumps.sh"

bin=/usr/lib/postgresql/17/bin
place=$SCRATCH/dump
find "$SCRATCH" -mindepth 1 -delete 2>/dev/null
mkdir -p "$place"
encrypted_remote
taken=$(date -u +%Y%m%dT%H%M%SZ)

PGPASSWORD=$(<"$PGPASSWORD_FILE")
export PGPASSWORD PGAPPNAME="backup-$JOB"

# One session holds the snapshot that all others look at, and is idle meanwhile. `keeper` is ended with the job.
export PGOPTIONS='-c idle_in_transaction_session_timeout=0 -c statement_timeout=0'
coproc HOLD { exec psql -XAtqw -v ON_ERROR_STOP=1 2>"$work/hold"; }
keeper=$HOLD_PID
echo 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_export_snapshot();' >&"${HOLD[1]}"
if ! read -r -t 60 snapshot <&"${HOLD[0]}"; then
    cp "$work/hold" "$complaints"
    keeper=''
    explain 'the database was not dumped'
fi

tell info started "$taken"
if ! run "$bin/pg_dump" --format=directory --jobs="${PROCESSES-2}" --compress=zstd:3 --snapshot="$snapshot" --no-password \
    --lock-wait-timeout=60s --file="$place/data"; then
    case $(<"$complaints") in
    *'No space left'*) fail 75 no_space "the scratch space is too small for a dump: docs/runbooks/dump-late.md. $(tail -c 500 "$complaints")" ;;
    *'permission denied'* | *'row-level security'*)
        fail 78 refused "the role backup may not read all of it: docs/runbooks/dump-late.md. $(tail -c 1000 "$complaints")" ;;
    *) explain 'the database was not dumped' ;;
    esac
fi

# What is in the dump, so said by the same snapshot.
tables_of="SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'r' AND relpersistence <> 't' AND nspname !~ '^pg_' AND nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND classid = 'pg_class'::regclass AND deptype = 'e')
ORDER BY 1"
run psql -XAtqw -v ON_ERROR_STOP=1 -c "$tables_of" || explain 'the tables were not listed'
cp "$answer" "$work/tables"
{
    echo "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '$snapshot'; $fixed"
    while IFS= read -r table; do
        printf 'SELECT %s AS "table", summed.* FROM (%s) AS summed (rows, sum);\n' \
            "\$table\$$table\$table\$" "$(summing "$table")"
    done <"$work/tables"
} >"$work/count.sql"
run psql -XAtqw -v ON_ERROR_STOP=1 -F $'\t' -f "$work/count.sql" || explain 'the rows were not counted'
jq -Rn '[inputs | split("\t") | {table: .[0], rows: (.[1] | tonumber), sum: .[2]}]' "$answer" >"$work/counted"
echo 'COMMIT;' >&"${HOLD[1]}"

# What the manifest says must be in the files: the list of contents knows each table.
(cd "$place" && find . -type f -printf '%P\0' | sort -z | xargs -0 sha256sum) >"$work/sums" ||
    fail 75 failed 'the files of the dump were not read'
jq -Rn '[inputs | capture("^(?<sha256>[0-9a-f]{64})  (?<file>.*)$")]' "$work/sums" >"$work/files"
jq -n --arg database "$PGDATABASE" --arg taken "$taken" --arg version "$("$bin/pg_dump" --version)" \
    --slurpfile tables "$work/counted" --slurpfile files "$work/files" \
    '{$database, $taken, $version, tables: $tables[0], files: $files[0]}' >"$place/manifest.json"

run rclone copy --exclude /manifest.json "$place" "dumps:$taken" || explain 'the dump was not stored'
# All of it, decrypted, against what was dumped.
run rclone check --download --exclude /manifest.json "$place" "dumps:$taken" || {
    grep -q 'differences found' "$complaints" &&
        fail 65 damaged "what is stored is not what was dumped: docs/runbooks/dump-late.md. $(tail -c 1000 "$complaints")"
    explain 'the dump was not read back'
}
run rclone copyto "$place/manifest.json" "dumps:$taken/manifest.json" || explain 'the manifest was not stored'
run rclone check --download "$place" "dumps:$taken" || explain 'the dump was not read back'

# Older ones go, but for the newest; and what a run that was ended has left.
mapfile -t whole < <(whole_dumps)
[ "${whole[-1]-}" = "$taken" ] || fail 75 failed 'the dump is not found again'
oldest=$(date -u -d "-${KEEP_DAYS-56} days" +%Y%m%dT%H%M%SZ)
leftover=$(date -u -d '-1 day' +%Y%m%dT%H%M%SZ)
run rclone lsf --dirs-only dumps: || explain 'the dumps were not listed'
while IFS= read -r old; do
    old=${old%/}
    [ "$old" != "$taken" ] || continue
    if [[ $old < $oldest ]] || { [[ $old < $leftover ]] && ! printf '%s\n' "${whole[@]}" | grep -qx "$old"; }; then
        # Not `purge`, which deletes every version, and so what the bucket keeps of a deletion.
        run rclone delete "dumps:$old" && tell info expired "$old" || tell warning said "$old was not deleted: $(tail -n 1 "$complaints")"
    fi
done < <(cat "$answer")

note dump "\"$taken\""
note tables "$(jq length "$work/counted")"
note rows "$(jq '[.[].rows] | add // 0' "$work/counted")"
note bytes "$(du -sb "$place" | cut -f 1)"
note dumps "$(whole_dumps | wc -l)"
tell info finished "$taken" "$numbers"
find "$SCRATCH" -mindepth 1 -delete 2>/dev/null
finish 0
