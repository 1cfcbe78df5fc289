#!/bin/sh
# Starts PgBouncer. The volume of its state outlives the container, so what an earlier one left is taken away.
set -eu

rm -f /run/pool/served
sh "${0%/*}/users.sh"
exec pgbouncer /etc/pool/pgbouncer.ini
