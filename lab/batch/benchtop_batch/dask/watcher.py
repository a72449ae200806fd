"""Ends jobs whose notebook is gone, however it went.

A kernel that is killed with signal 9 tells nobody, and jobs that wait in the queue would start one after the
other, only to find no scheduler. So a small process of its own knows them, by a pipe: when its other end
closes, it cancels them and removes the cluster's keys. It ignores the signals that end a session, so that it
has the time that the batch system gives.

Nothing but the standard library.
"""

import atexit
import os
import shlex
import subprocess
import threading

# Jobs that are over are cancelled once more, which does nothing: numbers are not used twice.
_SCRIPT = """
trap '' HUP INT TERM
slurm= condor= files=
while read -r what name; do
  case $what in
    slurm) slurm="$slurm $name" ;;
    condor) condor="$condor $name" ;;
    file) files="$files $name" ;;
  esac
done
eval "rm -f -- $files"
[ -z "$slurm" ] || scancel --quiet $slurm
[ -z "$condor" ] || condor_rm $condor
"""


class Watcher:
    """One for all clusters of this process, begun with the first job."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner, self._pipe = 0, -1
        self._lock = threading.Lock()

    def know(self, what: str, name: str) -> None:
        """Have it cancel a job ("slurm", "condor") or remove a file ("file") when this process is gone."""
        if what == "file":
            name = shlex.quote(name)
        with self._lock:
            if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
                self._begin()
            os.write(self._pipe, f"{what} {name}\n".encode())

    def _begin(self) -> None:
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=quiet,
            stderr=quiet,
            start_new_session=True,
        )
        self._owner, self._pipe = os.getpid(), self._process.stdin.fileno() if self._process.stdin else -1

    def leave(self) -> None:
        """In a child of this process: its death says nothing, and its life must not hide this one's death."""
        if self._process is not None and self._process.stdin is not None:
            os.close(self._process.stdin.fileno())
        self._process = None


WATCHER = Watcher()
os.register_at_fork(after_in_child=WATCHER.leave)


def _see_out() -> None:
    """When this process ends as it should: the pipe closes, and nobody waits for the watcher."""
    process = WATCHER._process
    if process is not None and process.stdin is not None:
        process.returncode = 0  # it outlives this process; subprocess would warn of it
        process.stdin.close()


atexit.register(_see_out)
