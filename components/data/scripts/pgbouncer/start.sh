#!/bin/sh
# Runs PgBouncer, and ends it as its clients need it when the pod stops.
#
# By then the pod is no longer found, so no new clients come, and those that it has go on until they leave. Who
# keeps a connection for good would be cut off in the middle of a transaction when the pod's time is up. So some
# time before, PgBouncer ends after the transactions that are open; a client without one loses a connection that
# was idle. PgBouncer heeds one signal: a second one would end it at once.
#
# Environment: POOL_PORT; DRAIN_SECONDS, how long clients are waited for.
set -eu

has_clients() {
    sh "${0%/*}/console.sh" stats 'SHOW CLIENTS' | awk -F '|' '$3 != "pgbouncer" { found = 1 } END { exit !found }'
}

# The volume of its state outlives the container: what an earlier one left is taken away.
rm -f /run/pool/served
sh "${0%/*}/users.sh"
stopping=
trap stopping=1 TERM
pgbouncer /etc/pool/pgbouncer.ini &
pgbouncer=$!
wait "$pgbouncer" && code=0 || code=$?
if [ -n "$stopping" ]; then
    waited=0
    while [ "$waited" -lt "$DRAIN_SECONDS" ] && has_clients; do
        sleep 1
        waited=$((waited + 1))
    done
    echo "stopping after $waited seconds"
    kill -INT "$pgbouncer" 2>/dev/null || true
    while kill -0 "$pgbouncer" 2>/dev/null; do
        wait "$pgbouncer" && code=0 || code=$?
    done
fi
exit "$code"
