# ruff: noqa: D102  # stand-ins: their names say it
"""A session as a Slurm job: no secret where others look, and Slurm's own words in a person's."""

import asyncio
import subprocess

import pytest
from jupyterhub.spawner import SpawnException

from benchtop_hub.backends import commands
from benchtop_hub.backends.backend import Denied
from benchtop_hub.backends.queue import Unknown
from benchtop_hub.backends.slurm import form, script
from benchtop_hub.backends.slurm.backend import SlurmBackend
from benchtop_hub.sessions import certificates
from standins import NAMED, SECRET, cell, reported, start

GRANTED = form.Granted("debug", "default", "normal", "class", "pascal", 1, 2, 2048, 30)


def test_no_secret_is_in_the_command_or_the_script(session, slurm):
    start(session, reported)
    assert SECRET in slurm.env.values(), "the control: the session has its token"
    assert SECRET not in slurm.sent
    assert not any(SECRET in word for command in slurm.ran for word in command)
    assert slurm.env[certificates.VARIABLE] not in slurm.sent
    assert not any(slurm.env[certificates.VARIABLE] in word for command in slurm.ran for word in command)


def test_the_token_for_slurm_ends_with_the_first_line_of_the_job(session, slurm):
    start(session, reported)
    code = [line for line in slurm.sent.splitlines() if line and not line.startswith("#")]
    assert code[0] == "unset SLURM_JWT"


def test_the_session_knows_when_its_runtime_is_over(session, slurm):
    start(session, reported)
    say = slurm.sent.replace(f"{session.lab_python} -I -m benchtop_lab.session", "echo $BENCHTOP_ENDS")
    environment = {"SLURM_JOB_END_TIME": "1764072000"}  # as Slurm itself tells a job
    done = subprocess.run(["bash"], input=say, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1764072000"


def test_a_job_says_whose_it_is_and_is_never_requeued(session, slurm):
    command = slurm.submit_command(GRANTED, session.launch({}))
    assert "--job-name=jh-hpc-1-alice" in command
    assert "--no-requeue" in command
    assert "--chdir=/home/alice" in command
    assert "--gres=gpu:pascal:1" in command
    assert {"--cpus-per-task=2", "--mem=2048M", "--reservation=class"} <= set(command)


def test_the_comment_of_a_job_says_whose_session_it_is(session, slurm):
    command = slurm.submit_command(GRANTED, session.launch({}))
    comment = next(word for word in command if word.startswith("--comment="))
    assert comment.startswith("--comment=hpc-1:alice:")


def test_who_was_refused_is_offered_the_same_no_more(session, slurm):
    slurm.refuse = commands.Failed("sbatch: error: Batch job submission failed: Job violates a policy")
    with pytest.raises(SpawnException):
        start(session)
    assert not slurm.remembers


def test_whose_queue_is_full_is_told_what_to_do(session, slurm):
    slurm.refuse = commands.Failed(
        "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates "
        "accounting/QOS policy (job submit limit, user's size and/or time limits)"
    )
    with pytest.raises(SpawnException) as caught:
        start(session)
    assert "You have reached the maximum number of jobs in the queue. Cancel some" in caught.value.message


@pytest.mark.parametrize(
    "said",
    [
        "Unable to contact slurm controller (connect failure)",
        "Socket timed out on send/recv operation",
        "Zero Bytes were transmitted or received",
    ],
)
def test_a_controller_that_does_not_answer_is_told_as_that(session, slurm, said):
    slurm.refuse = commands.Failed(f"sbatch: error: Batch job submission failed: {said}")
    with pytest.raises(SpawnException) as caught:
        start(session)
    assert caught.value.message.startswith("The scheduler does not answer.")


class Refusing(SlurmBackend):
    """Whose scancel fails."""

    def __init__(self, said):
        super().__init__(cell("hpc-1"))
        self.said = said

    async def run(self, person, *command, **_):
        raise commands.Failed(f"scancel: error: {self.said}")


def test_what_scancel_says_is_told_apart():
    assert asyncio.run(Refusing("Invalid job id 42").cancel("42", "alice")) is False
    with pytest.raises(Denied):
        asyncio.run(Refusing("Kill job error on job id 42: Access/permission denied").cancel("42", "alice"))
    with pytest.raises(commands.Failed):
        asyncio.run(Refusing("Unable to contact slurm controller").cancel("42", "alice"))


# ---- where a node is reached (state_exechost_exp) ----------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "host"),
    [(r"\1", "gpu-1"), (r"\1.cluster.example.org", "gpu-1--cluster--example--org"), ("", "gpu-1")],
)
def test_a_node_is_reached_where_the_site_says(session, answers, expression, host):
    session.state_exechost_exp = expression
    assert start(session, reported) == f"https://{host}.{session.tls_name}:45678"
    assert certificates.node_of(f"{host}.{NAMED}") == (expression.replace(r"\1", "gpu-1") or "gpu-1")


# ---- squeue, as a program says it --------------------------------------------------------------------


# finds what each line of the answer is to begin with, as squeue does
SQUEUE = """#!/bin/sh
for word; do case $word in --format=*) form=${word#--format=} ;; esac; done
line=${form%%'%i'*}"7|RUNNING|gpu-1|debug|9|N/A|None|x"
"""


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Job 7, by a program in squeue's place that says what it is told."""
    program = tmp_path / "squeue"
    monkeypatch.setattr(commands, "PATH", f"{tmp_path}:{commands.PATH}")

    def job(says):
        program.write_text(SQUEUE + says)
        program.chmod(0o755)
        return asyncio.run(SlurmBackend(cell("hpc-1")).queue.job("7", "alice"))

    return job


def test_what_squeue_says_is_believed(squeue):
    """The control beside the garbage."""
    assert squeue('echo "$line"').alive
    assert squeue("") is None, "an empty queue"


@pytest.mark.parametrize(
    "says",
    [
        "echo slurm_load_jobs error",
        "head -c 500 /dev/urandom",
        'printf %s "$line"',  # ends before its end
        'echo "${line%|N*}"',
        'echo "$line"; exit 1',
        'echo "$line"; kill -9 $$',
    ],
)
def test_garbage_is_no_answer(squeue, says):
    with pytest.raises(Unknown):
        squeue(says)


# ---- the log of a session, as the owner's other servers have theirs --------------------------------


def test_the_log_is_in_the_home_under_its_servers_name(session, slurm):
    launch = session.launch({})
    assert script.environment(launch)["BENCHTOP_LOG"] == "/home/alice/.benchtop-session.log"
    assert "--output=/dev/null" in slurm.submit_command(GRANTED, launch), "a pipe there would hold the job up"
