"""What `{cmd}` in a batch script stands for: the session is started, and stood by.

A shell stays beside it. Whatever ends the session (memory that ran out, a crash, a Python that is not
there), somebody is left to tell the hub what its log says last.
"""

import shlex

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
{stand_by}[ "$status" = 0 ] || [ "$ending" ] || {python} -I -m benchtop_lab.report
{leave}"""


def command(python: str, arguments: list[str]) -> str:
    """One command for a shell, as a wrapper like srun can start it.

    python: of the sessions, on the nodes; arguments: for JupyterLab
    """
    words = "".join(f"{shlex.quote(word)} " for word in arguments)
    text = _RUN.format(python=shlex.quote(python), arguments=words, stand_by=STAND_BY, leave=LEAVE)
    return f"/bin/bash -c {shlex.quote(text)} session"
