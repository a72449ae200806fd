"""What `{cmd}` in a batch script stands for: the session is started, and stood by.

A shell stays beside it. Whatever ends the session (memory that ran out, a crash, a Python that is not
there), somebody is left to tell the hub what its log says last.
"""

import shlex

# The first thing that a job does: it gets a folder of its own on the node, and its log. That is in the home
# ($BENCHTOP_LOG) where the home takes it; it may be full or away, or have a pipe there that would hold up
# whoever opens it. Else it is `elsewhere`. For any shell: sh ends at a redirection that fails.
_LOG = """\
BENCHTOP_RUN=$(mktemp -d /tmp/benchtop.$$.XXXXXX || mktemp -d /var/tmp/benchtop.$$.XXXXXX)
export BENCHTOP_RUN
if [ -e "$BENCHTOP_LOG" ] || [ -L "$BENCHTOP_LOG" ]; then [ -f "$BENCHTOP_LOG" ]; fi &&
  (umask 077; head -c 65536 /dev/zero >"$BENCHTOP_LOG") 2>/dev/null || BENCHTOP_LOG={elsewhere}
exec >"${{BENCHTOP_LOG:-/dev/null}}" 2>&1
"""
# The end of the session is the end of the job, so its exit status is the job's; a signal that killed it kills
# the shell as well, by which the scheduler tells it from one that stopped by itself. The report has the token
# from the environment. Whoever was told to end (ending) has nothing to explain.
# No job control (set -m): with it, bash 5.2 sometimes waits for ever for a child that died just now, and
# writes a line about it into the log some 200,000 times a second. A plain wait remembers who is gone.
STAND_BY = """\
while kill -0 "$!" 2>/dev/null; do wait "$!"; done  # a signal ends a wait, too
wait "$!"; status=$?
"""
LEAVE = """\
[ "$status" -le 128 ] || kill -s "$((status - 128))" $$ 2>/dev/null
exit "$status"
"""
_RUN = """\
ending=
trap 'ending=yes; kill -TERM "$!" 2>/dev/null' TERM
# bash has whom it starts beside it ignore Ctrl-C, and kernels and terminals would do so as well
env --default-signal=INT,QUIT {python} -I -m benchtop_lab.session {arguments}&
{stand_by}[ "$status" = 0 ] || [ "$ending" ] || {python} -I -m benchtop_lab.report "$status"
[ -z "$BENCHTOP_RUN" ] || rm -rf -- "$BENCHTOP_RUN"
{leave}"""


def open_log(elsewhere: str) -> str:
    """Lines that give a job its folder and its log.

    elsewhere: where the log is if not in the home, as a shell's word
    """
    return _LOG.format(elsewhere=elsewhere)


def command(python: str, arguments: list[str]) -> str:
    """One command for a shell, as a wrapper like srun can start it.

    python: of the sessions, on the nodes; arguments: for JupyterLab
    """
    words = "".join(f"{shlex.quote(word)} " for word in arguments)
    text = _RUN.format(python=shlex.quote(python), arguments=words, stand_by=STAND_BY, leave=LEAVE)
    return f"/bin/bash -c {shlex.quote(text)} session"
