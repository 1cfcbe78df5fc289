# shellcheck shell=bash
# Shared by the backup jobs; each sources it first. What they print is JSON, a line each. Each ends by writing what
# came of it into the repository, `results/JOB.json`, also when it fails or is asked to stop: the repository
# outlives the cluster, and the monitor reads it from there.
#
# Exit codes: 0; 75 try again (EX_TEMPFAIL: the storage is gone, the database restarts), 78 a mistake in the settings,
# 65 what is in the repository is damaged. 143 when asked to stop.
#
# Environment: JOB, the job's name; REPOSITORY_BUCKET; pgBackRest's, rclone's and libpq's own; PGPASSWORD_FILE, for
# jobs that ask the database.
set -uo pipefail

umask 077
scripts=$(dirname "$0")
began=$(date +%s)
work=$(mktemp -d) # a read-only root has /tmp
answer=$work/answer
complaints=$work/complaints
numbers='{}'
child='' keeper='' ended=''
RESULT=repository:$REPOSITORY_BUCKET/results/$JOB.json

# A storage that is gone is known within minutes, not hours.
export RCLONE_RETRIES=2 RCLONE_LOW_LEVEL_RETRIES=3 RCLONE_CONTIMEOUT=15s RCLONE_TIMEOUT=60s RCLONE_USE_MMAP=true
export XDG_CACHE_HOME=$work HOME=$work TZ=UTC LC_ALL=C.UTF-8

# tell LEVEL EVENT [MESSAGE [JSON]]: the message is any text; JSON is an object of more fields.
tell() {
    jq -nc --arg level "$1" --arg event "$2" --arg message "${3-}" --arg job "$JOB" --argjson more "${4-null}" \
        '{time: (now | todate), $level, $job, $event, $message} + ($more // {})'
}

# note NAME JSON: one more field of the result; a number becomes a metric where the monitor knows it.
note() {
    numbers=$(jq -nc --argjson all "$numbers" --arg name "$1" --argjson value "$2" '$all + {($name): $value}')
}

# run COMMAND...: its exit code; what it printed is in $answer, what it complained of in $complaints. A SIGTERM
# ends it at once.
run() {
    local code=0
    "$@" >"$answer" 2>"$complaints" &
    child=$!
    wait "$child" || code=$?
    child=
    return "$code"
}

# pgbackrest_do COMMAND [OPTION...]: the same for pgBackRest, whose warnings are told.
pgbackrest_do() {
    local code=0
    run pgbackrest --stanza=main --log-level-console=off --log-level-stderr=warn --no-log-timestamp "$@" || code=$?
    if [ "$code" = 0 ] && [ -s "$complaints" ]; then
        tell warning said "$(<"$complaints")"
    fi
    return "$code"
}

# previous: the result of the run before, as JSON; {} when there is none, or it can't be had.
previous() {
    if [ ! -s "$work/previous" ]; then
        timeout 60 rclone cat "$RESULT" 2>/dev/null | jq -c 'if type == "object" then . else {} end' \
            >"$work/previous" 2>/dev/null
        [ -s "$work/previous" ] || echo '{}' >"$work/previous"
    fi
    cat "$work/previous"
}

# finish CODE [MESSAGE]: writes the result and ends.
finish() {
    local now
    [ -z "$ended" ] || return 0
    ended=1
    trap '' TERM INT
    [ -z "$child" ] || { kill "$child"; wait "$child"; } 2>/dev/null
    [ -z "$keeper" ] || kill "$keeper" 2>/dev/null
    now=$(date +%s)
    if ! jq -n --argjson old "$(previous)" --argjson more "$numbers" --arg job "$JOB" --arg error "${2-}" \
        --argjson started "$began" --argjson finished "$now" --argjson code "$1" '
            $old + $more + {$job, $started, $finished, duration_seconds: ($finished - $started),
                success: (if $code == 0 then 1 else 0 end), exit_code: $code, $error}
            + (if $code == 0 then {last_success: $finished} else {} end)' >"$work/result" ||
        ! timeout 60 rclone rcat "$RESULT" <"$work/result" 2>"$work/unwritten"; then
        tell error unwritten "the result could not be written into the repository: $(tail -n 2 "$work/unwritten")"
    fi
    rm -rf "$work"
    exit "$1"
}

# fail CODE EVENT MESSAGE: tells it, and finishes.
fail() {
    tell error "$2" "$3"
    finish "$1" "$3"
}

# pgbackrest_info: what the repository has, as JSON in $answer. `info` itself succeeds whatever it finds.
pgbackrest_info() { # what was being done
    local state
    pgbackrest_do info --output=json || explain "$1"
    state=$(jq -r '.[0].status.code' "$answer" 2>/dev/null)
    case $state in
    0 | 2) return 0 ;; # well; no backup yet
    1 | 3) echo 'missing stanza-create' >"$complaints" ;;
    # What was deciphered with another key is no text, and no JSON either.
    *) jq -r '[.[].repo[]?.status.message] | join("\n")' "$answer" >"$complaints" 2>/dev/null ||
        tr -cd '\n -~' <"$answer" >"$complaints" ;;
    esac
    explain "$1"
}

# What a failure of pgBackRest or rclone means, and what to do; ends the job. By words, for a code of pgBackRest's
# stands for many causes. Source: https://github.com/pgbackrest/pgbackrest/blob/main/src/build/error/error.yaml
explain() { # what was being done
    local said code todo
    said=$(head -c 20000 "$complaints")
    case $said in
    *ExpiredToken* | *'token has expired'* | *TokenRefreshRequired*)
        code=78 todo='the credentials have expired: docs/runbooks/backup-late.md, "no permission"' ;;
    *NoSuchBucket* | *'bucket does not exist'*)
        code=78 todo="there is no bucket $REPOSITORY_BUCKET: docs/runbooks/backup-late.md, \"wrong bucket\"" ;;
    # Of a role that may not be taken, pgBackRest says no more than that.
    *'(403)'* | *' 403 '* | *AccessDenied* | *InvalidAccessKeyId* | *SignatureDoesNotMatch* | *Forbidden* | *"'AssumeRoleWithWebIdentityResult'"*)
        code=78 todo='the storage refuses: docs/runbooks/backup-late.md, "no permission"' ;;
    *CryptoError* | *'[095]'* | *'cipher header'* | *'unable to decrypt'* | *'outside of section'*)
        code=78 todo='the repository was written with another passphrase: docs/runbooks/backup-late.md, "wrong key"' ;;
    *'[028]'* | *'[044]'* | *'[051]'* | *'[058]'*)
        code=78 todo='the repository holds another database: docs/runbooks/archive-behind.md' ;;
    *'[503]'* | *'[500]'* | *SlowDown* | *InternalError* | *'unexpected eof'* | *'unexpected EOF'* | *': EOF'* | *'timeout after'* | *'HTTP request failed with 5'*)
        code=75 todo='the storage does not answer: docs/runbooks/backup-late.md, "storage gone"' ;;
    *'[026]'* | *'invalid checksum'* | *'checksum mismatch'*)
        code=65 todo='the repository is damaged: docs/runbooks/repository-damaged.md' ;;
    *'[050]'* | *'unable to acquire lock'* | *'is another pgBackRest process running'*)
        code=75 todo='another backup is under way: this one comes at its next time' ;;
    *'[082]'* | *'to archive before'*)
        code=75 todo='the WAL is not archived: docs/runbooks/archive-behind.md' ;;
    *'[062]'*)
        code=78 todo='somebody has stopped backups (pgbackrest stop): docs/runbooks/backup-late.md' ;;
    # The first is what pgBackRest says of a session that the server has ended.
    *'NULL result required'* | *'terminating connection'* | *'server closed the connection'* | \
        *'[056]'* | *'[057]'* | *'[059]'* | *'database system is'* | *HostConnectError* | *'unable to find primary'* | *'psql: error'*)
        code=75 todo='the database does not answer: docs/runbooks/database-down.md' ;;
    *'archive.info'* | *'backup.info'* | *'stanza-create'*)
        code=75 todo="the stanza is missing; the database's pod makes it, and its container backup-server says why not: docs/runbooks/archive-behind.md" ;;
    *) code=75 todo='docs/runbooks/backup-late.md' ;;
    esac
    fail "$code" failed "$1: $todo. $(summary)"
}

# The first and what the storage said, without a page of headers.
summary() {
    {
        head -n 3 "$complaints" | cut -c 1-400
        sed -n 's/.*<Code>\(.*\)<\/Code><Message>\([^<]*\)<.*/\1: \2/p' "$complaints" | head -n 1
    } | tr '\n' ' '
}

# keep_lock SECONDS: takes the lock by which backup, vacuum and rebuilds come one after the other, and holds it for as
# long as this shell lives. Asked again and again, never waited for: see lock.sql of the maintenance.
keep_lock() {
    local until=$(($(date +%s) + $1)) taken=''
    PGPASSWORD=$(<"$PGPASSWORD_FILE")
    export PGPASSWORD PGAPPNAME="backup-$JOB"
    coproc LOCK { exec psql --no-psqlrc --quiet --no-align --tuples-only --no-password 2>"$work/psql"; }
    # shellcheck disable=SC2153 # bash sets it
    keeper=$LOCK_PID
    while [ "$taken" != t ]; do
        if ! echo 'SELECT pg_try_advisory_lock(5432, 1);' >&"${LOCK[1]}" 2>/dev/null ||
            ! read -r -t 60 taken <&"${LOCK[0]}"; then
            keeper=
            cp "$work/psql" "$complaints" 2>/dev/null
            case $(<"$complaints") in
            *'password authentication'*)
                fail 78 failed "the database refuses the role backup: docs/runbooks/backup-late.md, \"no permission\". $(<"$complaints")" ;;
            *) fail 75 failed "the database does not answer: docs/runbooks/database-down.md. $(<"$complaints")" ;;
            esac
        fi
        [ "$taken" != t ] || return 0
        if [ "$(date +%s)" -ge "$until" ]; then
            # Backups beside a vacuum are slower, and as good.
            tell warning lock_busy 'the nightly maintenance is not over; the backup begins all the same'
            return 0
        fi
        pause 1
    done
}

# ask SQL: one answer of the database's, in $answer.
ask() {
    PGPASSWORD=$(<"$PGPASSWORD_FILE")
    export PGPASSWORD PGAPPNAME="backup-$JOB"
    run psql --no-psqlrc --quiet --no-align --tuples-only --no-password --set ON_ERROR_STOP=1 --command "$1"
}

pause() { # seconds; a SIGTERM ends it at once
    sleep "$1" &
    child=$!
    wait "$child"
    child=
}

# The shell is the container's first process, which no signal ends unless it is trapped; `wait` lets it through.
stop() {
    tell warning stopped 'asked to stop; the next run begins with what this one left'
    finish 143 'asked to stop'
}
trap stop TERM INT
# What nobody expected: a fault of the script's own is a result, too.
trap '[ -n "$ended" ] || finish 70 "ended unexpectedly"' EXIT
