"""Show how far a map is, and why it waits: in a notebook by one line that changes."""

import html
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from benchtop_batch.maps import pool, words

AT_FIRST = 2.0  # seconds until a notebook is told how far a map is that was not asked to say it
BETWEEN = 0.5  # … between two changes of the line
LOOK = 5.0  # … between two looks at the queue
GONE = 3  # looks in a row that find nothing in the queue until that is believed
SLOTS = "PartitionableSlot =?= true || (PartitionableSlot =!= true && DynamicSlot =!= true)"


class Queue:
    """What HTCondor's queue says of a map, asked for beside whoever waits."""

    def __init__(self, map_: Any) -> None:
        self._map = map_
        self._next = 0.0
        self._empty = 0
        self._thread: threading.Thread | None = None
        self.why = ""

    @property
    def vanished(self) -> bool:
        """Is nothing of the map in the queue, for certain?"""
        return self._empty >= GONE

    def look(self) -> None:
        """Ask again when it is time, without waiting for the answer."""
        now = time.monotonic()
        if now < self._next or (self._thread and self._thread.is_alive()):
            return
        self._next = now + LOOK
        self._thread = threading.Thread(target=self._ask, name="htmap-queue", daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        import htcondor

        try:
            from htmap import condor

            schedd = condor.get_schedd()
            jobs = schedd.query(constraint=self._map._requirements("JobStatus < 3 || JobStatus > 4"), limit=1)
            self._empty = 0 if jobs else self._empty + 1
            waiting = schedd.query(constraint=self._map._requirements("JobStatus == 1"), limit=1)
            if not waiting:
                self.why = ""
                return
            job = waiting[0]
            offered = htcondor.Collector().query(htcondor.AdTypes.Startd, constraint=SLOTS)
            rejected = str(job.get("LastRejMatchReason", "")).strip()
            self.why = pool.explain(pool.wants(job), rejected, pool.slots(job, offered))
        except Exception as trouble:
            self.why = f"HTCondor does not answer at the moment ({type(trouble).__name__})"


class Progress:
    """One line on a map, for one wait."""

    def __init__(self, map_: Any, *, asked: bool) -> None:
        """Asked: does the person want to see it from the beginning?"""
        self._map = map_
        self._asked = asked
        self._began = self._shown = time.monotonic()
        self._line: Any = None
        self._bar: Any = None
        self._text = ""
        self.queue = Queue(map_)

    def update(self, statuses: Iterable[Any]) -> None:
        """Say how far it is, when that is to be said."""
        now = time.monotonic()
        counts = Counter(str(status) for status in statuses)
        total = sum(counts.values())
        over = counts["COMPLETED"] == total
        waits = bool(counts["IDLE"] + counts["UNMATERIALIZED"]) and not counts["RUNNING"]
        if now - self._began > AT_FIRST and not over:
            self.queue.look()
        if not in_notebook():
            self._terminal(counts, total)
            return
        if not self._asked and self._line is None and (over or now - self._began < AT_FIRST):
            return
        if not over and self._line is not None and now - self._shown < BETWEEN:
            return
        self._shown = now
        why = (self.queue.why if waits else "") or full(self._map._map_dir)
        self._notebook(words.progress(self._map.tag, total, counts, why), counts["COMPLETED"], total)

    def close(self) -> None:
        """It is over, or the person has interrupted it."""
        if self._bar is not None:
            self._bar.close()

    def _terminal(self, counts: Counter[str], total: int) -> None:
        if not self._asked:
            return
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(desc=self._map.tag, total=total, unit="component", ascii=True)
        self._bar.update(counts["COMPLETED"] - self._bar.n)

    def _notebook(self, text: str, done: int, total: int) -> None:
        if text == self._text:
            return
        self._text = text
        shown = Line(text, done, total)
        if self._line is None:
            from IPython.display import display

            self._line = display(shown, display_id=True)
        else:
            self._line.update(shown)


class Line:
    """What a notebook shows, and keeps when it is saved."""

    def __init__(self, text: str, done: int, total: int) -> None:
        self._text, self._done, self._total = text, done, total

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return (
            f'<progress value="{self._done}" max="{self._total}" aria-hidden="true"></progress> '
            f'<span role="status">{html.escape(self._text)}</span>'
        )


def in_notebook() -> bool:
    """Does this run in a kernel?"""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


def full(folder: os.PathLike[str]) -> str:
    """What there is to say of a home in which nothing can be written; "" for any other."""
    try:
        room = os.statvfs(folder)
    except OSError:
        return ""
    if room.f_bavail:
        return ""
    return "your home has no space left, so no component can put its result there"
