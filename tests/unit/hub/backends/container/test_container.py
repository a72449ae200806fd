"""A session in a container: what is asked of the engine, what becomes of it, its end in plain words."""

import asyncio
import json
import time
from dataclasses import replace

import pytest
from bs4 import BeautifulSoup
from jupyterhub.spawner import SpawnException

from benchtop_hub.backends import commands, request
from benchtop_hub.backends.backend import Person
from benchtop_hub.backends.container import listing
from benchtop_hub.errors import ForPerson
from benchtop_hub.sessions import endings
from engine import IMAGE, PUBLISHED, Boxes
from standins import NAMED, SECRET, OnSlurm, Slurm, number_of, reported, start
from standins import session as made


def asks(boxes, **wanted):
    return asyncio.run(
        boxes.check_request(boxes.parse_request({"where": "container", **wanted}), Person("alice"))
    )


def number(engine):
    return listing.number(engine.only()["Id"])


# ---- started ---------------------------------------------------------------------------------


def test_a_session_is_reached_where_the_engine_publishes_its_port(session, engine):
    assert start(session, reported) == f"https://engine.{session.tls_name}:{PUBLISHED}"
    assert session.get_state()["job_id"] == number(engine)


def test_a_container_gets_what_was_granted_and_nothing_else(session, engine):
    session.user_options = {"where": "container", "cpus": 2, "memory": "1.5 GB", "runtime": "2 h"}
    start(session, reported)
    (asked,) = engine.created
    given = asked["HostConfig"]
    assert (given["Memory"], given["CpuQuota"] / given["CpuPeriod"]) == (1536 << 20, 2)
    assert set(given["Binds"]) == {"/home/alice:/home/alice:rw", "/software:/software:ro"}
    asked_for = {"Binds", "CpuPeriod", "CpuQuota", "Memory", "NetworkMode", "PortBindings"}
    assert {name for name, value in given.items() if value} == asked_for, "no right, device or name space"
    assert (asked["ExposedPorts"], list(given["PortBindings"])) == ({"8888/tcp": {}}, ["8888/tcp"])
    assert not asked.get("User"), "the gateway knows whose uid it is, and no hub does"
    assert not asked.get("Entrypoint")


def test_a_container_says_whose_it_is(session, engine):
    start(session, reported)
    labels = engine.created[0]["Labels"]
    assert (labels["benchtop.cell"], labels["benchtop.owner"]) == ("hpc-1", "alice")
    assert labels["benchtop.mark"] == session.mark(), "by which the hub knows it again"
    assert engine.only()["Names"] == ["/bt-hpc-1-alice"]


def test_its_first_process_is_told_the_limits_and_the_session_its_one_port(session, engine):
    start(session, reported)
    env = dict(line.split("=", 1) for line in engine.created[0]["Env"])
    limits = json.loads(env["BENCHTOP_CONTAINER"])
    assert (limits["runtime"], limits["memory"], limits["group"]) == (1800, 1024, "cluster-hpc")
    assert limits["log"] == "/home/alice/.benchtop-session.log"
    assert ":8888/" in env["JUPYTERHUB_SERVICE_URL"]
    assert env["BENCHTOP_PLACE"] == "container"


def test_an_environment_and_the_wish_to_do_without_settings_go_along(session, engine):
    session.user_options |= {"environment": "~/mine", "without_settings": True}
    start(session, reported)
    first = set(engine.created[0]["Env"])
    assert {"BENCHTOP_ENVIRONMENT=/home/alice/mine", "BENCHTOP_WITHOUT_SETTINGS=yes"} <= first
    session.clear_state()
    engine.end(0)
    session.user_options = {"where": "container"}
    start(session, reported)
    assert not [line for line in engine.created[1]["Env"] if "WITHOUT_SETTINGS" in line], "this once"


def test_no_secret_is_in_a_container_s_command_or_labels(session, engine):
    start(session, reported)
    asked = engine.created[0]
    assert f"JUPYTERHUB_API_TOKEN={SECRET}" in asked["Env"], "the control: it has its token"
    assert SECRET not in json.dumps([asked["Cmd"], asked["Labels"]])


def test_servers_with_names_have_containers_of_their_own(session, engine):
    start(session, reported)
    session.orm_spawner.name = "second"
    session.clear_state()
    start(session, reported)
    names = {name for found in engine.containers.values() for name in found["Names"]}
    assert names == {"/bt-hpc-1-alice", "/bt-hpc-1-alice-second"}


def test_a_container_of_the_same_name_that_ended_gives_way(session, engine):
    start(session, reported)
    engine.end(1)
    first = engine.only()["Id"]
    session.clear_state()
    start(session, reported)
    assert engine.only()["Id"] != first


def test_a_container_of_the_same_name_that_runs_does_not(session, engine):
    start(session, reported)
    session.clear_state()
    with pytest.raises(SpawnException, match="still running"):
        start(session)
    assert engine.only()["State"] == "running"


def test_nothing_is_left_of_a_container_that_cannot_be_started(session, engine):
    engine.refuses = "start", 500, "crun: executable file `/opt/lab/bin/python` not found in $PATH"
    with pytest.raises(SpawnException, match=f"“{IMAGE}” has no JupyterLab of the facility"):
        start(session)
    assert engine.containers == {}


# ---- refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"image": "elsewhere/image"}, "image"),
        ({"image": f"{IMAGE}:latest"}, "image"),
        ({"cpus": 5}, "cpus"),
        ({"memory": "5 GB"}, "memory"),
        ({"runtime": "2 d"}, "runtime"),
    ],
)
def test_more_than_the_settings_allow_is_refused_with_a_sentence(boxes, wanted, field):
    with pytest.raises(request.Refused, match=r"or ask hpc-support@example\.org") as caught:
        asks(boxes, **wanted)
    assert caught.value.problem.field == field


@pytest.mark.parametrize("away", [False, True])
def test_what_was_refused_of_a_container_is_told_once_at_its_field(boxes, keys, answers, away):
    slurm = Slurm()
    slurm.no_offer = commands.Failed("Unable to contact slurm controller") if away else None
    session = made(OnSlurm, slurm, boxes, keys=keys)
    for field, value in (("image", "elsewhere/image"), ("cpus", "64")):
        sent = {"where": ["container"], field: [value]}
        with pytest.raises(ForPerson):
            asyncio.run(session.run_options_from_form(sent))
        page = BeautifulSoup(asyncio.run(session.get_options_form()), "html.parser")
        (problem,) = page.select(".bt-problem")
        assert problem["id"] == f"{field}-problem"
        assert (
            page.select_one("#where option[selected]" if not away else "input[name=where]")["value"]
            == "container"
        )


def test_who_does_not_say_gets_the_usual(boxes):
    granted = asks(boxes)
    assert (granted.image, granted.cpus, granted.memory, granted.runtime) == (IMAGE, 1, 1024, 240)


@pytest.mark.parametrize(
    ("status", "message", "sentence"),
    [
        (404, "image not known", "is not there any more. Choose another one"),
        (403, "The image has changed since it was approved.", "has changed since it was approved"),
        (503, "All 20 places are taken. Try again later.", "All 20 places are taken. Try again later."),
    ],
)
def test_what_the_gateway_says_against_it_is_told(session, engine, status, message, sentence):
    engine.refuses = "create", status, message
    with pytest.raises(SpawnException) as caught:
        start(session)
    assert sentence in caught.value.message
    assert engine.containers == {}


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_engine_that_is_away_is_called_by_its_name(session, engine, status):
    engine.refuses = "create", status, "The container engine does not answer. Try again."
    with pytest.raises(SpawnException, match=r": The container engine does not answer\."):
        start(session)


def test_a_gateway_that_is_away_as_well(session, engine):
    engine.shutdown()
    engine.server_close()
    with pytest.raises(SpawnException, match=r": The container engine does not answer\."):
        start(session)


# ---- lives -----------------------------------------------------------------------------------


def test_a_start_that_a_restart_of_the_hub_cut_off_goes_on(session, engine, boxes):
    start(session, reported)
    known = {"job_id": number(engine), "place": "a container", "port": 8888, "tls_name": NAMED}
    session.clear_state()
    session.load_state(known)
    address = asyncio.run(asyncio.wait_for(session.resume(), 10))
    assert address == f"https://engine.{session.tls_name}:{PUBLISHED}"


def test_a_hub_that_was_restarted_finds_it_by_its_number(session, engine):
    start(session, reported)
    state = session.get_state()
    session.clear_state()
    session.load_state(state)
    assert asyncio.run(session.poll()) is None


def test_an_engine_that_is_away_ends_nothing(session, engine):
    start(session, reported)
    engine.refuses = "json", 503, "no engine"
    assert asyncio.run(session.poll()) is None
    assert session.ended == ""


def test_a_hub_without_its_certificate_is_one_whose_engine_is_away(boxes, keys, monkeypatch):
    monkeypatch.setattr(boxes, "cell", replace(boxes.cell, keys=keys / "nowhere"))
    del boxes._client
    boxes.container_engine = "https://engine-gateway:8700"
    for call in (boxes.list_jobs("alice"), boxes.cancel("box-0123456789ab", "alice"), boxes.describe_room()):
        with pytest.raises(commands.Failed, match="gave no answer"):
            asyncio.run(call)


def test_another_cell_s_containers_are_none_of_its(engine, boxes):
    other = Boxes(engine, "hpc-2")
    engine.make("bt-hpc-1-alice", {"Labels": {"benchtop.cell": "hpc-1", "benchtop.owner": "alice"}})
    assert asyncio.run(other.queue.all("alice")) == {}
    assert len(asyncio.run(boxes.queue.all("alice"))) == 1, "the control"


# ---- ends ------------------------------------------------------------------------------------


def test_a_session_that_is_stopped_leaves_nothing(session, engine):
    start(session, reported)
    asyncio.run(session.stop())
    assert engine.containers == {}
    assert "POST stop" in engine.asked, "it has the time to save its work"


def test_a_start_that_is_cancelled_leaves_nothing(session, engine):
    async def both():
        starting = asyncio.create_task(session.start())
        await number_of(session)
        starting.cancel()
        await session.stop()

    asyncio.run(asyncio.wait_for(both(), 10))
    assert engine.containers == {}


def test_who_does_not_end_is_ended_at_once(boxes, session, engine, monkeypatch):
    monkeypatch.setattr(endings, "END_PATIENCE", 0.0)
    start(session, reported)
    asyncio.run(boxes.insist(number(engine), "alice"))
    assert engine.containers == {}
    assert "POST stop" not in engine.asked


def test_a_container_that_is_not_there_is_not_cancelled(boxes):
    assert asyncio.run(boxes.cancel("box-0123456789ab", "alice")) is False


def test_an_engine_that_does_not_answer_is_no_end(boxes, engine):
    engine.refuses = "json", 503, "no engine"
    with pytest.raises(commands.Failed):
        asyncio.run(boxes.cancel("box-0123456789ab", "alice"))


@pytest.mark.parametrize(
    ("status", "how", "why"),
    [
        (125, {}, "it used more memory than requested (1024 MB). Request more next time"),
        (137, {"OOMKilled": True}, "it used more memory than requested (1024 MB). Request more next time"),
        (124, {}, "its time limit was reached"),
        (137, {}, "it was killed, most likely because it used more memory than requested"),
        (123, {}, "its owner may not use this cluster any more"),
        (127, {}, "its image has no JupyterLab of the facility"),
        (255, {}, "the container engine was restarted"),
        (1, {}, "JupyterLab stopped by itself (exit code 1)"),
    ],
)
def test_why_it_ended_is_kept_until_it_is_told(session, engine, status, how, why):
    start(session, reported)
    engine.end(status, **how)
    assert asyncio.run(session.poll()) == 1
    assert session.ended.startswith(f"Your session ended: {why}")
    assert asyncio.run(gone(session, engine)), "and nothing is left of it"


async def gone(session, engine):
    await session.stop()
    return engine.containers == {}


def test_nothing_is_told_of_a_session_that_its_owner_shut_down(session, engine):
    start(session, reported)
    engine.end(0)
    assert asyncio.run(session.poll()) == 1
    assert session.ended == ""


def test_an_engine_that_started_anew_is_named(session, engine):
    start(session, reported)
    engine.containers.clear()
    assert asyncio.run(session.poll()) == 1
    assert "most likely because the container engine was restarted" in session.ended


@pytest.mark.parametrize(
    ("state", "ends", "becomes", "lingers"),
    [
        ("running", 1001, "RUNNING", False),
        ("running", 950, "RUNNING", False),
        ("running", 930, "TIMEOUT", True),
        ("paused", 930, "TIMEOUT", True),
        ("stopping", 930, "COMPLETING", False),
        ("created", 1001, "NODE_FAIL", True),
    ],
)
def test_one_that_ignores_its_time_limit_is_ended_by_the_hub(state, ends, becomes, lingers):
    job = parsed(State=state, BenchtopEnds=ends, Created=1)
    assert (job.state, job.lingers) == (becomes, lingers)


def test_one_that_was_created_just_now_is_still_to_start():
    job = parsed(State="created", BenchtopEnds=2000, Created=990)
    assert (job.state, job.waiting) == ("CONFIGURING", True)


def parsed(**found):
    whose = {"benchtop.cell": "hpc-1", "benchtop.owner": "alice", "benchtop.mark": "m"}
    text = json.dumps([{"Id": "0" * 64, "Labels": whose, **found}])
    (job,) = listing.parse(text, "hpc-1", "engine", now=1000.0).values()
    return job


def test_its_time_is_over_when_it_was_granted_no_more(session, engine, boxes, monkeypatch):
    start(session, reported)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 30 * 60 + listing.GRACE - 5)
    assert asyncio.run(session.poll()) is None, "the control: it may take a minute to end by itself"
    monkeypatch.setattr(time, "time", lambda: now + 30 * 60 + listing.GRACE + 5)
    assert asyncio.run(session.poll()) == 1
    assert session.ended == "Your session ended: its time limit was reached."


def test_after_a_restart_of_the_hub_it_is_over_at_the_latest_when_nobody_s_may_run_any_more(engine, boxes):
    number = engine.make("bt-hpc-1-alice", {"Labels": {"benchtop.cell": "hpc-1", "benchtop.owner": "alice"}})
    engine.containers[number].update(State="running", Created=time.time() - boxes.container_longest * 60 - 61)
    (job,) = asyncio.run(boxes.queue.all("alice")).values()
    assert job.state == "TIMEOUT"


# ---- what is free ----------------------------------------------------------------------------


def test_what_is_free_is_told_as_far_as_the_gateway_says(engine, boxes):
    assert asyncio.run(boxes.describe_free(Person("alice"))) == "Containers: 17 of 20 free."
    assert asyncio.run(boxes.describe_room()) == "Free now: 17 of 20."
    boxes.forget()
    engine.room = None
    assert asyncio.run(boxes.describe_room()) == ""


def test_when_it_would_start(engine, boxes):
    assert asyncio.run(boxes.expected_start(asks(boxes), None)) == "Expected start: immediately"
    boxes.forget()
    engine.room = {"places": 20, "free": 0}
    assert "all 20 containers are in use" in asyncio.run(boxes.expected_start(asks(boxes), None))


def test_where_there_is_none_it_is_not_offered(engine):
    assert not Boxes(engine, container_engine="").offered
    assert not Boxes(engine, container_images={}).offered
    assert Boxes(engine).offered
