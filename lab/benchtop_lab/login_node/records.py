"""What became of each session of this node: a record that all may read and only its owner can change.

A record is a file in a folder of that person's own, which root makes when they first come
(images/node/login/login-principals). So nobody can put anything in the way of somebody else's records, and of
each person a bounded number is looked at. What stands in a record of another's is believed as little as any
text of a stranger.
"""

import contextlib
import errno
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from benchtop_lab.login_node.processes import process

RECORDS = Path("/run/sessions")  # root's; a folder a person, by uid
LOOKED_AT = 20  # files of one person, whatever they are: nobody makes the list long for all
KEPT = ("pid", "born", "state", "reason", "mark")  # of a record, in its file
LONGEST_RECORD = 1000  # bytes; it is somebody else's text
STATES = ("RUNNING", "COMPLETED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY", "CANCELLED")
MARK = re.compile(r"[a-z0-9:_-]{0,150}")  # by which a hub knows its own sessions
# What reading such a text may raise: a number without an end and a list in a list in a list, too
_NO_RECORD = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError)
_SECOND = re.compile(r"\d{1,12}")  # the name of a record in its owner's folder


@dataclass(frozen=True)
class Record:
    """What is known of one session. Its name is UID-SECOND: its owner's folder, and its file there."""

    name: str
    pid: int = 0
    born: int = 0
    state: str = "RUNNING"
    reason: str = ""
    mark: str = ""

    @property
    def number(self) -> str:
        """By which the hub knows it."""
        return f"local-{self.name}"

    @property
    def uid(self) -> int:
        """Whose it is."""
        return int(self.name.partition("-")[0])

    @property
    def alive(self) -> bool:
        """Is it looked after? Then it runs, or is about to end."""
        found = process(self.pid)
        return bool(found and found.born == self.born and found.uid == self.uid)

    @property
    def second(self) -> str:
        """The name of its file."""
        return self.name.partition("-")[2]

    def write(self) -> None:
        """Keep it; a reader sees the old one or the new one."""
        content = json.dumps({name: getattr(self, name) for name in KEPT}).encode()
        with folder_of(self.uid) as folder:
            new = f".{secrets.token_hex(8)}"
            with _made(new, folder) as file:
                file.write(content)
            os.replace(new, self.second, src_dir_fd=folder, dst_dir_fd=folder)

    def remove(self) -> None:
        """Forget it."""
        with folder_of(self.uid) as folder, contextlib.suppress(FileNotFoundError):
            os.unlink(self.second, dir_fd=folder)


@contextlib.contextmanager
def folder_of(uid: int) -> Iterator[int]:
    """A handle of a person's folder, which is no link and theirs. Raises OSError."""
    handle = os.open(RECORDS / str(uid), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(handle).st_uid != uid:
            raise PermissionError(errno.EPERM, "somebody else's", str(RECORDS / str(uid)))
        yield handle
    finally:
        os.close(handle)


def _made(name: str, folder: int) -> BinaryIO:
    """A file that was not there before, for everybody to read."""
    flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY
    handle = os.open(name, flags, 0o600, dir_fd=folder)
    os.fchmod(handle, 0o644)
    return os.fdopen(handle, "wb")


def records() -> list[Record]:
    """Every record that is in its owner's hand, the oldest first; what somebody made up is left out."""
    uids = [int(entry.name) for entry in RECORDS.iterdir() if entry.name.isdecimal()]
    return sorted((record for uid in uids for record in records_of(uid, LOOKED_AT)), key=age)


def own_records() -> list[Record]:
    """All of whoever runs this."""
    return sorted(records_of(os.getuid()), key=age)


def clear_folder(kept: Collection[str]) -> None:
    """Remove from the folder of whoever runs this what is no record, and records that nobody came for."""
    with folder_of(os.getuid()) as folder, os.scandir(folder) as entries:
        for name in [entry.name for entry in entries if entry.name not in kept]:
            if not name.startswith("."):  # that is being written
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=folder)


def records_of(uid: int, most: int | None = None) -> list[Record]:
    """A person's records, of which `most` files are looked at, in no order."""
    found = []
    with contextlib.suppress(OSError), folder_of(uid) as folder, os.scandir(folder) as entries:
        for entry in islice(entries, most):
            with contextlib.suppress(OSError, *_NO_RECORD):
                found.append(_read(folder, uid, entry.name))
    return found


def _read(folder: int, uid: int, name: str) -> Record:
    if not _SECOND.fullmatch(name):
        raise ValueError("no record")
    # no link, and no pipe that nobody writes into: others make these files
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(handle)
        if about.st_uid != uid or not stat.S_ISREG(about.st_mode):
            raise ValueError("somebody else's, or no file")
        content = json.loads(file.read(LONGEST_RECORD))
    state, reason = STATES[STATES.index(content["state"])], str(content["reason"])
    mark = str(content.get("mark", ""))
    if not MARK.fullmatch(mark):
        raise ValueError("no mark")
    return Record(f"{uid}-{name}", int(content["pid"]), int(content["born"]), state, reason, mark)


def new_record(mark: str) -> Record:
    """A record of a name that none of this person's has had, held by this process. Raises OSError."""
    here = process(os.getpid())
    assert here  # noqa: S101 it is the one that asks
    second = int(time.time())
    with folder_of(os.getuid()) as folder:
        while True:
            try:
                _made(str(second), folder).close()
                break
            except FileExistsError:
                second += 1
    record = Record(f"{os.getuid()}-{second}", here.pid, here.born, mark=mark)
    record.write()
    return record


def age(record: Record) -> int:
    """Sorts the older first: the second in which it was made."""
    return int(record.second)
