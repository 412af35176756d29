#!/bin/sh
# Makes the certificates of this folder anew (openssl 3.0). They are valid for 100 years.
set -eu
cd "$(dirname "$0")"
days=36500
sign() { openssl x509 -req -days $days "$@"; }

# An authority (v3).
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days $days -keyout ca.key -out ca.crt \
    -subj "/CN=frp test authority"

# An X.509 v1 leaf of that authority: what "openssl x509 -req" makes without -extfile. RSA key, PKCS#1.
openssl genrsa -traditional -out v1-leaf.key 2048
openssl req -new -key v1-leaf.key -subj "/CN=localhost" -out v1-leaf.csr
sign -in v1-leaf.csr -CA ca.crt -CAkey ca.key -set_serial 2 -out v1-leaf.crt

# The same leaf, signed with SHA-1: refused by everyone.
sign -in v1-leaf.csr -CA ca.crt -CAkey ca.key -set_serial 3 -sha1 -out sha1-leaf.crt

# A self-signed X.509 v1 certificate, and one that it signed. EC keys, SEC1, with the parameters' block in front.
openssl ecparam -name prime256v1 -genkey -out v1-self.key
openssl req -new -key v1-self.key -subj "/CN=v1 self" -out v1-self.csr
sign -in v1-self.csr -signkey v1-self.key -set_serial 4 -out v1-self.crt
openssl ecparam -name prime256v1 -genkey -out v1-child.key
openssl req -new -key v1-child.key -subj "/CN=v1 child" -out v1-child.csr
sign -in v1-child.csr -CA v1-self.crt -CAkey v1-self.key -set_serial 5 -out v1-child.crt

rm -f ./*.csr ca.key
