# What a terminal of JupyterLab begins with: all that a login shell reads, and the environment of the notebooks
# around it. /etc/profile sets the path anew, and so may a person's own files.
[ ! -r /etc/profile ] || . /etc/profile
for BENCHTOP_FILE in ~/.bash_profile ~/.bash_login ~/.profile; do
  if [ -r "$BENCHTOP_FILE" ]; then
    . "$BENCHTOP_FILE"
    break
  fi
done
unset BENCHTOP_FILE
case ":$PATH:" in
  *":$BENCHTOP_BIN:"*) ;;
  *) export PATH="$BENCHTOP_BIN:$PATH" ;;
esac
if [ -n "${BENCHTOP_CONFINED-}" ]; then
  echo "This is a guest's session: it has your home and the facility's software. Programs reach the internet by its"
  echo "proxy alone, and cannot reach each other by TCP: use pipes, files or Unix sockets."
fi
