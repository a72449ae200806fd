"""A person's copies of the tutorials: NAME.ipynb, and NAME-2.ipynb and so on beside it.

Nothing here writes to a file that exists. Nothing but the standard library.
"""

import contextlib
import errno
import json
import os
import re
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

from benchtop_lab.tutorials.notebooks import ABOUT, Notebook, UnreadableError, read

AROUND = 2  # lines that are shown before and after one that differs
MOST = 4000  # lines of a notebook that are compared, and of what is shown
NAMES = 1000  # copies of one tutorial in a folder
FULL = {errno.ENOSPC, errno.EDQUOT}


class NoCopyError(Exception):
    """A tutorial was not copied; the message is a sentence that says why and what to do."""


@dataclass(frozen=True)
class State:
    """What somebody has of a tutorial.

    file: the copy that is opened next; None where there is none yet
    newer: has the facility another version than the one that it was made from?
    edited: have its cells been changed since?
    unreadable: files that bear the name of a copy, and are none: name → why, as the end of a sentence
    """

    file: Path | None
    newer: bool
    edited: bool
    unreadable: dict[str, str]


def look(folder: Path, name: str, tutorial: Notebook) -> State:
    """What there is of it: of several copies one of the facility's own version, otherwise the latest."""
    unreadable: dict[str, str] = {}
    readable: list[tuple[bool, int, Path, Notebook]] = []
    for number, file in _copies(folder, name):
        try:
            found = read(file)
        except UnreadableError as error:
            unreadable[file.name] = str(error)
            continue
        same = tutorial.version in {found.made_from, found.version}
        readable.append((same, number, file, found))
    if not readable:
        return State(None, newer=False, edited=False, unreadable=unreadable)
    same, _, file, found = max(readable, key=lambda copy: copy[:2])
    return State(file, not same, found.version != (found.made_from or tutorial.version), unreadable)


def _copies(folder: Path, name: str) -> list[tuple[int, Path]]:
    """What bears the name of one, with its number."""
    pattern = re.compile(rf"{re.escape(name)}(?:-([1-9]\d{{0,3}}))?\.ipynb")
    try:
        there = [(pattern.fullmatch(entry.name), Path(entry.path)) for entry in os.scandir(folder)]
    except OSError:
        return []
    return sorted((int(found[1] or 1), path) for found, path in there if found)


def make(folder: Path, name: str, tutorial: Notebook) -> Path:
    """A new copy, by a name that nothing else has. Raises NoCopyError, and leaves nothing behind then."""
    noted = {**tutorial.about, "tutorial": name, "version": tutorial.version}
    metadata = {**tutorial.document["metadata"], ABOUT: noted}
    document = {**tutorial.document, "metadata": metadata}
    content = json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"
    try:
        folder.mkdir(exist_ok=True)
        for number in islice(count(1), NAMES):
            file = folder / (f"{name}.ipynb" if number == 1 else f"{name}-{number}.ipynb")
            with contextlib.suppress(FileExistsError):
                _write(file, content)
                return file
    except OSError as error:
        raise NoCopyError(_why(error, folder)) from None
    raise NoCopyError(f"There are {NAMES} copies of this tutorial in ~/{folder.name}: remove some of them.")


def _write(file: Path, content: bytes) -> None:
    """A file that was not there before. Raises OSError, and leaves none then."""
    with file.open("xb", buffering=0) as opened:  # "x": an error where something has the name, a link as well
        try:
            written = 0
            while written < len(content):
                written += opened.write(content[written:])
            os.fsync(opened.fileno())  # some file servers say only here that there is no room
        except OSError:
            file.unlink(missing_ok=True)
            raise


def _why(error: OSError, folder: Path) -> str:
    shown = f"~/{folder.name}"
    if error.errno in FULL:
        return (
            "There is no room in your home folder for a copy of the tutorial. Remove what you no longer need"
            " (“Home” in the bar at the bottom shows what is large), then open the tutorial again."
        )
    if error.errno in {errno.EEXIST, errno.ENOTDIR}:
        return (
            f"Tutorials are copied into {shown}, which is there and is no folder: rename it, then try again."
        )
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return f"You may not write in {shown}: run chmod u+rwx {shown} in a terminal, then try again."
    return f"The tutorial cannot be copied into {shown}: {error.strerror}."


def difference(copy: Notebook, tutorial: Notebook) -> list[str]:
    """How a copy differs from the facility's notebook, as lines.

    They begin with "-" for what only the copy has, "+" for what only the facility's has, " " for what both
    have, and "@" where something in between is left out. Outputs count for nothing.
    """
    import difflib  # noqa: PLC0415 the server's start does not wait for it

    mine, new = (list(islice(notebook.lines(), MOST + 1)) for notebook in (copy, tutorial))
    cut = max(len(mine), len(new)) > MOST
    lines = islice(difflib.unified_diff(mine[:MOST], new[:MOST], lineterm="", n=AROUND), 2, MOST + 2)
    shown = ["@" if line.startswith("@@") else line for line in lines]
    return [*shown, "@", f" Only the first {MOST} lines were compared."] if cut else shown
