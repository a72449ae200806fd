"""Workers that a notebook starts on a batch system: what is left of them, in the queue and on nodes."""

from __future__ import annotations

from dataclasses import dataclass

from benchtop.settings import Settings
from benchtop.stack import compose
from support import traffic
from support.batch import Batch
from support.hub import Hub
from support.wait import wait_until

GONE = 60  # seconds until nothing is left of what a notebook had started, however that ended
CELL = 180  # … for a cell that waits for jobs, on a busy machine
NODES = {"hpc": ("cpu-1", "gpu-1", "gpu-2"), "htc": ("condor-ep-1", "condor-ep-2")}
SYSTEMS = {"hpc": "slurm", "htc": "condor"}
# Programs of workers and of what stands behind them, by their command lines
PROGRAMS = "ipyparallel[.]|benchtop_batch[./]|parsl[.]|distributed[.]cli|interchange"
FILES = "find ~/.local/share/benchtop_batch ~/.ipython/profile_default/security -mindepth 1 2>/dev/null || :"


@dataclass(frozen=True)
class ScaleOut:
    """Somebody's session on a cluster, and what they start from it."""

    settings: Settings
    own: Hub

    @property
    def system(self) -> str:
        """As benchtop_batch calls the cluster's batch system."""
        return SYSTEMS[self.own.cluster]

    @property
    def batch(self) -> Batch:
        """That batch system."""
        return Batch(self.settings, self.own.cluster)

    def cell(self, kernel: str, code: str, patience: float = CELL) -> str:
        """What a cell prints."""
        return traffic.run(self.own, kernel, code, patience)

    def jobs(self, *names: str) -> list[str]:
        """The names of their jobs that begin so."""
        return [job.name for job in self.batch.jobs(self.own.person) if job.name.startswith(names)]

    def programs(self) -> list[str]:
        """Whatever of a cluster of workers still runs, on any node of the cluster."""
        found = []
        for node in NODES[self.own.cluster]:
            words = ["pgrep", "--full", "--list-full", f"--uid={self.own.person}", PROGRAMS]
            listed = compose.run(self.settings, "exec", "-T", node, *words, check=False).stdout.decode()
            found += [f"{node}: {line}" for line in listed.splitlines() if line]
        return found

    def left(self) -> list[str]:
        """All of that."""
        return self.jobs("ipengine-", "parsl-", "dask") + self.programs()

    def nothing_left(self, timeout: float = GONE) -> None:
        """Wait until it is all gone: that is what is promised."""
        wait_until(lambda: not self.left(), timeout=timeout, what="the end of all workers", tell=self._tell)

    def _tell(self) -> str:
        return "\n".join(self.left())
