"""What a batch system says of jobs, in plain words."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchtop_batch import jobs
from benchtop_batch.jobs import Job

SLURM = """12_1|RUNNING|None
12_2|PENDING|Resources
12_3|PENDING|JobHeldAdmin
12_4|COMPLETING|None
13|REQUEUE_HOLD|JobHoldMaxRequeue
14|FAILED|NonZeroExitCode
15|COMPLETED|None
"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """`command(NAME, SCRIPT)`: one of the batch system's commands."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def write(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    return write


def test_slurms_queue_is_read():
    assert jobs.of_slurm(SLURM) == [
        Job("12_1", "running"),
        Job("12_2", "waiting", "all suitable nodes are busy"),
        Job("12_3", "held", "an administrator put it on hold"),
        Job("12_4", "running"),
        Job("13", "held", "it was restarted too often and is on hold"),
        Job("14", "over", "its program ended with an error"),
        Job("15", "over"),
    ]


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("ReqNodeNotAvail, UnavailableNodes:gpu-1", "the nodes are not available"),
        ("QOSMaxCpuPerUserLimit", "a limit is reached of what you, your account"),
        ("AssocMaxJobsLimit", "you already have as many running jobs as your account may have"),
        ("RaisedSignal:9(Killed)", "its program was killed, most likely because it used more memory"),
        ("(Priority)", "other jobs are ahead"),
        ("None", "the scheduler has not looked at it yet"),
        ("", "the scheduler has not looked at it yet"),
        ("Quantum", "Slurm says “Quantum”"),
    ],
)
def test_why_slurm_has_a_job_wait(reason: str, words: str):
    assert jobs.why_slurm(reason).startswith(words)


def test_htcondors_queue_is_read():
    ads = [
        {"ClusterId": 3, "ProcId": 0, "JobStatus": 2},
        {"ClusterId": 3, "ProcId": 1, "JobStatus": 1, "LastRejMatchReason": "no match found "},
        {
            "ClusterId": 3,
            "ProcId": 2,
            "JobStatus": 5,
            "HoldReason": "Error from slot: memory usage exceeded.",
        },
        {"ClusterId": 3, "ProcId": 3, "JobStatus": 1},
    ]
    assert jobs.of_condor(json.dumps(ads)) == [
        Job("3.0", "running"),
        Job("3.1", "waiting", "no slot with enough CPUs and memory is free"),
        Job("3.2", "held", "Error from slot: memory usage exceeded"),
        Job("3.3", "waiting", "the pool has not considered it yet"),
    ]
    assert jobs.of_condor("") == [], "what condor_q prints when there is no job"


def test_what_is_waited_for_is_a_sentence():
    queue = [
        Job("1", "running"),
        Job("2", "waiting", "a"),
        Job("3", "waiting", "b"),
        Job("4", "waiting", "b"),
    ]
    assert jobs.waiting("slurm", "engine", queue, 4) == "3 of 4 engines wait in the queue of Slurm: b."
    assert jobs.waiting("condor", "block", queue[1:2], 1) == "1 of 1 block waits in the queue of HTCondor: a."
    assert jobs.waiting("slurm", "engine", queue[:1], 4) == ""


def test_no_answer_is_never_an_empty_queue(command: Callable[[str, str], None]):
    command("squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(jobs.NoAnswerError, match="Unable to contact"):
        jobs.listed("slurm", "x")
    command("condor_q", "echo '[{\"ClusterId\": 1'")
    with pytest.raises(jobs.NoAnswerError):
        jobs.listed("condor", "x")
    command("squeue", "true")
    assert jobs.listed("slurm", "x") == []


def test_how_jobs_have_ended_is_asked_for_on_its_own(command: Callable[[str, str], None]):
    command("squeue", "case $* in *--states=all*) echo '1|TIMEOUT|TimeLimit' ;; esac")
    assert jobs.listed("slurm", "x") == []
    assert jobs.listed("slurm", "x", over=True) == [Job("1", "over", "its time limit was reached")]


def test_cancelling_what_is_gone_is_no_error_and_a_refusal_is(command: Callable[[str, str], None]):
    command("condor_rm", 'echo "Couldn\'t find/remove all jobs matching constraint" >&2; exit 1')
    jobs.cancel("condor", "x")
    command("condor_rm", "echo 'AUTHENTICATE:1003:Failed to authenticate' >&2; exit 1")
    with pytest.raises(jobs.NoAnswerError, match="authenticate"):
        jobs.cancel("condor", "x")


def test_why_no_job_was_taken_is_a_sentence():
    said = "sbatch: error: QOSMaxSubmit\nsbatch: error: Batch job submission failed: Job violates\n"
    assert jobs.submit_error("slurm", said) == "Slurm took no job: QOSMaxSubmit (Job violates)."
    said = "sbatch: error: Batch job submission failed: Invalid qos specification\n"
    told = "Slurm took no job: Batch job submission failed: Invalid qos specification."
    assert jobs.submit_error("slurm", said) == told
    said = "Submitting job(s)\nERROR: Failed to connect.\n"
    assert jobs.submit_error("condor", said) == "HTCondor took no job: Failed to connect."
    assert jobs.submit_error("condor", "") == "HTCondor took no job: it gave no reason."
