"""Which documents are open in another session of the same person at this moment.

All their sessions have the same home, and each page saves what it shows: whoever saves last overwrites the
other. So each server writes down in the home what is open in it, as long as it is, and reads what others have
written. A home that is full costs no more than the warning.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

FRESH = 150.0  # seconds for which an entry counts; pages and servers repeat theirs every minute
MOST, LARGEST = 200, 65536  # documents of a session, and bytes of what is written down
FOLDER = Path(".cache", "benchtop", "open")


class Board:
    """What is open, as the sessions of one person tell each other. own: this session's name"""

    def __init__(self, home: Path, own: str) -> None:
        self.folder, self.own = home / FOLDER, own
        self._pages: dict[str, tuple[float, frozenset[str]]] = {}

    def shown(self, page: str, paths: Iterable[str], now: float | None = None) -> None:
        """A page shows these now, and not what it showed before."""
        now = time.time() if now is None else now
        self._pages[page] = now, frozenset(list(paths)[:MOST])
        for old in [known for known, (at, _) in self._pages.items() if at < now - FRESH]:
            del self._pages[old]

    def write(self, kernels: Iterable[str], now: float | None = None) -> None:
        """Write down what pages show, and whose kernels run here. Fails silently: it is a help, no more."""
        now = time.time() if now is None else now
        fresh = (paths for at, paths in self._pages.values() if at >= now - FRESH)
        paths = sorted(frozenset(kernels).union(*fresh))[:MOST]
        file = self.folder / f"{self.own}.json"
        with contextlib.suppress(OSError):
            if not paths:
                file.unlink(missing_ok=True)
                return
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            new = file.with_name(f".{self.own}.{os.getpid()}")
            new.write_text(json.dumps({"at": now, "paths": paths}))
            new.replace(file)

    def others(self, paths: Iterable[str], now: float | None = None) -> Mapping[str, list[str]]:
        """Which of these are open in which other sessions; only those that are."""
        now = time.time() if now is None else now
        asked, found = set(paths), dict[str, list[str]]()
        for name, open_there in self._read(now):
            for path in sorted(asked & open_there):
                found.setdefault(path, []).append(name)
        return found

    def _read(self, now: float) -> list[tuple[str, set[str]]]:
        found = []
        with contextlib.suppress(OSError):
            for file in sorted(self.folder.glob("*.json")):
                if file.stem == self.own:
                    continue
                with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                    if file.stat().st_size <= LARGEST:
                        said = json.loads(file.read_text())
                        if float(said["at"]) >= now - FRESH:
                            found.append((file.stem, set(map(str, said["paths"]))))
        return found
