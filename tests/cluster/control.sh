#!/usr/bin/env bash
# control.sh start|stop etcd|kube-apiserver|kube-controller-manager|kube-scheduler
# One program of the control plane, in the namespace of the switch. A stop is SIGKILL; etcd's data stay.
. "$(dirname "$0")/lib.sh"

# setsid: it outlives this shell and gets no signal of its terminal.
launch() {
  local name=$1
  shift
  (
    cgroup_enter cp
    exec setsid nsenter --net="/run/netns/$switch_ns" -- "$@"
  ) >>"$state/logs/$name.log" 2>&1 </dev/null &
  remember "$name" $!
}

start_etcd() {
  # Plain HTTP: the loopback is the namespace's own. No fsync: the data die with the cluster, and a busy disk must not look like a
  # fault of the control plane.
  launch etcd "$programs/etcd" --name=e2e --data-dir="$state/etcd" --unsafe-no-fsync --log-level=warn \
    --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
    --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 --initial-cluster=e2e=http://127.0.0.1:2380
  poll 30 "etcd's health" in_switch curl -fs http://127.0.0.1:2379/health
}

start_kube-apiserver() {
  local c=$state/certs arguments
  arguments=(
    --etcd-servers=http://127.0.0.1:2379 --bind-address=0.0.0.0 --secure-port=6443 --insecure-port=0 --advertise-address="$switch_ip"
    --tls-cert-file="$c/apiserver.crt" --tls-private-key-file="$c/apiserver.key" --client-ca-file="$c/ca.crt"
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction   # as kubeadm sets it up
    --allow-privileged=true --service-cluster-ip-range="$services"
    --service-account-issuer=https://kubernetes.default.svc.cluster.local
    --service-account-signing-key-file="$c/accounts.key" --service-account-key-file="$c/accounts.pub"
    --kubelet-client-certificate="$c/apiserver-kubelet.crt" --kubelet-client-key="$c/apiserver-kubelet.key"
    --kubelet-certificate-authority="$c/ca.crt" --kubelet-preferred-address-types=InternalIP
    --default-not-ready-toleration-seconds="$eviction_seconds" --default-unreachable-toleration-seconds="$eviction_seconds"
  )
  launch kube-apiserver "$programs/kube-apiserver" "${arguments[@]}"
  poll 60 "the API server's readiness" api get --raw /readyz
}

start_kube-controller-manager() {
  local c=$state/certs arguments
  arguments=(
    --kubeconfig="$state/controller-manager.kubeconfig" --bind-address=127.0.0.1 --port=0 --leader-elect=false
    --service-account-private-key-file="$c/accounts.key" --root-ca-file="$c/ca.crt" --use-service-account-credentials=true
    --cluster-signing-cert-file="$c/ca.crt" --cluster-signing-key-file="$c/ca.key"
    --allocate-node-cidrs=false --node-monitor-period=1s --node-monitor-grace-period="${node_grace_seconds}s"
    # 5 and not 1: after all nodes were NotReady at once (as when they register) the controller changes from a stopped limiter to
    # this rate, takes a stopped one for a rate of 1, and with 1 would find nothing to change: no pod is evicted any more.
    --node-eviction-rate=5
    # Else a cluster of three of which two are dead stops evicting.
    --unhealthy-zone-threshold=1 --large-cluster-size-threshold=1
  )
  launch kube-controller-manager "$programs/kube-controller-manager" "${arguments[@]}"
}

start_kube-scheduler() {
  launch kube-scheduler "$programs/kube-scheduler" --kubeconfig="$state/scheduler.kubeconfig" --bind-address=127.0.0.1 --port=0 \
    --leader-elect=false
}

case $1 in
  start) ended "$2" || die "$2 is running"; "start_$2" ;;
  stop) end_process "$2" ;;
  *) die "usage: control.sh start|stop NAME" ;;
esac
log "$2: $1"
