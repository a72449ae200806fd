"""The life of a session: nothing is lost, nothing is believed, and what went wrong is told."""

import asyncio
import base64
import logging
import re
import time
from types import SimpleNamespace

import pytest
from batchspawner import BatchSpawnerBase
from cryptography import x509
from jupyterhub.spawner import SpawnException
from jupyterhub.utils import hash_token

from benchtop_hub.access.minter import Unavailable
from benchtop_hub.backends import commands
from benchtop_hub.backends.queue import Job, Unknown
from benchtop_hub.sessions import certificates, endings, spawner
from benchtop_hub.sessions import start as starting
from standins import (
    NAMED,
    RUNNING,
    SECRET,
    OnCondor,
    OnSlurm,
    Pool,
    number_of,
    reported,
    runs,
    start,
)
from standins import session as made

AWAY = "Unable to contact slurm controller"


def test_a_session_is_where_slurm_put_it_and_listens_where_it_said(session, answers):
    assert start(session, reported) == f"https://gpu-1.{session.tls_name}:45678"
    assert answers == [f"https://gpu-1.{session.tls_name}:45678/jupyterhub/hpc/user/alice/api"]


def test_the_log_says_how_long_each_step_of_a_start_took(session, caplog):
    caplog.set_level(logging.INFO)
    start(session, reported)
    started = r"session started user=alice cell=hpc-1 job=42 at=gpu-1:45678 environment=facility"
    steps = r"submit_ms=\d+ queue_ms=\d+ report_ms=\d+ answer_ms=\d+"
    assert re.search(rf"{started} {steps}$", caplog.text, re.MULTILINE)


def test_the_job_is_saved_before_it_runs(session, slurm):
    slurm.job = Job("PENDING", "", "Resources")

    async def submitted():
        starting = asyncio.create_task(session.start())
        await number_of(session)
        saved = session.saves
        starting.cancel()
        return saved

    assert asyncio.run(submitted()) == 1
    assert session.get_state()["job_id"] == "42"


def test_what_the_api_asks_for_is_checked_like_a_form(session, slurm):
    session.user_options = {"partition": "debug", "runtime": 31}
    with pytest.raises(Exception, match="MaxTime") as caught:
        start(session)
    assert caught.value.status_code == 400
    assert slurm.ran == []


def test_slurms_own_refusal_reaches_the_person(session, slurm):
    slurm.refuse = commands.Failed(
        "sbatch: error: Batch job submission failed: Job violates accounting policy"
    )
    with pytest.raises(SpawnException) as caught:
        start(session)
    assert caught.value.message == "Slurm refused the session: Job violates accounting policy."
    assert not slurm.remembers, "the next form would offer the same again"


def test_a_minter_that_is_away_reaches_the_person_as_a_sentence(session, slurm):
    slurm.refuse = Unavailable("ClientConnectorError: secret internals")
    with pytest.raises(SpawnException) as caught:
        start(session)
    assert "internals" not in caught.value.message
    assert "Try again" in caught.value.message
    assert caught.value.message.startswith("The service that grants access to the cluster does not answer.")


def test_the_list_of_people_is_named_when_it_is_what_does_not_answer(session, slurm):
    slurm.refuse = Unavailable("The directory does not answer.", "The facility's directory")
    with pytest.raises(SpawnException, match="The facility's directory does not answer") as caught:
        start(session)
    assert "cheduler" not in caught.value.message


def test_a_job_that_dies_before_it_reports_is_told_with_its_last_words(session, slurm):
    async def dies(session):
        await number_of(session)
        assert session.report_end("Traceback\nSyntaxError: <oops>")
        slurm.job = Job("FAILED", "gpu-1", "NonZeroExitCode")

    with pytest.raises(SpawnException) as caught:
        start(session, dies)
    assert caught.value.message == "Job 42 ended before JupyterLab could start: JupyterLab stopped by itself."
    assert "SyntaxError: &lt;oops&gt;" in caught.value.message_html


def test_last_words_that_come_after_the_end_of_the_job_are_told_as_well(session, slurm):
    async def dies(session):
        await number_of(session)
        slurm.job = Job("FAILED", "gpu-1", "NonZeroExitCode")
        await asyncio.sleep(0.2)
        assert session.report_end("no space left")

    with pytest.raises(SpawnException) as caught:
        start(session, dies)
    assert "no space left" in caught.value.message_html


def test_a_start_that_failed_is_not_told_a_second_time_as_a_session_that_ended(session, slurm, monkeypatch):
    monkeypatch.setattr(starting, "WORDS_PATIENCE", 0.0)
    slurm.job = Job("FAILED", "gpu-1", "NonZeroExitCode")
    with pytest.raises(SpawnException):
        start(session)
    assert asyncio.run(session.poll()) == 1
    assert session.ended == ""


def test_a_scheduler_that_is_away_for_a_moment_costs_no_start(session, slurm):
    slurm.job = Unknown("timeout")

    async def comes_back(session):
        await number_of(session)
        await asyncio.sleep(0.05)
        slurm.job = RUNNING

    assert start(session, comes_back, reported) == f"https://gpu-1.{session.tls_name}:45678"


def test_a_start_that_is_cancelled_while_the_job_is_submitted_leaves_no_job(session, slurm):
    async def cancelled():
        slurm.on_submit = asyncio.Event()
        starting = asyncio.create_task(session.start())
        while "sbatch" not in slurm.names():
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.sleep(0)
        assert await session.poll() is None, "not known is not gone"
        asyncio.get_running_loop().call_later(0.02, slurm.on_submit.set)
        await session.stop()

    asyncio.run(cancelled())
    assert ("scancel", "42") in slurm.ran


@pytest.mark.parametrize("state", ["RUNNING", "PENDING", "SUSPENDED", "REQUEUED", "COMPLETING", "STOPPED"])
def test_a_job_that_has_not_ended_keeps_its_session(session, slurm, state):
    session.load_state(runs())
    slurm.job = Job(state, "gpu-1", "")
    assert asyncio.run(session.poll()) is None


def test_an_unknown_answer_keeps_the_session(session, slurm):
    session.load_state(runs())
    slurm.job = Unknown("Zero Bytes were transmitted or received")
    assert asyncio.run(session.poll()) is None
    assert session.get_state()["job_id"] == "42"


def test_an_answer_from_before_the_job_is_not_believed(session, slurm):
    slurm.job = Job("PENDING", "", "Resources")

    async def at_once():
        began = time.monotonic()
        begun = asyncio.create_task(session.start())
        await number_of(session)
        assert await session.poll() is None
        passed = time.monotonic() - began
        begun.cancel()
        await asyncio.wait({begun})
        return passed

    assert asyncio.run(at_once()) > slurm.queue.oldest
    session.load_state(runs())
    session.clear_state()
    session.load_state(runs())
    asyncio.run(session.poll())
    assert slurm.queue.oldest == spawner.RUNNING_AGE  # the control: later, all share one answer


def test_a_job_that_is_cancelled_in_the_queue_is_not_told_by_why_it_waited(session, slurm):
    slurm.job = Job("CANCELLED", "", "QOSMaxGRESPerUser")
    with pytest.raises(SpawnException) as failed:
        start(session)
    assert "Job 42 ended before JupyterLab could start: it was cancelled." in str(failed.value)


async def cut_off(session):
    """The state of a start that waits in the queue, or for JupyterLab; the start itself is gone."""
    starting = asyncio.create_task(session.start())
    await number_of(session)
    state = session.get_state()
    starting.cancel()
    await asyncio.wait({starting})
    session.clear_state()
    return state


def resumed(session, *, reported_before=0, meanwhile=lambda: None):
    """What a start comes to that another process of the hub has begun."""

    async def both():
        state = await cut_off(session) | {"port": reported_before}
        meanwhile()
        session.load_state(state)
        assert session.adopted == "start"
        resuming = asyncio.create_task(session.resume())
        await asyncio.sleep(0)
        if not reported_before:
            assert session.report_port(45678)
        return await resuming

    return asyncio.run(asyncio.wait_for(both(), 10))


def test_a_start_that_a_restart_cut_off_goes_on_with_the_same_job(session, slurm):
    assert resumed(session) == f"https://gpu-1.{session.tls_name}:45678"
    assert slurm.names() == ["sbatch"]
    assert session.get_state()["address"] == f"https://gpu-1.{session.tls_name}:45678"


def test_a_port_that_was_reported_before_the_restart_counts(session):
    assert resumed(session, reported_before=45999) == f"https://gpu-1.{session.tls_name}:45999"


def test_a_reported_port_is_saved_before_the_job_is_told_that_it_was_heard(session, slurm):
    slurm.job = Job("PENDING", "", "Resources")

    async def waiting():
        begun = asyncio.create_task(session.start())
        await number_of(session)
        before = session.saves
        assert session.report_port(45678)
        saved = session.saves - before, session.get_state()["port"]
        begun.cancel()
        return saved

    assert asyncio.run(waiting()) == (1, 45678)


def test_a_start_that_was_cut_off_and_whose_job_died_meanwhile_fails_with_a_sentence(session, slurm):
    def dies():
        slurm.job = Job("CANCELLED", "", "")

    with pytest.raises(SpawnException, match="it was cancelled"):
        resumed(session, reported_before=45678, meanwhile=dies)


@pytest.mark.parametrize("state", [{}, {"address": f"https://gpu-1.{NAMED}:45678", "tls_name": NAMED}])
def test_upstreams_first_look_after_a_restart_sees_nothing_that_has_a_job(session, monkeypatch, state):
    monkeypatch.delattr(OnSlurm, "server")
    monkeypatch.setattr(BatchSpawnerBase, "server", property(lambda spawner: "there"))
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


def test_a_session_that_was_running_survives_a_restart(session, slurm):
    start(session, reported)
    session.load_state(session.get_state())
    assert asyncio.run(session.poll()) is None


@pytest.mark.parametrize("gone", [None, Job("TIMEOUT", "gpu-1", "TimeLimit")])
def test_a_job_that_ended_ends_its_session(session, slurm, gone):
    session.load_state(runs())
    slurm.job = gone
    assert asyncio.run(session.poll()) == 1


def test_a_session_that_was_never_started_is_not_running(session):
    assert asyncio.run(session.poll()) == 0


def test_stopping_waits_until_the_job_is_gone(session, slurm):
    session.load_state(runs())
    asyncio.run(session.stop())
    assert slurm.names() == ["scancel"]
    assert not slurm.job.alive


def test_a_cancel_that_fails_is_tried_again(session, slurm, monkeypatch):
    session.load_state(runs())
    slurm.cancels_fail = [f"slurm_kill_job: {AWAY}"]
    real = asyncio.sleep
    monkeypatch.setattr(endings.asyncio, "sleep", lambda seconds: real(0))
    asyncio.run(session.stop())
    assert slurm.names() == ["scancel", "scancel"]


def test_a_job_that_is_somebody_elses_is_not_asked_for_again(session, slurm, caplog):
    session.load_state(runs())
    slurm.cancels_fail = ["Kill job error on job id 42: Access/permission denied"] * 2
    asyncio.run(asyncio.wait_for(session.stop(), 10))
    assert slurm.names() == ["scancel"]
    assert caplog.text.count("Access/permission denied") == 1


def test_a_port_is_taken_once_and_only_while_it_is_waited_for(session, slurm):
    assert not session.report_port(45678), "nothing is being started"
    slurm.job = Job("PENDING", "", "Resources")

    async def waiting():
        begun = asyncio.create_task(session.start())
        await number_of(session)
        answers = [session.report_port(45678), session.report_port(45678), session.report_port(45679)]
        session.pending = None
        answers.append(session.report_port(45678))
        begun.cancel()
        return answers

    assert asyncio.run(waiting()) == [True, True, False, False]


def test_last_words_are_taken_only_while_a_start_is_waited_for(session, slurm):
    assert not session.report_end("no space left"), "nothing is being started"
    start(session, reported)
    session.pending = None
    assert not session.report_end("no space left")


def test_what_was_asked_for_is_remembered_over_the_end_and_a_restart(session):
    session.user_options = {"partition": "debug", "runtime": 20}
    start(session, reported)
    session.clear_state()
    assert session.get_state() == {"asked": {"partition": "debug", "runtime": 20}, "begun": True}
    session.load_state({"asked": {"cpus": 2}})
    assert session.get_state() == {"asked": {"cpus": 2}}


@pytest.mark.parametrize("refused_by_slurm", [False, True])
def test_a_refused_request_of_the_api_is_not_what_the_next_start_asks_for(session, slurm, refused_by_slurm):
    session.load_state({"asked": {"partition": "debug"}})
    # JupyterHub has stored it by now
    session.user_options = session.orm_spawner.user_options = {"partition": "debug", "runtime": 31}
    if refused_by_slurm:
        session.user_options = session.orm_spawner.user_options = {"runtime": 30}
        slurm.refuse = commands.Failed("sbatch: error: Requested node configuration is not available")
    with pytest.raises(Exception, match=r"MaxTime|not available"):
        start(session)
    assert session.user_options == session.orm_spawner.user_options == {"partition": "debug"}
    assert session.get_state()["asked"] == {"partition": "debug"}


def test_a_session_gets_a_certificate_for_a_name_that_no_other_has(session, slurm):
    start(session, reported)
    first = session.tls_name
    pem = base64.b64decode(slurm.env[certificates.VARIABLE])
    shown = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert shown.value.get_values_for_type(x509.DNSName) == [f"*.{first}"]
    assert slurm.env[certificates.VARIABLE] not in slurm.sent
    assert not any(slurm.env[certificates.VARIABLE] in word for command in slurm.ran for word in command)
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


def test_a_session_without_a_name_is_ended_and_its_owner_told(session, slurm):
    session.load_state({"job_id": "42", "address": "http://gpu-1:45678"})

    async def polled():
        answer = await session.poll()
        await asyncio.sleep(0.05)  # its end goes on beside it
        return answer

    assert asyncio.run(polled()) == 1
    assert slurm.names() == ["scancel"]
    assert session.ended == "Your session ended: the facility was upgraded."


def test_a_start_without_a_name_is_given_up_with_a_sentence(session):
    session.load_state({"job_id": "42", "place": "partition debug", "port": 45678})
    with pytest.raises(SpawnException, match="start it again"):
        asyncio.run(asyncio.wait_for(session.resume(), 10))


# ---- of a server with a name, and after a restart -------------------------------------------------


def named(session, name):
    """The same person's server with a name."""
    return made(
        type(session), *session.backends, keys=session.keys,
        orm_spawner=SimpleNamespace(name=name, server=None), oauth_client_id=f"jupyterhub-user-alice-{name}",
    )  # fmt: skip


def test_a_server_with_a_name_has_a_job_name_and_a_log_of_its_own(session):
    second = named(session, "second")
    assert (session.job_name(), second.job_name()) == ("jh-hpc-1-alice", "jh-hpc-1-alice-second")
    assert (session.log_file, second.log_file) == (".benchtop-session.log", ".benchtop-session-second.log")
    assert second.launch({}).log == ".benchtop-session-second.log"


def test_it_is_no_other_persons_client(session):
    """Upstream calls the client of alice's server `x` like that of a person `alice-x`."""
    assert named(session, "x").oauth_client_id == "jupyterhub-user-alice.x"


def test_what_it_was_asked_for_and_where_it_runs_is_known_after_a_restart_of_the_hub(keys, answers):
    session = made(OnCondor, Pool(), keys=keys)
    start(session, reported)
    after = named(session, "")
    after.load_state(session.get_state())
    assert after.granted == session.granted
    assert after.granted["cpus"] == 1
    assert after.node_name == session.node_name == "ep-1"
    after.clear_state()
    assert (after.granted, after.node_name) == ({}, "")
