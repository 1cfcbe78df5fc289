#!/bin/bash
# Runs beside the server and keeps it in step with the pod's files: the certificate after a renewal, the roles
# and their passwords after a rotation, each without a restart. Beats the heart once a minute.
#
# Environment: as roles.sh; CHECK_SECONDS, how often the files are looked at; BEAT_SECONDS.
set -uo pipefail

here=${0%/*}
. "$here/peers.sh"
tls=/run/secrets/database-tls

say() { echo "reconcile: $*"; }
ask() { PGCONNECT_TIMEOUT=4 psql -XAtqw -v ON_ERROR_STOP=1 -U postgres -d "$1" -c "$2" 2>&1; }
digest() { find -L "$@" -maxdepth 1 -type f -not -name '.*' -print0 | sort -z | xargs -0 sha256sum | sha256sum; }

certificate() {
    local now
    now=$(digest "$tls")
    [ "$now" != "$read" ] || return 0
    # Connections that stand keep what they have. A pair that does not match is logged, and the old one kept.
    if answer=$(ask postgres 'SELECT pg_reload_conf()'); then
        read=$now
        say 'the certificate was read'
    else
        say "the certificate could not be read, trying again: $answer"
    fi
}

roles() { # when the server started
    local now
    # After a restart too: it may have been restored from a time with other passwords.
    now="$1 $(digest /run/secrets/database)"
    [ "$now" != "$known" ] || return 0
    if answer=$("$here/roles.sh" 2>&1); then
        known=$now
        say "roles and passwords are as told${answer:+: $answer}"
    else
        say "roles or passwords could not be set, trying again: $answer"
    fi
}

upstream() { # a standby's password for its primary, for when it connects anew
    local now
    now=$(digest /run/secrets/database)
    [ "$now" = "$known" ] || { write_passfile && known=$now; }
}

beat() {
    ((SECONDS >= due)) || return 0
    if answer=$(ask "$DATABASE_NAME" 'SELECT platform.beat()'); then
        due=$((SECONDS + BEAT_SECONDS))
    else
        say "no heartbeat: $answer"
    fi
}

trap 'exit 0' TERM INT
read='' known='' due=0
while :; do
    if state=$(ask postgres 'SELECT pg_is_in_recovery(), pg_postmaster_start_time()'); then
        certificate
        case $state in
        # A standby gets its roles and its heartbeat from the primary.
        f\|*) roles "${state#*|}"; beat ;;
        t\|*) upstream ;;
        esac
    fi
    sleep "$CHECK_SECONDS" &
    wait $! # unlike `sleep` itself, it lets a SIGTERM through at once
done
