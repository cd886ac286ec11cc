#!/usr/bin/env bash
# images.sh pause|project FOLDER - container images as archives, without a registry and without a daemon of Docker's.
#
#   pause     what a pod's sandbox runs
#   project   the operator's and the agent's, from the Dockerfile at the root and what `dotnet publish` left in artifacts/publish
#
# Both stand on a base made once and kept in the cache (COLO_IMAGE_CACHE, default ~/.cache/colo-operator/images): Debian's essential
# packages by mmdebstrap, and the .NET runtime of this machine's SDK. A new runtime, or a change of make_base, makes a new one.
set -euo pipefail
[[ ${COLO_OWN_MOUNTS:-} ]] || exec unshare --mount env COLO_OWN_MOUNTS=1 "$0" "$@"
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
what=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)

readonly cache=${COLO_IMAGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/colo-operator/images}
readonly runtime_image=localhost/colo/aspnet:10 pause_image=localhost/colo/pause:1
# The names that the chart is told (eng/e2e.sh).
readonly tag=${COLO_IMAGE_TAG:-e2e}

say() { printf '%(%H:%M:%S)T images: %s\n' -1 "$*" >&2; }

# The runtime that the SDK on the PATH brings: newest 10.0.x with ASP.NET Core.
dotnet_root() { dirname "$(readlink -f "$(command -v dotnet)")"; }
runtime_version() { dotnet --list-runtimes | awk '$1 == "Microsoft.AspNetCore.App" { print $2 }' | grep '^10\.' | sort -V | tail -n 1; }

work=$(mktemp -d)
trap clean_up EXIT
clean_up() {
  # buildah may leave its stores mounted; this script has a mount namespace of its own, so they are gone with it, but not before.
  awk -v under="$work/" 'index($2, under) == 1 { print $2 }' /proc/self/mounts | sort -r | xargs -r umount -l
  rm -rf "$work"
}
# A store of our own, so that nothing of the machine's is read or left behind.
buildah_in() { local store=$1; shift; buildah --root "$store" --runroot "$work/run" --storage-driver overlay "$@"; }

# Into the cache, whole or not at all: made beside it and renamed.
ensure_base() {
  local version key
  version=$(runtime_version)
  key=$({ declare -f make_base; echo "$version"; } | sha256sum | cut -c1-16)
  base=$cache/$key
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9
  if [[ ! -e $base/whole ]]; then
    say "making the base image (.NET $version on Debian; once)"
    rm -rf "${cache:?}"/*.part
    make_base "$base.part" "$version"
    touch "$base.part/whole"
    mv -T "$base.part" "$base"
  fi
  flock -u 9
}

make_base() {
  local store=$1/store version=$2 container root
  mkdir -p "$store"
  # What .NET loads: libssl, libstdc++, zlib; no ICU, since the project is built without cultures.
  mmdebstrap --quiet --mode=root --variant=essential --include=ca-certificates,libssl3,libstdc++6,zlib1g \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    bookworm "$work/debian.tar" 9>&-
  root=$(dotnet_root)
  mkdir -p "$work/dotnet/shared"/{Microsoft.NETCore.App,Microsoft.AspNetCore.App}
  cp -a "$root"/{dotnet,host} "$work/dotnet/"
  cp -a "$root/shared/Microsoft.NETCore.App/$version" "$work/dotnet/shared/Microsoft.NETCore.App/"
  cp -a "$root/shared/Microsoft.AspNetCore.App/$version" "$work/dotnet/shared/Microsoft.AspNetCore.App/"

  container=$(buildah_in "$store" from scratch)
  buildah_in "$store" add --quiet "$container" "$work/debian.tar" / >/dev/null
  buildah_in "$store" add --quiet "$container" "$work/dotnet" /usr/share/dotnet >/dev/null
  buildah_in "$store" config --env DOTNET_ROOT=/usr/share/dotnet \
    --env PATH=/usr/share/dotnet:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  buildah_in "$store" commit --quiet --rm "$container" "$runtime_image" >/dev/null

  container=$(buildah_in "$store" from scratch)
  buildah_in "$store" add --quiet "$container" "$(readlink -f "$(command -v catatonit)")" /pause >/dev/null
  buildah_in "$store" config --entrypoint '["/pause", "-P"]' "$container"
  buildah_in "$store" commit --quiet --rm "$container" "$pause_image" >/dev/null
  buildah_in "$store" push --quiet --disable-compression "$pause_image" "docker-archive:$1/pause.tar:$pause_image"
}

build_project() {
  local role build
  # The base is read where it lies; what is built goes into a store of this run.
  build=(buildah_in "$work/store" --storage-opt "overlay.imagestore=$base/store")
  mkdir -p "$work/store"
  for role in operator agent; do
    say "building colo-$role"
    "${build[@]}" build --quiet --isolation chroot --pull-never --target "$role" --tag "localhost/colo-$role:$tag" \
      --build-arg PUBLISHED_FROM=published --build-arg "RUNTIME_IMAGE=$runtime_image" "$repo" >/dev/null
    # A Docker archive, since its layers are not compressed: nothing is sent far.
    rm -f "$out/$role.tar"
    "${build[@]}" push --quiet "localhost/colo-$role:$tag" "docker-archive:$out/$role.tar:localhost/colo-$role:$tag"
  done
}

ensure_base
case $what in
  pause) ln -f "$base/pause.tar" "$out/pause.tar" 2>/dev/null || cp "$base/pause.tar" "$out/pause.tar" ;;
  project) build_project ;;
  *) say "no '$what'"; exit 1 ;;
esac
