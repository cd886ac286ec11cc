#!/usr/bin/env bash
# node-init.sh boot|services|import ARCHIVE - PID 1 of a node; node.sh starts it in new namespaces, in the node's own cgroup.
# boot builds the node's root and goes into it; services runs what systemd would. import is called by load.sh, too.
set -euo pipefail

boot() {
  hostname "$NODE"
  mount -t tmpfs -o mode=755 root "$NODE_ROOT"
  cd "$NODE_ROOT"
  mkdir -p proc sys dev run tmp usr colo/programs colo/cluster old
  bind_read_only /usr usr
  # Not $PROGRAMS itself: it may hold links that lead nowhere in here.
  bind_read_only "$(dirname "$(readlink -f "$PROGRAMS/kubelet")")" colo/programs
  bind_read_only "$SCRIPTS" colo/cluster
  local name
  for name in bin sbin lib lib32 lib64 libx32; do [[ ! -L /$name ]] || cp -a "/$name" .; done
  for name in etc var opt home root srv mnt; do mkdir -p "$name"; mount --bind "$NODE_DISK/$name" "$name"; done
  mount -t tmpfs -o mode=755 run run           # new at each boot: sockets, pids, the state of containers
  mount -t tmpfs -o mode=1777 tmp tmp
  mount -t proc proc proc
  mount -t sysfs sysfs sys                     # shows the node's own network namespace
  make_devices
  make_cgroups
  hide_shared_sysctls
  pivot_root . old
  cd /
  umount -l /old
  rmdir /old
  mount --make-rshared /                       # the kubelet wants it so
  exec /bin/bash /colo/cluster/node-init.sh services
}

bind_read_only() { mount --bind "$1" "$2"; mount -o remount,bind,ro "$2"; }

# Its own /dev, so that a privileged pod reaches only what is listed here.
make_devices() {
  mount -t tmpfs -o mode=755 dev dev
  local device
  for device in null zero full random urandom tty kmsg fuse; do
    [[ ! -c /dev/$device ]] || cp -a "/dev/$device" "dev/$device"
  done
  mkdir dev/{pts,shm,mqueue}
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
  ln -s pts/ptmx dev/ptmx
  ln -s /proc/self/fd dev/fd
  mount -t tmpfs -o mode=1777 shm dev/shm
  mount -t mqueue mqueue dev/mqueue
}

# Mounted from within the cgroup namespace they show this node's part only.
make_cgroups() {
  local controller
  mount -t tmpfs -o mode=755 cgroup sys/fs/cgroup
  for controller in $CGROUPS; do
    mkdir "sys/fs/cgroup/$controller"
    case $controller in
      systemd) mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd ;;
      *) mount -t cgroup -o "$controller" cgroup "sys/fs/cgroup/$controller" ;;
    esac
  done
}

# The kubelet sets sysctls that belong to the whole machine (panic_on_oops!), unless they have its values already: so it is shown
# files that have them.
hide_shared_sysctls() {
  local key value file
  while read -r key value; do
    [[ -e proc/sys/$key ]] || continue
    file=run/${key//\//.}
    echo "$value" >"$file"
    mount --bind "$file" "proc/sys/$key"
  done <<'LIST'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
LIST
}

services() {
  export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
  export AWS_EC2_METADATA_DISABLED=true        # else the kubelet asks a metadata server for 4 s
  mkdir -p /var/log/node
  keep_running containerd containerd --config /etc/containerd/config.toml --log-level warn &
  local tries archive
  for ((tries = 0; tries < 200; tries++)); do ctr version >/dev/null 2>&1 && break; sleep 0.1; done
  for archive in /var/lib/colo-images/*.tar; do import "$archive"; done
  keep_running kubelet /colo/programs/kubelet --config=/etc/kubernetes/kubelet.yaml --kubeconfig=/etc/kubernetes/kubelet.kubeconfig \
    --hostname-override="$NODE" --node-ip="$NODE_IP" --container-runtime=remote \
    --container-runtime-endpoint=unix:///run/containerd/containerd.sock --pod-infra-container-image="$PAUSE_IMAGE" \
    --root-dir=/var/lib/kubelet --v=1 &
  while :; do wait || true; sleep 1; done      # and reaps orphans
}

keep_running() {
  local name=$1
  shift
  while :; do
    "$@" >>"/var/log/node/$name.log" 2>&1 </dev/null || true
    echo "$(date +%T) $name ended; it is started again"
    sleep 1
  done
}

# Once for each archive. The namespace k8s.io is the one that the kubelet sees.
import() {
  [[ $1.imported -nt $1 ]] || { ctr -n k8s.io images import "$1" >/dev/null && touch "$1.imported"; }
}

"$@"
