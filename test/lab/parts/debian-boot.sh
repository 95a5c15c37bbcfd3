#!/bin/sh
# debian-boot.sh ROOT GROUP: boots the systemd of an unpacked Debian in namespaces of its own; the network namespace is the
# caller's. GROUP is a fresh control group (systemd wants one to manage). With an empty GROUP a process that does nothing is
# started instead: enough to enter.
set -e
root=$1
group=$2

if [ "$SLUICE_BOOT_INSIDE" = '' ]; then
  if [ "$group" != '' ]; then
    mkdir "$group"
    echo $$ > "$group/cgroup.procs"
  fi
  SLUICE_BOOT_INSIDE=1 exec unshare --mount --pid --uts --ipc --cgroup --kill-child --fork sh "$0" "$@"
fi

mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for name in null zero full random urandom tty; do
  touch "$root/dev/$name"
  mount --bind "/dev/$name" "$root/dev/$name"
done
ln -s /proc/self/fd "$root/dev/fd"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
hostname sluice-lab

if [ "$group" = '' ]; then
  exec chroot "$root" sleep infinity
fi
case $group in
  # The old hierarchies, of which systemd needs its own only.
  */systemd/*)
    mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
    mkdir "$root/sys/fs/cgroup/systemd"
    mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
    ;;
  *) mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" ;;
esac
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" /lib/systemd/systemd --show-status=0
