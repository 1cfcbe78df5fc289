#!/bin/sh
# Runs beside PgBouncer, as the same user, which is what makes it admin on the console.
#
# It has PgBouncer read anew what changed: configuration, its own password, certificate, authority. Clients that
# are connected stay connected. And when the pod stops, it sees that PgBouncer is gone before it is killed.
#
# Environment: POOL_PORT; CHECK_SECONDS, how often the files are looked at; DRAIN_SECONDS, how long a stopping
# PgBouncer waits for its clients to leave.
set -eu

admin() {
    timeout 4 /usr/lib/postgresql/17/bin/psql -XAtqw -h /run/pgbouncer -p "$POOL_PORT" -U pgbouncer -d pgbouncer \
        -c "$1" 2>&1
}

pause() {
    sleep "$1" &
    wait $! || true # unlike `sleep` itself, it lets a SIGTERM through at once
}

reload() {
    sh "${0%/*}/users.sh" 2>&1 && admin RELOAD
}

# SIGTERM, which PgBouncer gets too, lets clients go on until they leave by themselves. The last ones would be
# killed in the middle of a transaction when the pod's time is up. So in time this ends transactions, each at its
# own end, and then PgBouncer; clients without one lose a connection that was idle.
drain() {
    waited=0
    while [ "$waited" -lt "$DRAIN_SECONDS" ]; do
        admin 'SHOW VERSION' >/dev/null || exit 0
        pause 1
        waited=$((waited + 1))
    done
    echo 'clients are still there: waiting for their transactions alone'
    admin 'SHUTDOWN WAIT_FOR_SERVERS' || true
    while admin 'SHOW VERSION' >/dev/null; do
        pause 1
    done
    exit 0
}

stopping=
trap stopping=1 TERM
read=
while [ -z "$stopping" ]; do
    # The links of a volume change all at once; what is read here is one generation or a mix, and then the next
    # look finds another.
    now=$(cat /etc/pool/* /run/secrets/pool/* /run/secrets/pool-tls/* | sha256sum)
    if [ "$now" != "$read" ]; then
        # It may still be starting, or the files half-way renewed: then again at the next look.
        if answer=$(reload); then
            read=$now
            echo 'the files were read'
        else
            echo "the files could not be read, trying again: $answer"
        fi
    fi
    pause "$CHECK_SECONDS"
done
drain
