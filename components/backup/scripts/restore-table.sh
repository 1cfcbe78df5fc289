#!/bin/bash
# Brings one table of a dump back beside the live one: into a schema of its own, where it is looked at, compared and
# copied from by hand. Nothing that is there is touched.
#
# The dump is restored into a database of this pod's own first: there the table is moved into the new schema, checked
# against the manifest, and from there copied. So a role that is gone, or a right that nobody has any more, is in no way:
# what is made belongs to who makes it.
#
# Environment: as common.sh and dumps.sh; TABLE, with its schema, such as public.orders; DUMP, its time as in the bucket;
# the newest unless told; SCHEMA, the new one.
. "$(dirname "$0")/common.sh"
. "$scripts/dumps.sh"

bin=/usr/lib/postgresql/17/bin
own=$SCRATCH/own
server=''
# What the environment says of the live database's security holds for that one alone.
locally() { env -u PGREQUIREAUTH -u PGSSLMODE -u PGSSLROOTCERT -u PGPASSWORD "$@"; }
here() { locally psql -XAtqw -v ON_ERROR_STOP=1 -h "$SCRATCH" -p 5433 -U postgres -d postgres "$@"; }
there() { psql -XAtqw -v ON_ERROR_STOP=1 "$@"; }

[[ ${TABLE-} == *.* ]] || fail 78 no_table "TABLE=${TABLE-} is none: give it with its schema, such as public.orders"
find "$SCRATCH" -mindepth 1 -delete 2>/dev/null
encrypted_remote

mapfile -t whole < <(whole_dumps)
[ "${#whole[@]}" -gt 0 ] || fail 65 no_dump 'there is no whole dump: docs/runbooks/dump-late.md'
dump=${DUMP:-${whole[-1]}}
printf '%s\n' "${whole[@]}" | grep -qxF "$dump" ||
    fail 78 no_dump "there is no whole dump $dump; there are: ${whole[*]}"
schema=${SCHEMA:-restored_${dump//[^0-9]/}}
[[ $schema =~ ^[a-z_][a-z0-9_]{0,62}$ ]] || fail 78 no_schema "SCHEMA=$schema is no plain name"

fetch manifest.json
expected=$(jq -c --arg table "$TABLE" '.tables[] | select(.table == $table)' "$SCRATCH/manifest.json")
[ -n "$expected" ] || fail 78 no_table "dump $dump has no table $TABLE; it has: $(jq -r '[.tables[].table] | join(", ")' "$SCRATCH/manifest.json" | head -c 2000)"
tell info started "$TABLE of $dump, $(jq .rows <<<"$expected") rows"
note dump "\"$dump\""

run "$bin/initdb" --pgdata="$own" --username=postgres --auth=trust --encoding=UTF8 --locale=C \
    --locale-provider=builtin --builtin-locale=C.UTF-8 --no-sync || explain 'no database was made'
"$bin/postgres" -D "$own" -c listen_addresses= -c "unix_socket_directories=$SCRATCH" -c port=5433 -c fsync=off \
    >"$SCRATCH/postgresql.log" 2>&1 &
server=$!
keeper=$server # ended with the job
until=$((SECONDS + 300))
until here -c 'SELECT 1' >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$until" ] || fail 75 failed "no database was started: $(tail -n 3 "$SCRATCH/postgresql.log")"
    kill -0 "$server" 2>/dev/null || fail 75 failed "no database was started: $(tail -n 3 "$SCRATCH/postgresql.log")"
    pause 0.2
done

# The list of contents, then only the file of this table.
fetch data/toc.dat
run "$bin/pg_restore" --list "$SCRATCH/data" || explain 'the dump was not read'
cp "$answer" "$SCRATCH/list"
# There names are without quotes, and followed by an owner.
names=$(here -c "SELECT named[1], named[2], quote_ident(named[2]) FROM parse_ident(\$t\$$TABLE\$t\$) AS named" -F $'\n')
{ read -r schema_of && read -r name_of && read -r name; } <<<"$names"
awk -v found=" TABLE DATA $schema_of $name_of " \
    'index($0, found) && substr($0, index($0, found) + length(found)) !~ / /' "$SCRATCH/list" >"$SCRATCH/only"
file=$(sed -n '1s/;.*/.dat.zst/p' "$SCRATCH/only")
[ -n "$file" ] || fail 65 no_table "the dump's list of contents has no data of $TABLE"
fetch "data/$file"
(cd "$SCRATCH" && jq -r --arg file "data/$file" '.files[] | select(.file == $file or .file == "data/toc.dat")
    | "\(.sha256)  \(.file)"' manifest.json | sha256sum --check --quiet) >"$complaints" 2>&1 ||
    fail 65 damaged "dump $dump is damaged, take another one: $(tail -n 2 "$complaints")"

# All that the table may be made of (types, functions), and then its rows; what needs something that is not there fails
# by itself, and does not matter unless it is the table.
run locally "$bin/pg_restore" -h "$SCRATCH" -p 5433 -U postgres -d postgres --no-owner --no-privileges --section=pre-data \
    "$SCRATCH/data" || tell info left_out "$(grep -c '^pg_restore: error' "$complaints") things of the dump were not made here"
run locally "$bin/pg_restore" -h "$SCRATCH" -p 5433 -U postgres -d postgres --no-owner --no-privileges --exit-on-error \
    --use-list="$SCRATCH/only" "$SCRATCH/data" || fail 65 failed "the rows of $TABLE were not restored: $(tail -c 1000 "$complaints")"
summed() { # psql, table
    "$1" -F ' ' -c "$fixed $(summing "$2")"
}
same_as() { [ "$1" = "$(jq -r '"\(.rows) \(.sum)"' <<<"$expected")" ]; }
same_as "$(summed here "$TABLE")" || fail 65 damaged "$TABLE in dump $dump is not what the manifest says"

here -c "CREATE SCHEMA $schema" -c "ALTER TABLE $TABLE SET SCHEMA $schema" 2>"$complaints" ||
    fail 65 failed "$(<"$complaints")"
run locally "$bin/pg_dump" -h "$SCRATCH" -p 5433 -U postgres -d postgres --no-owner --no-privileges --no-comments \
    --section=pre-data --section=data --table="$schema.$name" --file="$SCRATCH/table.sql" ||
    fail 65 failed "$(<"$complaints")"

PGPASSWORD=$(<"$PGPASSWORD_FILE")
export PGPASSWORD PGAPPNAME="backup-$JOB"
# pg_dump clears search_path; the schema and its table come together, or not at all.
{
    echo "CREATE SCHEMA $schema;"
    grep -v '^CREATE SCHEMA\|^SET default_tablespace\|^SET transaction_timeout' "$SCRATCH/table.sql"
} >"$SCRATCH/whole.sql"
run psql -XAtqw -v ON_ERROR_STOP=1 --single-transaction -f "$SCRATCH/whole.sql" || {
    case $(<"$complaints") in
    *'already exists'*) fail 78 exists "schema $schema is there already: drop it, or give another SCHEMA" ;;
    *) explain 'the table was not copied into the database' ;;
    esac
}
same_as "$(summed there "$schema.$name")" || fail 65 failed "$schema.$name is not what the dump has"
note rows "$(jq .rows <<<"$expected")"
tell info finished "$TABLE of $dump is $schema.$name now" "$numbers"
find "$SCRATCH" -mindepth 1 -delete 2>/dev/null
finish 0
