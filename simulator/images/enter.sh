#!/bin/sh
# Runs a program in a root filesystem as a pod's container would have it: read-only but for /tmp, /dev/shm and
# what is mounted. Called in new mount and process namespaces, so that all of this is gone with the program.
#
# usage: enter.sh ROOT [ro|rw SOURCE TARGET]... -- COMMAND [ARGUMENT]...
set -eu

# The layer above takes the mount points that the image does not have; the image itself is never written.
# Paths are relative, because `:` and `,` mean something in mount's options.
root=$1
shift
cd "$root"
mount -t tmpfs -o mode=0755 tmpfs tmp
mkdir tmp/upper tmp/work
mount -t overlay -o lowerdir=.,upperdir=tmp/upper,workdir=tmp/work overlay "$root"
cd "$root"

mount -t proc -o nosuid,nodev,noexec proc proc
mount -t tmpfs -o nosuid,nodev,mode=1777,size=64m tmpfs tmp
mount -t tmpfs -o nosuid,mode=0755,size=64k tmpfs dev
mkdir dev/shm
mount -t tmpfs -o nosuid,nodev,noexec,mode=1777 tmpfs dev/shm
for device in full null random urandom zero; do
    : >"dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr

while [ "$1" != -- ]; do
    # Where the path leads inside: a link to /run, followed from out here, would be the machine's own /run.
    target=.$(chroot . realpath --canonicalize-missing -- "$3")
    if [ -d "$2" ]; then
        mkdir -p "$target"
    else
        mkdir -p "$(dirname "$target")"
        : >>"$target"
    fi
    mount --bind "$2" "$target"
    mount -o "remount,bind,nosuid,nodev,$1" "$target"
    shift 3
done
shift

mount -o remount,ro "$root"
exec chroot . "$@"
