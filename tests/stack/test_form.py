"""The spawn form of hpc goes by what Slurm says now, and by nothing that is written down elsewhere."""

from collections.abc import Callable, Iterator

import pytest
import requests
from bs4 import BeautifulSoup
from testinfra.host import Host

from benchtop.settings import Settings
from support.hub import Hub
from support.wait import wait_until

pytestmark = [pytest.mark.needs("hpc/carol"), pytest.mark.shares("slurm")]

LIVE = 60  # seconds after which a change by sacctmgr alone is in the form
OWN, OTHERS = "test-form-own", "test-form-others"


@pytest.fixture
def slurm(service: Callable[..., Host]) -> Host:
    return service("slurmctld", user="slurm")


@pytest.fixture
def carol(settings: Settings, signed_in: Callable[[str], requests.Session]) -> Hub:
    own = Hub(settings, signed_in("carol"), "carol")
    assert own.server() is None, "a person with a session sees no form"
    return own


def offered(own: Hub, field: str, **headers: str) -> list[str]:
    """What a person may choose in a field of the form; empty where there is no such field."""
    page = own.browser.get(f"{own.base}/hub/spawn", headers=headers, timeout=30)
    assert page.ok, page.text
    return [str(one["value"]) for one in BeautifulSoup(page.text, "html.parser").select(f"#{field} option")]


def reloaded(own: Hub, field: str) -> list[str]:
    return offered(own, field, **{"Cache-Control": "max-age=0"})


@pytest.fixture
def tier3(slurm: Host, carol: Hub) -> Iterator[Callable[[], None]]:
    """Let carol into the account tier3; nobody but accounting is told. Before, it is not hers."""
    wait_until(lambda: "tier3" not in reloaded(carol, "account"), timeout=5, what="the form without it")

    def grant() -> None:
        added = "sacctmgr --immediate add user name=carol account=tier3 cluster=hpc qos=normal,usatlas"
        assert slurm.run(added).rc == 0

    yield grant
    slurm.run("sacctmgr --immediate delete user name=carol account=tier3")
    wait_until(lambda: "tier3" not in reloaded(carol, "account"), timeout=5, what="the hub to know that, too")


@pytest.mark.shares("people")
def test_a_change_by_sacctmgr_alone_is_in_the_form_within_a_minute(carol: Hub, tier3: Callable[[], None]):
    assert "usatlas" not in offered(carol, "partition")
    tier3()
    wait_until(lambda: "usatlas" in offered(carol, "partition"), timeout=LIVE, what="carol's new partition")
    assert "tier3" in offered(carol, "account")


@pytest.mark.shares("people")
def test_who_reloads_the_form_sees_the_change_at_once(carol: Hub, tier3: Callable[[], None], slurm: Host):
    assert "tier3" not in offered(carol, "account")
    tier3()
    wait_until(lambda: "tier3" in reloaded(carol, "account"), timeout=5, what="carol's new account")
    assert slurm.run("sacctmgr --immediate delete user name=carol account=tier3").rc == 0
    wait_until(lambda: "tier3" not in reloaded(carol, "account"), timeout=5, what="the end of it")


@pytest.fixture
def reservations(slurm: Host) -> Iterator[None]:
    """A part of the cluster kept for carol, and one for alice, for ten minutes at most."""
    for name, user in ((OWN, "carol"), (OTHERS, "alice")):
        words = f"reservationname={name} users={user} nodes=cpu-1 starttime=now duration=10 flags=overlap"
        assert slurm.run(f"scontrol create {words}").rc == 0
    yield
    for name in (OWN, OTHERS):
        slurm.run(f"scontrol delete reservationname={name}")


@pytest.mark.needs("slurm")
def test_a_reservation_is_offered_to_whom_it_is_for_and_to_nobody_else(carol: Hub, reservations: None):
    wait_until(lambda: OWN in reloaded(carol, "reservation"), timeout=5, what="carol's reservation")
    assert OTHERS not in offered(carol, "reservation")
    answer = carol.start(partition="debug", runtime=10, reservation=OTHERS)
    assert answer.status_code == 400
    assert f"“{OTHERS}” is not available to you" in answer.json()["message"]


def test_the_expected_start_is_told_for_what_is_chosen_and_starts_nothing(carol: Hub):
    answer = carol.api("POST", "users/carol/expected-start", {"partition": "debug", "runtime": "10"})
    assert answer.status_code == 200
    assert answer.json()["sentence"].startswith("Expected start: ")
    assert carol.server() is None


def test_the_expected_start_of_what_is_not_granted_is_refused_like_a_start(carol: Hub):
    answer = carol.api("POST", "users/carol/expected-start", {"partition": "usatlas"})
    assert answer.status_code == 400
    assert answer.json()["field"] == "partition"


def test_nobody_asks_for_somebody_elses_expected_start(carol: Hub):
    assert carol.api("POST", "users/alice/expected-start", {}).status_code in {403, 404}


def test_a_refused_request_is_not_what_the_next_form_starts_with(carol: Hub):
    assert carol.start(partition="debug", runtime=31).status_code == 400
    page = BeautifulSoup(carol.browser.get(f"{carol.base}/hub/spawn", timeout=30).text, "html.parser")
    (runtime,) = page.select("#runtime")
    assert runtime["value"] != "31"
