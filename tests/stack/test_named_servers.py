"""Two servers of one person at the same time, on either cluster: each a job of its own."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import requests
from testinfra.host import Host

from benchtop.settings import Settings
from support import sessions
from support.front_door import words
from support.hub import Hub
from support.wait import wait_until

pytestmark = [pytest.mark.needs("hpc/alice", "htc/alice"), pytest.mark.shares("slurm", "condor")]

SignedIn = Callable[[str], requests.Session]
STARTS, ENDS = 120, 60  # seconds, on a busy machine


@pytest.fixture(params=["hpc", "htc"])
def both(
    request: pytest.FixtureRequest, signed_in: SignedIn, settings: Settings
) -> Iterator[tuple[Hub, Hub]]:
    """Alice's usual server on a cluster and one called `second`; neither runs, now and afterwards."""
    usual = Hub(settings, signed_in("alice"), "alice", request.param)
    second = replace(usual, name="second")

    def over() -> bool:
        usual.stop()
        second.forget()
        return usual.server() is None and second.server() is None

    wait_until(over, timeout=ENDS, what="alice's former servers to end")
    yield usual, second
    wait_until(over, timeout=ENDS, what="alice's servers to end")


def job_names(service: Callable[..., Host], cluster: str) -> set[str]:
    """What the scheduler calls alice's jobs."""
    if cluster == "hpc":
        return set(service("slurmctld").check_output("squeue --noheader --format=%%j --user=alice").split())
    queue = "condor-as condor condor_q -allusers -constraint %s -autoformat JobBatchName"
    alices = 'Owner == "alice" && JobStatus == 2'
    return set(service("condor-ap").check_output(queue, alices).split())


def test_two_servers_run_beside_each_other_and_each_ends_alone(
    both: tuple[Hub, Hub], service: Callable[..., Host]
):
    usual, second = both
    for one in both:
        sessions.start(one)
    for one in both:
        wait_until(one.ready, timeout=STARTS, what=f"alice's server {one.name or 'without a name'}")
        assert one.open().ok
        assert one.jupyter("GET", "status").status_code == 200
    names = {f"jh-{usual.cell}-alice", f"jh-{usual.cell}-alice-second"}
    assert job_names(service, usual.cluster) == names
    second.stop()
    wait_until(lambda: not second.ready(), timeout=ENDS, what="the end of the second")
    assert usual.jupyter("GET", "status").status_code == 200


def test_a_name_that_cannot_be_is_refused_with_what_to_write(signed_in: SignedIn, settings: Settings):
    for name in ("My_Server", "lab", "x" * 31):
        own = Hub(settings, signed_in("alice"), "alice", "hpc", name)
        answer = own.start(**sessions.SMALL["hpc"])
        assert answer.status_code == 400
        assert f"“{name}”" in answer.json()["message"]


def test_starts_that_are_refused_and_looks_at_the_form_use_up_no_name(both: tuple[Hub, Hub]):
    """The control is in test_two_servers_…: what was started has its name."""
    usual, _ = both
    for name in ("one", "two", "three", "four"):
        refused = replace(usual, name=name).start(runtime=100_000)
        assert (refused.status_code, "Runtime" in refused.json()["message"]) == (400, True)
        form = usual.browser.get(f"{usual.base}/hub/spawn/alice/{name}-more", timeout=60)
        assert form.ok
        assert f"Session name: {name}-more" in words(form)
    home = usual.browser.get(f"{usual.base}/hub/home", timeout=60)
    assert "You have 0 of 3 extra sessions" in words(home)
