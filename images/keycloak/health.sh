#!/bin/sh
# Healthy when it says so itself (its database answers) and serves what Apache builds on: the
# SAML descriptor of the realm.
set -e
curl --silent --fail --max-time 5 --output /dev/null http://127.0.0.1:8080/health/ready
curl --silent --fail --max-time 5 http://127.0.0.1:8080/realms/benchtop/protocol/saml/descriptor | grep -q SingleSignOnService
