#!/bin/bash
# Build slapd's configuration from /etc/ldap/benchtop, the services' accounts from /keys, the
# people's database when there is none yet; then become slapd.
set -Eeuo pipefail

base=dc=benchtop,dc=example
config=/run/slapd/config

# slapd reserves memory for each descriptor it might open; the engine's limit is a million.
ulimit -n 4096

umask 077
mkdir -p "$config" /run/slapd/services /var/lib/ldap/people
slapadd -F "$config" -n 0 -l /etc/ldap/benchtop/slapd.ldif

# ou=services: one account for each password file. The passwords are 256 random bits, so
# argon2's default cost is enough, and hashing all of them takes a few milliseconds.
{
  printf 'dn: ou=services,%s\nobjectClass: organizationalUnit\nou: services\n\n' "$base"
  for key in /keys/services/*; do
    name=$(basename "$key")
    printf 'dn: cn=%s,ou=services,%s\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: %s\nuserPassword: %s\n\n' \
      "$name" "$base" "$name" "$(slappasswd -o module-path=/usr/lib/ldap -o module-load=argon2 -h '{ARGON2}' -T "$key")"
  done
} | slapadd -F "$config" -b "ou=services,$base"

# A first start that was interrupted left a half-made database: base.ldif goes in whole or not at all.
if ! slapcat -F "$config" -b "$base" -s "cn=people,ou=groups,$base" 2>/dev/null | grep -q '^dn:'; then
  rm -f /var/lib/ldap/people/*.mdb
  slapadd -F "$config" -b "$base" -l /etc/ldap/benchtop/base.ldif
  echo "made an empty directory $base"
fi

# -d: stay in the foreground. LDAP_LOG=stats logs each request, for whoever looks for a fault.
exec slapd -d "${LDAP_LOG:-none}" -F "$config" \
  -h "ldap://0.0.0.0:389/ ldap://0.0.0.0:390/ ldapi://%2Frun%2Fslapd%2Fldapi"
