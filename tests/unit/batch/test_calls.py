"""Functions as jobs, with commands that stand for both batch systems."""

import concurrent.futures
import importlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from benchtop_batch.calls import bundle, failed, function, watch
from support import batch_stand_in
from support.wait import wait_until

SOON = 60  # seconds, on a busy machine


def of(cluster: str, name: str, **asked: object) -> Any:
    functions = importlib.import_module("functions_of_calls")
    return getattr(function, cluster)(**asked)(getattr(functions, name))


def submitted(batch: batch_stand_in.Queue) -> list[object]:
    return [json.loads(line) for line in (batch.folder / "submitted").read_text().splitlines()]


def test_a_call_is_a_future_of_what_the_function_returns(cluster: str, batch: batch_stand_in.Queue):
    future = of(cluster, "double")(21, plus=1)
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(SOON) == 43
    assert next(concurrent.futures.as_completed([future])) is future
    assert future.state() == "done"
    assert future.job.startswith("100")


def test_an_exception_comes_with_the_traceback_of_its_node(cluster: str, batch: batch_stand_in.Queue):
    future = of(cluster, "fail")(3)
    with pytest.raises(ValueError, match="not 3") as raised:
        future.result(SOON)
    assert "in fail" in str(raised.value.__cause__)
    assert "calls/run.py" not in str(raised.value.__cause__)
    assert f"job {future.job}" in raised.value.__notes__[0]


def test_a_map_is_one_submission_with_its_results_in_order(cluster: str, batch: batch_stand_in.Queue):
    futures = of(cluster, "double").map(range(20), tasks=4, plus=1)
    assert futures.results(SOON) == [2 * x + 1 for x in range(20)]
    assert len(submitted(batch)) == 1
    assert len(batch.all()) == 4
    assert "20 of 20 done" in futures.progress()


def test_what_all_inputs_share_is_sent_once(batch: batch_stand_in.Queue, home: Path):
    large = b"x" * (2 << 20)
    futures = of("slurm", "size").map([large] * 5, range(5), tasks=2)
    assert futures.results(SOON) == [len(large)] * 5
    (folder,) = (home / ".local/share/benchtop_batch").iterdir()
    assert len(list((folder / "shared").iterdir())) == 1
    assert (folder / "inputs").stat().st_size < 1000


def test_cancelling_ends_a_job_that_runs(cluster: str, batch: batch_stand_in.Queue):
    future = of(cluster, "sleep")(1)
    wait_until(future.running, timeout=SOON, what="the job to run")
    assert future.cancel()
    assert future.cancelled()
    (task,) = batch.all()
    wait_until(lambda: batch.get(task)["state"] == "CANCELLED", timeout=SOON, what="the end of the job")
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(1)


def test_a_python_that_ends_by_itself_is_told_with_its_last_words(cluster: str, batch: batch_stand_in.Queue):
    future = of(cluster, "leave")(3)
    with pytest.raises(failed.CrashedError, match="with exit code 3") as raised:
        future.result(SOON)
    assert raised.value.number == future.job
    assert Path(raised.value.log) == future.log


def test_no_space_for_a_result_is_said_so(cluster: str, batch: batch_stand_in.Queue):
    with pytest.raises(failed.NoSpaceError, match="no space in your home"):
        of(cluster, "leave")(75).result(SOON)


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        ("TIMEOUT", failed.TimeLimitError, "reached its time limit"),
        ("OUT_OF_MEMORY", failed.OutOfMemoryError, "used more memory on node-1 than it asked for"),
        ("NODE_FAIL", failed.NodeLostError, "was lost with its node node-1"),
        ("CANCELLED", failed.JobCancelledError, "was cancelled by"),
        ("PREEMPTED", failed.PreemptedError, "had to make room"),
    ],
)
def test_how_slurm_ended_a_job_is_an_exception_of_its_own(
    state: str, error: type[Exception], words: str, batch: batch_stand_in.Queue
):
    future = of("slurm", "sleep")(1)
    wait_until(future.running, timeout=SOON, what="the job to run")
    batch_stand_in.kill(batch, future.job, state)
    with pytest.raises(error, match=words):
        future.result(SOON)


def test_a_job_on_hold_is_an_exception_and_leaves_the_queue(batch: batch_stand_in.Queue):
    future = of("condor", "sleep")(1)
    wait_until(future.running, timeout=SOON, what="the job to run")
    batch.put(
        future.job, state="HELD", reason="Error from slot1: memory usage exceeded request_memory", hold=34
    )
    with pytest.raises(failed.OutOfMemoryError, match="memory="):
        future.result(SOON)
    wait_until(lambda: batch.get(future.job)["state"] == "CANCELLED", timeout=SOON, what="its removal")


def test_what_somebody_holds_by_hand_waits(batch: batch_stand_in.Queue):
    (batch.folder / "wait").touch()
    future = of("condor", "double")(1)
    batch.put(future.job, state="HELD", reason="via condor_hold (by user alice@example)", hold=1)
    wait_until(lambda: "put on hold by alice" in future._job.progress(), timeout=SOON, what="the reason")
    assert not future.done()
    batch.put(future.job, state="PENDING")
    (batch.folder / "wait").unlink()
    assert future.result(SOON) == 2


def test_a_result_that_cannot_be_sent_is_a_type_error(batch: batch_stand_in.Queue):
    with pytest.raises(TypeError, match="cannot be sent back to the notebook"):
        of("slurm", "unsendable")(1).result(SOON)


def test_a_call_that_cannot_be_sent_names_the_variable_and_leaves_nothing(
    batch: batch_stand_in.Queue, home: Path
):
    with pytest.raises(TypeError, match="lock"):
        of("slurm", "double").map([1, threading.Lock()])
    assert not list((home / ".local/share/benchtop_batch").iterdir())
    assert not batch.all()


def test_a_refusal_is_a_sentence_and_leaves_nothing(batch: batch_stand_in.Queue, home: Path):
    (batch.folder / "says").mkdir()
    (batch.folder / "says/scontrol").write_text(json.dumps({"partition": "PartitionName=refused State=UP\n"}))
    with pytest.raises(failed.NotSubmittedError, match=r"Slurm took no job: .*Invalid qos"):
        of("slurm", "double", partition="refused")(1)
    assert not list((home / ".local/share/benchtop_batch").iterdir())


def test_where_sessions_reach_no_batch_system_a_sentence_says_so(
    cluster: str, batch: batch_stand_in.Queue, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BENCHTOP_CONFINED", "1")
    with pytest.raises(failed.NotSubmittedError, match="this notebook cannot send jobs"):
        of(cluster, "double")(1)
    assert not batch.all()


def test_results_are_collected_by_number_after_a_restart(cluster: str, batch: batch_stand_in.Queue):
    number = of(cluster, "double", keep=True).map(range(3)).job
    watch.WATCH.forked()  # as in a new kernel
    assert function.collect(number).results(SOON) == [0, 2, 4]
    with pytest.raises(LookupError, match="Nothing is known of job 9"):
        function.collect(9)


def test_a_killed_kernel_leaves_no_job_but_what_it_was_to_keep(batch: batch_stand_in.Queue, home: Path):
    program = (
        "import functions_of_calls as f, benchtop_batch as b, os, signal\n"
        "first, second = b.slurm(f.sleep)(1), b.slurm(f.sleep, keep=True)(1)\n"
        "while not (first.running() and second.running()): pass\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = f"{Path(bundle.__file__).parents[2]}:{home}"
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, check=False)
    first, second = batch.all()
    wait_until(lambda: batch.get(first)["state"] == "CANCELLED", timeout=SOON, what="the end of the job")
    assert batch.get(second)["state"] == "RUNNING"


def test_ten_thousand_inputs_take_no_time_and_little_memory(batch: batch_stand_in.Queue):
    (batch.folder / "wait").touch()
    began = time.monotonic()
    futures = of("slurm", "double").map(range(10_000))
    assert time.monotonic() - began < 10
    assert len(batch.all()) == 100
    futures.cancel()
    wait_until(lambda: not watch.WATCH._jobs, timeout=SOON, what="the end")
    assert {facts["state"] for facts in batch.all().values()} == {"CANCELLED"}


def test_a_job_that_is_started_anew_does_not_repeat_what_is_done(batch: batch_stand_in.Queue, home: Path):
    futures = of("slurm", "where").map(range(4), tasks=1)
    first = futures.results(SOON)
    (folder,) = (home / ".local/share/benchtop_batch").iterdir()
    subprocess.run([folder / "run", "0"], check=True, cwd=folder, capture_output=True)
    again = function.collect(futures.job).results(SOON)
    assert first == again


def test_a_job_that_is_put_back_into_the_queue_is_waited_for(
    batch: batch_stand_in.Queue, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("benchtop_batch.calls.job.REQUEUED", 0)
    future = of("slurm", "sleep")(1)
    wait_until(future.running, timeout=SOON, what="the job to run")
    batch.put(future.job, state="PENDING", reason="BeginTime")
    wait_until(lambda: "put back into the queue" in future._job.progress(), timeout=SOON, what="the reason")
    assert not future.done()
    batch.put(future.job, state="RUNNING")
    wait_until(future.running, timeout=SOON, what="the job to run again")
    future.cancel()


def test_an_answer_that_does_not_come_is_not_the_end(batch: batch_stand_in.Queue):
    future = of("slurm", "sleep")(1)
    wait_until(future.running, timeout=SOON, what="the job to run")
    squeue = batch.folder / "bin/squeue"
    squeue.rename(squeue.with_name("kept"))
    squeue.write_text("#!/bin/sh\necho 'squeue: error: no controller' >&2\nexit 1\n")
    squeue.chmod(0o755)
    wait_until(lambda: "no controller" in future._job.trouble, timeout=SOON, what="the trouble")
    assert not future.done()
    squeue.with_name("kept").rename(squeue)
    wait_until(lambda: not future._job.trouble, timeout=SOON, what="an answer")
    future.cancel()


def test_a_result_larger_than_the_space_left_is_said_so_and_takes_none(batch: batch_stand_in.Queue):
    (batch.folder / "wait").touch()
    future = of("slurm", "double")(b"x" * (1 << 20))
    results = future._job.folder / "results"
    (results / ".0").symlink_to("/dev/full")  # where the result is written first
    (batch.folder / "wait").unlink()
    with pytest.raises(failed.NoSpaceError, match="no space in your home"):
        future.result(SOON)
    assert not list(results.iterdir())
