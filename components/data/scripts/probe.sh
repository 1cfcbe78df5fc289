#!/bin/sh
# Tells the kubelet how the cache is; exit code 0 when it is well.
#
#   ready   it takes commands from a user who shows a password, over TLS that its clients trust;
#           not while it still loads its log after a start
#   alive   it answers at all, if only to refuse: a restart would make it load from the beginning
#
# Environment: CACHE_PORT.
set -eu

ask() {
    timeout 4 valkey-cli -h localhost -p "$CACHE_PORT" --no-auth-warning --tls "$@" ping 2>&1
}

case ${1-} in
ready)
    # In the environment: arguments can be read by every user of the node.
    REDISCLI_AUTH=$(cat /run/cache/operator/password)
    export REDISCLI_AUTH
    answer=$(ask --user operator --cacert /run/secrets/cache-tls/ca.crt) || true
    [ "$answer" = PONG ] || { printf 'not ready: %s\n' "$answer"; exit 1; }
    ;;
alive)
    # No password, and any certificate: neither gets better by a restart.
    answer=$(ask --insecure) || { printf 'no answer: %s\n' "$answer"; exit 1; }
    ;;
*)
    echo 'usage: probe.sh ready|alive' >&2
    exit 2
    ;;
esac
