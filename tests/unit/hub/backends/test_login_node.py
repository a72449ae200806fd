# stand-ins: their names say it
"""A session on the login node: asked for in both forms, no secret among arguments, its end in plain words."""

import asyncio
import json
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup
from jupyterhub.spawner import SpawnException

from benchtop_hub.backends import commands, request
from benchtop_hub.backends.backend import Backend, Person
from benchtop_hub.backends.login_node import Granted
from benchtop_hub.backends.page import Place
from benchtop_hub.backends.queue import Job
from benchtop_hub.backends.request import Before
from benchtop_hub.backends.slurm.backend import SlurmBackend
from benchtop_hub.sessions import certificates
from standins import LOGIN_NUMBER as NUMBER
from standins import NAMED, SECRET, Node, OnSlurm, cell, number_of, runs
from standins import session as made


@pytest.fixture
def ssh(monkeypatch):
    """Each call of ssh: its words, its standard input, and what lay in its folder."""
    seen = SimpleNamespace(words=[], stdin=[], files={}, modes=set(), says="", fails="")

    async def run(*words, stdin="", **_):
        seen.words.append(words)
        seen.stdin.append(stdin)
        (folder,) = {
            Path(word.partition("=")[2]).parent for word in words if word.startswith("IdentityFile=")
        }
        seen.files = {path.name: path.read_text() for path in folder.iterdir()}
        seen.modes = {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "key")}
        seen.folder = folder
        if seen.fails:
            raise commands.Failed(seen.fails)
        return seen.says

    monkeypatch.setattr(commands, "run", run)
    return seen


@pytest.fixture
def node():
    return Node()


def test_each_call_has_a_key_of_its_own_that_is_gone_afterwards(ssh, node):
    for _ in "12":
        asyncio.run(node.run("alice", "list"))
    assert len(set(node.cell.minter.keys)) == 2
    assert ssh.files["key-cert.pub"] == "certificate of alice"
    assert ssh.modes == {0o700, 0o600}
    assert not ssh.folder.exists()


def test_it_asks_nobody_and_believes_one_host_key(ssh, node):
    asyncio.run(node.run("alice", "list"))
    (words,) = ssh.words
    assert {"StrictHostKeyChecking=yes", "UserKnownHostsFile=/keys/known_hosts", "BatchMode=yes"} <= set(
        words
    )
    assert words[-2:] == ("alice@hpc-login", "list")


def test_how_a_session_ended_stays_until_it_was_read_and_is_in_plain_words(node):
    found = node.parse_queue(
        f"{NUMBER}|RUNNING|hpc-login||\nlocal-2002-7|OUT_OF_MEMORY|hpc-login||it took 300 MB\n"
    )
    assert found[NUMBER] == Job("RUNNING", "hpc-login", "")
    ended = found["local-2002-7"]
    assert (ended.alive, ended.lingers, ended.message) == (False, True, "it took 300 MB")


@pytest.mark.parametrize(
    "cut", [f"{NUMBER}|RUNN", f"{NUMBER}|RUNNING|hpc-login||\n{NUMBER}|RUNNING|hpc-login||"]
)
def test_an_answer_that_is_cut_off_is_no_answer(node, cut):
    with pytest.raises(ValueError, match="half a line"):
        node.parse_queue(cut)


@pytest.mark.parametrize(
    "odd", ["", "|", "||||", "x|RUNNING|hpc-login||", f"{NUMBER}|RUNNING|a|b|c|d", f"{NUMBER}|RUNNING"]
)
def test_an_odd_line_costs_nobody_else_their_session(node, odd):
    found = node.parse_queue(f"local-2002-7|RUNNING|hpc-login||\n{odd}\nlocal-2002-8|RUNNING|hpc-login||\n")
    assert found.keys() == {"local-2002-7", "local-2002-8"}


def test_a_session_that_is_not_there_is_not_cancelled(ssh, node):
    ssh.fails = "You have no such session on the login node."
    assert asyncio.run(node.cancel(NUMBER, "alice")) is False


def test_the_node_itself_ends_the_session_of_somebody_who_left(node):
    assert asyncio.run(node.cancel(NUMBER, "leaver")) is True


def test_a_node_that_does_not_answer_is_no_end(ssh, node):
    ssh.fails = "ssh: connect to host hpc-login port 22: Connection refused"
    with pytest.raises(commands.Failed):
        asyncio.run(node.cancel(NUMBER, "alice"))


def test_a_site_with_nothing_but_login_nodes_has_a_form(node):
    places = [Place("batch", "Batch", "elsewhere"), Place(node.where, node.label, node.hint)]
    problem = request.Problem("runtime", "9 days", "login_longest", "Runtime: too long.")
    for before, runtime in (
        (Before({"runtime": 90}), "1 h 30 min"),
        (Before({}, {"runtime": "9 days"}, problem), "9 days"),
    ):
        form = asyncio.run(node.render_form(Person("alice"), before, places))
        page = BeautifulSoup(form, "html.parser")
        fields = {field["name"]: field.get("value") for field in page.select("input")}
        assert (fields["where"], fields["runtime"]) == ("login", runtime)
        assert [alert.get_text() for alert in page.select(".alert")] == []
        assert "elsewhere" not in form


def test_a_backend_of_which_something_is_missing_is_not_made():
    with pytest.raises(TypeError, match=r"abstract method.*render_form"):
        Backend(cell("hpc-1"))


# ---- a session of a spawner ------------------------------------------------------------------


@pytest.fixture
def session(ssh, node, keys, answers):
    """Slurm, which may run it as well, must not be asked."""
    ssh.says = f"{NUMBER}\n"
    slurm = SlurmBackend(cell("hpc-1"))

    async def run(person, *command, **_):
        raise AssertionError(f"nobody asks Slurm for a session on the login node: {command}")

    slurm.run = run
    return made(OnSlurm, slurm, node, keys=keys, user_options={"where": "login", "runtime": 30})


async def reported(session, ssh):
    await number_of(session)
    ssh.says = f"{NUMBER}|RUNNING|hpc-login||\n"
    return session.report_port(45678)


def start(session, ssh):
    async def both():
        return (await asyncio.gather(session.start(), reported(session, ssh)))[0]

    return asyncio.run(asyncio.wait_for(both(), 10))


def test_a_session_is_on_the_login_node_and_listens_where_it_said(session, ssh):
    assert start(session, ssh) == f"https://hpc-login.{session.tls_name}:45678"
    assert session.get_state()["job_id"] == NUMBER


def test_a_start_that_a_restart_of_the_hub_cut_off_goes_on(session, ssh):
    session.load_state({"job_id": NUMBER, "place": "hpc-login", "port": 45678, "tls_name": NAMED})
    ssh.says = f"{NUMBER}|RUNNING|hpc-login||\n"
    assert (
        asyncio.run(asyncio.wait_for(session.resume(), 10)) == f"https://hpc-login.{session.tls_name}:45678"
    )


def test_a_login_node_that_does_not_answer_is_not_the_scheduler(session, ssh):
    ssh.fails = "ssh: connect to host hpc-login port 22: Connection refused"
    with pytest.raises(SpawnException, match=r": The login node does not answer\."):
        start(session, ssh)


def test_its_secrets_go_by_standard_input_alone(session, ssh):
    start(session, ssh)
    asked = json.loads(ssh.stdin[0])
    assert asked["env"]["JUPYTERHUB_API_TOKEN"] == SECRET, "the control: it has its token"
    for secret in (SECRET, asked["env"][certificates.VARIABLE]):
        assert not any(secret in word for words in ssh.words for word in words)
        assert not any(secret in said for said in ssh.stdin[1:])


def test_it_gets_the_limits_of_the_facility_and_the_runtime_of_its_owner(session, ssh, node):
    node.login_memory = 700
    start(session, ssh)
    asked = json.loads(ssh.stdin[0])
    assert (asked["runtime"], asked["memory"], asked["group"]) == (30 * 60, 700, "cluster-hpc")
    assert asked["mark"] == session.mark(), "by which the hub knows it again"


@pytest.mark.parametrize(
    ("here", "everywhere", "warned"), [(60, "7200", 3600), (60, "", 3600), (240, "7200", 7200)]
)
def test_jupyterlab_warns_of_whichever_end_without_use_comes_first(session, ssh, here, everywhere, warned):
    _, node = session.backends
    node.login_idle = here
    launch = session.launch({"HOME": "/home/alice", "BENCHTOP_IDLE_AFTER": everywhere})
    asyncio.run(node.submit(Granted(30, 700), launch))
    assert json.loads(ssh.stdin[0])["env"]["BENCHTOP_IDLE_AFTER"] == str(warned)


def test_a_hub_that_was_restarted_looks_for_it_in_the_right_place(session, ssh):
    session.load_state(runs(NUMBER, "hpc-login"))
    ssh.says = f"{NUMBER}|RUNNING|hpc-login||\n"
    assert asyncio.run(session.poll()) is None


def test_why_it_ended_is_kept_until_it_is_told(session, ssh):
    session.load_state(runs(NUMBER, "hpc-login"))
    ssh.says = f"{NUMBER}|OUT_OF_MEMORY|hpc-login||it took 1300 MB of memory\n"
    assert asyncio.run(session.poll()) == 1
    session.clear_state()
    why = "Your session ended: it took 1300 MB of memory."
    # what its JupyterLab may ask for until the next start, and what a page of the hub tells once
    assert session.get_state() == {"ended": why, "last_end": why}


def test_nothing_is_told_of_a_session_that_its_owner_shut_down(session, ssh):
    session.load_state(runs(NUMBER, "hpc-login"))
    ssh.says = f"{NUMBER}|COMPLETED|hpc-login||\n"
    assert asyncio.run(session.poll()) == 1
    assert session.ended == ""


def test_a_node_that_is_away_ends_nothing(session, ssh):
    session.load_state(runs(NUMBER, "hpc-login"))
    ssh.fails = "ssh: connect to host hpc-login port 22: Connection refused"
    assert asyncio.run(session.poll()) is None


def test_what_the_node_refuses_is_told_as_it_says(session, ssh):
    ssh.fails = "You already have a session on the login node. Stop it first."
    with pytest.raises(SpawnException) as caught:
        start(session, ssh)
    assert "Stop it first" in caught.value.message


def test_more_than_it_offers_is_refused_with_a_sentence(node):
    with pytest.raises(request.Refused, match=r"\(720\)\. .* or ask hpc-support@example\.org") as caught:
        node.grant(721)
    assert caught.value.problem.field == "runtime"
    assert node.grant(720).runtime == 720, "the control"
    assert node.grant(None).runtime == 120, "who does not say"


def test_where_there_is_none_it_is_not_offered():
    assert not Node(login_node="").offered
    assert Node().offered


def test_a_default_of_the_batch_system_is_none_of_its(node):
    assert node.check_defaults({"memory": "nonsense"}) == frozenset()
