"""Where a session's log is: in the home, if that takes it.

A home may be full, away, or have a pipe where the log belongs, which would hold up whoever opens it. Then the
log is in the session's own folder on the node. A job's script decides the same by a shell:
hub/benchtop_hub/backends/run.py.
"""

import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from benchtop_lab.home.room import fill

FOLDER = "BENCHTOP_RUN"  # of the environment: the session's own folder on the node
PREFIX = "benchtop."  # of such a folder, before the number of the process that it goes with
PARENTS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 each makes a name that nobody has
_FLAGS = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK | os.O_NOCTTY


def new_folder() -> str:
    """A folder of one's own on this node, of a short path. Raises OSError."""
    for parent in PARENTS:
        try:
            return tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}.", dir=parent)
        except OSError as error:
            why = error
    raise why


def remove_left(parents: tuple[str, ...] = PARENTS) -> None:
    """Remove the folders of whoever runs this whose session was killed before it could do so."""
    for entry in (entry for parent in parents for entry in Path(parent).glob(f"{PREFIX}*.*")):
        number = entry.name.split(".")[1]
        with suppress(OSError):
            if (
                number.isdecimal()
                and entry.lstat().st_uid == os.getuid()
                and not Path("/proc", number).exists()
            ):
                shutil.rmtree(entry, ignore_errors=True)


def open_log(wanted: str, folder: str) -> int:
    """A handle to write a log to, as wanted or else in `folder`, which may be "". Raises OSError."""
    try:
        about = Path(wanted).stat()
        there = stat.S_ISREG(about.st_mode)
    except FileNotFoundError:
        there = not Path(wanted).is_symlink()
    except OSError:
        there = False
    if there:
        try:
            handle = os.open(wanted, _FLAGS, 0o600)
        except OSError:
            handle = -1
        if handle >= 0:
            try:
                fill(handle)
                os.truncate(handle, 0)
                os.lseek(handle, 0, os.SEEK_SET)
            except OSError:
                os.close(handle)
            else:
                return handle
    return os.open(f"{folder}/log" if folder else os.devnull, _FLAGS, 0o600)
