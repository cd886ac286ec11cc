#!/usr/bin/env bash
# Runs the scenarios of tests/Colo.Cluster (`make e2e`) on a real cluster of three nodes that it makes on this machine: images from
# the Dockerfile, the chart installed by Helm. Afterwards all of it is removed. Needs root. The last line of output is the sum:
# "N passed, N failed".
#
#   eng/e2e.sh            all of it
#   eng/e2e.sh publish    only builds what goes into the images, and the scenarios
#   eng/e2e.sh run        only runs them, on what was built before
#   eng/e2e.sh possible   says what this machine lacks for it, if anything
#   eng/e2e.sh again      runs them on the cluster that KEEP=1 left, and leaves it again
#
#   SCENARIO='*Drain*'    only these (repeatable patterns, separated by spaces)
#   KEEP=1                leaves the cluster as it is at the end (tests/cluster/down.sh removes it)
#   CONFIGURATION         Release (default) or Debug
set -euo pipefail
cd "$(dirname "$0")/.."

configuration=${CONFIGURATION:-Release}
results=$PWD/artifacts/e2e
readonly namespace=colo-system release=colo-operator
export COLO_RESULTS=$results COLO_STATE=${COLO_STATE:-$results/cluster} COLO_PROGRAMS

publish() {
  local start=$SECONDS role project
  mkdir -p "$results"
  rm -rf artifacts/publish
  for role in operator agent; do
    project=src/Colo.${role^}
    dotnet publish "$project" -c "$configuration" -p:RunAnalyzers=false -p:DebugType=none -o "artifacts/publish/$role" \
      -v quiet -nologo -clp:NoSummary >"$results/publish-$role.log" 2>&1 || { cat "$results/publish-$role.log" >&2; exit 1; }
  done
  dotnet build tests/Colo.Cluster -c "$configuration" -v quiet -nologo -clp:NoSummary >"$results/build.log" 2>&1 ||
    { cat "$results/build.log" >&2; exit 1; }
  echo "published in $((SECONDS - start)) s"
}

# What is built, and the same once more under another tag, to upgrade to.
load_images() {
  local archives=("$results/images/operator.tar" "$results/images/agent.tar") node role
  tests/cluster/load.sh "${archives[@]}"
  for node in node1 node2 node3; do
    for role in operator agent; do
      tests/cluster/node.sh sh "$node" ctr -n k8s.io images tag "localhost/colo-$role:e2e" "localhost/colo-$role:e2e-next" >/dev/null
    done
  done
}

# The chart as it is, but for where the images are, and for a deletion that does not wait five minutes for a dead node.
install_chart() {
  in_cluster "$COLO_PROGRAMS/helm" install "$release" charts/colo-operator --kubeconfig "$COLO_STATE/admin.kubeconfig" \
    --namespace "$namespace" --create-namespace --wait --timeout 3m \
    --set image.repository=localhost/colo,image.tag=e2e,image.pullPolicy=Never --set operator.deletionGrace=20s >"$results/helm.log" 2>&1 ||
    { cat "$results/helm.log" >&2; kubectl -n "$namespace" get pods -o wide >&2; return 1; }
  # A pool of its own is made by the kubelet; nodes are Ready, agents are.
  kubectl -n "$namespace" rollout status "daemonset/$release-agent" --timeout=120s >/dev/null
}

in_cluster() { nsenter --net="/run/netns/${COLO_CLUSTER:-colo-e2e}-cp" -- "$@"; }
kubectl() { in_cluster "$COLO_PROGRAMS/kubectl" --kubeconfig "$COLO_STATE/admin.kubeconfig" "$@"; }

run_scenarios() {
  local arguments=() pattern
  for pattern in ${SCENARIO:-}; do arguments+=(-method "$pattern"); done
  in_cluster "tests/Colo.Cluster/bin/$configuration/net10.0/Colo.Cluster" -noColor -noLogo -showLiveOutput \
    -result-ctrf "$results/results.json" "${arguments[@]}" 2>&1 | tee "$results/scenarios.log"
}

# A line a scenario: what it is called, how it ended, how long it took, what it measured.
print_table() {
  local name status seconds
  printf '\n'
  while IFS=$'\t' read -r name status seconds; do
    printf '%s|%s|%s s|%s\n' "${name//_/ }" "$status" "$seconds" "$(paste -sd';' "$results/notes/$name" 2>/dev/null | sed 's/;/; /g')"
  done < <(jq -r '.results.tests[] | [(.name | split(".")[-1]), .status, (.duration / 1000 | floor)] | @tsv' "$results/results.json") |
    { echo 'scenario|result|took|measured'; cat; } | column -t -s '|'
}

# All containers' logs are on the nodes' disks.
collect_logs() {
  local node
  for node in "$COLO_STATE"/nodes/*/; do
    [[ -d $node ]] || continue
    mkdir -p "$results/logs/$(basename "$node")"
    cp -rL "$node"/disk/var/log/{pods,node} "$results/logs/$(basename "$node")/" 2>/dev/null || true
  done
  cp -r "$COLO_STATE/logs" "$results/logs/control-plane" 2>/dev/null || true
}

clean_up() {
  local status=$?
  trap - EXIT INT TERM
  collect_logs
  if [[ ${KEEP:-} == 1 ]]; then
    echo "the cluster goes on running; tests/cluster/README.md tells how to look at it, tests/cluster/down.sh removes it"
  else
    tests/cluster/down.sh 2>>"$results/cluster.log" || status=1
  fi
  print_sum || status=1
  exit "$status"
}

print_sum() {
  local passed=0 failed=1
  [[ -e $results/results.json ]] && read -r passed failed < <(jq -r '.results.summary | "\(.passed) \(.failed)"' "$results/results.json")
  # A run that ended without a result, or ran nothing, has failed.
  ((passed + failed > 0)) || failed=1
  echo "$passed passed, $failed failed"
  ((failed == 0))
}

# What no package can bring.
possible() {
  local lacks=""
  [[ $(id -u) == 0 ]] || lacks="root: it makes namespaces, cgroups and containers"
  [[ -d /sys/fs/cgroup/freezer ]] || lacks+="${lacks:+; }cgroups of version 1, which Kubernetes 1.20 expects"
  [[ -z $lacks ]] || { echo "make e2e needs $lacks" >&2; return 1; }
}

prepare() {
  possible || exit 1
  COLO_PROGRAMS=$(eng/kube.sh cluster)
  rm -rf "$results"/{results.json,notes,failed,logs,cluster.log}
  mkdir -p "$results"
}

run() {
  local start=$SECONDS
  prepare
  tests/cluster/down.sh 2>>"$results/cluster.log"
  trap clean_up EXIT
  trap 'exit 130' INT TERM
  # The images are built while the nodes boot.
  tests/cluster/images.sh project "$results/images" 2>>"$results/cluster.log" &
  local images=$!
  tests/cluster/up.sh 3 2>>"$results/cluster.log"
  wait "$images"
  echo "3 nodes Ready after $((SECONDS - start)) s"
  load_images 2>>"$results/cluster.log"
  install_chart
  echo "chart installed after $((SECONDS - start)) s"
  run_scenarios || true
  print_table
  echo "the scenarios and their cluster took $((SECONDS - start)) s; logs and results are in ${results#"$PWD"/}"
}

again() {
  prepare
  run_scenarios || true
  print_table
  print_sum
}

case ${1:-all} in
  publish) publish ;;
  run) run ;;
  again) again ;;
  possible) possible ;;
  all) possible && eng/deps.sh cluster && publish && run ;;
  *) echo "usage: eng/e2e.sh [publish|run|again|possible]" >&2; exit 2 ;;
esac
