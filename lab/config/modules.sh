# shellcheck shell=sh
# What /etc/profile.d/benchtop-modules.sh is, and BASH_ENV of jobs: `module` and `ml` of Lmod, for sh and bash.
# It starts no program but `id`, because it is read wherever a shell begins; Lmod itself begins with its first use.
if [ -z "${LMOD_CMD-}" ] && [ -x /usr/share/lmod/lmod/libexec/lmod ]; then
  export LMOD_ROOT=/usr/share/lmod LMOD_PKG=/usr/share/lmod/lmod LMOD_DIR=/usr/share/lmod/lmod/libexec
  export LMOD_CMD=/usr/share/lmod/lmod/libexec/lmod MODULESHOME=/usr/share/lmod/lmod LMOD_SETTARG_FULL_SUPPORT=no
  # The person's own first, then their groups', then the facility's. A folder that is not there costs nothing.
  # HTCondor begins a job without $HOME; what stands in passwd is meant.
  BENCHTOP_HOME=${HOME-}
  [ -n "$BENCHTOP_HOME" ] || BENCHTOP_HOME=~
  BENCHTOP_PATHS="$BENCHTOP_HOME/modules:$BENCHTOP_HOME/privatemodules"
  for BENCHTOP_GROUP in $(id -Gn 2>/dev/null); do
    if [ -d "/software/groups/$BENCHTOP_GROUP/modules" ]; then
      BENCHTOP_PATHS="$BENCHTOP_PATHS:/software/groups/$BENCHTOP_GROUP/modules"
    fi
  done
  export MODULEPATH="${MODULEPATH:+$MODULEPATH:}$BENCHTOP_PATHS:/software/modules"
  unset BENCHTOP_HOME BENCHTOP_PATHS BENCHTOP_GROUP
fi
if [ -n "${LMOD_CMD-}" ]; then
  module() {
    eval "$("$LMOD_CMD" shell "$@")"
  }
  ml() {
    eval "$("$LMOD_DIR/ml_cmd" "$@")"
  }
  # What a script of bash begins with: a job has modules, and whoever runs bash in it
  if [ -n "${BASH_VERSION-}" ] && [ -z "${BASH_ENV-}" ]; then
    export BASH_ENV=/etc/benchtop/modules.sh
  fi
fi
