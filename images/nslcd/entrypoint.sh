#!/bin/bash
# Put the bind password into the configuration, in memory and readable by nslcd alone; become nslcd.
set -Eeuo pipefail
umask 077

ulimit -n 4096 # the engine's limit is a million, and nslcd closes each one at start

{
  cat /etc/benchtop/nslcd.conf
  printf 'bindpw %s\n' "$(</keys/bind.password)"
} >/run/nslcd-config/nslcd.conf

# The socket is for every user of every service.
umask 022
exec nslcd --nofork
