# shellcheck shell=bash
# Whether another server has taken over. Sourced by the scripts beside it.
#
# A promotion begins a new timeline, which is PostgreSQL's own count of primaries. A primary whose volume is of
# an older timeline than one of its standbys' was replaced while it was away: if it came back it would take
# writes that nobody else has. It asks each standby before it starts. One that does not answer is passed over:
# a primary must be able to start when its standbys are down.
#
# Environment: PGDATA, PGPORT; DATABASE_STANDBYS, the name of all standbys' addresses.

passfile=/run/postgresql/replicator.pass

conninfo() { # host
    echo "host=$1 port=$PGPORT user=replicator passfile=$passfile connect_timeout=5" \
        "sslmode=verify-full sslrootcert=/run/secrets/database-tls/ca.crt"
}

write_passfile() {
    # The password in a file of its own form, never as an argument; every \ and : of it escaped.
    (
        umask 077
        sed -e 's/[\\:]/\\&/g' -e 's/^/*:*:*:*:/' /run/secrets/database/replicator-password >"$passfile.new"
        mv "$passfile.new" "$passfile"
    )
}

control() { # the name of one of pg_controldata's lines
    LC_ALL=C /usr/lib/postgresql/17/bin/pg_controldata "$PGDATA" | sed -n "s/^$1: *//p"
}

newer_peer() { # says which one, and succeeds when there is one
    local system timeline address answer theirs reached
    system=$(control 'Database system identifier')
    timeline=$(control "Latest checkpoint's TimeLineID")
    write_passfile
    for address in $(getent ahosts "$DATABASE_STANDBYS" | sed -n 's/ *STREAM.*//p'); do
        answer=$(psql -XAtqw -F ' ' -c IDENTIFY_SYSTEM 2>&1 \
            "$(conninfo "$DATABASE_STANDBYS") hostaddr=$address replication=true") || {
            echo "entrypoint: the standby $address was not asked for its timeline: $answer" >&2
            continue
        }
        read -r theirs reached _ <<<"$answer"
        if [ "$theirs" = "$system" ] && [ "$reached" -gt "$timeline" ]; then
            echo "the standby $address was promoted: it is on timeline $reached, this volume on $timeline"
            return 0
        fi
    done
    return 1
}
