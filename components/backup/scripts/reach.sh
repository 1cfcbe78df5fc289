#!/bin/bash
# Tells how a moment of the database is reached with what the repository has, before anything is touched: one line of
# JSON (the backup to begin with, the timeline, what ends the recovery), or why it can't be.
#
#   reach.sh latest             all that was archived
#   reach.sh backup [LABEL]     as that backup, or the newest, has it, and no later
#   reach.sh TIME [LABEL]       as clients saw it at that time, such as "2026-11-20 14:03:00+00"
#
# Exit codes: 0; 65 when there is no way there, 75 when the repository does not answer, 78 for a time that is none.
# What recovery is told is exact, so that one that ends early, at a segment that is missing or broken, never passes
# for one that is complete: a commit later than the moment is known to exist, else the last record is the target.
#
# Environment: pgBackRest's own; STANZA, `main` unless told; LOOK_SEGMENTS, how many segments are searched for a commit.
set -euo pipefail

to=${1:?latest, backup, or a time} label=${2-}
here=${0%/*}
stanza=${STANZA-main}
PATH=$PATH:/usr/lib/postgresql/17/bin
export TZ=UTC LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

exec 3>&1
fail() { # code, message
    jq -cn --arg error "$2" '{error: $error}' >&3
    exit "$1"
}
# On one line: when the storage refuses, the rest is a page with all that was signed.
brief() {
    tr -cd '\n -~' >"$work/page"
    {
        sed '/^ *\*\*\*/,$d' "$work/page" | head -n 3 | cut -c 1-400
        sed -n 's/.*<Code>\([^<]*\)<\/Code><Message>\([^<]*\)<.*/\1: \2/p' "$work/page" | head -n 1
    } | tr -s '\n ' ' ' | sed 's/ $//'
}
repository() { # a command of pgBackRest
    local code=0
    pgbackrest --stanza="$stanza" --log-level-console=off --log-level-stderr=error "$@" 2>"$work/said" || code=$?
    [ "$code" = 0 ] || fail 75 "the repository does not answer: $(brief <"$work/said")"
}

at=null
case $to in
latest | backup) mode=$to ;;
*)
    mode=time
    [[ $to =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}[\ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?\ ?(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)$ ]] &&
        at=$(date -d "$to" +%s.%6N 2>/dev/null) ||
        fail 78 "$to is no time with its zone, such as 2026-11-20 14:03:00+00"
    ;;
esac

repository --output=json info >"$work/raw"
# What was deciphered with another key is no text, and need not be JSON.
tr -cd '\n -~' <"$work/raw" >"$work/info"
jq empty "$work/info" 2>/dev/null || fail 75 "the repository was not read: $(brief <"$work/info")"
# It exits with 0 also when it could read nothing, and says so in here.
told=$(jq -r '[.[].repo[]?.status.message, .[0].status.message] | map(select(. != null and . != "")) | unique[]' "$work/info" | brief)
case $(jq -r '.[0].status.code // 1' "$work/info") in
0) ;;
1 | 2 | 3) [ "$(jq '[.[].backup[]?] | length' "$work/info")" != 0 ] || fail 65 "the repository has nothing to restore: $told" ;;
*) fail 75 "the repository was not read: $told" ;;
esac
archive=$(jq -r --arg label "$label" '.[0]
    | ([.backup[] | select(.label == $label).database.id][0] // .db[-1].id) as $id
    | [.archive[] | select(.database.id == $id).id][0] // empty' "$work/info")
[ -n "$archive" ] || fail 65 'the repository has no WAL of this database'
repository --output=json repo-ls --recurse "archive/$stanza/$archive" >"$work/files"

printf '{}' >"$work/histories"
for file in $(jq -r 'keys[] | select(test("^[0-9A-F]{8}[.]history$"))' "$work/files"); do
    repository repo-get "archive/$stanza/$archive/$file" >"$work/history"
    jq -c --arg name "${file%.history}" --rawfile text "$work/history" '. + {$name: $text}' \
        "$work/histories" >"$work/more"
    mv "$work/more" "$work/histories"
done

jq -cn --slurpfile info "$work/info" --slurpfile files "$work/files" --slurpfile histories "$work/histories" \
    --arg mode "$mode" --argjson to "$at" --arg set "$label" '{
        info: $info[0][0], files: $files[0], histories: $histories[0], $mode, $to, now: now,
        set: (if $set == "" then null else $set end)
    }' | jq -c -f "$here/reach.jq" >"$work/plan"
error=$(jq -r '.error // empty' "$work/plan")
[ -z "$error" ] || fail 65 "$error"

mkdir "$work/wal"
# All under the name of one timeline: pg_waldump follows no parting of the ways.
timeline=$(jq -r .timeline "$work/plan" | xargs printf %08X)
segment() { # path, name: fetch one
    case $1 in
    *.zst) unpack='zstd -dcq' ;;
    *.gz) unpack='gzip -dc' ;;
    *.lz4) unpack='lz4 -dcq' ;;
    *) unpack=cat ;;
    esac
    repository repo-get "archive/$stanza/$archive/$1" >"$work/packed"
    if ! said=$($unpack 2>&1 <"$work/packed" >"$work/wal/$timeline${2:8}"); then
        # Not from a file: that disk may be the one that is full.
        [[ $said != *'No space left'* ]] || fail 75 'there is no space left to look at the WAL'
        fail 65 "WAL segment $2 in the repository is broken"
    fi
    rm -f "$work/packed"
}
# Of a timeline that nothing was archived of yet, there is only the moment when it began.
ending() { # how recovery knows that it has reached its end: the last record that there is
    local first='' last='' path name found=''
    found=$(jq -r '.parting // empty' "$work/plan")
    [ -z "$found" ] || { echo "$found"; return 0; }
    while read -r path name; do
        last=${last:-$timeline${name:8}} first=$timeline${name:8}
        segment "$path" "$name"
        found=$(pg_waldump --path="$work/wal" "$first" "$last" 2>"$work/said" |
            sed -n 's/.*, lsn: \([0-9A-F/]*\),.*/\1/p' | tail -n 1) || true
        [ -z "$found" ] || break
    done < <(jq -r '.rest | reverse[] | "\(.path) \(.name)"' "$work/plan")
    [ -n "$found" ] || fail 65 "the newest WAL segments of the repository can't be read: $(tail -n 1 "$work/said")"
    echo "$found"
}

end_of_archive() {
    jq -c --arg lsn "$lsn" 'del(.look, .rest) + {type: "lsn", target: $lsn, exclusive: (.parting != null)}' "$work/plan"
}

case $mode in
backup) jq -c 'del(.look, .rest) + {type: "immediate"}' "$work/plan" ;;
latest)
    lsn=$(ending) || exit
    end_of_archive
    ;;
time)
    first='' later=''
    while read -r path name; do
        first=${first:-$timeline${name:8}}
        segment "$path" "$name"
        # Commits and aborts: those are what recovery compares with its target.
        later=$(pg_waldump --rmgr=Transaction --path="$work/wal" "$first" "$timeline${name:8}" 2>/dev/null |
            sed -nE 's/.*desc: (COMMIT|ABORT)[A-Z_]* ([0-9-]+ [0-9:.]+) UTC.*/\2/p' |
            awk -v to="$(date -d "@$at" '+%F %T.%6N')" '$0 > to { print; exit }') || true
        [ -z "$later" ] || break
        # One segment is kept: a record may begin in it and end in the next.
        [ "$(ls "$work/wal" | wc -l)" -lt 3 ] || { rm -f "$work/wal/$first"; first=$(ls "$work/wal" | head -n 1); }
    done < <(jq -r '.look[] | "\(.path) \(.name)"' "$work/plan" | head -n "${LOOK_SEGMENTS-256}")
    if [ -n "$later" ]; then
        jq -c --arg target "$(date -d "@$at" '+%F %T.%6N')+00" \
            'del(.look, .rest) + {type: "time", target: $target}' "$work/plan"
    else
        missing=$(jq -r '.broken // empty' "$work/plan")
        [ -z "$missing" ] || fail 65 "WAL segment $missing is missing in the repository, and no commit before it is later than $to"
        rm -rf "$work/wal"/*
        lsn=$(ending) || exit
        # Nothing was committed between that moment and the end of what was archived.
        end_of_archive
    fi
    ;;
esac
