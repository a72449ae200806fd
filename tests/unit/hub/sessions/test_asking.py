"""What a session is asked for: by the form, by a link, by the API; refused, estimated, remembered."""

import asyncio
from types import SimpleNamespace

import pytest

from benchtop_hub.access.minter import Refused, Unavailable
from benchtop_hub.backends import commands, request
from benchtop_hub.backends.condor.backend import CondorBackend
from benchtop_hub.backends.container.backend import Container
from benchtop_hub.backends.login_node import LoginNode
from benchtop_hub.backends.slurm.backend import SlurmBackend
from standins import (
    COOKIE_SECRET,
    LOGIN_NUMBER,
    Node,
    OnCondor,
    OnSlurm,
    Pool,
    Slurm,
    reported,
    start,
)
from standins import session as made

AWAY = "Unable to contact slurm controller (connect failure)"


@pytest.fixture
def both(slurm, keys, answers):
    """A session that Slurm may run, or the login node."""
    return made(OnSlurm, slurm, Node(), keys=keys)


# ---- who is to run it ------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "batch"), [(OnSlurm, Slurm), (OnCondor, Pool)])
def test_where_chooses_who_runs_it(kind, batch):
    session = made(kind, batch(), Node())
    backend, wanted = session.parse_request({"where": ["login"], "runtime": ["30"]})
    assert (backend, wanted.runtime) == (session.backends[1], 30)
    backend, _ = session.parse_request({})
    assert backend is session.backends[0], "the control: who says nothing gets a job"


def test_an_empty_where_says_nothing(both):
    assert both.parse_request({"where": ""})[0] is both.backends[0]


@pytest.mark.parametrize("where", ["elsewhere", "login\n", "x" * 10_000])
def test_where_that_is_nowhere_is_refused_with_the_choices(both, where):
    with pytest.raises(request.Refused) as caught:
        both.parse_request({"where": where})
    problem = caught.value.problem
    assert (problem.field, problem.rule) == ("where", "backends")
    assert problem.sentence.startswith(f"Run on: “{where[:5]}")
    assert problem.sentence.endswith("is not one of the choices. Choose batch or login.")
    assert problem.sentence.isprintable()
    assert len(problem.sentence) < 200


def test_where_that_is_not_offered_is_nowhere(session):
    with pytest.raises(request.Refused, match="Choose batch"):
        session.parse_request({"where": "login"})


def test_where_is_said_once(both):
    with pytest.raises(request.Refused, match="Run on: give only one value"):
        both.parse_request({"where": ["login", "batch"]})


def test_what_is_asked_of_another_backend_is_no_matter_of_this_one(both):
    """The form sends its hidden fields as well."""
    sent = {"where": "login", "runtime": "30", "partition": "nowhere", "gpu": "tesla:9"}
    backend, wanted = both.parse_request(sent)
    assert (backend.where, wanted.asked()) == ("login", {"where": "login", "runtime": 30})


def test_what_nobody_can_be_asked_is_refused_wherever_it_is_to_run(both):
    for where in ("batch", "login"):
        with pytest.raises(request.Refused, match="is not a field of this form"):
            both.parse_request({"where": where, "req_prologue": "id"})


def test_what_was_asked_of_the_others_is_remembered(both):
    both.load_state({"asked": {"partition": "debug", "gpu": "pascal:1", "runtime": 20}})
    slurm, node = both.backends
    assert both.others_asked(node) == {"partition": "debug", "gpu": "pascal:1"}
    assert both.others_asked(slurm) == {}


def test_a_session_on_the_login_node_leaves_the_form_of_the_batch_system_as_it_was(both):
    _, node = both.backends

    async def submit(granted, launch):
        return LOGIN_NUMBER

    async def list_jobs(person):
        return f"{LOGIN_NUMBER}|RUNNING|hpc-login||\n"

    node.submit, node.list_jobs = submit, list_jobs
    both.user_options = {"partition": "debug", "gpu": "pascal:1"}
    start(both, reported)
    both.clear_state()
    both.user_options = {"where": "login", "runtime": 30}
    start(both, reported)
    asked = both.get_state()["asked"]
    assert asked == {"partition": "debug", "gpu": "pascal:1", "where": "login", "runtime": 30}


def test_the_backends_of_a_hub_are_made_once_of_its_settings(keys):
    user = SimpleNamespace(name="alice", groups=[], settings={"cookie_secret": COOKIE_SECRET})

    def one():
        return OnSlurm(
            user=user, orm_spawner=SimpleNamespace(server=None, name=""), user_options={}, keys=str(keys),
            cell="hpc-1", minter="https://hpc-minter:8600", support="us",
            authenticator=SimpleNamespace(required_group="cluster-hpc"),
        )  # fmt: skip

    assert one().backends is one().backends
    (slurm,) = one().backends
    assert isinstance(slurm, SlurmBackend), "and the login node only where there is one"
    assert (slurm.cell.name, slurm.cell.group, slurm.cell.support) == ("hpc-1", "cluster-hpc", "us")
    assert slurm.cell.secret == COOKIE_SECRET
    assert str(COOKIE_SECRET) not in repr(slurm.cell)


def test_what_backends_there_are_is_a_setting():
    assert made(OnSlurm, Slurm()).backend_classes == [SlurmBackend, LoginNode, Container]
    assert made(OnCondor, Pool()).backend_classes == [CondorBackend, LoginNode, Container]
    assert made(OnSlurm, Slurm(), backend_classes=[LoginNode]).backend_classes == [LoginNode]


# ---- the form --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "age"), [("", 60.0), ("max-age=0", 1.0), ("no-cache", 1.0), ("no-store", 60.0)]
)
def test_who_reloads_the_form_gets_a_new_answer(session, slurm, header, age):
    session.handler = SimpleNamespace(request=SimpleNamespace(headers={"Cache-Control": header}))
    assert "debug" in asyncio.run(session.get_options_form())
    assert slurm.rights_asked == age


def test_a_refused_form_is_shown_again_without_what_nobody_can_read(session):
    async def post():
        with pytest.raises(Exception, match="refused"):
            await session.options_from_form({"partition": ["x" * 1_000_000 + "\n"], "_xsrf": ["y"]})
        return await session.get_options_form()

    html = asyncio.run(post())
    assert "is not one of the choices" in html
    assert len(html) < 20_000


def test_a_form_that_was_refused_complains_once(session):
    async def twice():
        with pytest.raises(Exception, match="refused"):
            await session.options_from_form({"partition": ["debug"], "runtime": ["31"]})
        return await session.get_options_form(), await session.get_options_form()

    first, second = asyncio.run(twice())
    assert "bt-problem" in first
    assert "bt-problem" not in second


def test_a_form_is_kept_as_what_it_said(session):
    kept = asyncio.run(session.options_from_form({"partition": ["debug"], "runtime": ["20"], "_xsrf": ["y"]}))
    assert kept == {"partition": "debug", "runtime": 20}


def test_a_link_fills_the_form_in_and_starts_nothing(session, slurm):
    async def follow():
        with pytest.raises(Exception, match="does not start a session") as told:
            await session.options_from_query({"runtime": ["20"], "nonsense": ["x"]})
        return told.value, await session.get_options_form()

    told, html = asyncio.run(follow())
    assert told.status_code == 400
    assert 'value="20"' in html
    assert "nonsense" not in html
    assert "bt-problem" not in html
    assert slurm.ran == []


@pytest.mark.parametrize(
    ("trouble", "login_node", "offered"),
    [
        (commands.Failed(AWAY), "hpc-login", True),
        (commands.Failed(AWAY), "", False),
        (Refused("You are no member."), "hpc-login", False),
        (Unavailable("ServerDisconnectedError"), "hpc-login", False),
    ],
)
def test_while_slurm_is_away_its_form_is_the_login_nodes(slurm, trouble, login_node, offered):
    slurm.no_offer = trouble
    session = made(OnSlurm, slurm, *([Node()] if login_node else []))
    page = asyncio.run(session.get_options_form())
    assert ('name="where" value="login"' in page, 'id="runtime"' in page) == (offered, offered)
    assert ("The scheduler does not answer." in page) == isinstance(trouble, commands.Failed)


@pytest.mark.parametrize("login", [True, False])
@pytest.mark.parametrize(("kind", "batch"), [(OnSlurm, Slurm), (OnCondor, Pool)])
def test_the_form_offers_the_login_node_where_there_is_one(kind, batch, login):
    session = made(kind, batch(), *([Node()] if login else []))
    session.load_state({"asked": {"where": "login", "runtime": 30}})
    html = asyncio.run(session.get_options_form())
    assert ('<option value="login" selected>' in html) == login


# ---- when it would start ---------------------------------------------------------------------------


def test_an_expected_start_is_asked_for_and_nothing_is_submitted(session, slurm):
    sentence = asyncio.run(session.estimate({"partition": "debug", "gpu": "pascal:1"}))
    assert sentence == "Expected start: immediately"
    ((*command,),) = slurm.ran
    assert command[0] == "sbatch"
    assert command[-1] == "--test-only"
    assert "--gres=gpu:pascal:1" in command
    assert not session.job_id


def test_an_expected_start_is_checked_like_a_start(session, slurm):
    with pytest.raises(request.Refused):
        asyncio.run(session.estimate({"partition": "debug", "runtime": 31}))
    assert slurm.ran == []


def test_what_slurm_would_not_accept_is_told_before_anybody_presses_start(session, slurm):
    slurm.refuse = commands.Failed("allocation failure: Requested node configuration is not available")
    assert "Slurm would refuse this session" in asyncio.run(session.estimate({}))


def test_a_scheduler_that_is_away_is_told_as_such(session, slurm):
    slurm.refuse = commands.Failed(f"sbatch: error: {AWAY}")
    with pytest.raises(Exception, match="start unknown") as caught:
        asyncio.run(session.estimate({}))
    assert caught.value.status_code == 503


def test_one_expected_start_is_worked_out_at_a_time(session):
    async def two():
        return await asyncio.gather(session.estimate({}), session.estimate({}), return_exceptions=True)

    first, second = asyncio.run(two())
    assert first == "Expected start: immediately"
    assert second.status_code == 429
    assert asyncio.run(session.estimate({})) == first


def test_an_answer_that_says_no_time_is_no_error(session, slurm):
    slurm.estimate = "sbatch: something else\n"
    assert asyncio.run(session.estimate({})) == "Expected start: unknown"


def test_on_the_login_node_it_is_no_question_for_the_scheduler(both, slurm):
    assert asyncio.run(both.estimate({"where": "login"})) == "Expected start: immediately"
    assert slurm.ran == []


def test_on_a_pool_it_is_by_what_is_free():
    session = made(OnCondor, Pool())
    assert asyncio.run(session.estimate({"cpus": 6})) == "Expected start: immediately"
    session.backends[0].shown = session.backends[0].shown.replace('"Cpus": 6', '"Cpus": 5', 1)
    assert "as soon as that much is free" in asyncio.run(session.estimate({"cpus": 6}))


# ---- without what its owner has set ----------------------------------------------------------------


@pytest.mark.parametrize(("kind", "batch"), [(OnSlurm, Slurm), (OnCondor, Pool)])
@pytest.mark.parametrize("where", ["batch", "login"])
def test_a_start_without_own_settings_is_asked_for_by_form_and_api_alike(kind, batch, where):
    session = made(kind, batch(), Node())
    for sent in (["yes"], "yes", True):
        assert session.parse_request({"where": where, "without_settings": sent})[1].without_settings
    for sent in ([""], "no", False, None):
        wanted = session.parse_request({"where": where, "without_settings": sent})[1]
        assert not wanted.without_settings
        assert "without_settings" not in wanted.asked(), "the next form begins without it"


@pytest.mark.parametrize("sent", ["maybe", 1, ["yes", "no"], {}])
def test_anything_else_is_refused_at_its_field(both, sent):
    with pytest.raises(request.Refused) as caught:
        both.parse_request({"without_settings": sent})
    assert caught.value.problem.field == "without_settings"


def test_it_holds_for_one_start(both, slurm):
    both.user_options = {"without_settings": "yes"}
    start(both, reported)
    assert slurm.env["BENCHTOP_WITHOUT_SETTINGS"] == "yes"
    assert "without_settings" not in both.user_options
    start(both, reported)
    assert "BENCHTOP_WITHOUT_SETTINGS" not in slurm.env
