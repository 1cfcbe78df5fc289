#!/bin/sh
# Tells the kubelet how PgBouncer is; exit code 0 when it is well.
#
#   ready   it answers, and since its start a query has once come through it from the database. A new pod that
#           can't reach the database stops a release; when the database goes away later, clients rather wait in
#           PgBouncer than find nobody
#   alive   it answers at all, if only to refuse: the database is no reason for a restart
#
# Environment: POOL_PORT.
set -eu

served=/run/pool/served

alive() {
    answer=$(sh "${0%/*}/console.sh" stats 'SHOW VERSION') && return
    # A refusal is an answer too.
    case $answer in
    *FATAL:* | *ERROR:*) ;;
    *) return 1 ;;
    esac
}

serves() {
    # In the environment: arguments can be read by every user of the node.
    PGPASSWORD=$(cat /run/secrets/pool/pooler-password)
    export PGPASSWORD
    tls="sslmode=verify-full sslrootcert=/run/secrets/pool-tls/ca.crt"
    where="host=localhost port=$POOL_PORT user=pooler dbname=lookup $tls"
    answer=$(timeout 4 /usr/lib/postgresql/17/bin/psql -XAtqw "$where" -c 'SELECT 1' 2>&1) || return 1
    : >"$served"
}

case ${1-} in
ready)
    alive || { printf 'no answer: %s\n' "${answer:-in time}"; exit 1; }
    [ -e "$served" ] || serves || { printf 'no way through: %s\n' "${answer:-in time}"; exit 1; }
    ;;
alive)
    alive || { printf 'no answer: %s\n' "${answer:-in time}"; exit 1; }
    ;;
*)
    echo 'usage: probe.sh ready|alive' >&2
    exit 2
    ;;
esac
