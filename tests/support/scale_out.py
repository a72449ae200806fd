"""Workers that a notebook starts on a batch system: what is left of them, in the queue and on nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import requests

from benchtop.settings import Settings
from benchtop.stack import compose
from support import sessions, traffic
from support.batch import Batch
from support.hub import Hub
from support.wait import wait_until

GONE = 60  # seconds until nothing is left of what a notebook had started, however that ended
CELL = 180  # … for a cell that waits for jobs, on a busy machine
NODES = {"hpc": ("cpu-1", "gpu-1", "gpu-2"), "htc": ("condor-ep-1", "condor-ep-2")}
SYSTEMS = {"hpc": "slurm", "htc": "condor"}
ENGINES = {"slurm": "slurm", "condor": "htcondor"}  # as IPyParallel calls these
# Programs of workers and of what stands behind them, by their command lines
PROGRAMS = "ipyparallel[.]|benchtop_batch[./]|parsl[.]|distributed[.]cli|interchange"
FILES = "find ~/.local/share/benchtop_batch ~/.ipython/profile_default/security -mindepth 1 2>/dev/null || :"
START = """
import ipyparallel as ipp
cluster = ipp.Cluster(engines="{engines}", n={n}, log_level=30)
client = cluster.start_and_connect_sync()
"""
STOP = """
client.close()
cluster.stop_cluster_sync()
"""


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
    def engines(self) -> str:
        """As IPyParallel calls it."""
        return ENGINES[self.system]

    @property
    def batch(self) -> Batch:
        """That batch system."""
        return Batch(self.settings, self.own.cluster)

    def cell(self, kernel: str, code: str, patience: float = CELL) -> str:
        """What a cell prints."""
        return traffic.run(self.own, kernel, code, patience)

    def start_engines(self, kernel: str, count: int = 1) -> None:
        """Engines of IPyParallel, which the kernel knows as `cluster` and `client`."""
        self.cell(kernel, START.format(engines=self.engines, n=count))

    def stop_engines(self, kernel: str) -> None:
        """End them, as a notebook does."""
        self.cell(kernel, STOP)

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


# ---- fixtures: a file of tests names those that it uses -----------------------------------------


@pytest.fixture(scope="module", params=[
    pytest.param(cluster, marks=pytest.mark.needs(f"{cluster}/erin", throughout=True)) for cluster in SYSTEMS
])  # fmt: skip
def scale_out(
    request: pytest.FixtureRequest, settings: Settings, signed_in: Callable[[str], requests.Session]
) -> Iterator[ScaleOut]:
    """Erin's session on a node, and nothing beside it."""
    own = Hub(settings, signed_in("erin"), "erin", request.param)
    sessions.begin_anew(own)
    yield ScaleOut(settings, own)
    sessions.over(own, Batch(settings, own.cluster))


@pytest.fixture
def kernel(scale_out: ScaleOut) -> Iterator[str]:
    """A kernel for one test."""
    started = scale_out.own.kernel()
    yield started
    scale_out.own.jupyter("DELETE", f"kernels/{started}")
