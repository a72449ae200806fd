# /etc/profile.d/benchtop.sh: a login shell inside a session has the environment of its notebooks, which
# /etc/profile has just taken out of the path.
if [ -n "${BENCHTOP_BIN-}" ]; then
  PATH="$BENCHTOP_BIN:$PATH"
  export PATH
fi
