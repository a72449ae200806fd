#!/bin/sh
# Healthy when a lookup gets through to the directory and back, as in a service.
exec getent -s ldap group people
