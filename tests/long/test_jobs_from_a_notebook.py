"""How jobs of a notebook end when they do not end well, and what takes many of them, or several nodes."""

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

MEMORY = """
import benchtop_batch
@benchtop_batch.{system}(memory="100M")
def grow():
    import time
    held = b"x" * (400 << 20)
    time.sleep(120)
    return len(held)
try:
    grow().result(150)
except benchtop_batch.JobError as error:
    print(type(error).__name__, error.reason, error.number, error)
"""
CANCELLED = """
import benchtop_batch, os, subprocess
@benchtop_batch.{system}(memory="100M")
def sleep():
    import time
    time.sleep(600)
asleep = sleep()
while not asleep.running():
    __import__("time").sleep(0.1)
subprocess.run(["{cancel}", asleep.job], check=True, capture_output=True)
try:
    asleep.result(120)
except benchtop_batch.JobError as error:
    print(type(error).__name__, error)
"""
TIME = """
import benchtop_batch
@benchtop_batch.slurm(memory="100M", time="1m")
def sleep():
    import time
    time.sleep(600)
try:
    sleep().result(200)
except benchtop_batch.JobError as error:
    print(type(error).__name__, error)
"""
MANY = """
import benchtop_batch, time
@benchtop_batch.{system}(memory="100M")
def double(x):
    return 2 * x
futures = double.map(range(1000))
print(sum(futures.results()), len({{future.job for future in futures}}))
"""
# What two nodes reduce, in the cell of an environment that has MPI
NODES = """
get_ipython().run_cell_magic("slurm", "--nodes 2 --mem 200M --out total,names", '''
from mpi4py import MPI
world = MPI.COMM_WORLD
total = world.allreduce(world.rank + 1)
names = world.gather(MPI.Get_processor_name())
''')
print(total, len(set(names)))
"""
# The first time it does not end; the second time it knows that there was a first
ANEW = """
import benchtop_batch, pathlib, subprocess, time
mark = pathlib.Path.home() / "begun-before"
mark.unlink(missing_ok=True)
@benchtop_batch.{system}(memory="100M")
def begin():
    import time
    if mark.exists():
        return "the second time"
    mark.touch()
    time.sleep(600)
begun = begin()
while not mark.exists():
    time.sleep(0.1)
subprocess.run([*{words}, begun.job], check=True, capture_output=True)
print(begun.result(400))
mark.unlink()
"""
AGAIN = {"slurm": ["scontrol", "requeue"], "condor": ["condor_vacate_job"]}
CANCEL = {"slurm": "scancel", "condor": "condor_rm"}
NAMES = ("notebook-", "kept-")


PLACES = [
    pytest.param(cluster, marks=pytest.mark.needs(f"{cluster}/erin", throughout=True))
    for cluster in ("hpc", "htc")
]
of_slurm_alone = pytest.mark.parametrize("scale_out", PLACES[:1], indirect=True)


@pytest.fixture(scope="module", params=PLACES)
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
    wait_until(lambda: not scale_out.jobs(*NAMES), timeout=60, what="the end of all jobs")


def test_a_job_that_uses_more_memory_than_it_asked_for_says_so(scale_out: ScaleOut, kernel: str):
    told = scale_out.cell(kernel, MEMORY.format(system=scale_out.system))
    assert told.startswith("OutOfMemoryError memory ")
    assert "than it asked for (100 MB). Ask for more" in told


def test_a_job_that_is_cancelled_by_hand_says_so(scale_out: ScaleOut, kernel: str):
    told = scale_out.cell(kernel, CANCELLED.format(system=scale_out.system, cancel=CANCEL[scale_out.system]))
    assert told.startswith("JobCancelledError")
    assert "was cancelled by erin, and not by this notebook" in told


def test_a_job_that_has_to_begin_anew_is_waited_for(scale_out: ScaleOut, kernel: str):
    """As one is that a more urgent one pushed aside, or whose node went away."""
    words = AGAIN[scale_out.system]
    told = scale_out.cell(kernel, ANEW.format(system=scale_out.system, words=words), patience=420)
    assert told.splitlines()[-1] == "the second time"


@of_slurm_alone
def test_a_job_that_reaches_its_time_limit_says_so(scale_out: ScaleOut, kernel: str):
    told = scale_out.cell(kernel, TIME, patience=240)
    assert told.startswith("TimeLimitError")
    assert "reached its time limit" in told


def test_a_thousand_inputs_are_shared_out_to_a_hundred_jobs(scale_out: ScaleOut, kernel: str):
    assert scale_out.cell(kernel, MANY.format(system=scale_out.system), patience=400).split() == [
        "999000",
        "100",
    ]


@of_slurm_alone
def test_a_cell_reduces_over_two_nodes(scale_out: ScaleOut):
    kernel = scale_out.own.kernel("base")
    try:
        assert scale_out.cell(kernel, NODES).splitlines()[-1].split() == ["3", "2"]
    finally:
        scale_out.own.jupyter("DELETE", f"kernels/{kernel}")
