"""A session as an HTCondor job: no secret where others look, and HTCondor's own words in a person's."""

import asyncio
import shlex
import stat
from pathlib import Path

import pytest
from jupyterhub.spawner import SpawnException

from benchtop_hub.backends import commands
from benchtop_hub.backends.condor import reasons
from benchtop_hub.sessions import certificates, endings
from benchtop_hub.sessions import start as starting
from standins import POOL, SECRET, OnCondor, Pool, number_of, reported, runs, start
from standins import session as made


@pytest.fixture
def pool():
    return Pool()


@pytest.fixture
def session(pool, keys, answers, monkeypatch):
    monkeypatch.setattr(starting, "WORDS_PATIENCE", 0.05)
    return made(OnCondor, pool, keys=keys)


def test_a_session_is_where_htcondor_put_it_and_listens_where_it_said(session):
    assert start(session, reported) == f"https://ep-1.{session.tls_name}:45678"


def test_no_secret_is_in_the_command_or_the_jobs_ad(session, pool):
    start(session, reported)
    assert shlex.quote(SECRET) in pool.handed_over["session"], "the control: the session has its token"
    assert SECRET not in pool.handed_over["job"]
    assert f"export {certificates.VARIABLE}=" in pool.handed_over["session"]
    assert certificates.VARIABLE not in pool.handed_over["job"]
    assert not any("token" in word for command in pool.ran for word in command)


def test_what_is_handed_over_is_the_hubs_alone_and_gone_afterwards(session, pool):
    start(session, reported)
    assert pool.modes == {0o700, 0o600}
    submit = next(command for command in pool.ran if command[0] == "condor_submit")
    assert not Path(submit[-1]).parent.exists()


def test_the_queue_is_asked_for_the_sessions_of_this_cell_straight_at_the_access_point(pool):
    asyncio.run(pool.list_jobs("alice"))
    assert 'BenchtopCell =?= "htc-1"' in pool.ran[0]
    assert pool.env == {"_CONDOR_SCHEDD_HOST": "condor-ap:9618"}


def test_a_token_is_shown_by_a_private_file_of_its_person(pool):
    shown = {who: Path(pool.show_token(who, f"t-{who}")["_CONDOR_SEC_TOKEN_DIRECTORY"]) for who in ("a", "b")}
    assert shown["a"] != shown["b"]
    assert (shown["a"] / "token").read_text() == "t-a"
    assert stat.S_IMODE((shown["a"] / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE(shown["a"].stat().st_mode) == 0o700
    pool.show_token("a", "t-2")
    assert [path.read_text() for path in shown["a"].iterdir()] == ["t-2"], "one token a person, the newest"


def test_a_session_that_is_waiting_removed_or_suspended_lives(session, pool):
    session.load_state(runs(node="ep-1"))
    for status in (1, 2, 3, 6, 7):
        pool.job = {"JobStatus": status}
        assert asyncio.run(session.poll()) is None, status


def test_a_held_session_has_ended_and_is_removed(session, pool):
    session.load_state(runs(node="ep-1"))
    pool.job = {"JobStatus": 5, "HoldReasonCode": 34, "HoldReason": "memory usage exceeded request_memory"}

    async def polled():
        answer = await session.poll()
        await asyncio.sleep(0.05)  # the removal goes on beside it
        return answer

    assert asyncio.run(polled()) == 1
    assert "condor_rm" in pool.names()


def test_a_job_that_needs_too_much_memory_while_it_starts_is_told_so(session, pool):
    async def held(session):
        await number_of(session)
        pool.job = {
            "JobStatus": 5,
            "HoldReasonCode": 34,
            "HoldReason": "memory usage exceeded request_memory",
        }

    with pytest.raises(SpawnException) as caught:
        start(session, held)
    assert "used more memory than requested" in caught.value.message


def test_a_start_that_is_put_on_hold_ends_with_the_reason_in_one_line_of_bearable_length(session, pool):
    async def held(session):
        await number_of(session)
        pool.job = {"JobStatus": 5, "HoldReasonCode": 1, "HoldReason": "new\n<b>disks</b>." + "x" * 9999}

    with pytest.raises(SpawnException) as caught:
        start(session, held)
    assert caught.value.message.startswith(
        "Job 42 ended before JupyterLab could start: it was put on hold: new\ufffd<b>disks</b>.xxx"
    )
    assert len(caught.value.message) < 500
    assert "&lt;b&gt;disks" in caught.value.jupyterhub_html_message
    assert "condor_rm" in pool.names()


def test_a_job_that_waits_is_told_why(session, pool):
    pool.job = {"JobStatus": 1, "LastRejMatchReason": "no match found "}
    session.user_options = {"cpus": 6}

    async def told(session):
        while "all suitable slots are busy (it needs 6 CPUs" not in session.stage[1]:
            await asyncio.sleep(0)
        pool.job = {"JobStatus": 2, "RemoteHost": "jupyter1_1@ep-1"}
        await reported(session)

    pool.shown = POOL.replace('"Cpus": 6', '"Cpus": 5', 1)
    start(session, told)
    assert session.stage[1] == "JupyterLab is ready."


def test_no_start_waits_for_what_is_found_out_about_it(session, pool, monkeypatch):
    """Neither for what is free nor for an analysis: both may take as long as they like."""
    real, asked = Pool.run, set()

    async def run(self, person, *command, **more):
        what = "condor_status" if command[0] == "condor_status" else command[1]
        if what in {"condor_status", "-better-analyze"} and session.job_id:
            asked.add(what)
            await asyncio.Event().wait()
        return await real(self, person, *command, **more)

    monkeypatch.setattr(Pool, "run", run)
    monkeypatch.setattr(reasons, "FREE_AGE", 0.0)
    pool.job = {"JobStatus": 1, "LastRejMatchReason": "no match found "}

    async def later(session):
        while not asked:
            await asyncio.sleep(0)
        pool.job = {"JobStatus": 2, "RemoteHost": "jupyter1_1@ep-1"}
        await reported(session)

    assert start(session, later) == f"https://ep-1.{session.tls_name}:45678"
    assert asked


def test_htcondors_own_refusal_reaches_the_person(session, pool):
    pool.refuse = commands.Failed("\nERROR: Number of submitted jobs would exceed the limit\n")
    with pytest.raises(SpawnException) as caught:
        start(session)
    refused = "HTCondor refused the session: Number of submitted jobs would exceed the limit."
    assert caught.value.message == refused


def test_whose_queue_is_full_is_told_what_to_do(session, pool):
    pool.refuse = commands.Failed("\nERROR: Number of submitted jobs would exceed MAX_JOBS_PER_OWNER\n")
    with pytest.raises(SpawnException) as caught:
        start(session)
    assert "You have reached the maximum number of jobs in the queue. Remove some" in caught.value.message


@pytest.mark.parametrize(
    "said",
    [
        "\nERROR: Can't find address of local schedd\n",
        "\nERROR: Failed to connect to queue manager condor-ap:9618\n",
        "condor_submit gave no answer in 15 s",
    ],
)
def test_an_access_point_that_does_not_answer_is_told_as_that(session, pool, said):
    pool.refuse = commands.Failed(said)
    with pytest.raises(SpawnException) as caught:
        start(session)
    assert caught.value.message.startswith("The scheduler does not answer.")


def test_a_node_that_the_pool_does_not_know_is_not_connected_to(session, pool, monkeypatch):
    monkeypatch.setattr(starting, "NODE_PATIENCE", 0.05)
    pool.job = {"JobStatus": 2, "RemoteHost": "slot1@evil.example.org"}
    with pytest.raises(SpawnException, match="not a node of the cluster"):
        start(session, reported)


def test_a_central_manager_that_has_just_started_costs_no_start(session, pool):
    pool.shown = "[]"

    async def told(session):
        while not session.job_id or pool.ran[-1][0] != "condor_status":
            await asyncio.sleep(0)
        pool.shown = POOL

    assert start(session, told, reported) == f"https://ep-1.{session.tls_name}:45678"


def test_cancelling_a_job_that_is_gone_is_no_error(pool, monkeypatch):
    async def gone(*command, **_):
        raise commands.Failed("Couldn't find/remove all jobs in cluster 42")

    monkeypatch.setattr(Pool, "run", gone)
    assert asyncio.run(pool.cancel("42", "alice")) is False


def test_a_job_that_does_not_end_is_insisted_on(session, pool, monkeypatch):
    """A removed job of a node that died stays in the queue for as long as its lease."""
    monkeypatch.setattr(endings, "END_PATIENCE", 0.0)
    session.load_state(runs(node="ep-1"))
    real = Pool.run

    async def run(self, person, *command, **more):
        if command[:1] == ("condor_rm",) and "-forcex" not in command:
            self.ran.append(command)
            self.job = {"JobStatus": 3}
            return ""
        return await real(self, person, *command, **more)

    monkeypatch.setattr(Pool, "run", run)
    asyncio.run(session.stop())
    assert ("condor_rm", "-forcex", "42") in pool.ran
    assert pool.job is None


def test_a_central_manager_that_has_just_started_takes_no_choice_away(pool):
    before = asyncio.run(pool.places("alice"))
    assert before
    pool.forget()
    pool.shown = "[]"
    assert asyncio.run(pool.places("alice")) == before


def test_a_node_that_is_new_to_the_pool_is_known_at_once(pool):
    shown, pool.shown = pool.shown, "[]"
    assert not asyncio.run(pool.is_node("ep-1", "alice"))
    pool.shown = shown
    assert asyncio.run(pool.is_node("ep-1", "alice"))
