#!/bin/bash
# Point Keycloak at its realm, become Keycloak. An existing realm is left as it is.
set -Eeuo pipefail

mkdir -p /opt/keycloak/data/tmp
ln -sfn /keys/import /opt/keycloak/data/import

exec /opt/keycloak/bin/kc.sh --config-file=/keys/keycloak.conf start --optimized --import-realm
