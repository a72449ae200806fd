# ruff: noqa: D102  # stand-ins: their names say it
"""A session as a job: nothing is lost, nothing is believed, and what went wrong is told."""

import asyncio
import logging
import subprocess
import time
from types import SimpleNamespace

import pytest
from jupyterhub import apihandlers
from jupyterhub.spawner import SpawnException

from benchtop_hub import commands, form, jobs, slurm
from benchtop_hub import session as session_module
from benchtop_hub.minter import Unavailable
from benchtop_hub.rights import Choice, Limit

CHOICE = Choice("debug", "default", "normal", Limit(30, "partition:debug/MaxTime"), {"pascal": Limit(1, "x")})
GRANTED = form.Granted("debug", "default", "normal", "pascal", 1, 30)
RUNNING = jobs.Job("RUNNING", "gpu-1", "")
SECRET = "token-of-the-session"


class Cluster:
    """A cluster of one job, told by the test what to say."""

    def __init__(self):
        self.ran: list[tuple[str, ...]] = []
        self.sent = ""
        self.env: dict[str, str] = {}
        self.said: object = RUNNING
        self.on_submit: asyncio.Event | None = None
        self.refuse: Exception | None = None
        self.cancels_fail = 0
        self.oldest = 0.0
        self.queue = self

    async def choices(self, person):
        return [CHOICE]

    async def is_node(self, name, person):
        return name == "gpu-1"

    async def run(self, person, *command, stdin="", env=None):
        self.ran.append(command)
        if command[0] == "sbatch":
            self.sent, self.env = stdin, dict(env)
            if self.refuse:
                raise self.refuse
            if self.on_submit:
                await self.on_submit.wait()
            return "sbatch: a warning\n42;hpc\n"
        if command[0] == "scancel":
            if self.cancels_fail:
                self.cancels_fail -= 1
                raise commands.Failed("slurm_kill_job: Unable to contact slurm controller")
            self.said = jobs.Job("CANCELLED", "gpu-1", "")
        return ""

    async def cancel(self, number, person):
        await self.run(person, "scancel", number)
        return True

    async def job(self, number, person, *, max_age=1.0):
        assert number == "42"
        self.oldest = max_age
        await asyncio.sleep(0)
        if isinstance(self.said, Exception):
            raise self.said
        return self.said

    def names(self):
        return [command[0] for command in self.ran]


class Session(slurm.SlurmSession):
    """The spawner without the rest of JupyterHub."""

    saves = 0
    pending = "spawn"
    server = SimpleNamespace(base_url="/jupyterhub/hpc/user/alice/")

    def get_env(self):
        return {"JUPYTERHUB_API_TOKEN": SECRET}

    def _save(self):
        self.saves += 1

    async def _until_answering(self, url):
        self.asked = url


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def session(cluster, monkeypatch):
    monkeypatch.setattr(session_module, "STARTING_AGE", 0.01)
    return Session(
        user=SimpleNamespace(name="alice"), cluster=cluster, cell="hpc-1", user_options={},
        log=logging.getLogger("test"),
    )  # fmt: skip


async def reported(session, port=45678):
    """The job's report, as soon as it is waited for."""
    while not session.job_id:
        await asyncio.sleep(0)
    return session.report_port(port)


def start(session, *others):
    async def both():
        return (await asyncio.gather(session.start(), *(other(session) for other in others)))[0]

    return asyncio.run(asyncio.wait_for(both(), 10))


def test_upstreams_report_handler_is_not_mounted():
    paths = [entry[0] for entry in apihandlers.default_handlers]
    assert not any("batchspawner" in path for path in paths)
    assert "/api/session/port" in paths


def test_a_session_is_where_slurm_put_it_and_listens_where_it_said(session):
    assert start(session, reported) == "http://gpu-1:45678"
    assert session.asked == "http://gpu-1:45678/jupyterhub/hpc/user/alice/api"


def test_the_job_is_saved_before_it_runs(session):
    session.cluster.said = jobs.Job("PENDING", "", "Resources")

    async def submitted():
        starting = asyncio.create_task(session.start())
        while not session.job_id:
            await asyncio.sleep(0)
        saved = session.saves
        starting.cancel()
        return saved

    assert asyncio.run(submitted()) == 1
    assert session.get_state()["job_id"] == "42"


def test_no_secret_is_in_the_command_or_the_script(session, cluster):
    start(session, reported)
    assert SECRET in cluster.env.values(), "the control: the session has its token"
    assert SECRET not in cluster.sent
    assert not any(SECRET in word for command in cluster.ran for word in command)


def test_the_token_for_slurm_ends_with_the_first_line_of_the_job(session, cluster):
    start(session, reported)
    code = [line for line in cluster.sent.splitlines() if not line.startswith("#")]
    assert code[0] == "unset SLURM_JWT"


def test_the_session_knows_when_its_runtime_is_over(session, cluster):
    start(session, reported)
    say = cluster.sent.replace(f"exec {session.lab_python} -I -m benchtop_lab.session", "echo $BENCHTOP_ENDS")
    environment = {"SLURM_JOB_END_TIME": "1764072000"}  # as Slurm itself tells a job
    done = subprocess.run(["bash"], input=say, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1764072000"


def test_a_job_says_whose_it_is_and_is_never_requeued(session):
    command = session.submit_command(GRANTED)
    assert "--job-name=jh-hpc-1-alice" in command
    assert "--no-requeue" in command
    assert "--chdir=/home/alice" in command
    assert "--gres=gpu:pascal:1" in command


def test_what_the_api_asks_for_is_checked_like_a_form(session):
    session.user_options = {"partition": "debug", "runtime": 31}
    with pytest.raises(Exception, match="MaxTime") as caught:
        start(session)
    assert caught.value.status_code == 400
    assert session.cluster.ran == []


def test_slurms_own_refusal_reaches_the_person(session, cluster):
    cluster.refuse = commands.Failed(
        "sbatch: error: Batch job submission failed: Job violates accounting policy"
    )
    with pytest.raises(SpawnException) as caught:
        start(session)
    assert caught.value.message == "Slurm does not accept the session: Job violates accounting policy."


def test_a_minter_that_is_away_reaches_the_person_as_a_sentence(session, cluster):
    cluster.refuse = Unavailable("ClientConnectorError: secret internals")
    with pytest.raises(SpawnException) as caught:
        start(session)
    assert "internals" not in caught.value.message
    assert "Try again" in caught.value.message


def test_a_job_that_dies_before_it_reports_is_told_with_its_last_words(session, cluster):
    async def dies(session):
        while not session.job_id:
            await asyncio.sleep(0)
        assert session.report_end("Traceback\nSyntaxError: <oops>")
        cluster.said = jobs.Job("FAILED", "gpu-1", "NonZeroExitCode")

    with pytest.raises(SpawnException) as caught:
        start(session, dies)
    assert caught.value.message == "Job 42 ended before JupyterLab could start: JupyterLab stopped by itself."
    assert "SyntaxError: &lt;oops&gt;" in caught.value.message_html


def test_a_node_that_the_cluster_does_not_know_is_not_connected_to(session, cluster):
    cluster.said = jobs.Job("RUNNING", "evil.example.org", "")
    with pytest.raises(SpawnException):
        start(session, reported)


def test_a_scheduler_that_is_away_for_a_moment_costs_no_start(session, cluster):
    cluster.said = jobs.Unknown("timeout")

    async def comes_back(session):
        while not session.job_id:
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        cluster.said = RUNNING

    assert start(session, comes_back, reported) == "http://gpu-1:45678"


def test_a_start_that_is_cancelled_while_the_job_is_submitted_leaves_no_job(session, cluster):
    async def cancelled():
        cluster.on_submit = asyncio.Event()
        starting = asyncio.create_task(session.start())
        while "sbatch" not in cluster.names():
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.sleep(0)
        assert await session.poll() is None, "not known is not gone"
        asyncio.get_running_loop().call_later(0.02, cluster.on_submit.set)
        await session.stop()

    asyncio.run(cancelled())
    assert ("scancel", "42") in cluster.ran


@pytest.mark.parametrize("state", ["RUNNING", "PENDING", "SUSPENDED", "REQUEUED", "COMPLETING", "STOPPED"])
def test_a_job_that_has_not_ended_keeps_its_session(session, cluster, state):
    session.load_state({"job_id": "42", "address": "http://gpu-1:45678"})
    cluster.said = jobs.Job(state, "gpu-1", "")
    assert asyncio.run(session.poll()) is None


def test_an_unknown_answer_keeps_the_session(session, cluster):
    session.load_state({"job_id": "42", "address": "http://gpu-1:45678"})
    cluster.said = jobs.Unknown("Zero Bytes were transmitted or received")
    assert asyncio.run(session.poll()) is None
    assert session.get_state()["job_id"] == "42"


def test_an_answer_from_before_the_job_is_not_believed(session, cluster):
    async def at_once():
        began = time.monotonic()
        await session._submit(GRANTED)
        assert await session.poll() is None
        return time.monotonic() - began

    assert asyncio.run(at_once()) > cluster.oldest
    session._submitted_at -= 3600
    asyncio.run(session.poll())
    assert cluster.oldest == session_module.RUNNING_AGE  # the control: later, all share one answer


def test_a_job_that_is_cancelled_in_the_queue_is_not_told_by_why_it_waited(session, cluster):
    cluster.said = jobs.Job("CANCELLED", "", "QOSMaxGRESPerUser")
    with pytest.raises(SpawnException) as failed:
        start(session)
    assert "Job 42 ended before JupyterLab could start: it was cancelled." in str(failed.value)


def test_a_job_whose_start_was_cut_off_by_a_restart_is_ended(session, cluster):
    session.load_state({"job_id": "42"})
    assert asyncio.run(session.poll()) == 1
    assert ("scancel", "42") in cluster.ran


def test_a_session_that_was_running_survives_a_restart(session, cluster):
    start(session, reported)
    session.load_state(session.get_state())
    assert asyncio.run(session.poll()) is None


@pytest.mark.parametrize("gone", [None, jobs.Job("TIMEOUT", "gpu-1", "TimeLimit")])
def test_a_job_that_ended_ends_its_session(session, cluster, gone):
    session.load_state({"job_id": "42", "address": "http://gpu-1:45678"})
    cluster.said = gone
    assert asyncio.run(session.poll()) == 1


def test_a_session_that_was_never_started_is_not_running(session):
    assert asyncio.run(session.poll()) == 0


def test_stopping_waits_until_the_job_is_gone(session, cluster):
    session.load_state({"job_id": "42", "address": "http://gpu-1:45678"})
    asyncio.run(session.stop())
    assert cluster.names() == ["scancel"]
    assert not cluster.said.alive


def test_a_cancel_that_fails_is_tried_again(session, cluster, monkeypatch):
    session.load_state({"job_id": "42", "address": "http://gpu-1:45678"})
    cluster.cancels_fail = 1
    real = asyncio.sleep
    monkeypatch.setattr(session_module.asyncio, "sleep", lambda seconds: real(0))
    asyncio.run(session.stop())
    assert cluster.names() == ["scancel", "scancel"]


def test_a_port_is_taken_once_and_only_while_it_is_waited_for(session):
    assert not session.report_port(45678), "nothing is being started"

    async def waiting():
        session._reported = asyncio.get_running_loop().create_future()
        answers = [session.report_port(45678), session.report_port(45678), session.report_port(45679)]
        session.pending = None
        return [*answers, session.report_port(45678)]

    assert asyncio.run(waiting()) == [True, True, False, False]
