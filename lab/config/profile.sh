# /etc/profile.d/benchtop.sh: how programs reach the internet, as `make up` found it.
if [ -r /etc/benchtop/egress/profile.sh ]; then
  . /etc/benchtop/egress/profile.sh
fi
# A login shell inside a session has the environment of its notebooks, which
# /etc/profile has just taken out of the path.
if [ -n "${BENCHTOP_BIN-}" ]; then
  PATH="$BENCHTOP_BIN:$PATH"
  export PATH
fi
