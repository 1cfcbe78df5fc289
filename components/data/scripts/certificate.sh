#!/bin/sh
# Has the cache read its certificate anew after a renewal: by itself it reads the files at its start alone, and
# would serve the old certificate past its end. Clients that are connected stay connected.
#
# Environment: CACHE_PORT; CHECK_SECONDS, how often the files are looked at.
set -eu

tls=/run/secrets/cache-tls

reload() {
    REDISCLI_AUTH=$(cat /run/cache/operator/password)
    export REDISCLI_AUTH
    # Any certificate: when the authority changes too, the old one is not signed by the one that is known here.
    # On the pod's own loopback nobody else can answer.
    timeout 4 valkey-cli -h localhost -p "$CACHE_PORT" --user operator --no-auth-warning -e --tls --insecure \
        config set tls-cert-file "$tls/tls.crt" tls-key-file "$tls/tls.key" 2>&1
}

trap 'exit 0' TERM
read=
while :; do
    now=$(cat "$tls/tls.crt" "$tls/tls.key" | sha256sum)
    if [ "$now" != "$read" ]; then
        # It may still be starting, or the files half-way renewed: then again at the next look.
        if answer=$(reload); then
            read=$now
            echo 'the certificate was read'
        else
            echo "the certificate could not be read, trying again: $answer"
        fi
    fi
    sleep "$CHECK_SECONDS" &
    wait $! # unlike `sleep` itself, it lets a SIGTERM through at once
done
