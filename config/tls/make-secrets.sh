#!/usr/bin/env bash
# Makes an authority and the certificates of operator and agents, and prints them as Secrets:
#
#   config/tls/make-secrets.sh | kubectl apply -f -
#
# The authority is kept in FOLDER (default ./colo-ca): called again with it, the script renews the certificates, and running pods take them
# up without a restart. Whoever has FOLDER/ca.key commands every disk.
#
#   config/tls/make-secrets.sh [FOLDER]     NAMESPACE=colo-system  DAYS=825
set -euo pipefail

folder=${1:-colo-ca}
namespace=${NAMESPACE:-colo-system}
days=${DAYS:-825}

umask 077
mkdir -p "$folder"
if [[ ! -s $folder/ca.key ]]; then
  openssl ecparam -name prime256v1 -genkey -noout -out "$folder/ca.key"
  openssl req -x509 -new -key "$folder/ca.key" -sha256 -days 3650 -subj /CN=colo-ca -out "$folder/ca.crt" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for role in operator agent; do
  openssl ecparam -name prime256v1 -genkey -noout -out "$work/tls.key"
  openssl req -new -key "$work/tls.key" -subj "/CN=colo-$role" -out "$work/request"
  openssl x509 -req -in "$work/request" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" -CAcreateserial -sha256 -days "$days" -out "$work/tls.crt" \
    -extfile <(printf '%s\n' "subjectAltName=DNS:colo-$role" keyUsage=critical,digitalSignature extendedKeyUsage=serverAuth,clientAuth) 2>/dev/null
  cat <<YAML
---
apiVersion: v1
kind: Secret
metadata:
  name: colo-operator-$role-tls
  namespace: $namespace
  labels: {app.kubernetes.io/name: colo-operator, app.kubernetes.io/component: $role}
type: kubernetes.io/tls
data:
  tls.crt: $(base64 -w0 <"$work/tls.crt")
  tls.key: $(base64 -w0 <"$work/tls.key")
  ca.crt: $(base64 -w0 <"$folder/ca.crt")
YAML
done
