#!/bin/sh
# Healthy when a service that looks people up gets an answer: a bind over the network, as nslcd.
exec ldapsearch -LLL -x -o nettimeout=3 -H ldap://127.0.0.1:389/ \
  -D cn=nslcd,ou=services,dc=benchtop,dc=example -y /keys/services/nslcd \
  -s base -b cn=people,ou=groups,dc=benchtop,dc=example gidNumber
