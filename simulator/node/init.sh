#!/bin/sh
# The first process of a node. Called as number 1 of new process, mount, network, host name and IPC namespaces, so
# that every process, mount, link and packet filter of the node is gone with it, however it ends.
#
# usage: init.sh ROOTFS PROGRAMS STATE NAME -- COMMAND [ARGUMENT]...
set -eu

rootfs=$1
programs=$2
state=$3
root=$state/root
echo "$4" >/proc/sys/kernel/hostname
shift 5

# What is mounted from here on is the node's own.
mount --make-rprivate /

# A layer above takes what is written: the root filesystem is shared by all nodes.
mount -t tmpfs -o mode=0755,size=256m tmpfs "$root"
mkdir "$root/upper" "$root/work"
mount -t overlay -o "lowerdir=$rootfs,upperdir=$root/upper,workdir=$root/work" overlay "$root"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t sysfs -o nosuid,nodev,noexec sysfs "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs "$root/run"
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$root/tmp"
mkdir -p "$root/usr/local/bin" "$root$state"
mount --bind "$programs" "$root/usr/local/bin"
mount -o remount,bind,ro,nosuid "$root/usr/local/bin"
# Under the same path as outside, so that one path means one file everywhere.
mount --bind "$state" "$root$state"
# Where every node has the pods' logs, for who gathers them; the files are the machine's to read.
mkdir -p "$root/var/log/pods" "$state/log/pods"
mount --bind "$state/log/pods" "$root/var/log/pods"
printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
: >"$root/etc/resolv.conf"

# The kubelet sets these for the whole machine, which is not the node's. It gets copies, to set as it likes.
mkdir "$root/run/kernel"
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
    kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    if [ -e "$root/proc/sys/$setting" ]; then
        copy=$root/run/kernel/$(basename "$setting")
        cat "$root/proc/sys/$setting" >"$copy"
        mount --bind "$copy" "$root/proc/sys/$setting"
    fi
done

# Of this network namespace alone.
echo 1 >/proc/sys/net/ipv4/ip_forward
if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then
    echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
fi
chroot "$root" ip link set lo up

# What makes containers sees nothing of the machine: the root filesystem is its root, in mounts of its own. A mere
# chroot would not do, because whoever enters a container made in one comes out at the real root.
rm -f "$state/inside"
unshare --mount --propagation private sh -euc '
    cd "$1"
    mkdir .machine
    pivot_root . .machine
    cd /
    umount --lazy /.machine
    rmdir /.machine
    echo $$ >"$2/inside.new"
    mv "$2/inside.new" "$2/inside"
    exec sleep infinity' inside "$root" "$state" &
while [ ! -e "$state/inside" ] && kill -0 $!; do
    sleep 0.05
done

# Whatever loses its parent in here is this shell's to bury: `wait` does that by the way.
"$@" &
child=$!
trap 'kill -TERM "$child" 2>/dev/null' TERM INT HUP
while kill -0 "$child" 2>/dev/null; do
    wait "$child" || :
done
