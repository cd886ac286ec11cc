#!/usr/bin/env bash
# up.sh [NODES] - a Kubernetes control plane behind a switch of its own, and that many nodes (3). down.sh ends it.
#
# The switch is a bridge in a network namespace, where the control plane lives too; each node hangs on it by a cable (a veth pair)
# that can be cut. Nothing of it touches the machine's own network: `nsenter --net=/run/netns/colo-e2e-cp` leads in.
. "$(dirname "$0")/lib.sh"
. "$here/certs.sh"
nodes=${1:-3}

[[ $(id -u) == 0 ]] || die "namespaces, cgroups and containerd need root"
for program in etcd containerd runc iptables conntrack socat openssl ip nsenter unshare curl jq; do
  command -v "$program" >/dev/null || die "$program is missing: eng/deps.sh cluster"
done
[[ ! -e $state/pids && ! -e /run/netns/$switch_ns ]] || die "a cluster '$cluster' is there: down.sh first"
mkdir -p "$state"/{pids,logs,nodes,images,certs}

make_switch() {
  ip netns add "$switch_ns"
  in_switch ip link set lo up
  # A fixed address: a bridge else takes the lowest of its ports', and a node that comes or goes would change the API server's
  # under all the others, which lose it until their ARP entries expire. forward_delay 0: a port works as soon as it is up.
  in_switch ip link add "$bridge" address 02:88:00:00:00:01 type bridge forward_delay 0
  in_switch ip address add "$switch_ip/24" dev "$bridge"
  in_switch ip link set "$bridge" up
  # It routes between the nodes' pod networks, too.
  in_switch sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 "net.ipv4.conf.$bridge.send_redirects=0"
}

make_identities() {
  make_authority
  make_certificate apiserver /CN=kube-apiserver "IP:$switch_ip,IP:$api_service_ip,IP:127.0.0.1,DNS:kubernetes.default.svc"
  make_certificate apiserver-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client    # kubectl logs and exec
  make_certificate admin /O=system:masters/CN=e2e-admin
  make_certificate controller-manager /CN=system:kube-controller-manager
  make_certificate scheduler /CN=system:kube-scheduler
  make_kubeconfig "$kubeconfig" admin
  make_kubeconfig "$state/controller-manager.kubeconfig" controller-manager
  make_kubeconfig "$state/scheduler.kubeconfig" scheduler
}

make_switch
make_identities
cgroup_make cp
for name in etcd kube-apiserver kube-controller-manager kube-scheduler; do "$here/control.sh" start "$name"; done
poll 30 "the default service account" api -n default get serviceaccount default

"$here/images.sh" pause "$state/images"
boots=()
for ((i = 1; i <= nodes; i++)); do "$here/node.sh" boot "node$i" & boots+=($!); done
for boot in "${boots[@]}"; do wait "$boot"; done
for ((i = 1; i <= nodes; i++)); do poll 120 "node$i Ready" api wait --for=condition=Ready "node/node$i" --timeout=1s; done
log "$nodes nodes Ready; kubeconfig (inside the namespace $switch_ns): $kubeconfig"
