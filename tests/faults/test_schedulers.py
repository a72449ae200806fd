"""A part of a batch system that is away takes no session with it: jobs go on, and hubs know that they do.

Both clusters lose a part at the same time: they share none, and each test waits for most of its time.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from bs4 import BeautifulSoup

from benchtop.settings import Settings
from support import sessions
from support.facility import crash, restart, stopped, well
from support.hub import Hub
from support.traffic import Traffic
from support.wait import at_once, stays, wait_until

Notebooks = Callable[..., list[Traffic]]
Hubs = Callable[[str, str], Hub]
# Whose session runs, and whose start meets the outage: two people of the same cell, of one hub therefore
PEOPLE = {"hpc": ("alice", "erin"), "htc": ("bob", "alice")}
PARTS = [("slurmctld", "condor-ap"), ("slurmdbd", "condor-cm")]  # of hpc and of htc
AGAIN = 30  # seconds after which a start is accepted
TOLD = 30  # seconds after which the page says why a start waits
REFUSED = 40  # seconds after which somebody must know that nothing starts
OUTAGE = 40  # seconds: eight looks of the hub at its sessions, and longer than any command waits
SETTLED = 12  # seconds: two looks, once the part is back
# Seconds within which Slurm writes down that a job runs (SAVE_MAX_WAIT of its state_save.c, 5): of a younger
# one it knows nothing after a crash, and ends it.
WRITTEN = 7


@dataclass(frozen=True)
class Neighbours:
    """Of one cluster and cell: whose session runs, since when, and who comes while a part is away."""

    work: Traffic
    newcomer: Hub
    began: object

    def still(self) -> bool:
        """The hub has the same session and takes it for usable."""
        server = self.work.hub.server() or {}
        return bool(server.get("ready")) and server.get("started") == self.began


@pytest.fixture
def neighbours(notebooks: Notebooks, hub: Hubs) -> dict[str, Neighbours]:
    """By cluster."""
    newcomers = {cluster: hub(other, cluster) for cluster, (_, other) in PEOPLE.items()}
    at_once(sessions.end, newcomers.values())
    works = notebooks(*((name, cluster) for cluster, (name, _) in PEOPLE.items()))
    return {
        work.hub.cluster: Neighbours(
            work, newcomers[work.hub.cluster], (work.hub.server() or {}).get("started")
        )
        for work in works
    }


@pytest.mark.parametrize("how", [restart, crash])
@pytest.mark.parametrize("parts", PARTS, ids="-".join)
def test_a_session_lives_through_a_restart(
    neighbours: dict[str, Neighbours],
    settings: Settings,
    parts: tuple[str, str],
    how: Callable[..., None],
):
    if how is crash and "slurmctld" in parts:
        live_on(neighbours, WRITTEN)
    how(settings, *parts)
    well(settings, *parts)
    live_on(neighbours, SETTLED)
    at_once(works_again, neighbours.values())


@pytest.mark.parametrize("parts", PARTS, ids="-".join)
def test_a_session_lives_while_a_part_is_away(
    neighbours: dict[str, Neighbours], settings: Settings, parts: tuple[str, str]
):
    with stopped(settings, *parts):
        live_on(neighbours, OUTAGE)
        for part, one in zip(parts, neighbours.values(), strict=True):
            one.work.goes_on(timeout=30)
            # what slurmdbd grants is remembered for a minute, and slurmctld starts jobs without it
            if part != "slurmdbd":
                assert "The scheduler does not answer." in refusal(one.newcomer)
                starts_on_the_login_node(one.newcomer)
    live_on(neighbours, SETTLED)
    at_once(works_again, neighbours.values())


@pytest.mark.needs("htc")
@pytest.mark.together("htc")
def test_a_start_waits_for_a_pool_of_which_no_node_is_seen(hub: Hubs, settings: Settings):
    """The hub and the central manager have just started, and neither has heard of a node."""
    own = hub("bob", "htc")
    sessions.end(own)
    with stopped(settings, "condor-ep-1", "condor-ep-2"):
        restart(settings, "condor-cm", own.cell)
        well(settings, "condor-cm", own.cell)
        sessions.start(own)
        wait_until(
            lambda: "no machine offers the Jupyter slots" in own.stage(), timeout=TOLD, what="the reason"
        )
    wait_until(own.ready, timeout=sessions.START, what="bob's session")
    sessions.end(own)


def live_on(neighbours: dict[str, Neighbours], lasting: float) -> None:
    """Fail as soon as the hub of one does not take their session for usable any more; lasting: seconds."""
    stays(
        lambda: all(one.still() for one in neighbours.values()),
        lasting=lasting,
        what=f"a session of {' or '.join(one.work.hub.person for one in neighbours.values())}",
    )


def refusal(newcomer: Hub) -> str:
    """What somebody reads whose session cannot start."""
    answer = newcomer.start(**sessions.SMALL[newcomer.cluster])
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
    sessions.ready(newcomer, where="login", runtime=10)
    sessions.end(newcomer)


def works_again(one: Neighbours) -> None:
    """The session that ran is untouched and can be ended, and another one can be started."""
    work, newcomer = one.work, one.newcomer
    work.goes_on(timeout=30)
    assert (work.failed, work.cuts) == ([], 0)
    try:
        wait_until(
            lambda: newcomer.start(**sessions.SMALL[newcomer.cluster]).ok,
            timeout=AGAIN,
            what="a start to be accepted",
        )
        wait_until(newcomer.ready, timeout=sessions.START, what=f"the session of {newcomer.person}")
    finally:
        sessions.end(newcomer)
    sessions.end(work.hub)
