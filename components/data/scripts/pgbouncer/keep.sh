#!/bin/sh
# Runs beside PgBouncer and has it read anew what changed: configuration, its own password, certificate,
# authority. Clients that are connected stay connected.
#
# Environment: POOL_PORT; CHECK_SECONDS, how often the files are looked at.
set -eu

trial=/tmp/trial

# A PgBouncer that comes upon a value that it can't take goes on with its defaults for all after it, and says
# that the reload was done. So first another one, which nobody can reach, has to start with the same files.
starts() {
    rm -rf "$trial"
    mkdir "$trial"
    sed -e 's/^listen_addr = .*/listen_addr =/' -e "s|^unix_socket_dir = .*|unix_socket_dir = $trial|" \
        /etc/pool/pgbouncer.ini >"$trial/pgbouncer.ini"
    pgbouncer "$trial/pgbouncer.ini" >"$trial/log" 2>&1 &
    while [ ! -S "$trial/.s.PGSQL.$POOL_PORT" ]; do
        kill -0 $! 2>/dev/null || {
            cat "$trial/log"
            return 1
        }
        sleep 0.1
    done
    kill -QUIT $!
    wait $! || true
}

reload() {
    sh "${0%/*}/users.sh" 2>&1 && starts && sh "${0%/*}/console.sh" pgbouncer RELOAD
}

trap 'exit 0' TERM
read=
while :; do
    # What is read while a volume changes is of two generations, and so not what the next look finds.
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
    sleep "$CHECK_SECONDS" &
    wait $! # unlike `sleep` itself, it lets a SIGTERM through at once
done
