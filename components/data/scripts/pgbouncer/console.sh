#!/bin/sh
# Asks PgBouncer about itself, from within the pod. Who comes as `pgbouncer` is admin, because of the user that
# the containers run as; `stats` may only look.
#
# usage: console.sh pgbouncer|stats COMMAND
# Environment: POOL_PORT.
set -eu

timeout 4 /usr/lib/postgresql/17/bin/psql -XAtqw -h /run/pgbouncer -p "$POOL_PORT" -U "$1" -d pgbouncer -c "$2" 2>&1
