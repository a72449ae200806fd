"""What all job scripts end with: the session is started, and stood by.

The shell stays beside it. Whatever ends the session (memory that ran out, a crash, a Python that is not
there), somebody is left to tell the hub what its log says last.
"""

# The end of the session is the end of the job, so its exit status is the job's; a signal that killed it kills
# the shell as well, by which the scheduler tells it from one that stopped by itself. The report has the token
# from the environment. Whoever was told to end (told) has nothing to explain.
# No job control (set -m): with it, bash 5.2 sometimes waits for ever for a child that died just now, and
# writes a line about it into the log some 200,000 times a second. A plain wait remembers who is gone.
RUN = """\
told=
trap 'told=yes; kill -TERM "$!" 2>/dev/null' TERM
# bash has whom it starts beside it ignore Ctrl-C, and kernels and terminals would do so as well
env --default-signal=INT,QUIT {python} -I -m benchtop_lab.session &
while kill -0 "$!" 2>/dev/null; do wait "$!"; done  # a signal ends a wait, too
wait "$!"; ended=$?
[ "$ended" = 0 ] || [ "$told" ] || {python} -I -m benchtop_lab.report
[ "$ended" -le 128 ] || kill -s "$((ended - 128))" $$ 2>/dev/null
exit "$ended"
"""
