#!/bin/sh
# Tells the kubelet how the server is; exit code 0 when it is well.
#
#   alive   it answers at all, if only that it is starting, recovering or stopping: a restart would make it
#           begin again
#   ready   it takes queries: a primary, once its clients' roles are there; a standby, as far as it has come
#
# Environment: PGPORT; DATABASE_NAME; DATABASE_ROLE, `primary` or `standby`.
set -eu

alive() {
    answer=$(pg_isready --timeout=4) && return 0
    case $? in
    1) return 0 ;;
    *) printf 'broken: %s\n' "$answer"; exit 1 ;;
    esac
}

ready() {
    answer=$(PGCONNECT_TIMEOUT=4 timeout 4 psql -XAtqw -U postgres -d "$DATABASE_NAME" -c '
        SELECT CASE WHEN pg_is_in_recovery() THEN $$recovering$$
                    WHEN EXISTS (SELECT FROM pg_authid
                                 WHERE rolname = $$maintenance$$ AND rolpassword IS NOT NULL) THEN $$primary$$
                    ELSE $$bootstrapping$$ END' 2>&1) || true
    case $DATABASE_ROLE:$answer in
    *:primary | standby:recovering) return 0 ;;
    *:recovering) echo 'recovering: a primary that is still one of the past, or data of a standby' ;;
    *'starting up'* | *'not yet accepting'* | *'recovery'*) echo 'starting' ;;
    *'shutting down'*) echo 'stopping' ;;
    *'does not exist'* | *:bootstrapping) echo 'bootstrapping: no roles yet' ;;
    *) printf 'broken: %s\n' "${answer:-no answer}" ;;
    esac
    exit 1
}

case ${1-} in
alive | ready) "$1" ;;
*)
    echo 'usage: probe.sh alive|ready' >&2
    exit 2
    ;;
esac
