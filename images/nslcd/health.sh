#!/bin/sh
# Healthy when a lookup gets through to the directory and back, as on a node.
exec getent -s ldap group people
