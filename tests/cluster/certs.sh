# Sourced by up.sh and node.sh: the cluster's certificates and kubeconfigs. Elliptic curves, since RSA keys take seconds to make.
readonly certs=$state/certs

make_authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=colo-e2e \
    -addext "keyUsage=critical,keyCertSign,cRLSign,digitalSignature" -keyout "$certs/ca.key" -out "$certs/ca.crt" 2>/dev/null
  # Signs the tokens of service accounts.
  openssl genrsa -out "$certs/accounts.key" 2048 2>/dev/null
  openssl rsa -in "$certs/accounts.key" -pubout -out "$certs/accounts.pub" 2>/dev/null
}

# make_certificate NAME SUBJECT [ALTERNATIVE-NAMES]
make_certificate() {
  local file=$certs/$1
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$2" -keyout "$file.key" -out "$file.csr" 2>/dev/null
  openssl x509 -req -in "$file.csr" -CA "$certs/ca.crt" -CAkey "$certs/ca.key" -set_serial "0x$(openssl rand -hex 12)" -days 30 \
    -extfile <(printf 'keyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=clientAuth,serverAuth\n%s\n' \
      "${3:+subjectAltName=$3}") -out "$file.crt" 2>/dev/null
}

# make_kubeconfig FILE CERTIFICATE: with the certificates inside, so that the one file is enough
make_kubeconfig() {
  cat >"$1" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {server: "https://$switch_ip:6443", certificate-authority-data: $(base64 -w0 "$certs/ca.crt")}}]
users: [{name: $2, user: {client-certificate-data: $(base64 -w0 "$certs/$2.crt"), client-key-data: $(base64 -w0 "$certs/$2.key")}}]
contexts: [{name: e2e, context: {cluster: e2e, user: $2}}]
current-context: e2e
YAML
  chmod 600 "$1"
}
