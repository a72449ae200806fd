"""What a person reads, and what is left, when engines and blocks do not come, are lost, or are many."""

from collections.abc import Callable, Iterator

import pytest
import requests

from benchtop.settings import Settings
from support import sessions
from support.batch import Batch
from support.hub import Hub
from support.scale_out import ScaleOut
from support.wait import wait_until

pytestmark = [pytest.mark.shares("slurm", "condor"), pytest.mark.long]

ENGINES = {"slurm": "slurm", "condor": "htcondor"}
TOLD = 60  # seconds until something is told, on a busy machine
START = """
import ipyparallel as ipp, os, time
cluster = ipp.Cluster(engines="{engines}", n={n})
client = cluster.start_and_connect_sync()
print("engines:", len(client))
"""
# More than the node, or the pool, has: what waits is asked for without being waited for
TOO_MANY = """
import asyncio, ipyparallel as ipp, time
cluster = ipp.Cluster(engines="{engines}", n=2)
kind = cluster.engine_launcher_class
kind.memory.default_value = {memory}
cluster.start_cluster_sync()
end = time.monotonic() + 60
while time.monotonic() < end and not cluster.engine_set._over.wait(1):
    pass
cluster.stop_cluster_sync()
"""
KILL = "import psutil; [child] = psutil.Process(cluster.controller.pid).children(); child.kill()"
STOP = "client.close(); cluster.stop_cluster_sync()"
LOST = """
import time
dies = client[0].apply_async(lambda: __import__("os")._exit(1))
try:
    dies.get(60)
except Exception as error:
    print(type(error).__name__)
while len(client) > 1:
    time.sleep(0.2)
print("others:", client[client.ids[0]].apply_sync(lambda: 6 * 7))
"""


@pytest.fixture(scope="module", params=[
    pytest.param(cluster, marks=pytest.mark.needs(f"{cluster}/erin", throughout=True))
    for cluster in ("hpc", "htc")
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


def test_what_engines_wait_for_is_told_in_words(scale_out: ScaleOut, kernel: str):
    memory = {"slurm": 3900, "condor": 2040}[scale_out.system]  # of a node that a session is on as well
    shown = scale_out.cell(kernel, TOO_MANY.format(engines=ENGINES[scale_out.system], memory=memory))
    assert " wait" in shown, shown
    assert f"in the queue of {'Slurm' if scale_out.system == 'slurm' else 'HTCondor'}: " in shown
    scale_out.nothing_left()


def test_an_engine_that_dies_is_told_and_the_others_go_on(scale_out: ScaleOut, kernel: str):
    scale_out.cell(kernel, START.format(engines=ENGINES[scale_out.system], n=2))
    shown = scale_out.cell(kernel, LOST)
    assert "EngineError" in shown
    assert "others: 42" in shown
    scale_out.cell(kernel, STOP)
    scale_out.nothing_left()


def test_a_controller_that_is_killed_takes_its_engines_with_it(scale_out: ScaleOut, kernel: str):
    scale_out.cell(kernel, START.format(engines=ENGINES[scale_out.system], n=2))
    assert scale_out.jobs("ipengine-"), "the control"
    scale_out.cell(
        kernel, "import psutil\n[child] = psutil.Process(cluster.controller.pid).children(); child.kill()"
    )
    scale_out.nothing_left()


def test_two_notebooks_at_once_have_a_cluster_each(scale_out: ScaleOut, kernel: str):
    other = scale_out.own.kernel()
    for one in (kernel, other):
        scale_out.cell(one, START.format(engines=ENGINES[scale_out.system], n=1))
    assert len(set(scale_out.jobs("ipengine-"))) == 2
    scale_out.cell(kernel, STOP)
    wait_until(lambda: len(scale_out.jobs("ipengine-")) == 1, timeout=TOLD, what="the end of one of them")
    assert scale_out.cell(other, "print(client[0].apply_sync(lambda: 42))") == "42"
    scale_out.own.jupyter("DELETE", f"kernels/{other}")
    scale_out.nothing_left()
