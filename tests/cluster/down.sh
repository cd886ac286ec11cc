#!/usr/bin/env bash
# down.sh - ends what up.sh and node.sh started, and nothing else, and removes namespaces, cgroups and state. May be called twice.
. "$(dirname "$0")/lib.sh"

for node in $(node_names); do
  # Frozen processes do not die.
  [[ ! -e $(freezer_of "$node") ]] || echo THAWED >"$(freezer_of "$node")"
done
for file in "$state"/pids/*; do
  [[ ! -e $file ]] || end_process "$(basename "$file")"
done
# Also of a cluster whose state was removed under it.
for namespace in $(ip netns list | cut -d' ' -f1 | grep "^$cluster-" || true); do ip netns delete "$namespace"; done
cgroup_remove
rm -rf "$state"
log "the cluster is gone"
