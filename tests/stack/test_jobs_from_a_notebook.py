"""Cells and functions of a notebook as jobs, on both batch systems, with nothing filled in."""

import contextlib
from collections.abc import Callable, Iterator

import pytest
import requests

from benchtop.settings import Settings
from support import sessions, traffic
from support.batch import Batch
from support.hub import Hub
from support.scale_out import ScaleOut
from support.wait import wait_until

pytestmark = [pytest.mark.shares("slurm", "condor"), pytest.mark.long]

# What a person types is a cell of its own; here each is run by a line, so that more can be seen around it
CELL = """
import contextlib, io, sys
x, shell = 20, get_ipython()
lines = ["import socket, sys", "print('printed there')", "result = x + 1",
         "where = socket.gethostname(), sys.executable"]
with contextlib.redirect_stdout(io.StringIO()) as printed:
    shell.run_cell_magic("{system}", "--in x --out result,where --mem 300M", "\\n".join(lines))
print(result, where[0], where[1] == sys.executable, printed.getvalue().strip())
"""
ERROR = """
try:
    get_ipython().run_cell_magic("{system}", "", "def look(x):\\n    return {{}}[x]\\nlook('key')")
except KeyError as error:
    print("\\n".join(error._render_traceback_()))
"""
WRONG = """
for options in {options}:
    try:
        get_ipython().run_cell_magic("{system}", options, "1")
    except ValueError as error:
        print(error)
"""
WRONG_OPTIONS = {
    "slurm": {
        "--gpu 1": "no option “--gpu”. Did you mean “--gpus”?",
        "--partition debugg": "There is no partition “debugg”. Did you mean “debug”? The partitions",
        "--account tier3": "There is no account “tier3”. Your accounts are default",
        "--gpus telsa:1": "There is no GPU type “telsa”. Did you mean “tesla”?",
    },
    "condor": {"--gpus 1": "No machine of the HTCondor pool has a GPU", "--time 10m": "no option “--time”"},
}
FUNCTIONS = """
import benchtop_batch, concurrent.futures
factor = 7
@benchtop_batch.{system}(memory="300M")
def divide(x, by=1):
    return factor * x // by
futures = divide.map(range(250), tasks=8)
single = divide(1, by=0)
print(sum(futures.results()), futures.job, len({{future.job for future in futures}}))
try:
    single.result()
except ZeroDivisionError as error:
    print("raised:", error, "return factor * x // by" in str(error.__cause__))
@benchtop_batch.{system}(memory="300M")
def sleep():
    import time
    time.sleep(600)
asleep = sleep()
while not asleep.running():
    time.sleep(0.1)
print("cancelled:", asleep.cancel(), asleep.job)
"""
KILLED = """
import benchtop_batch, os, time
def slow(x):
    time.sleep(3 if x else 600)
    return x
ends, goes_on = (benchtop_batch.{system}(slow, keep=keep, memory="300M") for keep in (False, True))
first, second = ends(0), goes_on(1)
while not (first.running() and second.running()):
    time.sleep(0.1)
print(first.job, second.job)
"""
COLLECT = """
import benchtop_batch
print("collected:", benchtop_batch.collect({kept}).result(60))
try:
    benchtop_batch.collect({ended}).result(60)
except benchtop_batch.JobError as error:
    print(error.reason, error)
"""
TABLE = """
table = get_ipython().run_line_magic("{name}", "{words}")
print(type(table).__name__, *set(table["{column}"]))
"""
ODD = """
import json, pandas
from benchtop_batch.magics import tables
frame = tables.of_lines(pandas, "JOBID|NAME\\n12|a|b\\n13|c\\n")
ads = json.dumps([{"ClusterId": 1, "JobStatus": 5, "QDate": 0}])
print(*frame["NAME"], frame["JOBID"].sum(), *tables.of_ads(pandas, "condor_q", ads)["JobStatus"])
"""
INTERRUPTED = """
import _thread, threading
threading.Timer(8, _thread.interrupt_main).start()
try:
    get_ipython().run_cell_magic("{system}", "", "import time; time.sleep(600)")
except KeyboardInterrupt as stop:
    print(*stop._render_traceback_())
"""
DIE = "import os; os.kill(os.getpid(), 9)"
NAMES = ("notebook-", "kept-")


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


def nothing_left(scale_out: ScaleOut) -> None:
    """Nothing of theirs is in the queue, a minute later at the latest."""
    wait_until(lambda: not scale_out.jobs(*NAMES), timeout=60, what="the end of all jobs")


def test_a_cell_runs_in_the_notebooks_environment_on_a_node(scale_out: ScaleOut, kernel: str):
    result, node, same_python, *printed = scale_out.cell(
        kernel, CELL.format(system=scale_out.system)
    ).splitlines()[-1].split()  # fmt: skip
    assert (result, same_python, " ".join(printed)) == ("21", "True", "printed there")
    assert node
    shown = scale_out.cell(kernel, ERROR.format(system=scale_out.system))
    assert "line 3, in look" in shown
    assert "return {}[x]" in shown
    nothing_left(scale_out)


def test_what_there_is_not_is_told_with_what_there_is(scale_out: ScaleOut, kernel: str):
    wrong = WRONG_OPTIONS[scale_out.system]
    told = scale_out.cell(kernel, WRONG.format(system=scale_out.system, options=list(wrong)))
    for words, line in zip(wrong.values(), told.splitlines(), strict=True):
        assert words in line
    assert not scale_out.jobs(*NAMES)


def test_a_map_is_one_submission_and_its_futures_do_what_python_says(scale_out: ScaleOut, kernel: str):
    first, raised, cancelled = scale_out.cell(
        kernel, "import time\n" + FUNCTIONS.format(system=scale_out.system)
    ).splitlines()[-3:]  # fmt: skip
    total, number, jobs = first.split()
    assert int(total) == 7 * sum(range(250))
    assert jobs == "8"
    assert raised == "raised: integer division or modulo by zero True"
    assert cancelled.startswith("cancelled: True")
    nothing_left(scale_out)
    if scale_out.system == "slurm":
        words = ["sacct", "-Xn", "--parsable2", "--format=State", f"--jobs={number}"]
        assert scale_out.batch.said("erin", *words).split() == ["COMPLETED"] * 8
    else:
        words = ["condor_history", "-constraint", f"ClusterId == {number}", "-af", "ExitCode"]
        assert scale_out.batch.said("erin", *words).split() == ["0"] * 8


def test_jobs_end_with_a_killed_kernel_but_for_those_to_be_kept(scale_out: ScaleOut, kernel: str):
    ended, kept = scale_out.cell(kernel, KILLED.format(system=scale_out.system)).split()[-2:]
    assert scale_out.jobs("notebook-"), "the control"
    with contextlib.suppress(*traffic.CUT):
        scale_out.cell(kernel, DIE, patience=2)
    wait_until(lambda: not scale_out.jobs("notebook-"), timeout=60, what="the end of the job")
    other = scale_out.own.kernel()
    try:
        collected, told = scale_out.cell(other, COLLECT.format(kept=kept, ended=ended)).splitlines()[:2]
    finally:
        scale_out.own.jupyter("DELETE", f"kernels/{other}")
    assert collected == "collected: 1"
    assert told.startswith("cancelled")
    assert ended in told
    nothing_left(scale_out)


def test_what_the_batch_system_says_is_a_table(scale_out: ScaleOut, kernel: str):
    name, words, column = {"slurm": ("squeue", "--me", "USER"), "condor": ("condor_q", "", "Owner")}[
        scale_out.system
    ]
    told = scale_out.cell(kernel, TABLE.format(name=name, words=words, column=column))
    assert told.split() == ["DataFrame", "erin"]
    # the sign between columns in a name, and a state as HTCondor numbers it
    assert scale_out.cell(kernel, ODD).split() == ["a|b", "c", "25", "held"]


def test_the_interrupt_of_a_cell_cancels_its_job(scale_out: ScaleOut, kernel: str):
    assert "is cancelled." in scale_out.cell(kernel, INTERRUPTED.format(system=scale_out.system))
    nothing_left(scale_out)
