# Shared by the jobs of the database's maintenance; each sources it first. What they print is JSON, a line each.
#
# Environment: JOB, the job's name; libpq's own; PGPASSWORD_FILE.
set -eu

scripts=$(dirname "$0")
said=$(mktemp) # a read-only root has /tmp
complaints=$(mktemp)
psql=

# tell LEVEL EVENT [MESSAGE]: the message is any text.
tell() {
    message=$(printf '%s' "${3-}" | tr '\000-\037' ' ' | sed 's/\\/\\\\/g; s/"/\\"/g')
    printf '{"time": "%s", "level": "%s", "job": "%s", "event": "%s", "message": "%s"}\n' \
        "$(date -u +%FT%TZ)" "$1" "$JOB" "$2" "$message"
}

# In no list of arguments, which every user of the node can read. No trace of it is printed.
PGPASSWORD=$(cat "$PGPASSWORD_FILE")
export PGPASSWORD
export PGAPPNAME="maintenance-$JOB"

# The server looks after two seconds whether we are still there: however this ends, nothing of it goes on there,
# and the lock is free.
limits='-c client_connection_check_interval=2s'

# in_session SECONDS ARGUMENT...: one session of psql, each of whose statements may take so long; its exit code.
# What it complains of is told: as one error when it failed, else line by line.
in_session() {
    seconds=$1
    shift
    # No lock that is taken here conflicts with reads or writes. What a rebuild waits for is the end of older
    # transactions, all over the database; a lone one that is forgotten would hold it up for ever.
    PGOPTIONS="$limits -c statement_timeout=${seconds}s -c lock_timeout=${LOCK_TIMEOUT-120s}" \
        psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 "$@" \
        >"$said" 2>"$complaints" &
    psql=$!
    code=0
    wait "$psql" || code=$?
    psql=
    sed '/^$/d' "$said" # what \watch prints when it ends
    if [ "$code" != 0 ]; then
        tell error failed "$(cat "$complaints")"
        return "$code"
    fi
    while IFS= read -r line; do
        tell warning said "$line"
    done <"$complaints"
}

# The shell is the container's first process, which no signal ends unless it is trapped; `wait` lets it through.
stop() {
    trap '' TERM INT
    [ -z "$psql" ] || kill "$psql" 2>/dev/null || true
    tell warning stopped 'asked to stop; the next run begins where this one ended'
    exit 143
}
trap stop TERM INT
