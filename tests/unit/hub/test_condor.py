# ruff: noqa: D102  # stand-ins: their names say it
"""A session as an HTCondor job: its secrets travel in a file, and its states are told apart."""

import asyncio
import json
import logging
import shlex
import stat
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from jupyterhub.spawner import SpawnException

from benchtop_hub.backends import commands, marks
from benchtop_hub.backends.condor import backend as condor
from benchtop_hub.backends.condor import form as pool
from benchtop_hub.backends.condor import reasons as condor_waiting
from benchtop_hub.backends.queue import Job
from benchtop_hub.sessions import certificates, endings
from benchtop_hub.sessions import spawner as session_module

NOW = 1_800_000_000  # seconds since the epoch
SECRET = "token of the 'session'"
COOKIE_SECRET = b"0" * 32
MARK = marks.mark(COOKIE_SECRET, "htc-1", "alice")
NAMED = "0" * 32 + ".session"
GRANTED = pool.Granted("jupyter", 2, 1024, 512, 60)
SHOWN = json.dumps(
    [
        {"Machine": "ep-1", "IsJupyterSlot": True, "Cpus": 6, "Memory": 2048, "Disk": 4096 * 1024}
        | {"TotalSlotCpus": 6, "TotalSlotMemory": 2048, "TotalSlotDisk": 4096 * 1024}
    ]
)


class Minter:
    """Gives everybody a token."""

    async def token(self, person):
        return f"token-of-{person}"

    def known(self):
        return ["bob"]


class Pool(condor.CondorCluster):
    """A pool of one job, told by the test what to say."""

    access_point, cell, secret = "condor-ap:9618", "htc-1", COOKIE_SECRET

    def __init__(self):
        super().__init__(Minter())
        self.ran: list[tuple[str, ...]] = []
        self.handed_over: dict[str, str] = {}
        self.modes: set[int] = set()
        self.job: dict[str, object] | None = {"JobStatus": 2, "RemoteHost": "jupyter1_1@ep-1"}
        self.refuse: Exception | None = None
        self.shown = SHOWN

    async def run(self, person, *command, stdin="", env=None):
        self.ran.append(command)
        if command[0] == "condor_submit":
            if self.refuse:
                raise self.refuse
            folder = Path(command[-1]).parent
            self.handed_over = {path.name: path.read_text() for path in folder.iterdir()}
            self.modes = {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "session")}
            return "42.0 - 42.0\n"
        if command[0] == "condor_status":
            return self.shown
        if command[0] == "condor_q":
            ad = {"ClusterId": 42, "Owner": "alice", "BenchtopMark": MARK}
            return json.dumps([ad | self.job]) if self.job else ""
        if command[0] == "condor_rm":
            self.job = None
        return ""

    def names(self):
        return [command[0] for command in self.ran]


class Session(condor.CondorSession):
    """The spawner without the rest of JupyterHub."""

    pending = "spawn"
    server = SimpleNamespace(base_url="/jupyterhub/htc/user/alice/")

    def get_env(self):
        return {"JUPYTERHUB_API_TOKEN": SECRET}

    def _save(self):
        pass

    async def _until_answering(self, url):
        self.asked = url


@pytest.fixture
def cluster():
    return Pool()


@pytest.fixture
def session(cluster, keys, monkeypatch):
    monkeypatch.setattr(session_module, "STARTING_AGE", 0.01)
    monkeypatch.setattr(session_module.adoption, "keep", lambda spawner: None)
    return Session(
        user=SimpleNamespace(name="alice", settings={"cookie_secret": COOKIE_SECRET}),
        orm_spawner=SimpleNamespace(server=None, name=""), cluster=cluster, cell="htc-1", user_options={},
        log=logging.getLogger("test"), keys=str(keys),
    )  # fmt: skip


async def reported(session):
    while not session.job_id:
        await asyncio.sleep(0)
    return session.report_port(45678)


def start(session, *others):
    async def both():
        return (await asyncio.gather(session.start(), *(other(session) for other in others)))[0]

    return asyncio.run(asyncio.wait_for(both(), 10))


def test_a_session_is_where_htcondor_put_it_and_listens_where_it_said(session):
    assert start(session, reported) == f"https://ep-1.{session.tls_name}:45678"


def test_no_secret_is_in_the_command_or_the_jobs_ad(session, cluster):
    start(session, reported)
    assert shlex.quote(SECRET) in cluster.handed_over["session"], "the control: the session has its token"
    assert SECRET not in cluster.handed_over["job"]
    assert f"export {certificates.VARIABLE}=" in cluster.handed_over["session"]
    assert certificates.VARIABLE not in cluster.handed_over["job"]
    assert not any("token" in word for command in cluster.ran for word in command)


def test_what_is_handed_over_is_the_hubs_alone_and_gone_afterwards(session, cluster):
    start(session, reported)
    assert cluster.modes == {0o700, 0o600}
    submit = next(command for command in cluster.ran if command[0] == "condor_submit")
    assert not Path(submit[-1]).parent.exists()


def test_the_script_gives_every_variable_as_it_was(session, tmp_path):
    session.home, session.lab_python = str(tmp_path), "/bin/true"
    nasty = {"A": 'it\'s "quoted"\n$(id) `id` \\', "HOME": str(tmp_path)}
    script = session.script(GRANTED, nasty).replace("/bin/true -I -m benchtop_lab.session", 'printf %s "$A"')
    (tmp_path / "session").write_text(script)
    subprocess.run(["bash", "session"], cwd=tmp_path, check=True)
    assert (tmp_path / session.log_name).read_text() == nasty["A"]
    assert not (tmp_path / "session").exists(), "the secrets lie in the node's folder no longer than needed"


def test_a_home_that_takes_no_log_does_not_silence_the_session(session, tmp_path):
    session.home, session.lab_python = str(tmp_path / "away"), "/nowhere/python"
    (tmp_path / "session").write_text(session.script(GRANTED, {"HOME": str(tmp_path / "away")}))
    done = subprocess.run(["bash", "session"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 127
    assert "/nowhere/python" in (tmp_path / "log").read_text()


def test_the_session_knows_when_its_runtime_is_over(session, tmp_path):
    session.home, session.lab_python = str(tmp_path), "/bin/true"
    script = session.script(GRANTED, {"HOME": str(tmp_path)})
    say = script.replace("/bin/true -I -m benchtop_lab.session", "echo $BENCHTOP_ENDS")
    (tmp_path / "session").write_text(say)
    before = int(time.time())
    subprocess.run(["bash", "session"], cwd=tmp_path, check=True)
    ends = int((tmp_path / session.log_name).read_text())
    assert before <= ends - GRANTED.runtime * 60 <= time.time()


@pytest.mark.parametrize(("kind", "jupyter"), [("jupyter", "true"), ("standard", "false")])
def test_a_job_says_whose_it_is_what_it_wants_and_when_it_goes(session, kind, jupyter):
    said = session.description(pool.Granted(kind, 2, 1024, 512, 60), "/tmp/x").splitlines()  # noqa: S108
    assert "JobBatchName = jh-htc-1-alice" in said
    assert f"My.IsJupyter = {jupyter}" in said
    assert "request_cpus = 2" in said
    assert "request_memory = 1024M" in said
    ends = "\n".join(said).partition("periodic_hold = ")[2].partition("periodic_hold_reason")[0]
    assert "JobCurrentStartDate > 3600" in ends
    assert "NumShadowStarts > 0" in ends


def test_the_queue_is_asked_for_the_sessions_of_this_cell_straight_at_the_access_point(cluster):
    asyncio.run(cluster.listing("alice"))
    assert 'BenchtopCell =?= "htc-1"' in cluster.ran[0]
    assert cluster.direct() == {"_CONDOR_SCHEDD_HOST": "condor-ap:9618"}


def test_a_token_is_shown_by_a_private_file_of_its_person(cluster):
    shown = {who: Path(cluster.showing(who, f"t-{who}")["_CONDOR_SEC_TOKEN_DIRECTORY"]) for who in ("a", "b")}
    assert shown["a"] != shown["b"]
    assert (shown["a"] / "token").read_text() == "t-a"
    assert stat.S_IMODE((shown["a"] / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE(shown["a"].stat().st_mode) == 0o700
    cluster.showing("a", "t-2")
    assert [path.read_text() for path in shown["a"].iterdir()] == ["t-2"], "one token a person, the newest"


@pytest.mark.parametrize(
    ("ad", "job"),
    [
        ({"JobStatus": 1}, Job("PENDING", "", "")),
        ({"JobStatus": 1, "LastRejMatchReason": "no match found "}, Job("PENDING", "", "no match found")),
        (
            {"JobStatus": 5, "HoldReasonCode": 16, "EnteredCurrentStatus": NOW - condor.SPOOLED},
            Job("PENDING", "", "spooling"),
        ),
        (
            {"JobStatus": 5, "HoldReasonCode": 16, "EnteredCurrentStatus": NOW - condor.SPOOLED - 1},
            Job("FAILED", "", "", lingers=True, told=condor.CUT_OFF),
        ),
        ({"JobStatus": 2, "RemoteHost": "jupyter1_3@ep-2"}, Job("RUNNING", "ep-2", "")),
        ({"JobStatus": 3, "RemoteHost": "jupyter1_3@ep-2"}, Job("COMPLETING", "ep-2", "")),
        ({"JobStatus": 7, "RemoteHost": "jupyter1_3@ep-2"}, Job("SUSPENDED", "ep-2", "")),
        (
            {"JobStatus": 4, "LastRemoteHost": "a@ep-2", "ExitCode": 3},
            Job("FAILED", "ep-2", "", told="JupyterLab stopped by itself (exit code 3)"),
        ),
        (
            {"JobStatus": 4, "LastRemoteHost": "a@ep-2", "ExitBySignal": True},
            Job("FAILED", "ep-2", "", told="JupyterLab was killed"),
        ),
        ({"JobStatus": 4, "LastRemoteHost": "a@ep-2", "ExitCode": 0}, Job("COMPLETED", "ep-2", "")),
        (
            {
                "JobStatus": 5,
                "HoldReasonCode": 34,
                "HoldReason": "Error: memory usage exceeded request_memory",
            },
            Job("FAILED", "", "memory", lingers=True),
        ),
        (
            {"JobStatus": 5, "HoldReasonCode": 1, "HoldReason": "the disks are changed (by user bob)"},
            Job(
                "FAILED",
                "",
                "the disks are changed (by user bob)",
                lingers=True,
                told="it was put on hold: the disks are changed (by user bob)",
            ),
        ),
        (
            {"JobStatus": 5, "HoldReasonCode": 1, "HoldReason": "via condor_hold (by user bob)"},
            Job(
                "FAILED",
                "",
                "via condor_hold (by user bob)",
                lingers=True,
                told="it was put on hold (by user bob)",
            ),
        ),
        (
            {"JobStatus": 5, "HoldReasonCode": 1, "HoldReason": None},
            Job("FAILED", "", "on hold", lingers=True, told="it was put on hold"),
        ),
        (
            {
                "JobStatus": 5,
                "HoldReasonCode": 3,
                "HoldReason": "its time was over",
                "LastRemoteHost": "a@ep-2",
            },
            Job("FAILED", "ep-2", "", lingers=True, told="its time was over"),
        ),
        ({"JobStatus": 99, "RemoteHost": "a@ep-1"}, Job("RUNNING", "ep-1", "")),
    ],
)
def test_states_are_read_as_htcondor_tells_them(cluster, monkeypatch, ad, job):
    monkeypatch.setattr(condor, "time", SimpleNamespace(time=lambda: NOW))
    listed = cluster.parse(json.dumps([{"ClusterId": 7, "Owner": "alice", "BenchtopMark": MARK, **ad}]))
    assert listed == {"7": replace(job, owner="alice", mark=MARK)}


TWO = {"ClusterId": 8, "Owner": "alice", "BenchtopMark": MARK, "JobStatus": 2, "RemoteHost": "a@ep-2"}
NASTY = ("x", "", None, True, 1.5, -1, [], [[1]], {"a": 1}, "a\nb|c", 1e999, "/Expr(error)/", 10**30)


@pytest.mark.parametrize("name", condor.ATTRIBUTES.split(","))
def test_whatever_is_in_an_ad_costs_its_owner_alone(cluster, name):
    for status in (1, 2, 4, 5):
        for value in (*NASTY, ...):
            ad = {**TWO, "ClusterId": 7, "JobStatus": status, "HoldReasonCode": 16, "EnteredCurrentStatus": 1}
            ad = {key: content for key, content in (ad | {name: value}).items() if content is not ...}
            listed = cluster.parse(json.dumps([ad, TWO]))
            assert listed["8"] == Job("RUNNING", "ep-2", "", owner="alice", mark=MARK), (name, value)
            assert all(isinstance(job.state, str) and isinstance(job.reason, str) for job in listed.values())


@pytest.mark.parametrize("status", ["two", None, 2.0, True])
def test_a_job_that_does_not_say_its_state_is_not_gone(cluster, status):
    assert cluster.parse(json.dumps([TWO | {"JobStatus": status}]))["8"].alive


@pytest.mark.parametrize("wrong", [{"Owner": "bob"}, {"BenchtopMark": MARK[:-1]}, {"BenchtopMark": None}])
def test_a_job_without_the_cells_mark_for_its_owner_is_none_of_its(cluster, wrong):
    assert cluster.parse(json.dumps([TWO, {**TWO, "ClusterId": 7, **wrong}])).keys() == {"8"}


def test_an_answer_that_is_cut_off_is_no_answer(cluster):
    whole = json.dumps([{**TWO, "ClusterId": number} for number in (7, 8)])
    assert set(cluster.parse(whole)) == {"7", "8"}
    for length in range(1, len(whole)):
        with pytest.raises(json.JSONDecodeError):
            cluster.parse(whole[:length])


def test_an_empty_queue_is_an_answer(cluster):
    assert cluster.parse("\n") == {}


def test_a_session_that_is_waiting_removed_or_suspended_lives(session, cluster):
    session.load_state({"job_id": "42", "address": f"https://ep-1.{NAMED}:45678", "tls_name": NAMED})
    for status in (1, 2, 3, 6, 7):
        cluster.job = {"JobStatus": status}
        cluster.queue._asked_at = float("-inf")
        assert asyncio.run(session.poll()) is None, status


def test_a_held_session_has_ended_and_is_removed(session, cluster):
    session.load_state({"job_id": "42", "address": f"https://ep-1.{NAMED}:45678", "tls_name": NAMED})
    cluster.job = {"JobStatus": 5, "HoldReasonCode": 34, "HoldReason": "memory usage exceeded request_memory"}

    async def polled():
        answer = await session.poll()
        await asyncio.sleep(0.05)  # the removal goes on beside it
        return answer

    assert asyncio.run(polled()) == 1
    assert "condor_rm" in cluster.names()


def test_a_job_that_needs_too_much_memory_while_it_starts_is_told_so(session, cluster):
    async def held(session):
        while not session.job_id:
            await asyncio.sleep(0)
        cluster.job = {
            "JobStatus": 5,
            "HoldReasonCode": 34,
            "HoldReason": "memory usage exceeded request_memory",
        }

    with pytest.raises(SpawnException) as caught:
        start(session, held)
    assert "more memory than it had asked for" in caught.value.message


def test_a_start_that_is_put_on_hold_ends_with_the_reason_in_one_line_of_bearable_length(session, cluster):
    async def held(session):
        while not session.job_id:
            await asyncio.sleep(0)
        cluster.job = {"JobStatus": 5, "HoldReasonCode": 1, "HoldReason": "new\n<b>disks</b>." + "x" * 9999}

    with pytest.raises(SpawnException) as caught:
        start(session, held)
    assert caught.value.message.startswith(
        "Job 42 ended before JupyterLab could start: it was put on hold: new\ufffd<b>disks</b>.xxx"
    )
    assert len(caught.value.message) < 500
    assert "&lt;b&gt;disks" in caught.value.jupyterhub_html_message
    assert "condor_rm" in cluster.names()


def test_a_job_that_waits_is_told_why(session, cluster):
    cluster.job = {"JobStatus": 1, "LastRejMatchReason": "no match found "}
    session.user_options = {"cpus": 6}

    async def told(session):
        while "all fitting places are busy (it wants 6 CPUs" not in session._stage[1]:
            await asyncio.sleep(0)
        cluster.job = {"JobStatus": 2, "RemoteHost": "jupyter1_1@ep-1"}
        await reported(session)

    cluster.shown = SHOWN.replace('"Cpus": 6', '"Cpus": 5', 1)
    start(session, told)
    assert session._stage[1] == "JupyterLab answers."


def test_no_start_waits_for_what_is_found_out_about_it(session, cluster, monkeypatch):
    """Neither for what is free nor for an analysis: both may take as long as they like."""
    real, asked = Pool.run, set()

    async def run(self, person, *command, **more):
        what = "condor_status" if command[0] == "condor_status" else command[1]
        if what in {"condor_status", "-better-analyze"} and session.job_id:
            asked.add(what)
            await asyncio.Event().wait()
        return await real(self, person, *command, **more)

    monkeypatch.setattr(Pool, "run", run)
    monkeypatch.setattr(condor_waiting, "FREE_AGE", 0.0)
    cluster._clock = lambda: next(ticks)
    ticks = (float(10 * n) for n in range(10_000))  # what was asked for the form is old by now
    cluster.job = {"JobStatus": 1, "LastRejMatchReason": "no match found "}

    async def later(session):
        while not asked:
            await asyncio.sleep(0)
        cluster.job = {"JobStatus": 2, "RemoteHost": "jupyter1_1@ep-1"}
        await reported(session)

    assert start(session, later) == f"https://ep-1.{session.tls_name}:45678"
    assert asked


def test_htcondors_own_refusal_reaches_the_person(session, cluster):
    cluster.refuse = commands.Failed("\nERROR: Number of submitted jobs would exceed the limit\n")
    with pytest.raises(SpawnException) as caught:
        start(session)
    refused = "HTCondor does not accept the session: Number of submitted jobs would exceed the limit."
    assert caught.value.message == refused


def test_whose_queue_is_full_is_told_what_to_do(session, cluster):
    cluster.refuse = commands.Failed("\nERROR: Number of submitted jobs would exceed MAX_JOBS_PER_OWNER\n")
    with pytest.raises(SpawnException) as caught:
        start(session)
    assert "You have as many jobs in the queue as you may have. Remove some" in caught.value.message


@pytest.mark.parametrize(
    "said",
    [
        "\nERROR: Can't find address of local schedd\n",
        "\nERROR: Failed to connect to queue manager condor-ap:9618\n",
        "condor_submit gave no answer in 15 s",
    ],
)
def test_an_access_point_that_does_not_answer_is_told_as_that(session, cluster, said):
    cluster.refuse = commands.Failed(said)
    with pytest.raises(SpawnException) as caught:
        start(session)
    assert caught.value.message.startswith("The scheduler does not answer.")


def test_a_node_that_the_pool_does_not_know_is_not_connected_to(session, cluster, monkeypatch):
    monkeypatch.setattr(session_module, "NODE_PATIENCE", 0.05)
    cluster.job = {"JobStatus": 2, "RemoteHost": "slot1@evil.example.org"}
    with pytest.raises(SpawnException, match="no node that the cluster knows"):
        start(session, reported)


def test_a_central_manager_that_has_just_started_costs_no_start(session, cluster):
    cluster.shown = "[]"

    async def told(session):
        while not session.job_id or cluster.ran[-1][0] != "condor_status":
            await asyncio.sleep(0)
        cluster.shown = SHOWN

    assert start(session, told, reported) == f"https://ep-1.{session.tls_name}:45678"


def test_cancelling_a_job_that_is_gone_is_no_error(cluster, monkeypatch):
    async def gone(*command, **_):
        raise commands.Failed("Couldn't find/remove all jobs in cluster 42")

    monkeypatch.setattr(Pool, "run", gone)
    assert asyncio.run(cluster.cancel("42", "alice")) is False


def test_a_job_that_does_not_end_is_insisted_on(session, cluster, monkeypatch):
    """A removed job of a node that died stays in the queue for as long as its lease."""
    monkeypatch.setattr(endings, "END_PATIENCE", 0.0)
    session.load_state({"job_id": "42", "address": f"https://ep-1.{NAMED}:45678", "tls_name": NAMED})
    real = Pool.run

    async def run(self, person, *command, **more):
        if command[:1] == ("condor_rm",) and "-forcex" not in command:
            self.ran.append(command)
            self.job = {"JobStatus": 3}
            return ""
        return await real(self, person, *command, **more)

    monkeypatch.setattr(Pool, "run", run)
    asyncio.run(session.stop())
    assert ("condor_rm", "-forcex", "42") in cluster.ran
    assert cluster.job is None


def named(session, name):
    """The same person's server with a name."""
    return Session(
        user=session.user, orm_spawner=SimpleNamespace(name=name, server=None), cluster=session.cluster,
        cell="htc-1", oauth_client_id=f"jupyterhub-user-alice-{name}", user_options={},
        log=logging.getLogger("test"),
    )  # fmt: skip


def test_a_server_with_a_name_has_a_job_name_and_a_log_of_its_own(session):
    second = named(session, "second")
    assert (session.job_name(), second.job_name()) == ("jh-htc-1-alice", "jh-htc-1-alice-second")
    assert (session.log_file, second.log_file) == (".benchtop-session.log", ".benchtop-session-second.log")
    assert ".benchtop-session-second.log" in second.script(GRANTED, {})


def test_it_is_no_other_persons_client(session):
    """Upstream calls the client of alice's server `x` like that of a person `alice-x`."""
    assert named(session, "x").oauth_client_id == "jupyterhub-user-alice.x"


def test_what_it_was_asked_for_and_where_it_runs_is_known_after_a_restart_of_the_hub(session, cluster):
    start(session, reported)
    after = named(session, "")
    after.load_state(session.get_state())
    assert after.granted == session.granted
    assert after.granted["cpus"] == 1
    assert after.node_name == session.node_name == "ep-1"
    after.clear_state()
    assert (after.granted, after.node_name) == ({}, "")


def test_a_central_manager_that_has_just_started_takes_no_choice_away(cluster):
    before = asyncio.run(cluster.places("alice"))
    assert before
    cluster.forget()
    cluster.shown = "[]"
    assert asyncio.run(cluster.places("alice")) == before


def test_a_node_that_is_new_to_the_pool_is_known_at_once(cluster):
    shown, cluster.shown = cluster.shown, "[]"
    assert not asyncio.run(cluster.is_node("ep-1", "alice"))
    cluster.shown = shown
    assert asyncio.run(cluster.is_node("ep-1", "alice"))
