#!/bin/sh
# Writes the logins that PgBouncer has itself to where it reads them, on a volume in memory that only its own
# containers see: the one that it asks PostgreSQL by, and the one of its figures. That has no password, it comes
# in by the socket alone, but unless it were known here PostgreSQL would be asked who it is.
set -eu

# A quote is doubled, and everything else stands for itself.
password=$(sed 's/"/""/g' /run/secrets/pool/pooler-password)
umask 077
# By the shell itself: arguments of a program can be read by every user of the node.
printf '"pooler" "%s"\n"stats" ""\n' "$password" >/run/pool/users.new
mv /run/pool/users.new /run/pool/users.txt
