"""IPyParallel, Parsl and an executor on both batch systems, from a notebook with nothing filled in."""

import contextlib

import pytest

from support import scale_out as shared
from support import traffic
from support.scale_out import FILES, ScaleOut

pytestmark = [pytest.mark.shares("slurm", "condor"), pytest.mark.long]

scale_out, kernel = shared.scale_out, shared.kernel  # fixtures

NODE = {"hpc": "cpu-1", "htc": "condor-ep-1"}
FIRST = """
import os, stat, sys
files = cluster.controller.connection_files.values()
where = client[0].apply_sync(lambda: (__import__("sys").executable, __import__("socket").gethostname()))
print(where[0] == sys.executable, where[1], {oct(stat.S_IMODE(os.stat(file).st_mode)) for file in files},
      bool(client.curve_serverkey), bool(client.session.key))
"""
UNSENDABLE = """
import threading
lock = threading.Lock()
try:
    client[0].apply_sync((lambda held: lambda: held)(lock))
except TypeError as error:
    print(*error.__notes__)
"""
PARSL = """
import benchtop_batch, parsl, sys
@parsl.python_app
def where(x):
    import socket, sys
    return x + 1, sys.executable, socket.gethostname()
with parsl.load(benchtop_batch.parsl_config()) as running:
    value, python, node = where(41).result()
    print(value, python == sys.executable, node, running.config.executors[0].encrypted)
    try:
        parsl.python_app(lambda lines: 1)(line for line in "ab").result()
    except Exception as error:
        print(error)
parsl.clear()
"""
EXECUTOR = """
import concurrent.futures, threading
from benchtop_batch import Executor
factor = 7
def divide(x, key=0):
    return factor * x // key
with Executor(workers=1) as executor:
    futures = [executor.submit(divide, x, key=2) for x in range(4)]
    print(sorted(future.result() for future in concurrent.futures.as_completed(futures)))
    print(list(executor.map(divide, [2, 4], [1, 2], chunksize=2)))
    try:
        executor.submit(divide, 1).result()
    except ZeroDivisionError as error:
        print("raised:", error)
    try:
        executor.submit(divide, threading.Lock())
    except TypeError as error:
        print(error)
"""
DIE = "import os; os.kill(os.getpid(), 9)"
BLAMED = "cannot be sent"


def test_ipyparallel_starts_engines_by_the_name_of_the_batch_system_alone(scale_out: ScaleOut, kernel: str):
    scale_out.start_engines(kernel)
    same_python, node, modes, encrypted, signed = scale_out.cell(kernel, FIRST).split()[-5:]
    assert same_python == "True", "the engine's Python is the notebook's"
    assert node
    assert modes == "{'0o600'}"
    assert (encrypted, signed) == ("True", "True")
    assert BLAMED in scale_out.cell(kernel, UNSENDABLE)
    assert scale_out.left(), "the control: there is something that can be seen to go"
    scale_out.stop_engines(kernel)
    scale_out.nothing_left()


def test_no_key_of_a_cluster_is_in_the_queue(scale_out: ScaleOut, kernel: str):
    scale_out.start_engines(kernel)
    keys = scale_out.cell(
        kernel, "print(client.session.key.decode(), client.curve_serverkey.decode())"
    ).split()
    (name,) = scale_out.jobs("ipengine-")
    show = {
        "hpc": ["sh", "-c", f"scontrol --details show job $(squeue --noheader --name={name} --format=%i)"],
        "htc": ["condor_q", "-allusers", "-long", "-constraint", f'JobBatchName == "{name}"'],
    }[scale_out.own.cluster]
    shown = scale_out.batch.said(scale_out.batch.operator, *show)
    assert name in shown, "the control: it is this job that is shown"
    assert not any(key in shown for key in keys)
    assert "JUPYTERHUB_API_TOKEN" not in shown
    scale_out.stop_engines(kernel)
    scale_out.nothing_left()


def test_parsl_runs_tasks_with_the_facilitys_configuration_alone(scale_out: ScaleOut, kernel: str):
    first, blamed = scale_out.cell(kernel, PARSL).splitlines()[-2:]
    value, same_python, node, encrypted = first.split()
    assert (value, same_python, encrypted) == ("42", "True", "True")
    assert node
    assert BLAMED in blamed
    scale_out.nothing_left()


def test_the_executor_does_what_python_promises_of_one(scale_out: ScaleOut, kernel: str):
    shown = scale_out.cell(kernel, EXECUTOR).splitlines()
    assert shown[-4:-1] == ["[0, 3, 7, 10]", "[14, 14]", "raised: integer division or modulo by zero"]
    assert BLAMED in shown[-1]
    scale_out.nothing_left()


def test_a_killed_kernel_leaves_nothing_in_the_queue_and_on_no_node(scale_out: ScaleOut, kernel: str):
    def files() -> set[str]:
        return set(
            scale_out.batch.said("erin", "sh", "-c", FILES, on=NODE[scale_out.own.cluster]).splitlines()
        )

    before = files()
    scale_out.start_engines(kernel)
    code = "import benchtop_batch, parsl; running = parsl.load(benchtop_batch.parsl_config())\n"
    scale_out.cell(kernel, f"{code}print(parsl.python_app(lambda: 1)().result())")
    assert scale_out.jobs("ipengine-"), "the control"
    assert scale_out.jobs("parsl-"), "the control"
    assert files() - before, "the control"
    with contextlib.suppress(*traffic.CUT):
        scale_out.cell(kernel, DIE, patience=2)
    scale_out.nothing_left()
    assert not files() - before
