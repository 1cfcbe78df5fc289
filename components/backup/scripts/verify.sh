# shellcheck shell=bash
# Whether what is in the repository is whole. Sourced by jobs, after common.sh.

# verify [LABEL]: reads every file of the repository, or of one backup and of those that it builds upon; ends the job
# with 65 when something is damaged. `verify` itself succeeds whatever it finds, and says nothing of segments that are
# missing.
verify() {
    pgbackrest_do verify --output=text ${1:+--set="$1"} || explain 'the backups were not verified'
    if grep -q '^status: error' "$answer"; then
        fail 65 damaged "the repository is damaged; the next run takes a full backup: docs/runbooks/repository-damaged.md. $(tr '\n' ' ' <"$answer" | head -c 2000)"
    fi
    continuous
}

# continuous: no segment of the WAL is missing since the newest full backup; ends the job with 65 when one is, for no
# moment after it can be reached from there. One that is missing before is told: only moments up to that backup can't.
continuous() {
    look_for_gaps
    note archive_gaps "$(grep -c . <<<"$gaps_ever")"
    if [ -n "$gaps_now" ]; then
        note verified 0
        fail 65 gap "WAL is missing in the archive, and moments after it can't be reached before the next full backup, which the next run of backup takes: docs/runbooks/repository-damaged.md. Missing: $(shown "$gaps_now")"
    fi
    [ -z "$gaps_ever" ] ||
        tell warning gap "WAL is missing between older backups: docs/runbooks/repository-damaged.md. Missing: $(shown "$gaps_ever")"
}

# look_for_gaps: sets gaps_ever, the missing segments since the oldest backup, and gaps_now, those since the newest full.
look_for_gaps() {
    local archive oldest newest
    gaps_ever='' gaps_now=''
    pgbackrest_info 'the archive was not looked at'
    oldest=$(jq -r '[.[].backup[]?] | min_by(.timestamp.start) | .archive.start // ""' "$answer")
    newest=$(jq -r '[.[].backup[]? | select(.type == "full")] | max_by(.timestamp.start) | .archive.start // ""' "$answer")
    archive=$(jq -r '[.[].archive[]?] | last | .id // ""' "$answer")
    [ -n "$newest" ] && [ -n "$archive" ] || return 0
    pgbackrest_do repo-ls --recurse --filter='/[0-9A-F]{24}-[0-9a-f]{40}' "archive/main/$archive" ||
        explain 'the archive was not looked at'
    gaps_ever=$(gaps "$oldest" <"$answer")
    gaps_now=$(gaps "$newest" <"$answer")
}

shown() { head -n 20 <<<"$1" | tr '\n' ' '; }

# gaps FIRST: of the segments on stdin, which are missing between the first one and the last. A timeline begins where
# it has left its parent: its first segment stands for the parent's of the same number, or follows it.
gaps() {
    sed 's/.*\///; s/-.*//' | sort -u | {
        local name number timeline='' expected=0 from
        from=$((16#${1:8:8} * 256 + 16#${1:16:8}))
        while read -r name; do
            number=$((16#${name:8:8} * 256 + 16#${name:16:8}))
            [ "$number" -ge "$from" ] || continue
            if [ -z "$timeline" ]; then
                expected=$from
            elif [ "${name:0:8}" != "$timeline" ] && [ "$number" -lt "$expected" ]; then
                expected=$number
            fi
            timeline=${name:0:8}
            while [ "$expected" -lt "$number" ]; do
                printf '%s%08X%08X\n' "$timeline" $((expected / 256)) $((expected % 256))
                expected=$((expected + 1))
            done
            expected=$((number + 1))
        done
    }
}
