"""Where a session can be had, and to whom an admin has closed it."""

import asyncio
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup

from benchtop_hub.backends import commands, request
from benchtop_hub.errors import ForPerson
from standins import Node, OnSlurm
from standins import session as made


class Aside(Node):
    """A third place."""

    where, prefix, label = "aside", "aside-", "Aside"
    room: str | Exception = "Free now: 3 of 4."

    async def describe_room(self):
        """As it was told, or not at all."""
        if isinstance(self.room, Exception):
            raise self.room
        return self.room


@pytest.fixture
def everywhere(slurm, keys, answers):
    """Alice's session, for which there are three places; she is in no group."""
    return made(OnSlurm, slurm, Node(), Aside(), keys=keys)


def joins(session, *groups):
    session.user.groups = [SimpleNamespace(name=name) for name in groups]


def form(session):
    return BeautifulSoup(asyncio.run(session.get_options_form()), "html.parser")


def choices(session):
    return [option["value"] for option in form(session).select("#where option")]


def test_a_place_that_is_closed_to_a_group_is_refused_to_its_members(everywhere):
    everywhere.closed_to = {"login": ["external"]}
    joins(everywhere, "external", "usatlas")
    with pytest.raises(
        request.Refused, match=r"is not open to you\. Choose batch or aside, or ask hpc-support"
    ):
        everywhere.parse_request({"where": "login"})
    assert choices(everywhere) == ["batch", "aside"]
    joins(everywhere, "usatlas")
    assert everywhere.parse_request({"where": "login"})[0].where == "login", (
        "the control: it is open to others"
    )
    assert choices(everywhere) == ["batch", "login", "aside"]


def test_the_form_begins_with_what_was_asked_of_the_place_of_the_last_time(everywhere):
    """More than the scheduler would give, which is not asked there."""
    everywhere.load_state({"asked": {"where": "login", "runtime": 90}})
    assert form(everywhere).select_one("#runtime")["value"] == "1 h 30 min"
    everywhere.load_state({"asked": {"where": "batch", "runtime": 90}})
    assert form(everywhere).select_one("#runtime")["value"] == "30 min", "the control: debug has no more"


@pytest.mark.parametrize("closed", ["batch", "login", "aside"])
def test_each_place_can_be_closed_to_everybody(everywhere, closed):
    everywhere.closed_to = {closed: ["everybody"]}
    with pytest.raises(request.Refused, match="is not open to you"):
        everywhere.parse_request({"where": closed})
    left = [place for place in ("batch", "login", "aside") if place != closed]
    assert [everywhere.parse_request({"where": place})[0].where for place in left] == left


def test_who_does_not_say_gets_the_first_place_that_is_open(everywhere):
    everywhere.closed_to = {"batch": ["external"]}
    joins(everywhere, "external")
    assert everywhere.parse_request({})[0].where == "login"
    assert choices(everywhere) == ["login", "aside"], "in a form that asks no scheduler"


def test_a_start_is_checked_again(everywhere, slurm):
    everywhere.closed_to = {"batch": ["everybody"]}
    everywhere.user_options = {"where": "batch"}
    with pytest.raises(ForPerson, match="closed_to"):
        asyncio.run(everywhere.start())
    assert slurm.ran == []


def test_a_session_that_runs_is_known_where_nobody_may_start_one_any_more(everywhere):
    everywhere.closed_to = {"aside": ["everybody"]}
    everywhere.job_id = "aside-1"
    assert everywhere.backend.where == "aside"


def test_somebody_to_whom_everything_is_closed_is_told_whom_to_ask(everywhere):
    everywhere.closed_to = {place: ["everybody"] for place in ("batch", "login", "aside")}
    with pytest.raises(ForPerson) as caught:
        asyncio.run(everywhere.get_options_form())
    assert "Ask hpc-support@example.org" in caught.value.jupyterhub_message


def test_a_place_that_nobody_knows_is_a_mistake(everywhere):
    everywhere.closed_to = {"logn": ["external"]}
    with pytest.raises(ValueError, match=r"closed_to: there is no place 'logn' here. Choose among \['batch'"):
        everywhere.check_places()
    everywhere.closed_to = {"login": ["external"], "container": ["external"]}
    everywhere.check_places()


def test_the_form_says_of_each_place_what_it_is_good_for_and_what_is_free(everywhere):
    lines = {line["data-value"]: line.get_text() for line in form(everywhere).select("#where-lines li")}
    assert "GPUs" in lines["batch"]
    assert "1 GB memory" in lines["login"]
    assert lines["aside"].endswith("Free now: 3 of 4.")


@pytest.mark.parametrize(
    "trouble", [commands.Failed("gave no answer"), TimeoutError(), ValueError("no JSON")]
)
def test_a_place_that_does_not_say_what_is_free_costs_no_form(everywhere, trouble):
    everywhere.backends[2].room = trouble
    assert choices(everywhere) == ["batch", "login", "aside"]


def test_while_the_scheduler_is_away_the_others_are_offered(everywhere, slurm):
    slurm.no_offer = commands.Failed("Unable to contact slurm controller")
    page = form(everywhere)
    assert "The scheduler does not answer." in page.get_text()
    assert [option["value"] for option in page.select("#where option")] == ["login", "aside"]


def test_what_is_free_is_told_of_each_place(everywhere, slurm):
    async def free(person):
        return "Free now: 2 of 8 CPUs."

    slurm.describe_free = free
    everywhere.backends[2].describe_free = lambda person: asyncio.sleep(0, "Aside: 3 of 4 free.")
    assert asyncio.run(everywhere.describe_free()) == "Free now: 2 of 8 CPUs. Aside: 3 of 4 free."
