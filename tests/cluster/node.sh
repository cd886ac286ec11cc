#!/usr/bin/env bash
# node.sh VERB NODE - a machine of the cluster, and what may befall it. NODE is node1 to node9.
#
#   boot         on: from its disk where it has one, else from a new one
#   kill         loses its power: no process ends in order, no connection is closed
#   cut          its network cable is pulled; its processes go on
#   freeze       hangs: every process stops, its kernel still answers and keeps connections open
#   heal         undoes cut and freeze
#   sh COMMAND   runs a command on it, as by ssh
#   pids WORD    its processes whose command line has WORD, by the machine's process ids
. "$(dirname "$0")/lib.sh"
. "$here/certs.sh"
verb=$1 node=$2 ip=$(node_ip "$2")
shift 2
readonly cable=$cluster-${node#node} ns=$cluster-$node folder=$state/nodes/$node
readonly disk=$folder/disk

boot() {
  ended "$node" || die "$node is running"
  make_cable
  [[ -d $disk ]] || make_disk
  mkdir -p "$folder/root"
  ln -f "$state"/images/*.tar "$disk/var/lib/colo-images/"

  cgroup_remove "$node"      # containers of its last life: the kubelet's statistics would stall at each
  cgroup_make "$node"
  export NODE=$node NODE_IP=$ip NODE_ROOT=$folder/root NODE_DISK=$disk PROGRAMS=$programs SCRIPTS=$here CGROUPS="${cgroups[*]}" \
    PAUSE_IMAGE=$pause_image
  (
    cgroup_enter "$node"
    # In this order: unshare's cgroup namespace has the node's own cgroup as its root, and node-init.sh becomes PID 1.
    exec setsid nsenter --net="/run/netns/$ns" -- \
      unshare --mount --uts --ipc --cgroup --pid --fork --propagation private -- bash "$here/node-init.sh" boot
  ) >>"$state/logs/$node.log" 2>&1 </dev/null &
  local parent=$! init
  first_child() { init=$(<"/proc/$parent/task/$parent/children") && init=${init// /} && [[ -n $init ]]; }
  poll 10 "$node's first process" first_child
  first_child
  remember "$node" "$init"
}

# One end in the node as eth0, the other a port of the switch. A fixed address, so that its peers' ARP entries outlive a reboot.
make_cable() {
  in_switch ip link delete "$cable" 2>/dev/null || true    # of its last life
  ip netns delete "$ns" 2>/dev/null || true
  ip netns add "$ns"
  in_switch ip link add "$cable" type veth peer name eth0 address "02:88:00:00:01:0${node#node}" netns "$ns"
  in_switch ip link set "$cable" master "$bridge" up
  in_switch ip route replace "$pods.${node#node}.0/24" via "$ip"
  local inside=(nsenter --net="/run/netns/$ns" --)
  "${inside[@]}" ip link set lo up
  "${inside[@]}" ip address add "$ip/24" dev eth0
  "${inside[@]}" ip link set eth0 up
  "${inside[@]}" ip route add default via "$switch_ip"
  "${inside[@]}" sysctl -qw net.ipv4.ip_forward=1
  # All that is needed of kube-proxy here: the API server's service address.
  local chain
  for chain in PREROUTING OUTPUT; do
    "${inside[@]}" iptables -w -t nat -A $chain -d "$api_service_ip" -p tcp --dport 443 -j DNAT --to-destination "$switch_ip:6443"
  done
}

# What stays over power losses: /etc, /var and the like. Its /usr is the machine's, read only.
make_disk() {
  mkdir -p "$disk"/{etc,opt,home,root,srv,mnt,var/{log,tmp,cache,lib/{kubelet,containerd,colo-images}}}
  cp -a /etc/. "$disk/etc/"
  rm -rf "$disk"/etc/{cni,containerd,kubernetes,hostname,hosts,resolv.conf,machine-id}
  mkdir -p "$disk"/etc/{cni/net.d,containerd,kubernetes}
  ln -s /run "$disk/var/run"
  echo "$node" >"$disk/etc/hostname"
  printf '127.0.0.1 localhost\n%s %s\n' "$ip" "$node" >"$disk/etc/hosts"
  : >"$disk/etc/resolv.conf"                         # there is no name server
  tr -d - </proc/sys/kernel/random/uuid >"$disk/etc/machine-id"

  make_certificate "$node" "/O=system:nodes/CN=system:node:$node" "IP:$ip,DNS:$node"
  cp "$certs"/{ca.crt,"$node.crt","$node.key"} "$disk/etc/kubernetes/"
  make_kubeconfig "$disk/etc/kubernetes/kubelet.kubeconfig" "$node"
  containerd_configuration >"$disk/etc/containerd/config.toml"
  kubelet_configuration >"$disk/etc/kubernetes/kubelet.yaml"
  # Without a network plugin no node becomes Ready, though most pods here use the node's own network.
  cat >"$disk/etc/cni/net.d/10-e2e.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "e2e", "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "$pods.${node#node}.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
 {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
}

containerd_configuration() {
  cat <<TOML
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$pause_image"                # the default is in a registry
  # Without CAP_SYS_RESOURCE no process may lower its own oom_score_adj, and runc fails with "can't get final child's PID".
  restrict_oom_score_adj = true
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"                    # Debian's place
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
TOML
}

kubelet_configuration() {
  cat <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: /etc/kubernetes/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: /etc/kubernetes/$node.crt
tlsPrivateKeyFile: /etc/kubernetes/$node.key
cgroupDriver: cgroupfs
cgroupRoot: /                       # of the node's cgroup namespace
failSwapOn: false
oomScoreAdj: 0                      # as above; its complaint about -999 in the log is harmless
nodeLeaseDurationSeconds: $node_lease_seconds
nodeStatusUpdateFrequency: 2s
syncFrequency: 5s                   # how late a changed Secret may be seen
imageGCHighThresholdPercent: 100    # an image that is collected could not be pulled again
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 200Mi, nodefs.available: 1Gi, imagefs.available: 1Gi, nodefs.inodesFree: 1%}
maxPods: 50
clusterDomain: cluster.local
resolvConf: /etc/resolv.conf
YAML
}

# The cable first: the sockets of dying processes send FIN or RST, which a machine without power does not.
kill_() {
  in_switch ip link set "$cable" down
  end_process "$node"        # its PID 1: the kernel ends every process of the pid namespace with it
}

cut_() { in_switch ip link set "$cable" down; }

freeze() {
  local freezer
  freezer=$(freezer_of "$node")
  echo FROZEN >"$freezer"
  poll 20 "$node frozen" grep -q FROZEN "$freezer"
}

heal() {
  in_switch ip link set "$cable" up
  echo THAWED >"$(freezer_of "$node")"
}

pids() {
  local pid
  find "/sys/fs/cgroup/pids/$cluster/$node" -name cgroup.procs -exec cat {} + | while read -r pid; do
    tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "$1" && echo "$pid"
  done || true
}

case $verb in
  boot | freeze | heal) "$verb"; log "$node: $verb" ;;
  kill | cut) "${verb}_"; log "$node: $verb" ;;
  sh) in_node "$node" "$@" ;;
  pids) pids "$1" ;;
  *) die "no verb '$verb'" ;;
esac
