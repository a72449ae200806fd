"""What takes the room in a home: its largest folders and files, found within seconds.

Bounded: a home may have millions of files, or be on a file server that is slow. What was not looked at by
then is not counted, and the answer says so.
"""

import heapq
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 5.0  # seconds
MOST = 15  # of each that are told
DEEP = 4  # folders that are told are at most so far below the home
_REST = 0.001  # seconds that others have after each folder: the server answers meanwhile


@dataclass(frozen=True)
class Largest:
    """The largest first, by what they take on the disk, in bytes. complete: was everything looked at?"""

    folders: list[tuple[str, int]]
    files: list[tuple[str, int]]
    total: int
    complete: bool


def largest(
    home: Path,
    *,
    patience: float = PATIENCE,
    clock: Callable[[], float] = time.monotonic,
    rest: Callable[[float], None] = time.sleep,
) -> Largest:
    """Of a home, without other file systems that are mounted in it; each file counts once."""
    end = clock() + patience
    device = home.stat().st_dev
    sizes: dict[str, int] = {}
    files: list[tuple[int, str]] = []
    seen: set[int] = set()
    ahead: list[tuple[str, int]] = [("", 0)]  # breadth first: what is cut off is deep down
    complete, at = True, 0
    while at < len(ahead):
        if clock() > end:
            complete = False
            break
        folder, depth = ahead[at]
        at += 1
        own = 0
        try:
            with os.scandir(home / folder) as entries:
                for entry in entries:
                    try:
                        about = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    if about.st_dev != device or (about.st_nlink > 1 and about.st_ino in seen):
                        continue
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if stat.S_ISDIR(about.st_mode):
                        ahead.append((path, depth + 1))
                        continue
                    if about.st_nlink > 1:
                        seen.add(about.st_ino)
                    size = about.st_blocks * 512
                    own += size
                    if size and len(files) < MOST:
                        heapq.heappush(files, (size, path))
                    elif size:
                        heapq.heappushpop(files, (size, path))
        except OSError:
            complete = False
        for name in _above(folder):
            sizes[name] = sizes.get(name, 0) + own
        rest(_REST)
    told = ((path, size) for path, size in sizes.items() if path and size and path.count("/") < DEEP)
    folders = heapq.nlargest(MOST, told, key=lambda found: found[1])
    return Largest(
        folders, [(path, size) for size, path in sorted(files, reverse=True)], sizes.get("", 0), complete
    )


def _above(folder: str) -> list[str]:
    """A folder, all that it is in, and the home itself, which is called ""."""
    parts = folder.split("/") if folder else []
    return ["", *("/".join(parts[:number]) for number in range(1, len(parts) + 1))]
