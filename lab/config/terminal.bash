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
