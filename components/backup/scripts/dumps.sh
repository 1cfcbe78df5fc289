# shellcheck shell=bash
# Where dumps are and how they are read: objects that are encrypted before they leave the pod, under
# `dump/DATABASE/TIME/`. One that has no manifest is none: the manifest is written last. Sourced after common.sh.
#
# Environment: SCRATCH, a folder; DATABASE_NAME; the repository's files.

# The passphrase is in a file that rclone alone reads; as an argument everybody on the node could.
encrypted_remote() {
    local hidden
    hidden=$(rclone obscure - <"${CIPHER_FILE-/run/secrets/repository/cipher}") || fail 78 failed 'there is no passphrase'
    cat "$RCLONE_CONFIG" >"$work/rclone.conf"
    cat >>"$work/rclone.conf" <<CONF
[dumps]
type = crypt
remote = repository:$REPOSITORY_BUCKET/dump/$DATABASE_NAME
# Names say nothing but the time, and one can look for them in the bucket.
filename_encryption = off
directory_name_encryption = false
password = $hidden
CONF
    export RCLONE_CONFIG=$work/rclone.conf
}

whole_dumps() { # the times of those that are complete, the oldest first
    run rclone lsf --recursive --files-only --include '/*/manifest.json' dumps: || explain 'the dumps were not listed'
    sed 's:/manifest.json$::' "$answer" | sort
}

# fetch FILE: one file of $dump into the scratch space. What is cut off on the way and what can't be deciphered is
# "unexpected EOF" for rclone, both of them; read as it is stored, they are told apart.
fetch() {
    local stored=repository:$REPOSITORY_BUCKET/dump/$DATABASE_NAME/$dump/$1.bin
    # Where it gets no answer it may believe that there is nothing, and be content with that.
    run rclone copyto "dumps:$dump/$1" "$SCRATCH/$1" && [ -e "$SCRATCH/$1" ] && return 0
    cp "$complaints" "$work/first"
    if run rclone copyto "$stored" "$SCRATCH/stored" && [ -e "$SCRATCH/stored" ]; then
        [ "$1" != manifest.json ] ||
            fail 78 failed "dump $dump was written with another passphrase: docs/runbooks/backup-late.md, \"wrong key\""
        fail 65 damaged "dump $dump is damaged, take another one: $1 can't be deciphered"
    fi
    ! grep -q 'corrupted on transfer' "$complaints" ||
        fail 65 damaged "dump $dump is damaged, take another one: $1 is not what was stored"
    run rclone lsf "${stored%/*}/" || explain "$1 was not read"
    grep -qxF "${stored##*/}" "$answer" || fail 65 damaged "dump $dump is damaged, take another one: $1 is missing"
    cp "$work/first" "$complaints"
    [ -s "$complaints" ] || echo 'timeout after several tries' >"$complaints"
    explain "$1 was not read"
}

# One statement that counts a table's rows and adds up what tells their contents: the same whatever their order. Text,
# so that it is the same in every session: see `fixed`.
summing() { # what to read from, as SQL
    echo "SELECT count(*), coalesce(sum(('x' || left(md5(row::text), 15))::bit(60)::bigint), 0) FROM ONLY $1 AS row"
}
fixed="SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET extra_float_digits = 1;
SET bytea_output = 'hex'; SET search_path = pg_catalog;"
