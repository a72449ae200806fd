"""A part of a batch system that is away takes no session with it: jobs go on, and hubs know that they do."""

from collections.abc import Callable

import pytest
from bs4 import BeautifulSoup

import life
from benchtop.hubs import Hub
from benchtop.settings import Settings
from breaking import crash, end, restart, stopped, well
from traffic import Traffic
from waiting import stays, wait_until

Notebook = Callable[[str, str], Traffic]
Hubs = Callable[[str, str], Hub]
# Whose session runs, and whose start meets the outage: two people of the same cell, of one hub therefore
PEOPLE = {"hpc": ("alice", "erin"), "htc": ("bob", "alice")}
PARTS = [("hpc", "slurmctld"), ("hpc", "slurmdbd"), ("htc", "condor-ap"), ("htc", "condor-cm")]
AGAIN = 30  # seconds after which a start is accepted; a pool takes 15 to make itself known again
REFUSED = 40  # seconds after which somebody must know that nothing starts
OUTAGE = 60  # seconds: a dozen looks of the hub at its sessions
# Seconds within which Slurm writes down that a job runs (SAVE_MAX_WAIT of its state_save.c, 5): of a younger
# one it knows nothing after a crash, and ends it.
WRITTEN = 7


@pytest.mark.parametrize("how", [restart, crash])
@pytest.mark.parametrize(("cluster", "part"), PARTS)
def test_a_session_lives_through_a_restart(
    notebook: Notebook,
    hub: Hubs,
    settings: Settings,
    cluster: str,
    part: str,
    how: Callable[[Settings, str], None],
):
    name, other = PEOPLE[cluster]
    work = notebook(name, cluster)
    began = (work.hub.server() or {}).get("started")
    newcomer = hub(other, cluster)
    end(lambda: newcomer)
    if (part, how) == ("slurmctld", crash):
        stays(lambda: still(work.hub, began), lasting=WRITTEN, what=f"the session of {name}")
    how(settings, part)
    well(settings, part)
    stays(lambda: still(work.hub, began), lasting=20, what=f"the session of {name}")
    works_again(work, newcomer)


@pytest.mark.parametrize(("cluster", "part"), PARTS)
def test_a_session_lives_while_a_part_is_away(
    notebook: Notebook, hub: Hubs, settings: Settings, cluster: str, part: str
):
    name, other = PEOPLE[cluster]
    work = notebook(name, cluster)
    began = (work.hub.server() or {}).get("started")
    newcomer = hub(other, cluster)
    end(lambda: newcomer)
    with stopped(settings, part):
        stays(lambda: still(work.hub, began), lasting=OUTAGE, what=f"the session of {name}")
        work.goes_on(timeout=30)
        if (
            part != "slurmdbd"
        ):  # what it grants is remembered for a minute, and slurmctld starts jobs without it
            assert "The scheduler does not answer." in refusal(newcomer)
            starts_on_the_login_node(newcomer)
    stays(lambda: still(work.hub, began), lasting=20, what=f"the session of {name}")
    works_again(work, newcomer)


def refusal(newcomer: Hub) -> str:
    """What somebody reads whose session cannot start."""
    answer = newcomer.start(**life.SMALL[newcomer.cluster])
    if answer.ok:  # the page waits, and is told when it fails
        wait_until(lambda: newcomer.server() is None, timeout=REFUSED, what="the start to fail")
        return newcomer.failure()
    assert newcomer.server() is None
    return answer.text


def starts_on_the_login_node(newcomer: Hub) -> None:
    """The form that is left offers it, and it needs no scheduler."""
    page = newcomer.browser.get(f"{newcomer.base}/hub/spawn", timeout=60)
    (where,) = BeautifulSoup(page.text, "html.parser").select("#spawn_form [name=where]")
    assert where.get("value") == "login" or where.select_one("option[value=login]")
    life.ready(newcomer, where="login", runtime=10)
    end(lambda: newcomer)


def still(own: Hub, began: object) -> bool:
    """The hub has the same session and takes it for usable."""
    server = own.server() or {}
    return bool(server.get("ready")) and server.get("started") == began


def works_again(work: Traffic, newcomer: Hub) -> None:
    """The session that ran is untouched and can be ended, and another one can be started."""
    work.goes_on(timeout=30)
    assert (work.failed, work.cuts) == ([], 0)
    try:
        wait_until(
            lambda: newcomer.start(**life.SMALL[newcomer.cluster]).ok,
            timeout=AGAIN,
            what="a start to be accepted",
        )
        wait_until(newcomer.ready, timeout=life.START, what=f"the session of {newcomer.person}")
    finally:
        end(lambda: newcomer)
    end(lambda: work.hub)
