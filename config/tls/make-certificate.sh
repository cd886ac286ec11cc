#!/usr/bin/env bash
# Makes one certificate of the authority that make-secrets.sh keeps, for a node's agent or for a volume's guest:
#
#   config/tls/make-certificate.sh FOLDER node-a.colo-agent OUT         OUT is what tls.agentHostPath names on that node
#   config/tls/make-certificate.sh FOLDER NAME.NAMESPACE.colo-guest OUT
#
# OUT gets tls.crt, tls.key and ca.crt, and for QEMU and libnbd the same as client-cert.pem, client-key.pem and ca-cert.pem.  DAYS=825
set -euo pipefail

if [[ $# -ne 3 || ! -s $1/ca.key ]]; then
  echo "usage: $0 FOLDER NAME OUT; FOLDER is that of make-secrets.sh" >&2
  exit 64
fi
folder=$1 name=$2 out=$3
days=${DAYS:-825}

umask 077
mkdir -p "$out"
openssl ecparam -name prime256v1 -genkey -noout -out "$out/tls.key"
openssl req -new -key "$out/tls.key" -subj "/CN=${name:0:64}" |
  openssl x509 -req -CA "$folder/ca.crt" -CAkey "$folder/ca.key" -CAcreateserial -sha256 -days "$days" -out "$out/tls.crt" \
    -extfile <(printf '%s\n' "subjectAltName=DNS:$name" keyUsage=critical,digitalSignature extendedKeyUsage=serverAuth,clientAuth) 2>/dev/null
cp "$folder/ca.crt" "$out/ca.crt"
ln -sf tls.crt "$out/client-cert.pem"
ln -sf tls.key "$out/client-key.pem"
ln -sf ca.crt "$out/ca-cert.pem"
