# ruff: noqa: D102  # stand-ins: their names say it
"""A session as a job: nothing is lost, nothing is believed, and what went wrong is told."""

import asyncio
import base64
import logging
import re
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from jupyterhub import apihandlers
from jupyterhub.spawner import SpawnException
from jupyterhub.utils import hash_token

from benchtop_hub.access.minter import Refused, Unavailable
from benchtop_hub.backends import commands
from benchtop_hub.backends import queue as jobs
from benchtop_hub.backends.backend import Denied
from benchtop_hub.backends.slurm import backend as slurm
from benchtop_hub.backends.slurm import form
from benchtop_hub.backends.slurm.rights import Choice, Limit, Shape
from benchtop_hub.sessions import certificates, endings
from benchtop_hub.sessions import spawner as session_module

CHOICE = Choice(
    "debug", "default", "normal", Limit(30, "partition:debug/MaxTime"), {"pascal": Limit(1, "x")},
    Limit(8, "x"), Limit(4096, "x"), (Shape(8, 4096, {"any": 2, "pascal": 2}),),
)  # fmt: skip
GRANTED = form.Granted("debug", "default", "normal", "class", "pascal", 1, 2, 2048, 30)
RUNNING = jobs.Job("RUNNING", "gpu-1", "")
SECRET = "token-of-the-session"
NAMED = "0" * 32 + ".session"
TEMPLATES = Path(__file__).parents[3] / "hub/templates"


class Cluster:
    """A cluster of one job, told by the test what to say."""

    def __init__(self):
        self.ran: list[tuple[str, ...]] = []
        self.sent = ""
        self.env: dict[str, str] = {}
        self.said: object = RUNNING
        self.on_submit: asyncio.Event | None = None
        self.refuse: Exception | None = None
        self.remembers = True
        self.cancels_fail = 0
        self.oldest = 0.0
        self.queue = self
        self.rights_age = 0.0
        self.estimate = "sbatch: Job 43 to start at 2020-01-01T12:00:00 using 1 processors on nodes gpu-1\n"
        self.known: dict[str, jobs.Job] = {}  # the last answer

    def forget(self):
        self.remembers = False

    async def offer(self, person, groups, *, max_age, own_age):
        self.rights_age = own_age
        return form.Offer([CHOICE])

    async def is_node(self, name, person):
        return name == "gpu-1"

    async def run(self, person, *command, stdin="", env=None, errors=False):
        self.ran.append(command)
        if "--test-only" in command:
            if self.refuse:
                raise self.refuse
            assert errors, "sbatch says it on stderr"
            await asyncio.sleep(0)
            return self.estimate
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
def session(cluster, keys, monkeypatch):
    monkeypatch.setattr(session_module, "STARTING_AGE", 0.01)
    monkeypatch.setattr(session_module.adoption, "keep", lambda spawner: None)
    return Session(
        user=SimpleNamespace(name="alice", groups=[], settings={"cookie_secret": b"0" * 32}),
        orm_spawner=SimpleNamespace(server=None, name=""), cluster=cluster, cell="hpc-1", user_options={},
        log=logging.getLogger("test"), keys=str(keys),
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
    assert start(session, reported) == f"https://gpu-1.{session.tls_name}:45678"
    assert session.asked == f"https://gpu-1.{session.tls_name}:45678/jupyterhub/hpc/user/alice/api"


def test_the_log_says_how_long_each_step_of_a_start_took(session, caplog):
    caplog.set_level(logging.INFO)
    start(session, reported)
    started = r"session started user=alice cell=hpc-1 job=42 at=gpu-1:45678"
    steps = r"submit_ms=\d+ queue_ms=\d+ report_ms=\d+ answer_ms=\d+"
    assert re.search(rf"{started} {steps}$", caplog.text, re.MULTILINE)


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
    say = cluster.sent.replace(f"{session.lab_python} -I -m benchtop_lab.session", "echo $BENCHTOP_ENDS")
    environment = {"SLURM_JOB_END_TIME": "1764072000"}  # as Slurm itself tells a job
    done = subprocess.run(["bash"], input=say, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1764072000"


def test_a_job_says_whose_it_is_and_is_never_requeued(session):
    command = session.submit_command(GRANTED)
    assert "--job-name=jh-hpc-1-alice" in command
    assert "--no-requeue" in command
    assert "--chdir=/home/alice" in command
    assert "--gres=gpu:pascal:1" in command
    assert {"--cpus-per-task=2", "--mem=2048M", "--reservation=class"} <= set(command)


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
    assert not cluster.remembers, "the next form would offer the same again"


def test_whose_queue_is_full_is_told_what_to_do(session, cluster):
    cluster.refuse = commands.Failed(
        "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates "
        "accounting/QOS policy (job submit limit, user's size and/or time limits)"
    )
    with pytest.raises(SpawnException) as caught:
        start(session)
    assert "You have as many jobs in the queue as you may have. Cancel some" in caught.value.message


@pytest.mark.parametrize(
    "said",
    [
        "Unable to contact slurm controller (connect failure)",
        "Socket timed out on send/recv operation",
        "Zero Bytes were transmitted or received",
    ],
)
def test_a_controller_that_does_not_answer_is_told_as_that(session, cluster, said):
    cluster.refuse = commands.Failed(f"sbatch: error: Batch job submission failed: {said}")
    with pytest.raises(SpawnException) as caught:
        start(session)
    assert caught.value.message.startswith("The scheduler does not answer.")


@pytest.mark.parametrize(
    ("trouble", "login_node", "offered"),
    [
        (commands.Failed("Unable to contact slurm controller (connect failure)"), "hpc-login", True),
        (commands.Failed("Unable to contact slurm controller (connect failure)"), "", False),
        (Refused("You are no member."), "hpc-login", False),
        (Unavailable("ServerDisconnectedError"), "hpc-login", False),
    ],
)
def test_while_slurm_is_away_its_form_is_the_login_nodes(session, cluster, trouble, login_node, offered):
    async def offer(*_, **__):
        raise trouble

    cluster.offer = offer
    session.templates, session.login_node = str(TEMPLATES), login_node
    page = asyncio.run(session._form())
    assert ('name="where" value="login"' in page, 'id="runtime"' in page) == (offered, offered)
    assert ("The scheduler does not answer." in page) == isinstance(trouble, commands.Failed)


def test_a_start_is_given_up_in_time_to_say_what_it_waited_for(session, cluster):
    """Upstream, which would give it up ten seconds later, says nothing of the queue."""
    cluster.said = jobs.Job("PENDING", "", "Resources")
    session.start_timeout = session_module.LEAD + 1
    with pytest.raises(SpawnException, match=r"did not start within 11 seconds .*all fitting nodes are busy"):
        start(session)


def test_a_minter_that_is_away_reaches_the_person_as_a_sentence(session, cluster):
    cluster.refuse = Unavailable("ClientConnectorError: secret internals")
    with pytest.raises(SpawnException) as caught:
        start(session)
    assert "internals" not in caught.value.message
    assert "Try again" in caught.value.message
    assert caught.value.message.startswith("The service that grants access to the cluster does not answer.")


def test_the_list_of_people_is_named_when_it_is_what_does_not_answer(session, cluster):
    cluster.refuse = Unavailable("The directory does not answer.", "The list of the facility's people")
    with pytest.raises(SpawnException, match="The list of the facility's people does not answer") as caught:
        start(session)
    assert "cheduler" not in caught.value.message


@pytest.mark.parametrize(
    ("met", "who"),
    [
        (Unavailable("ServerDisconnectedError"), "The service that grants access to the cluster"),
        (commands.Failed("Unable to contact slurm controller"), "The scheduler"),
    ],
)
def test_who_waits_is_told_who_does_not_answer(session, cluster, met, who):
    cluster.said = jobs.Unknown(str(met), met)
    session.job_id = "42"
    assert asyncio.run(session._look(0.0)) is None
    assert session.stage[1] == f"{who} does not answer at the moment; still trying."


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


def test_last_words_that_come_after_the_end_of_the_job_are_told_as_well(session, cluster):
    async def dies(session):
        while not session.job_id:
            await asyncio.sleep(0)
        cluster.said = jobs.Job("FAILED", "gpu-1", "NonZeroExitCode")
        await asyncio.sleep(0.2)
        assert session.report_end("no space left")

    with pytest.raises(SpawnException) as caught:
        start(session, dies)
    assert "no space left" in caught.value.message_html


def test_a_start_that_failed_is_not_told_a_second_time_as_a_session_that_ended(session, cluster, monkeypatch):
    monkeypatch.setattr(session_module, "WORDS_PATIENCE", 0.0)
    cluster.said = jobs.Job("FAILED", "gpu-1", "NonZeroExitCode")
    with pytest.raises(SpawnException):
        start(session)
    assert asyncio.run(session.poll()) == 1
    assert session.ended == ""


def test_a_node_that_the_cluster_does_not_know_is_not_connected_to(session, cluster, monkeypatch):
    monkeypatch.setattr(session_module, "NODE_PATIENCE", 0.05)
    cluster.said = jobs.Job("RUNNING", "evil.example.org", "")
    with pytest.raises(SpawnException, match="no node that the cluster knows"):
        start(session, reported)


@pytest.mark.parametrize("said", [commands.Failed("Unable to contact slurm controller"), False])
def test_a_cluster_that_does_not_know_its_node_for_a_moment_costs_no_start(session, cluster, said):
    answers = [said, said]

    async def is_node(name, person):
        answer = answers.pop() if answers else name == "gpu-1"
        if isinstance(answer, Exception):
            raise answer
        return answer

    cluster.is_node = is_node
    assert start(session, reported) == f"https://gpu-1.{session.tls_name}:45678"
    assert not answers


def test_a_scheduler_that_is_away_for_a_moment_costs_no_start(session, cluster):
    cluster.said = jobs.Unknown("timeout")

    async def comes_back(session):
        while not session.job_id:
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        cluster.said = RUNNING

    assert start(session, comes_back, reported) == f"https://gpu-1.{session.tls_name}:45678"


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
    session.load_state({"job_id": "42", "address": f"https://gpu-1.{NAMED}:45678", "tls_name": NAMED})
    cluster.said = jobs.Job(state, "gpu-1", "")
    assert asyncio.run(session.poll()) is None


def test_an_unknown_answer_keeps_the_session(session, cluster):
    session.load_state({"job_id": "42", "address": f"https://gpu-1.{NAMED}:45678", "tls_name": NAMED})
    cluster.said = jobs.Unknown("Zero Bytes were transmitted or received")
    assert asyncio.run(session.poll()) is None
    assert session.get_state()["job_id"] == "42"


def test_an_answer_from_before_the_job_is_not_believed(session, cluster):
    async def at_once():
        began = time.monotonic()
        await session._submit(GRANTED, {})
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


async def cut_off(session):
    """The state of a start that waits in the queue, or for JupyterLab; the start itself is gone."""
    starting = asyncio.create_task(session.start())
    while not session.job_id:
        await asyncio.sleep(0)
    state = session.get_state()
    starting.cancel()
    await asyncio.wait({starting})
    session.clear_state()
    return state


def resumed(session, monkeypatch, *, reported_before=0):
    """What a start comes to that another process of the hub has begun."""
    monkeypatch.setattr(session_module.adoption, "begin", lambda spawner: None)

    async def both():
        state = await cut_off(session) | {"port": reported_before}
        session.load_state(state)
        resuming = asyncio.create_task(session.resume())
        await asyncio.sleep(0)
        if not reported_before:
            assert session.report_port(45678)
        return await resuming

    return asyncio.run(asyncio.wait_for(both(), 10))


def test_a_start_that_a_restart_cut_off_goes_on_with_the_same_job(session, cluster, monkeypatch):
    assert resumed(session, monkeypatch) == f"https://gpu-1.{session.tls_name}:45678"
    assert cluster.names() == ["sbatch"]
    assert session.get_state()["address"] == f"https://gpu-1.{session.tls_name}:45678"


def test_a_port_that_was_reported_before_the_restart_counts(session, monkeypatch):
    assert resumed(session, monkeypatch, reported_before=45999) == f"https://gpu-1.{session.tls_name}:45999"


def test_a_reported_port_is_saved_before_the_job_is_told_that_it_was_heard(session):
    async def waiting():
        session.job_id = "42"
        session._reported = asyncio.get_running_loop().create_future()
        before = session.saves
        assert session.report_port(45678)
        return session.saves - before, session.get_state()["port"]

    assert asyncio.run(waiting()) == (1, 45678)


def test_a_start_that_was_cut_off_and_whose_job_died_meanwhile_fails_with_a_sentence(
    session, cluster, monkeypatch
):
    async def dead():
        cluster.said = jobs.Job("CANCELLED", "", "")
        return True

    monkeypatch.setattr(session, "_save", lambda: None)
    real = session.resume

    async def resume():
        await dead()
        return await real()

    monkeypatch.setattr(session, "resume", resume)
    with pytest.raises(SpawnException, match="it was cancelled"):
        resumed(session, monkeypatch, reported_before=45678)


def test_a_restart_leaves_a_start_no_more_time_than_it_had(session, cluster, monkeypatch):
    monkeypatch.setattr(session_module, "RETURN", 0.05)
    cluster.said = jobs.Job("PENDING", "", "Resources")
    session.start_timeout = 600

    async def late():
        session.load_state(
            {"job_id": "42", "place": "partition debug", "since": time.time() - 3600, "tls_name": NAMED}
        )
        await session.resume()

    monkeypatch.setattr(session_module.adoption, "begin", lambda spawner: None)
    with pytest.raises(SpawnException, match="did not start within 10 minutes"):
        asyncio.run(asyncio.wait_for(late(), 10))


@pytest.mark.parametrize("state", [{}, {"address": f"https://gpu-1.{NAMED}:45678", "tls_name": NAMED}])
def test_upstreams_first_look_after_a_restart_sees_nothing_that_has_a_job(session, monkeypatch, state):
    monkeypatch.setattr(session_module.adoption, "begin", lambda spawner: None)
    monkeypatch.delattr(Session, "server")
    monkeypatch.setattr(session_module.BatchSpawnerBase, "server", property(lambda spawner: "there"))
    session._check_pending = True
    assert session.server == "there", "the control: one without a job is looked at"
    session.load_state({"job_id": "42", **state})
    assert session.server is None
    session._check_pending = False
    assert session.server == "there"


def test_after_a_restart_the_token_of_the_session_is_known_by_its_hash(session):
    session.orm_spawner = SimpleNamespace(
        server=None, oauth_client=SimpleNamespace(secret=hash_token(SECRET))
    )
    session.api_token = ""
    assert not session.is_own("another-token-of-alice")
    assert session.is_own(SECRET)
    assert session.api_token == SECRET, "so that it ends with the session"
    assert not session.is_own("another-token-of-alice")


def test_a_session_that_was_running_survives_a_restart(session, cluster):
    start(session, reported)
    session.load_state(session.get_state())
    assert asyncio.run(session.poll()) is None


@pytest.mark.parametrize("gone", [None, jobs.Job("TIMEOUT", "gpu-1", "TimeLimit")])
def test_a_job_that_ended_ends_its_session(session, cluster, gone):
    session.load_state({"job_id": "42", "address": f"https://gpu-1.{NAMED}:45678", "tls_name": NAMED})
    cluster.said = gone
    assert asyncio.run(session.poll()) == 1


def test_a_session_that_was_never_started_is_not_running(session):
    assert asyncio.run(session.poll()) == 0


def test_stopping_waits_until_the_job_is_gone(session, cluster):
    session.load_state({"job_id": "42", "address": f"https://gpu-1.{NAMED}:45678", "tls_name": NAMED})
    asyncio.run(session.stop())
    assert cluster.names() == ["scancel"]
    assert not cluster.said.alive


def test_a_cancel_that_fails_is_tried_again(session, cluster, monkeypatch):
    session.load_state({"job_id": "42", "address": f"https://gpu-1.{NAMED}:45678", "tls_name": NAMED})
    cluster.cancels_fail = 1
    real = asyncio.sleep
    monkeypatch.setattr(endings.asyncio, "sleep", lambda seconds: real(0))
    asyncio.run(session.stop())
    assert cluster.names() == ["scancel", "scancel"]


def test_a_job_that_is_somebody_elses_is_not_asked_for_again(session, cluster, caplog):
    async def refuse(number, person):
        cluster.ran.append(("scancel", number))
        raise Denied("Kill job error on job id 42: Access/permission denied")

    session.load_state({"job_id": "42", "address": f"https://gpu-1.{NAMED}:45678", "tls_name": NAMED})
    cluster.cancel = refuse
    asyncio.run(asyncio.wait_for(session.stop(), 10))
    assert cluster.names() == ["scancel"]
    assert caplog.text.count("Access/permission denied") == 1


class Slurm(slurm.SlurmCluster):
    """Whose scancel fails."""

    def __init__(self, said):
        super().__init__(SimpleNamespace())
        self.said = said

    async def run(self, person, *command, **_):
        raise commands.Failed(f"scancel: error: {self.said}")


def test_what_scancel_says_is_told_apart():
    assert asyncio.run(Slurm("Invalid job id 42").cancel("42", "alice")) is False
    with pytest.raises(Denied):
        asyncio.run(Slurm("Kill job error on job id 42: Access/permission denied").cancel("42", "alice"))
    with pytest.raises(commands.Failed):
        asyncio.run(Slurm("Unable to contact slurm controller").cancel("42", "alice"))


def test_the_comment_of_a_job_says_whose_session_it_is(session):
    comment = next(word for word in session.submit_command(GRANTED) if word.startswith("--comment="))
    assert comment.startswith("--comment=hpc-1:alice:")


def test_a_port_is_taken_once_and_only_while_it_is_waited_for(session):
    assert not session.report_port(45678), "nothing is being started"

    async def waiting():
        session._reported = asyncio.get_running_loop().create_future()
        answers = [session.report_port(45678), session.report_port(45678), session.report_port(45679)]
        session.pending = None
        return [*answers, session.report_port(45678)]

    assert asyncio.run(waiting()) == [True, True, False, False]


# ---- what the next form starts with ---------------------------------------------------------------


def test_what_was_asked_for_is_remembered_over_the_end_and_a_restart(session):
    session.user_options = {"partition": "debug", "runtime": 20}
    start(session, reported)
    session.clear_state()
    assert session.get_state() == {"asked": {"partition": "debug", "runtime": 20}}
    session.load_state({"asked": {"cpus": 2}})
    assert session._asked == {"cpus": 2}


@pytest.mark.parametrize("refused_by_slurm", [False, True])
def test_a_refused_request_of_the_api_is_not_what_the_next_start_asks_for(session, cluster, refused_by_slurm):
    session._asked = {"partition": "debug"}
    # JupyterHub has stored it by now
    session.user_options = session.orm_spawner.user_options = {"partition": "debug", "runtime": 31}
    if refused_by_slurm:
        session.user_options = session.orm_spawner.user_options = {"runtime": 30}
        cluster.refuse = commands.Failed("sbatch: error: Requested node configuration is not available")
    with pytest.raises(Exception, match=r"MaxTime|not available"):
        start(session)
    assert session.user_options == session.orm_spawner.user_options == {"partition": "debug"}
    assert session._asked == {"partition": "debug"}


# ---- the form ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "age"), [("", 60.0), ("max-age=0", 1.0), ("no-cache", 1.0), ("no-store", 60.0)]
)
def test_who_reloads_the_form_gets_a_new_answer(session, cluster, header, age):
    session.templates = str(TEMPLATES)
    session.handler = SimpleNamespace(request=SimpleNamespace(headers={"Cache-Control": header}))
    assert "debug" in asyncio.run(session._form())
    assert cluster.rights_age == age


def test_a_refused_form_is_shown_again_without_what_nobody_can_read(session):
    session.templates = str(TEMPLATES)

    async def post():
        with pytest.raises(Exception, match="refused"):
            await session.options_from_form({"partition": ["x" * 1_000_000 + "\n"], "_xsrf": ["y"]})
        return await session._form()

    html = asyncio.run(post())
    assert "is not one of the names to choose from" in html
    assert len(html) < 20_000


def test_an_expected_start_is_asked_for_and_nothing_is_submitted(session, cluster):
    sentence = asyncio.run(session.estimate({"partition": "debug", "gpu": "pascal:1"}))
    assert sentence == "It would start at once."
    ((*command,),) = cluster.ran
    assert command[0] == "sbatch"
    assert command[-1] == "--test-only"
    assert "--gres=gpu:pascal:1" in command
    assert not session.job_id


def test_an_expected_start_is_checked_like_a_start(session, cluster):
    with pytest.raises(form.Refused):
        asyncio.run(session.estimate({"partition": "debug", "runtime": 31}))
    assert cluster.ran == []


def test_what_slurm_would_not_accept_is_told_before_anybody_presses_start(session, cluster):
    cluster.refuse = commands.Failed("allocation failure: Requested node configuration is not available")
    assert "Slurm would not accept it" in asyncio.run(session.estimate({}))


def test_a_scheduler_that_is_away_is_told_as_such(session, cluster):
    cluster.refuse = commands.Failed("sbatch: error: Unable to contact slurm controller (connect failure)")
    with pytest.raises(Exception, match="start unknown") as caught:
        asyncio.run(session.estimate({}))
    assert caught.value.status_code == 503


def test_one_expected_start_is_worked_out_at_a_time(session):
    async def two():
        return await asyncio.gather(session.estimate({}), session.estimate({}), return_exceptions=True)

    first, second = asyncio.run(two())
    assert first == "It would start at once."
    assert second.status_code == 429
    assert asyncio.run(session.estimate({})) == first


def test_an_answer_that_says_no_time_is_no_error(session, cluster):
    cluster.estimate = "sbatch: something else\n"
    assert asyncio.run(session.estimate({})) == "Slurm does not know when it would start."


# ---- by what it proves that it is this one (certificates.py) -------------------------------------


def test_a_session_gets_a_certificate_for_a_name_that_no_other_has(session, cluster):
    start(session, reported)
    first = session.tls_name
    pem = base64.b64decode(cluster.env[certificates.VARIABLE])
    shown = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert shown.value.get_values_for_type(x509.DNSName) == [f"*.{first}"]
    assert cluster.env[certificates.VARIABLE] not in cluster.sent
    assert not any(cluster.env[certificates.VARIABLE] in word for command in cluster.ran for word in command)
    session.pending = "spawn"
    start(session, reported)
    assert session.tls_name != first


def test_a_hub_that_was_restarted_knows_its_name(session):
    start(session, reported)
    before = session.tls_name
    state = session.get_state()
    session.clear_state()
    assert session.tls_name == ""
    session.load_state(state)
    assert session.tls_name == before


def test_a_session_without_a_name_is_ended_and_its_owner_told(session, cluster):
    session.load_state({"job_id": "42", "address": "http://gpu-1:45678"})

    async def polled():
        answer = await session.poll()
        await asyncio.sleep(0.05)  # its end goes on beside it
        return answer

    assert asyncio.run(polled()) == 1
    assert cluster.names() == ["scancel"]
    assert session.ended == "Your session ended: the facility was upgraded."


def test_a_start_without_a_name_is_given_up_with_a_sentence(session, monkeypatch):
    monkeypatch.setattr(session_module.adoption, "begin", lambda spawner: None)
    session.load_state({"job_id": "42", "place": "partition debug", "port": 45678})
    with pytest.raises(SpawnException, match="start it again"):
        asyncio.run(asyncio.wait_for(session.resume(), 10))
