"""A part of a batch system that is away takes no session with it: jobs go on, and hubs know that they do."""

from collections.abc import Callable

import pytest

from benchtop import compose
from benchtop.hubs import Hub
from benchtop.settings import Settings
from breaking import SMALL, START, crash, end, restart, stopped, well
from traffic import Traffic
from waiting import stays, wait_until

Notebook = Callable[[str, str], Traffic]
Hubs = Callable[[str, str], Hub]
# Whose session runs, and whose start meets the outage: two people of the same cell, of one hub therefore
PEOPLE = {"hpc": ("alice", "erin"), "htc": ("bob", "alice")}
DEBUG = ("cpu-1", "gpu-1")  # the nodes of that partition
NOTICED = 60  # seconds after which a hub must know that a session is no more
PARTS = [("hpc", "slurmctld"), ("hpc", "slurmdbd"), ("htc", "condor-ap"), ("htc", "condor-cm")]
AGAIN = 30  # seconds after which a start is accepted; a pool takes 15 to make itself known again
REFUSED = 40  # seconds after which somebody must know that nothing starts
OUTAGE = 60  # seconds: a dozen looks of the hub at its sessions


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
    stays(lambda: still(work.hub, began), lasting=20, what=f"the session of {name}")
    works_again(work, newcomer)


def test_the_hub_knows_when_a_session_died_with_its_node(notebook: Notebook, settings: Settings):
    """With HTCondor it may take as long as the job's lease: condor/config.d/30-jobs.conf."""
    work = notebook("alice", "hpc")
    (node,) = (node for node in DEBUG if works_on(settings, node, "alice"))
    # slurmctld takes a boot for one of before the job's start when they are within 15 s of each other
    stays(work.hub.ready, lasting=20, what="the session of alice")
    crash(settings, node)
    wait_until(lambda: work.hub.server() is None, timeout=NOTICED, what="the hub to know")
    wait_until(lambda: work.hub.start(**SMALL["hpc"]).ok, timeout=AGAIN, what="a start to be accepted")
    wait_until(work.hub.ready, timeout=START, what="another session")


def works_on(settings: Settings, node: str, name: str) -> bool:
    """Does this person have a session there?"""
    look = ("pgrep", "--euid", name, "--full", "benchtop_lab.session")
    return compose.run(settings, "exec", "-T", node, *look, check=False).returncode == 0


def refusal(newcomer: Hub) -> str:
    """What somebody reads whose session cannot start."""
    answer = newcomer.start(**SMALL[newcomer.cluster])
    if answer.ok:  # the page waits, and is told when it fails
        wait_until(lambda: newcomer.server() is None, timeout=REFUSED, what="the start to fail")
        return newcomer.failure()
    assert newcomer.server() is None
    return answer.text


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
            lambda: newcomer.start(**SMALL[newcomer.cluster]).ok, timeout=AGAIN, what="a start to be accepted"
        )
        wait_until(newcomer.ready, timeout=START, what=f"the session of {newcomer.person}")
    finally:
        end(lambda: newcomer)
    end(lambda: work.hub)
