#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# First process of the VM: mounts the host's root read-only with fresh /tmp, /run, … over it, runs the job there, and
# switches the machine off.
# Kernel command line: keytrail.job=SCRIPT, keytrail.show=FOLDER:FOLDER… (visible where a fresh mount hides them),
# keytrail.layers=FOLDER:FOLDER… (laid over the root, which can be written to then), init=PROGRAM (runs instead of the
# job).
export PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev /host /new
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs devtmpfs /dev
while read -r module; do insmod "/modules/$module.ko"; done </modules/order
job="" show="" layers="" init=""
for word in $(cat /proc/cmdline); do
  case "$word" in
    keytrail.job=*) job="${word#*=}" ;;
    keytrail.show=*) show="${word#*=}" ;;
    keytrail.layers=?*) layers="${word#*=}" ;;
    init=*) init="${word#*=}" ;;
  esac
done
off() { sync; poweroff -f; }
mount -t virtiofs -o ro host /host || off
if [ -n "$layers" ]; then
  mkdir -p /own
  mount -t tmpfs tmpfs /own
  mkdir /own/upper /own/work
  # Copied: overlayfs takes no folder of the root as a layer over it.
  (IFS=:; for folder in $layers; do cp -a "/host$folder/." /own/upper; done)
  mount -t overlay -o lowerdir=/host,upperdir=/own/upper,workdir=/own/work overlay /new || off
  rm -f /new/.dockerenv  # this is a machine
else
  mount --bind /host /new
fi
mount -t proc proc /new/proc
mount -t sysfs sysfs /new/sys
mount -t devtmpfs devtmpfs /new/dev
mkdir -p /new/dev/pts /new/dev/shm
mount -t devpts devpts /new/dev/pts
mount -t cgroup2 cgroup2 /new/sys/fs/cgroup
for folder in /tmp /run /dev/shm /var/tmp /var/lib/keytrail /mnt /root; do
  [ -d "/new$folder" ] && mount -t tmpfs tmpfs "/new$folder"
done
chmod 1777 /new/tmp /new/var/tmp
IFS=:
for folder in $show; do
  [ -e "/new$folder" ] && continue
  mkdir -p "/new$folder"
  mount --bind "/host$folder" "/new$folder"
done
unset IFS
ip link set lo up
stty -F /dev/ttyS1 raw -echo 2>/dev/null
[ -n "$init" ] && exec switch_root /new "$init"
cp /bin/busybox /new/tmp/busybox
# Not chroot: who enters another process's mount namespace comes to the root of it.
exec switch_root /new /tmp/busybox sh -c \
  "/bin/sh '$job' </dev/null >/dev/ttyS1 2>&1; /tmp/busybox sync; /tmp/busybox poweroff -f"
