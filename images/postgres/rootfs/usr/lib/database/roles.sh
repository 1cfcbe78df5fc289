#!/bin/bash
# Makes the database, its roles and what belongs to them, and sets the passwords; again and again to the same
# end. Says which passwords it changed.
#
# Passwords come from files: `<role>-password`, for the roles that rotate also `-previous`, `-next` and
# `<role>-epoch`. Of these each group has three logins, `<group>_<epoch % 3>`, so that three passwords are good
# at once and nobody is locked out in a rotation.
#
# Environment: PGPORT; DATABASE_NAME; SCRAM_ITERATIONS, of the product's generated passwords.
set -euo pipefail

secrets=/run/secrets/database
definitions=/usr/share/database

sql() { PGOPTIONS=$quiet psql -Xqw -v ON_ERROR_STOP=1 -v VERBOSITY=terse -U postgres "$@"; }
# What is told here is nobody's to read: not in the log, in the statistics, nor in the list of running queries.
quiet='-c log_statement=none -c log_min_duration_statement=-1 -c log_min_error_statement=panic'
quiet+=' -c log_duration=off -c client_min_messages=warning'
quiet+=' -c pg_stat_statements.track=none -c track_activities=off -c lock_timeout=10s'

# Fails with 1 when the password is wrong, with 2 when that can't be told.
works() { # role, file
    local said where
    where="host=localhost port=$PGPORT user=$1 dbname=$DATABASE_NAME sslmode=require"
    [ "$1" != replicator ] || where+=' replication=true'
    said=$(PGPASSWORD=$(<"$2") PGCONNECT_TIMEOUT=5 psql -Xqw "$where" -c 'SHOW port' 2>&1) && return 0
    [[ $said != *'password authentication failed'* ]] || return 1
    untried+=" $1 ($said)"
    return 2
}

# How often whoever logs in has to hash the password; PostgreSQL itself never does. Against a guess of what a person
# thought of, as often as PostgreSQL's default says. Nobody guesses what was generated, so hashing again and again
# protects nothing there, and costs the product's clients most of a new connection: decision 16. Only their login
# has it: other drivers, such as the exporter's, want a number of four digits.
iterations() { # role, file
    local password LC_ALL=C
    password=$(<"$2")
    if [[ $1 = app_* && $password =~ ^[A-Za-z0-9]{40,}$ && $password = *[A-Z]* && $password = *[a-z]* &&
        $password = *[0-9]* ]]; then
        echo "${SCRAM_ITERATIONS:-4096}"
    else
        echo 4096
    fi
}

set_password() { # role, file
    # The file's content goes from a program into psql, which puts it into quotes; it is no argument of either.
    PASSWORD_FILE=$2 sql -d postgres -v role="$1" -v iterations="$(iterations "$1" "$2")" <<'SQL'
\set password `cat "$PASSWORD_FILE"`
SET scram_iterations = :iterations;
ALTER ROLE :"role" PASSWORD :'password';
SQL
    changed+=" $1"
}

has_none() { [[ $without = *" $1 "* ]]; } # role

reconcile() { # role, file
    local code=0
    if [ ! -e "$2" ]; then
        # Not known any more, so good for nobody.
        has_none "$1" || sql -d postgres -v role="$1" <<<'ALTER ROLE :"role" PASSWORD NULL;'
    elif has_none "$1"; then
        set_password "$1" "$2"
    else
        # One that works is left alone: to set it again would change its salt, and PgBouncer's logins with it.
        works "$1" "$2" || code=$?
        [ "$code" != 1 ] || set_password "$1" "$2"
    fi
}

sql -d postgres -v database="$DATABASE_NAME" <<'SQL'
SELECT format('CREATE DATABASE %I', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
SQL

files=()
for file in "$definitions"/*.sql; do files+=(-f "$file"); done
# All or nothing: whoever looks meanwhile sees what was there before.
sql -d "$DATABASE_NAME" --single-transaction -v database="$DATABASE_NAME" "${files[@]}" >/dev/null

without=$(sql -At -d postgres -c 'SELECT rolname FROM pg_authid WHERE rolcanlogin AND rolpassword IS NULL')
without=" ${without//$'\n'/ } "
changed='' untried=''
for group in owner app readonly; do
    epoch=$(<"$secrets/$group-epoch")
    reconcile "${group}_$((epoch % 3))" "$secrets/$group-password"
    reconcile "${group}_$(((epoch + 2) % 3))" "$secrets/$group-password-previous"
    reconcile "${group}_$(((epoch + 1) % 3))" "$secrets/$group-password-next"
done
# The last one is what probe.sh waits for.
for role in pooler exporter backup replicator maintenance; do
    reconcile "$role" "$secrets/$role-password"
done
[ -z "$changed" ] || echo "changed$changed"
# All connections may be taken, say. The caller tries again.
[ -z "$untried" ] || { echo "not tried:$untried"; exit 1; }
