"""Watch what a session's memory is used for, so that a kernel ends and not the session.

A batch system ends the whole job when it takes more memory than it asked for, JupyterLab included: the page
says no more than that the server is away. So this looks first, several times a second, and ends what took
the most: a kernel, which JupyterLab starts again, or a program of a terminal. Where the kernel of the system
looks after memory (cgroups), it is told by oom_score_adj whom to end.

Nothing but the standard library, and no import when it is not needed: a session's start waits for it.
"""

import contextlib
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchtop_lab.login_node import processes

PAGE = resource.getpagesize()
# Seconds between looks: often above half of what was granted. A kernel may take 2 GB in a second, and the
# batch system must not see it above its share: it looks every five seconds and ends the whole session.
EVERY, OFTEN = 0.1, 0.02
# The part of what was granted that is never used: a batch system that looks in the moment of the excess
# would end the session, kernel and all.
RESERVE = 32
ANEW = 2.0  # seconds after which it is looked anew which processes there are
# By how much of the node's memory, in thousandths, the kernel of the system takes what a session starts for
# larger than it is: it goes before JupyterLab, and not before somebody else who takes a good part.
FIRST_TO_GO = 100


def resident(pid: int) -> int:
    """Bytes of memory that a process has, shared ones included; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError, ValueError):
        return 0


def root_of(pid: int, everybody: Mapping[int, processes.Process]) -> int:
    """The first process of the job: the uppermost of the same person's that `pid` descends from."""
    while (own := everybody.get(pid)) and (above := everybody.get(own.parent)) and above.uid == own.uid:
        pid = own.parent
        if pid == 1:
            break
    return pid


def below(pid: int, everybody: Mapping[int, processes.Process]) -> list[int]:
    """All that descends from a process, and itself."""
    return [pid, *processes.offspring(pid, everybody)]


@dataclass
class Watch:
    """Of one session. granted: bytes that it asked for; kernels: the process of each kernel, by its number.

    ended: who was ended, by process, each with the bytes in use then
    """

    granted: int
    kernels: Callable[[], Mapping[int, str]]
    said: Callable[[str], None]
    shared_once: bool = False
    used: int = 0
    ended: dict[int, int] = field(default_factory=dict)
    _everybody: dict[int, processes.Process] = field(default_factory=dict)
    _job: list[int] = field(default_factory=list)
    _told: set[int] = field(default_factory=set)

    def start(self) -> None:
        """Look for as long as the session runs."""
        threading.Thread(target=self._watch, name="memory", daemon=True).start()

    def _watch(self) -> None:
        pause = threading.Event()  # nobody sets it
        since = ANEW
        while True:
            if since >= ANEW:
                self.look_around()
                since = 0.0
            self.look()
            every = OFTEN if self.used > self.granted / 2 else EVERY
            pause.wait(every)
            since += every

    def look_around(self) -> None:
        """See which processes there are, and which the kernel of the system is to end first."""
        own = os.getpid()
        self._everybody = processes.processes()
        self._job = below(root_of(own, self._everybody), self._everybody)
        for pid in self._children_of(own):
            if pid not in self._told:
                self._told.add(pid)
                with contextlib.suppress(OSError):
                    own_worth = int(Path("/proc/self/oom_score_adj").read_text())
                    Path(f"/proc/{pid}/oom_score_adj").write_text(str(own_worth + FIRST_TO_GO))

    @property
    def most(self) -> int:
        """Bytes that may be in use."""
        return self.granted - self.granted // RESERVE

    def look(self) -> None:
        """End what takes the most, if all together take too much."""
        self.used = self._of(self._job)
        if self.used <= self.most:
            return
        self.look_around()
        self.used = self._of(self._job)
        if self.used > self.most:
            self._relieve()

    def _of(self, pids: Iterable[int]) -> int:
        every = list(pids)
        used = sum(map(resident, every))
        return processes.memory(every) << 20 if self.shared_once and used > self.most else used

    def _children_of(self, pid: int) -> list[int]:
        return [found.pid for found in self._everybody.values() if found.parent == pid]

    def _above(self, pid: int) -> set[int]:
        """A process and all that it descends from."""
        found = {pid}
        while (known := self._everybody.get(pid)) and known.parent not in found:
            found.add(pid := known.parent)
        return found

    def _relieve(self) -> None:
        """End a kernel with all that it started, or the largest program of a terminal."""
        own = os.getpid()
        trees = {child: below(child, self._everybody) for child in self._children_of(own)}
        # what cut itself loose hangs on the job's first process, or on none that is known
        inside = {pid for tree in trees.values() for pid in tree}
        trees |= {pid: [pid] for pid in self._job if pid not in inside and pid not in self._above(own)}
        if not trees:
            return
        used = self.used
        worst = max(trees, key=lambda child: self._of(trees[child]))
        if self._of(trees[worst]) < resident(own):
            return  # JupyterLab itself takes the most: nobody else is to go for it
        known = self.kernels()
        out = trees[worst] if worst in known else [max(trees[worst], key=resident)]
        for pid in out:
            self.ended[pid] = used
        processes.kill(list(reversed(out)), signal.SIGKILL)
        what = f"the kernel {known[worst]}" if worst in known else f"the process {out[0]}"
        asked = f"{used >> 20} MB of {self.granted >> 20} MB"
        self.said(f"memory: {asked} in use: {what} was ended")
        self.look_around()
