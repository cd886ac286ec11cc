#!/usr/bin/env bash
# The demo (`make run`): a real disk is filled, replicated and checkpointed, loses its primary by SIGKILL in the middle of writes, fails
# over, and is proven whole. Clients are nbdcopy, fio, qemu-img, e2fsck and a small Python guest; nothing is simulated.
#
#   DEMO_DIR=DIR       where it works (default: artifacts/demo); needs about 4 GiB
#   DEMO_FILES_MIB=N   how much of the machine's own files goes into the image (default 256)
#   KEEP=1             leave the volume running at the end, to be played with
#   CONFIGURATION=...  Release (default) or Debug
#
# Exit status: 0 when every proof held; otherwise 1, and the last line says which did not.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
configuration=${CONFIGURATION:-Release}
coloctl=$repo/src/Colo.Cli/bin/$configuration/net10.0/coloctl
work=${DEMO_DIR:-$repo/artifacts/demo}
state=$work/state
files_mib=${DEMO_FILES_MIB:-256}
python=/usr/bin/python3

readonly MIB=$((1024 * 1024))
readonly FS_MIB=640                 # the ext4 image covers the first 640 MiB of the volume
readonly GUEST_OFFSET=$((640 * MIB)) GUEST_LENGTH=$((128 * MIB))     # the journalling guest's region
readonly FIO_OFFSET=$((768 * MIB)) FIO_MIB=192                       # fio's region
readonly MARK_OFFSET=$((1000 * MIB))
readonly VOLUME_MIB=1024
readonly GUEST_WRITES=60000 KILL_AFTER=8000

guest_pid=
table=()
current=

local_() { "$coloctl" local "$@" --dir "$state"; }

now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# step TITLE: what follows belongs to it, until done_ says what it showed.
step() {
  current=$1
  started=$(now_ms)
  say "$1"
}

done_() {
  table+=("$current|$1|$(($(now_ms) - started)) ms")
  printf '  ok: %s\n' "$1"
}

# A proof that does not hold ends the demo; the trap on EXIT tells which.
fail() {
  printf '  FAILED: %s\n' "$*" >&2
  failure="$current: $*"
  exit 1
}

# poll BOUND_SECONDS WHAT COMMAND...: until it succeeds.
poll() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    ((SECONDS < end)) || fail "not within the time: $what"
    read -rt 0.05 <> <(:) || true
  done
}

journal_has() { [[ -f $work/journal ]] && (($(grep -c '^A ' "$work/journal") >= $1)); }

# field JQ-LIKE-PATH: one value of the volume's status.
field() { local_ status -o json | "$python" -c "import json,sys; v=json.load(sys.stdin)
for key in sys.argv[1].split('.'): v=v[key]
print(v)" "$1"; }

print_table() {
  ((${#table[@]})) || return 0
  say "What was done"
  { printf 'step|what it showed|took\n'; printf '%s\n' "${table[@]}"; } | column -t -s '|' | sed 's/^/  /'
}

clean_up() {
  local status=$?
  trap - EXIT
  [[ -n $guest_pid ]] && kill "$guest_pid" 2>/dev/null && wait "$guest_pid" 2>/dev/null
  print_table
  if ((status != 0)); then
    [[ -f $state/control.log ]] && { say "The control loop's last words ($state)"; tail -n 12 "$state/control.log" | cut -c1-220; }
    printf '\nThe demo FAILED: %s\n' "${failure:-$current: a command ended with status $status}" >&2
    local_ down --keep-data >/dev/null 2>&1 || true
    exit 1
  fi
  if [[ ${KEEP:-} == 1 ]]; then
    printf '\nThe volume goes on running. Stop and remove it: %s local down --dir %s\n' "$coloctl" "$state"
  else
    local_ down >/dev/null || status=1
    rm -rf "$work"
  fi
  exit "$status"
}

need() {
  local missing=()
  for tool in nbdcopy nbdinfo qemu-img fio mke2fs e2fsck column "$python"; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null || missing+=("$tool")
  done
  "$python" -c 'import nbd' 2>/dev/null || missing+=("python3-libnbd")
  [[ -x $coloctl ]] || missing+=("$coloctl (make build)")
  ((${#missing[@]} == 0)) || { echo "the demo needs: ${missing[*]} (make deps, make build)" >&2; exit 1; }
}

# Real files of this machine, up to the wanted size, as the content of an ext4 file system.
make_image() {
  mkdir -p "$work/files"
  find /usr/bin /usr/lib /usr/share -xdev -type f -size -16M -readable -printf '%s %p\0' 2>/dev/null |
    awk -v limit=$((files_mib * MIB)) 'BEGIN { RS = "\0"; ORS = "\0" }
      { size = $1; sub(/^[0-9]+ /, ""); if (total + size > limit || count >= 30000) exit; total += size; count++; print }' > "$work/list" || true
  tar --null -C / -cf - --files-from "$work/list" 2>/dev/null | tar -C "$work/files" -xf -
  mke2fs -q -t ext4 -L colo-demo -d "$work/files" "$work/source.img" "${FS_MIB}M"
  e2fsck -fn "$work/source.img" >/dev/null
}

write_manifest() {
  # A tmpfs where it can hold the buffer, else the disk: a fresh machine may have a small /dev/shm.
  local medium=Disk free
  free=$(df -m --output=avail /dev/shm 2>/dev/null | tail -1 || echo 0)
  ((free > 1600)) && medium=Memory
  cat > "$work/volume.yaml" <<YAML
apiVersion: colo.dev/v1alpha1
kind: ReplicatedVolume
metadata: {name: demo}
spec:
  size: ${VOLUME_MIB}Mi
  buffer: {medium: $medium, sizeLimit: 1400Mi}
  checkpoint: {interval: 0}        # only when the demo asks for one
  failover: {policy: Automatic, recoveryPoint: LatestWrite, heartbeatTimeout: 1s}
YAML
}

# nbd_slice URI-SOCKET EXPORT: the volume's first FS_MIB as qemu-img options.
nbd_slice() { echo "driver=raw,offset=0,size=$((FS_MIB * MIB)),file.driver=nbd,file.server.type=unix,file.server.path=$1,file.export=$2"; }

export_of() { local rest=${1#nbd+unix:///}; echo "${rest%%\?*}"; }
socket_of() { echo "${1#*socket=}"; }

same_as_source() {
  qemu-img compare -q --image-opts "driver=raw,file.driver=file,file.filename=$work/source.img" "$(nbd_slice "$(socket_of "$1")" "$(export_of "$1")")"
}

fio_job() {
  fio --name=demo --ioengine=nbd --uri="$1" --rw=randwrite --bs=4k --iodepth=16 --offset=$FIO_OFFSET --size=${FIO_MIB}M \
    --verify=crc32c --verify_fatal=1 --randseed=7 --thread --output="$work/fio.$2" "${@:3}" >/dev/null 2>&1
}

need
trap clean_up EXIT
PATH=$PATH:/usr/sbin:/sbin
if [[ -d $work ]]; then
  current="remove what an earlier run left"
  local_ down >/dev/null
  rm -rf "$work"
fi
mkdir -p "$work"

step "Make an ext4 image from files of this machine"
make_image
done_ "$(tr '\0' '\n' < "$work/list" | wc -l) files, $(du -sm "$work/files" | cut -f1) MiB, e2fsck clean"
rm -rf "$work/files"

step "Start two agents and a replicated volume"
write_manifest
local_ up -f "$work/volume.yaml"
uri=$(field status.endpoint.uri)
view=$(field status.endpoint.secondaryUri)
primary=$(field status.currentPrimary)
done_ "Protected: $primary writes, $(field status.currentSecondary) follows"

step "Fill it through NBD"
nbdcopy --flush "$work/source.img" "$uri"
same_as_source "$uri" || fail "the primary's disk differs from the image after nbdcopy"
done_ "nbdcopy $FS_MIB MiB; qemu-img compare: the primary's disk is the image"

step "The secondary's VM still sees the old disk"
zeroes=$(head -c $((64 * MIB)) /dev/zero | sha256sum | cut -d' ' -f1)
[[ $("$python" "$repo/eng/demo-guest.py" read "$view" 0 $((64 * MIB))) == "$zeroes" ]] || fail "the secondary's view changed before a checkpoint"
same_as_source "$view" && fail "the secondary's view already is the new disk"
done_ "its view reads zeroes, as at the start, while the primary holds the image"

step "Checkpoint"
local_ checkpoint | sed 's/^/  /'
same_as_source "$view" || fail "after the checkpoint the secondary's view is not the image"
done_ "now its view is the image (qemu-img compare)"

step "One block, before and after a checkpoint"
"$python" "$repo/eng/demo-guest.py" mark "$uri" $MARK_OFFSET "written after the checkpoint"
[[ $("$python" "$repo/eng/demo-guest.py" show "$uri" $MARK_OFFSET) == "written after the checkpoint" ]] || fail "the primary does not return what was written"
[[ $("$python" "$repo/eng/demo-guest.py" show "$view" $MARK_OFFSET) == "(zeroes)" ]] || fail "the secondary's view shows a write before its checkpoint"
local_ checkpoint >/dev/null
[[ $("$python" "$repo/eng/demo-guest.py" show "$view" $MARK_OFFSET) == "written after the checkpoint" ]] || fail "the secondary's view lacks a write after its checkpoint"
done_ "primary new, secondary's view old; after the checkpoint both new"

step "fio writes, with checksums"
fio_job "$uri" write --do_verify=0 || fail "fio could not write (see $work/fio.write)"
fio_job "$uri" verify1 --verify_only || fail "fio's verify failed on the first primary"
done_ "$FIO_MIB MiB in 4 KiB random writes, verified"

step "SIGKILL the primary in the middle of writes"
"$python" "$repo/eng/demo-guest.py" write "$uri" $GUEST_OFFSET $GUEST_LENGTH $GUEST_WRITES "$work/journal" > "$work/guest.out" 2> "$work/guest.err" &
guest_pid=$!
poll 60 "$KILL_AFTER acknowledged writes" journal_has $KILL_AFTER
read -r agent_pid _ < "$state/$primary/agent.pid"
kill -KILL "$agent_pid"
killed_at=$(now_ms)
cp "$work/journal" "$work/journal.at-kill"
done_ "$primary's agent (pid $agent_pid) killed; $(grep -c '^A ' "$work/journal.at-kill") writes acknowledged so far"

step "Failover, by itself"
kill -0 "$agent_pid" 2>/dev/null && [[ $(cut -d' ' -f3 "/proc/$agent_pid/stat" 2>/dev/null) != Z ]] && fail "the killed agent still runs"
survivor=node-b; [[ $primary == node-b ]] && survivor=node-a
local_ wait --serving --primary "$survivor" --timeout 60s 2>/dev/null || fail "no failover"
done_ "$survivor serves under term $(field status.term), $(($(now_ms) - killed_at)) ms after the kill"

step "The guest goes on at the same address"
wait "$guest_pid" || { guest_pid=; fail "the guest ended with an error: $(tail -n 1 "$work/guest.err")"; }
guest_pid=
grep -q 'reconnects=0 ' "$work/guest.out" && fail "the guest had finished before the kill: nothing was proven"
uri=$(field status.endpoint.uri)
done_ "$(cat "$work/guest.out")"

step "Prove: every acknowledged write is there"
checked=$("$python" "$repo/eng/demo-guest.py" check "$uri" $GUEST_OFFSET $GUEST_LENGTH "$work/journal") || fail "$checked"
done_ "$checked"

step "Prove: the file system is whole"
nbdcopy "$uri" "$work/after.img"
e2fsck -fn "$work/after.img" > "$work/e2fsck.out" 2>&1 || fail "e2fsck found errors (see $work/e2fsck.out)"
same_as_source "$uri" || fail "the new primary's disk differs from the source image"
done_ "e2fsck -fn clean; qemu-img compare: identical to the source image"

step "Prove: fio's data is whole"
fio_job "$uri" verify2 --verify_only || fail "fio's verify failed on the new primary (see $work/fio.verify2)"
done_ "fio verified every checksum on $survivor"

step "The dead node comes back"
local_ start-agent "$primary" | sed 's/^/  /'
local_ wait --for Protected --timeout 120s 2>/dev/null || fail "the volume did not become Protected again"
local_ checkpoint >/dev/null
view=$(field status.endpoint.secondaryUri)
qemu-img compare -q -f raw -F raw "$uri" "$view" || fail "after the resync the replicas differ"
done_ "Protected again; qemu-img compare: both replicas are equal"

step "Switchover, back to $primary, without loss"
local_ switchover --to "$primary" | sed 's/^/  /'
uri=$(field status.endpoint.uri)
[[ $(field status.currentPrimary) == "$primary" ]] || fail "$primary is not primary"
checked=$("$python" "$repo/eng/demo-guest.py" check "$uri" $GUEST_OFFSET $GUEST_LENGTH "$work/journal") || fail "$checked"
local_ wait --for Protected --timeout 120s 2>/dev/null || fail "the volume did not become Protected after the switchover"
done_ "$checked"

local_ status
print_table
table=()
say "What to try next"
cat <<TEXT
  KEEP=1 make run                                  leave the volume running, then:
  $coloctl local status --dir $state --watch
  nbdinfo '$uri'
  qemu-system-x86_64 ... -drive driver=nbd,server.type=unix,server.path=$(socket_of "$uri"),export=$(export_of "$uri"),reconnect-delay=60
  $coloctl local stop-agent $primary --kill --dir $state     and watch it fail over
  $coloctl local --help
TEXT
