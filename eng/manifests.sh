#!/usr/bin/env bash
# Writes what is derived, so that nothing is said twice: the chart's copy of the CRD (from crds/), and the manifests under config/ (from
# the chart, with its defaults, but with certificates from Secrets that somebody else makes). A test fails where they differ.
#
#   eng/manifests.sh [ROOT]     ROOT: the repository to write into (default: this one)
set -euo pipefail
cd "$(dirname "$0")/.."

root=${1:-$PWD}
helm=$(eng/kube.sh)/helm
chart=charts/colo-operator

# render TEMPLATE FILE [ARGUMENT...]: one template of the chart, without what only Helm needs.
render() {
  local template=$1 file=$root/config/$2
  shift 2
  mkdir -p "$(dirname "$file")"
  {
    echo "# Made from $chart/templates/$template by \`make manifests\`; not to be edited."
    "$helm" template colo-operator "$root/$chart" --namespace colo-system --kube-version 1.35 --show-only "templates/$template" "$@" |
      sed -E '/^ *helm\.sh\/chart: /d; /^# Source: /d; s/^( *app\.kubernetes\.io\/managed-by: )Helm$/\1kustomize/' | sed '1{/^---$/d}'
  } >"$file"
}

main() {
  mkdir -p "$root/$chart/files/crds/without-rules"
  cp crds/colo.dev_replicatedvolumes.yaml "$root/$chart/files/crds/"
  cp crds/without-rules/colo.dev_replicatedvolumes.yaml "$root/$chart/files/crds/without-rules/"
  render serviceaccounts.yaml rbac/serviceaccounts.yaml
  render rbac-operator.yaml rbac/operator.yaml --set tls.mode=certManager
  render rbac-agent.yaml rbac/agent.yaml --set tls.mode=certManager
  render rbac-people.yaml rbac/people.yaml
  render operator-deployment.yaml manager/deployment.yaml --set tls.mode=certManager
  render poddisruptionbudget.yaml manager/poddisruptionbudget.yaml
  render agent-daemonset.yaml agent/daemonset.yaml --set tls.mode=certManager
  render admission-policy.yaml admission/policy.yaml
  render tls-certmanager.yaml certmanager/certificates.yaml --set tls.mode=certManager
  render podmonitor.yaml monitoring/podmonitor.yaml --set monitoring.podMonitor.enabled=true
  render prometheusrule.yaml monitoring/prometheusrule.yaml --set monitoring.prometheusRule.enabled=true
}

main
