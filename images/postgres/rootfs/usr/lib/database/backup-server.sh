#!/bin/bash
# Serves the database's files to the backup jobs, over TLS to the one client that is named in the configuration,
# and makes the repository ready for the WAL that the server beside it archives. Until it is, archiving fails and is
# tried again: nothing is lost, and the volume keeps it.
#
# It can write nothing here: the volume is mounted read-only, and it logs in as a role that may begin and end a backup.
#
# Environment: PGPORT; DATABASE_NAME; PGPASSFILE, where it may write; CHECK_SECONDS, how often files are looked at.
set -uo pipefail

tls=/run/secrets/database-tls
role=/run/secrets/backup-role

say() { echo "backup-server: $*"; }
ask() { PGCONNECT_TIMEOUT=4 psql -XAtqw -v ON_ERROR_STOP=1 -h /run/postgresql -U backup -d "$DATABASE_NAME" -c "$1" 2>&1; }
digest() { find -L "$@" -maxdepth 1 -type f -not -name '.*' -print0 | sort -z | xargs -0 sha256sum | sha256sum; }

password() {
    local now
    now=$(digest "$role")
    [ "$now" != "$known" ] || return 0
    # In a file of its own form, never as an argument; every \ and : of it escaped.
    (
        umask 077
        sed -e 's/[\\:]/\\&/g' -e 's/^/*:*:*:*:/' "$role/backup-password" >"$PGPASSFILE.new"
        mv "$PGPASSFILE.new" "$PGPASSFILE"
    ) && known=$now
}

certificate() {
    local now
    now=$(digest "$tls" /etc/pgbackrest)
    [ "$now" != "$served" ] || return 0
    # What is under way goes on with what it has.
    [ -z "$served" ] || { kill -HUP "$server" && say 'the certificate and the configuration were read'; }
    served=$now
}

stanza() {
    local now answer
    ((SECONDS >= due)) || return 0
    now=$(digest /etc/pgbackrest /run/secrets/repository)
    # A standby archives nothing. A primary that fails to may have been given another bucket, or an emptied one.
    answer=$(ask "SELECT pg_is_in_recovery() OR (last_failed_time > coalesce(last_archived_time, '-infinity')) IS TRUE,
                         pg_is_in_recovery() FROM pg_stat_archiver") || return 0
    [ "$answer" != 't|t' ] || return 0
    [ "$answer" = 't|f' ] || [ "$now" != "$ready" ] || return 0
    due=$((SECONDS + RETRY_SECONDS))
    # In the background: a storage that does not answer must not keep the pod from stopping.
    pgbackrest --stanza=main --log-level-console=error --log-timestamp stanza-create >"$heard" 2>&1 &
    if wait $!; then
        [ "$now" = "$ready" ] || say 'the repository is ready for the archive'
        ready=$now
        return 0
    fi
    [ -z "$stopping" ] || return 0
    ready=
    answer=$(<"$heard")
    case $answer in
    *'[028]'*)
        say "the repository holds the backups of another database, and nothing is archived there. Was this volume" \
            "made anew? Then restore it: docs/runbooks/restore-the-database.md. A new database needs a bucket of" \
            "its own: docs/runbooks/archive-behind.md. $answer"
        ;;
    *) say "the repository is not ready for the archive, trying again; docs/runbooks/archive-behind.md: $answer" ;;
    esac
}

known='' served='' ready='' due=0 stopping=''
heard=$(mktemp)
: "${RETRY_SECONDS:=10}"
password
certificate
pgbackrest server &
server=$!
trap 'stopping=1; kill -TERM "$server" 2>/dev/null' TERM INT
while kill -0 "$server" 2>/dev/null; do
    password
    certificate
    stanza
    sleep "$CHECK_SECONDS" &
    wait -n # the server's end, or time for another look; a SIGTERM ends it too
done
wait "$server"
