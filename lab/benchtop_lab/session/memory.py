"""Watch what a session's memory is used for, so that a kernel ends and not the session.

A batch system ends the whole job when it takes more memory than it asked for, JupyterLab included: the page
says no more than that the server is away. So this looks first, many times a second, and ends what took the
most: a kernel, which JupyterLab starts again, or a program of a terminal. Where the kernel of the system
looks after memory (cgroups), it is told by oom_score_adj whom to end.

A program of its own, started by JupyterLab (watching.py): a thread waits for its turn behind all that
JupyterLab does, a third of a second on a busy node, in which a cell takes several hundred megabytes more. It
ends with JupyterLab, whose pipe it holds, and tells what it sees by lines of JSON.

Nothing but the standard library.
"""

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchtop_lab.login_node import processes

PAGE = resource.getpagesize()
# Seconds between looks: often above half of what was granted. A kernel may take 2 GB in a second, and the
# batch system must not see it above its share: it looks every 15 seconds and ends the whole session.
EVERY, OFTEN = 0.1, 0.02
# The part of what was granted that is never used: a batch system that looks in the moment of the excess
# would end the session, kernel and all.
RESERVE = 32
ANEW = 2.0  # seconds after which it is looked anew which processes there are
TOLD = 1.0  # seconds between two times that it tells what is used
# By how much of the node's memory, in thousandths, the kernel of the system takes what a session starts for
# larger than it is: it goes before JupyterLab, and not before somebody else who takes a good part.
FIRST_TO_GO = 100
# The package by its folder: a session may run in another Python, and what is somebody's own stays out of it.
_PACKAGE = str(Path(__file__).parents[2])
_PROGRAM = (
    f"import sys; sys.path.insert(0, {_PACKAGE!r}); import benchtop_lab.session.memory as own; own.main()"
)


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


def has_terminal(pid: int) -> bool:
    """Does a process have a terminal? Of what JupyterLab starts, all but kernels do."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[4] != "0"
    except (OSError, IndexError):
        return False


@dataclass
class Watch:
    """Of one session. granted: bytes that it asked for; server: JupyterLab's process

    tell: called with what is seen: {"used": bytes} and, of what is ended now, {"ended": its processes}
    shared_once: is memory that processes share counted once?
    """

    granted: int
    server: int
    tell: Callable[[Mapping[str, object]], None]
    shared_once: bool = False
    used: int = 0
    _everybody: dict[int, processes.Process] = field(default_factory=dict)
    _job: list[int] = field(default_factory=list)
    _known: set[int] = field(default_factory=set)

    def run(self, stop: int) -> None:
        """Look until the other end of `stop`, a file descriptor, is closed."""
        closed = select.poll()
        closed.register(stop, select.POLLIN)
        since, told = ANEW, 0.0
        while True:
            if since >= ANEW:
                self.look_around()
                since = 0.0
            self.look()
            if time.monotonic() - told >= TOLD:
                self.tell({"used": self.used})
                told = time.monotonic()
            every = OFTEN if self.used > self.granted / 2 else EVERY
            if closed.poll(every * 1000):
                return
            since += every

    def look_around(self) -> None:
        """See which processes there are, and which the kernel of the system is to end first."""
        self._everybody = processes.processes()
        self._job = below(root_of(self.server, self._everybody), self._everybody)
        for pid in self._children():
            if pid not in self._known:
                self._known.add(pid)
                with contextlib.suppress(OSError):
                    servers = int(Path(f"/proc/{self.server}/oom_score_adj").read_text())
                    Path(f"/proc/{pid}/oom_score_adj").write_text(str(servers + FIRST_TO_GO))

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

    def _children(self) -> list[int]:
        """What JupyterLab has started, but for this."""
        own = os.getpid()
        return [pid for pid, found in self._everybody.items() if found.parent == self.server and pid != own]

    def _above(self, pid: int) -> set[int]:
        """A process and all that it descends from."""
        found = {pid}
        while (known := self._everybody.get(pid)) and known.parent not in found:
            found.add(pid := known.parent)
        return found

    def _relieve(self) -> None:
        """End a kernel with all that it started, or the largest program of a terminal."""
        trees = {child: below(child, self._everybody) for child in self._children()}
        kernels = {child for child in trees if not has_terminal(child)}
        # what cut itself loose hangs on the job's first process, or on none that is known
        inside = {pid for tree in trees.values() for pid in tree} | {os.getpid()}
        trees |= {
            pid: [pid] for pid in self._job if pid not in inside and pid not in self._above(self.server)
        }
        if not trees:
            return
        worst = max(trees, key=lambda child: self._of(trees[child]))
        if self._of(trees[worst]) < resident(self.server):
            return  # JupyterLab itself takes the most: nobody else is to go for it
        out = trees[worst] if worst in kernels else [max(trees[worst], key=resident)]
        self.tell({"used": self.used, "ended": out})
        processes.kill(list(reversed(out)), signal.SIGKILL)
        self.look_around()


def command(granted: int, *, shared_once: bool) -> list[str]:
    """What JupyterLab starts: `main` below, which has it for a parent."""
    return [sys.executable, "-IS", "-c", _PROGRAM, str(granted), "once" if shared_once else "each"]


def main() -> None:
    """Look after the session of the process that has started this, which gives its memory as an argument."""
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # a batch system tells all of a job; JupyterLab ends in order
        signal.signal(number, signal.SIG_IGN)
    granted, shared_once = int(sys.argv[1]), sys.argv[2] == "once"

    def tell(seen: Mapping[str, object]) -> None:
        with contextlib.suppress(BrokenPipeError):  # it is about to end
            print(json.dumps(seen), flush=True)

    Watch(granted, os.getppid(), tell, shared_once).run(sys.stdin.fileno())
