#!/bin/sh
# Runs the exporter with its password from a file, and keeps up with the file: the exporter itself reads one at
# its start alone, and stumbles over a quote or a backslash. Its library reads another kind at each connection.
#
# Environment: PASSWORD_FILE; PGPASSFILE, the other one, which is written here; CHECK_SECONDS; the exporter's own.
set -eu

umask 077
trap 'kill "$exporter"; wait "$exporter"; exit 0' TERM
written=
exporter=
while :; do
    now=$(sha256sum <"$PASSWORD_FILE")
    if [ "$now" != "$written" ]; then
        # host:port:database:user:password, every \ and : of it escaped
        sed -e 's/[\\:]/\\&/g' -e 's/^/*:*:*:*:/' "$PASSWORD_FILE" >"$PGPASSFILE.new"
        mv "$PGPASSFILE.new" "$PGPASSFILE"
        written=$now
        echo 'the password was read'
    fi
    if [ -z "$exporter" ]; then
        prometheus-postgres-exporter "$@" &
        exporter=$!
    fi
    kill -0 "$exporter" 2>/dev/null || { wait "$exporter"; exit; }
    sleep "$CHECK_SECONDS" &
    wait $! # unlike `sleep` itself, it lets a SIGTERM through at once
done
