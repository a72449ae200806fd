#!/bin/bash
# run.bash HANDLE SETUP COMMAND…: read a kernel's setup.sh, then become the kernel. A line to HANDLE says that it
# was read to its end and that the command is there: provisioner.py waits for it.
benchtop_ready=$1 benchtop_setup=$2 benchtop_command=("${@:3}")
set -- # what it reads must not take the kernel's words for its own
if [ -r /etc/benchtop/modules.sh ]; then
  # shellcheck disable=SC1091 # of the node
  . /etc/benchtop/modules.sh
fi
# shellcheck disable=SC1090 # a person's own
. "$benchtop_setup" </dev/null
benchtop_status=$?
if [ "$benchtop_status" != 0 ]; then
  exit "$benchtop_status"
fi
if ! type -P -- "${benchtop_command[0]}" >/dev/null; then
  echo "${benchtop_command[0]}: not found on the PATH that setup.sh has set" >&2
  exit 127
fi
echo ready >&"$benchtop_ready"
exec {benchtop_ready}>&-
exec "${benchtop_command[@]}"
