#!/bin/sh
# Starts the exporter once PgBouncer listens: without it the exporter ends at its start, though later it goes on.
# It ends at SIGTERM, with its connection to the console, which PgBouncer would wait for like any client's.
#
# Environment: POOL_PORT. Arguments: the exporter's.
set -eu

trap 'exit 0' TERM
until [ -S "/run/pgbouncer/.s.PGSQL.$POOL_PORT" ]; do
    sleep 0.2
done
exec prometheus-pgbouncer-exporter "$@"
