"""What a person reads, and what is left, when engines and blocks do not come, are lost, or are many."""

import pytest

from support import scale_out as shared
from support.scale_out import ScaleOut
from support.wait import wait_until

pytestmark = [pytest.mark.shares("slurm", "condor"), pytest.mark.long]

scale_out, kernel = shared.scale_out, shared.kernel  # fixtures

TOLD = 60  # seconds until something is told, on a busy machine
# More than the node, or the pool, has: what waits is asked for without being waited for
TOO_MANY = """
import ipyparallel as ipp, time
from traitlets.config import Config
wanted = {{"memory": {memory}}}
config = Config({{"SlurmEngines": wanted, "HTCondorEngines": wanted}})
cluster = ipp.Cluster(engines="{engines}", n=6, config=config)
cluster.start_cluster_sync()
end = time.monotonic() + 60
while time.monotonic() < end and not cluster.engine_set._over.wait(1):
    pass
cluster.stop_cluster_sync()
"""
KILL = "import psutil; [child] = psutil.Process(cluster.controller.pid).children(); child.kill()"
LOST = """
import time
dies = client[0].apply_async(lambda: __import__("os")._exit(1))
try:
    dies.get(60)
except Exception as error:
    print(repr(error))
while len(client) > 1:
    time.sleep(0.2)
print("others:", client[client.ids[0]].apply_sync(lambda: 6 * 7))
"""


def test_what_engines_wait_for_is_told_in_words(scale_out: ScaleOut, kernel: str):
    memory = {"slurm": 3900, "condor": 2040}[scale_out.system]  # MB; no cluster has six times as much
    shown = scale_out.cell(kernel, TOO_MANY.format(engines=scale_out.engines, memory=memory))
    assert " wait" in shown, shown
    assert f"in the queue of {'Slurm' if scale_out.system == 'slurm' else 'HTCondor'}: " in shown
    scale_out.nothing_left()


def test_an_engine_that_dies_is_told_and_the_others_go_on(scale_out: ScaleOut, kernel: str):
    scale_out.start_engines(kernel, 2)
    shown = scale_out.cell(kernel, LOST)
    assert "EngineError" in shown
    assert "others: 42" in shown
    scale_out.stop_engines(kernel)
    scale_out.nothing_left()


def test_a_controller_that_is_killed_takes_its_engines_with_it(scale_out: ScaleOut, kernel: str):
    scale_out.start_engines(kernel, 2)
    assert scale_out.jobs("ipengine-"), "the control"
    scale_out.cell(kernel, KILL)
    scale_out.nothing_left()


def test_two_notebooks_at_once_have_a_cluster_each(scale_out: ScaleOut, kernel: str):
    other = scale_out.own.kernel()
    for one in (kernel, other):
        scale_out.start_engines(one)
    assert len(set(scale_out.jobs("ipengine-"))) == 2
    scale_out.stop_engines(kernel)
    wait_until(lambda: len(scale_out.jobs("ipengine-")) == 1, timeout=TOLD, what="the end of one of them")
    assert scale_out.cell(other, "print(client[0].apply_sync(lambda: 42))") == "42"
    scale_out.own.jupyter("DELETE", f"kernels/{other}")
    scale_out.nothing_left()
