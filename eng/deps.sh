#!/usr/bin/env bash
# Makes sure that everything the make targets call is there. Installs Debian packages when it may (root or sudo without a
# password), else names exactly what is missing. Does nothing, quickly, when all is there.
#
#   eng/deps.sh            what build, test and demo need
#   eng/deps.sh cluster    also what the cluster of `make e2e` needs
set -euo pipefail
cd "$(dirname "$0")/.."
readonly extra=${1:-}

# A package is asked for only where what it brings is not there: <package> <a command, or a path (globs allowed)>.
requirements() {
  cat <<'LIST'
qemu-system-x86     qemu-system-x86_64
qemu-utils          qemu-img
qemu-block-extra    /usr/lib/*/qemu/block-*.so
nbdkit              nbdkit
libnbd-bin          nbdinfo
python3-libnbd      /usr/lib/python3/dist-packages/nbd.py
nbd-client          nbd-client
fio                 fio
e2fsprogs           mke2fs
busybox-static      /bin/busybox
cpio                cpio
gnutls-bin          certtool
openssl             openssl
jq                  jq
curl                curl
iproute2            ip
iptables            iptables
mount               losetup
util-linux          flock
strace              strace
procps              ps
kmod                modinfo
prometheus          promtool
etcd-server         etcd
faketime            faketime
LIST
}

# What eng/kube.sh makes Kubernetes' programs with, once; nothing of it where they are in its cache already.
kubernetes_requirements() {
  local cache=${COLO_KUBE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/colo-operator/kube}
  if [[ ! -x ${KUBEBUILDER_ASSETS:-}/kube-apiserver && -z $(compgen -G "$cache/v*/kube-apiserver") ]]; then
    cat <<'LIST'
golang-go                             go
golang-github-modern-go-reflect2-dev  /usr/share/gocode/src/github.com/modern-go/reflect2
dpkg-dev                              dpkg-source
make                                  make
patch                                 patch
rsync                                 rsync
gcc                                   gcc
libc6-dev                             /usr/include/stdio.h
LIST
  fi
  if [[ ! -x $cache/clients/kubectl || ! -x $cache/clients/helm ]]; then
    cat <<'LIST'
npm                                   npm
unzip                                 unzip
LIST
  fi
}

cluster_requirements() {
  cat <<'LIST'
containerd                   containerd
runc                         runc
containernetworking-plugins  /usr/lib/cni/bridge
iptables                     iptables
conntrack                    conntrack
socat                        socat
ethtool                      ethtool
catatonit                    catatonit
mmdebstrap                   mmdebstrap
buildah                      buildah
LIST
}

missing_packages() {
  local package probe
  while read -r package probe; do
    [[ -z $package ]] && continue
    if [[ $probe == /* ]]; then
      compgen -G "$probe" >/dev/null || echo "$package"
    else
      command -v "$probe" >/dev/null || PATH=$PATH:/usr/sbin:/sbin command -v "$probe" >/dev/null || echo "$package"
    fi
  done < <(requirements; kubernetes_requirements; [[ $extra != cluster ]] || cluster_requirements)
  # The test guest boots a kernel of the distribution; its virtio modules come along.
  compgen -G '/boot/vmlinuz-*' >/dev/null || echo "linux-image-cloud-$(dpkg --print-architecture 2>/dev/null || echo amd64)"
}

install_packages() {
  local as_root=()
  if [[ $(id -u) -ne 0 ]]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
      as_root=(sudo -n)
    else
      echo "error: missing Debian packages; install them with:" >&2
      echo "  sudo apt-get install --no-install-recommends $*" >&2
      # Whoever has to ask somebody for these asks once.
      command -v dotnet >/dev/null || tell_of_dotnet
      exit 1
    fi
  fi
  if ! command -v apt-get >/dev/null; then
    echo "error: this is no Debian system (no apt-get); install the equivalents of: $*" >&2
    exit 1
  fi
  compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null || "${as_root[@]}" apt-get update -q
  echo "installing: $*"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null ||
    { "${as_root[@]}" apt-get update -q &&
      "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null; }
}

tell_of_dotnet() {
  echo "error: the .NET 10 SDK is missing (Debian does not package it). Install it one of these ways:" >&2
  echo "  curl -fsSL https://dot.net/v1/dotnet-install.sh | bash -s -- --channel 10.0   # then add ~/.dotnet to PATH" >&2
  echo "  or the package dotnet-sdk-10.0 from https://learn.microsoft.com/dotnet/core/install/linux-debian" >&2
}

require_dotnet() {
  local major
  if ! command -v dotnet >/dev/null; then
    tell_of_dotnet
    exit 1
  fi
  # The SDK itself checks global.json; outside of it `dotnet --version` fails with a reason worth showing.
  if ! major=$(dotnet --version 2>&1); then
    echo "error: no installed .NET SDK satisfies global.json (10.0.100 or a later 10.0 SDK):" >&2
    echo "$major" >&2
    exit 1
  fi
}

main() {
  local missing
  mapfile -t missing < <(missing_packages)
  if [[ ${#missing[@]} -gt 0 ]]; then
    install_packages "${missing[@]}"
    mapfile -t missing < <(missing_packages)
    if [[ ${#missing[@]} -gt 0 ]]; then
      echo "error: installed, and still not found: ${missing[*]}" >&2
      exit 1
    fi
  fi
  require_dotnet
}

main
