"""Can a session live in this home, does it still take anything, and how full is it?

Nothing but the standard library: this is asked before anything of Jupyter is loaded.
"""

import contextlib
import errno
import os
import pwd
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

NEARLY = 0.9  # of the room or of the number of files: from here on it is warned of
PROBE = 64 << 10  # bytes that a home takes which is not full; a notebook has more
_WHY = {
    errno.ENOSPC: "it is full",
    errno.EDQUOT: "your quota there is used up",
    errno.EROFS: "it is read-only",
    errno.EACCES: "its permissions do not let you write there",
    errno.EPERM: "its permissions do not let you write there",
}


def owner(about: os.stat_result) -> str:
    """The login name of whoever a file belongs to, or their number."""
    try:
        return pwd.getpwuid(about.st_uid).pw_name
    except KeyError:
        return f"uid {about.st_uid}"


def unusable(home: Path) -> str:
    """Why no session can live in a home, as a sentence that ends one; "" where one can."""
    where = f"your home folder {home}"
    try:
        about = home.stat()
    except FileNotFoundError:
        return f"{where} does not exist on {socket.gethostname()}"
    except OSError as error:
        return f"{where} cannot be looked at: {error.strerror}"
    if not home.is_dir():
        return f"{where} is not a folder"
    if about.st_uid != os.getuid():
        return f"{where} belongs to {owner(about)}, not to you"
    if not os.access(home, os.R_OK | os.X_OK):
        mode = f"{about.st_mode & 0o7777:04o}"
        return f"the permissions of {where} (mode {mode}) do not let you in; 0700 would"
    return ""


def fill(handle: int) -> None:
    """Write as much as a home takes that is not full. Raises OSError."""
    left = memoryview(bytes(PROBE))
    while left:
        left = left[os.write(handle, left) :]


def refuses(home: Path) -> str:
    """Why a home takes nothing more, as the end of a sentence; "" while it does."""
    probe = home / f".benchtop-{secrets.token_hex(8)}"
    try:
        handle = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            fill(handle)
        finally:
            os.close(handle)  # some file servers say only here that there is no room
    except OSError as error:
        return _WHY.get(error.errno or 0, error.strerror or "nothing can be written there")
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return ""


@dataclass(frozen=True)
class Usage:
    """How full a home is: bytes, and the share of its room or of its number of files, whichever is more."""

    used: int
    size: int
    share: float
    files: bool = False  # is it the number of files of which there is little left?

    @property
    def nearly_full(self) -> bool:
        """Is it time to say so?"""
        return self.share >= NEARLY


def usage(home: Path) -> Usage:
    """Of the file system that a home is on, as far as a person may use it. Raises OSError."""
    about = os.statvfs(home)
    used = (about.f_blocks - about.f_bfree) * about.f_frsize
    size = used + about.f_bavail * about.f_frsize
    room = used / size if size else 0.0
    taken = about.f_files - about.f_ffree
    count = taken / (taken + about.f_favail) if about.f_files and taken + about.f_favail else 0.0
    return Usage(used, size, max(room, count), count > room)
