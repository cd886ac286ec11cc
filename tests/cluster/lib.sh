# Sourced by every script of this folder: settings, and what more than one of them does.
#
#   COLO_CLUSTER   prefix of all namespaces, links and cgroups (default colo-e2e; two clusters need two names); short, since a
#                  link's name has 15 characters
#   COLO_STATE     where the cluster keeps its state (default artifacts/e2e/cluster)
#   COLO_PROGRAMS  folder with kube-apiserver, kubelet ... (default: what `eng/kube.sh cluster` prints)
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
cluster=${COLO_CLUSTER:-colo-e2e}
state=${COLO_STATE:-$repo/artifacts/e2e/cluster}
programs=${COLO_PROGRAMS:-}
[[ -n $programs ]] || programs=$("$repo/eng/kube.sh" cluster)

# Addresses exist only inside the namespaces made here, so they cannot collide with the machine's own.
readonly network=10.88.0                    # the node NAME with number I is .1I (node1: 10.88.0.11)
readonly switch_ip=$network.1               # the bridge, and the API server
readonly pods=10.244                        # node I gives its pods 10.244.I.0/24
readonly services=10.96.0.0/16 api_service_ip=10.96.0.1
readonly switch_ns=$cluster-cp bridge=$cluster-br

# How fast Kubernetes itself notices a dead node: its defaults (40 s, then 5 min until pods move) are too slow for a test. A
# lease must not be longer than the grace period.
readonly node_lease_seconds=8 node_grace_seconds=8 eviction_seconds=5

readonly pause_image=localhost/colo/pause:1
readonly kubeconfig=$state/admin.kubeconfig
readonly cgroups=(cpu cpuacct cpuset memory devices freezer blkio pids systemd)

log() { printf '%(%H:%M:%S)T %s\n' -1 "$*" >&2; }
die() { log "error: $*"; exit 1; }

# poll SECONDS WHAT COMMAND...
poll() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || die "not within the time: $what"
    sleep 0.2
  done
}

in_switch() { nsenter --net="/run/netns/$switch_ns" -- "$@"; }
api() { in_switch "$programs/kubectl" --kubeconfig "$kubeconfig" "$@"; }

# ---- processes: each is written down with its start time, and only what is still the same process is ever signalled ----

start_time() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
remember() { echo "$2 $(start_time "$2")" >"$state/pids/$1"; }   # NAME PID
pid_of() {
  local pid since
  read -r pid since 2>/dev/null <"$state/pids/$1" && [[ $(start_time "$pid") == "$since" ]] && echo "$pid"
}
end_process() {   # NAME: SIGKILL, since nothing here has a state worth saving and an API server drains for long on SIGTERM
  local pid
  if pid=$(pid_of "$1"); then
    kill -KILL "$pid"
    poll 20 "the end of $1" ended "$1"
  fi
  rm -f "$state/pids/$1"
}
ended() { ! pid_of "$1"; }

# ---- cgroups (v1): one of the control plane, one a node, so that a node can be frozen and be weighed as a whole ----

cgroup_make() {
  local controller parent path
  for controller in "${cgroups[@]}"; do
    parent=/sys/fs/cgroup/$controller
    [[ -d $parent ]] || die "no cgroup v1 hierarchy '$controller': these scripts know no other kind"
    for path in "$parent/$cluster" "$parent/$cluster/$1"; do
      mkdir -p "$path"
      # A new cpuset is empty and admits no process.
      if [[ $controller == cpuset ]]; then
        cat "$(dirname "$path")/cpuset.cpus" >"$path/cpuset.cpus"
        cat "$(dirname "$path")/cpuset.mems" >"$path/cpuset.mems"
      fi
    done
  done
}
cgroup_enter() {
  local controller
  for controller in "${cgroups[@]}"; do echo $BASHPID >"/sys/fs/cgroup/$controller/$cluster/$1/cgroup.procs"; done
}
cgroup_remove() {   # [NAME]: that one, or all of the cluster
  local controller path
  for controller in "${cgroups[@]}"; do
    path=/sys/fs/cgroup/$controller/$cluster${1:+/$1}
    [[ ! -d $path ]] || find "$path" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  done
}
freezer_of() { echo "/sys/fs/cgroup/freezer/$cluster/$1/freezer.state"; }

# ---- nodes ----

node_number() { [[ $1 =~ ^node([1-9])$ ]] || die "a node is called node1 to node9, not '$1'"; echo "${BASH_REMATCH[1]}"; }
node_ip() { echo "$network.1$(node_number "$1")"; }
node_names() { local path; for path in "$state"/nodes/*/; do [[ ! -d $path ]] || basename "$path"; done; }
# A command in all of a node's namespaces, as by ssh.
in_node() {
  local node=$1 pid
  shift
  pid=$(pid_of "$node") || die "$node is not running"
  nsenter --target "$pid" --mount --uts --ipc --net --pid --cgroup -- "$@"
}
