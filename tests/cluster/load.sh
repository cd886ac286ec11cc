#!/usr/bin/env bash
# load.sh ARCHIVE... - OCI or Docker archives into containerd of all running nodes; nodes that boot later get them at their boot.
. "$(dirname "$0")/lib.sh"

imports=()
for archive in "$@"; do
  ln -f "$archive" "$state/images/" 2>/dev/null || cp "$archive" "$state/images/"
done
for node in $(node_names); do
  pid_of "$node" >/dev/null || continue
  # Through the node's own disk: it does not see the machine's files.
  for archive in "$@"; do
    ln -f "$state/images/$(basename "$archive")" "$state/nodes/$node/disk/var/lib/colo-images/"
    in_node "$node" bash /colo/cluster/node-init.sh import "/var/lib/colo-images/$(basename "$archive")" &
    imports+=($!)
  done
done
for import in "${imports[@]}"; do wait "$import"; done
