"""An announcement stands on every page of all hubs within a minute, and is taken back as fast."""

from collections.abc import Callable, Iterator

import pytest
import requests
from bs4 import BeautifulSoup

from benchtop import notices, people, topology
from benchtop.settings import Settings
from waiting import wait_until

SignedIn = Callable[[str], requests.Session]
TEXT = "Slurm is down on Friday <from 8> & to 10."
WITHIN = 60  # seconds


@pytest.fixture
def one_of_each(settings: Settings, everybody: people.People) -> dict[str, str]:
    """Cell → somebody who belongs there and has logged in before, of the people of the demo and the tests."""
    able = [n for n, one in everybody.people.items() if one.clusters and one.enrolled and not one.disabled]
    able += [f"reader{number:02}" for number in range(1, 41)]  # tests/people.yaml: both clusters
    found: dict[str, str] = {}
    for name in able:
        person = everybody.people.get(name)
        for cluster in person.clusters if person else topology.CLUSTERS:
            if cluster in settings.clusters:
                found.setdefault(topology.cell_of(name, cluster, settings.cells), name)
    assert set(found) == set(topology.cells(settings))
    return found


@pytest.fixture
def nothing_announced(settings: Settings) -> Iterator[None]:
    """What an admin had announced comes back afterwards."""
    before = notices.announced(settings).message
    notices.clear(settings)
    yield
    if before:
        notices.announce(settings, before)
    else:
        notices.clear(settings)


def banner(page: requests.Response) -> str:
    """What the page announces."""
    found = BeautifulSoup(page.text, "html.parser").select_one(
        "[role=status].announcement, [role=status].bt-announcement"
    )
    return found.get_text(strip=True) if found else ""


def test_every_hub_and_the_front_door_show_it_and_stop_showing_it(
    one_of_each: dict[str, str], nothing_announced: None, signed_in: SignedIn, settings: Settings
):
    homes = {
        cell: lambda cell=cell, name=name: banner(
            signed_in(name).get(f"{settings.url}/jupyterhub/{cell.partition('-')[0]}/hub/home", timeout=60)
        )
        for cell, name in one_of_each.items()
    }
    homes["start page"] = lambda: banner(signed_in("alice").get(f"{settings.url}/"))
    homes["signed out"] = lambda: banner(signed_in("alice").get(f"{settings.url}/signed-out"))
    homes["error"] = lambda: banner(signed_in("alice").get(f"{settings.url}/nowhere"))
    for text in (TEXT, ""):
        if text:
            notices.announce(settings, text)
        else:
            notices.clear(settings)
        for where, shown in homes.items():
            wait_until(lambda s=shown, t=text: s() == t, timeout=WITHIN, what=f"{where} to show {text!r}")


def test_programs_read_it_without_a_login_and_keep_no_copy(
    nothing_announced: None, front_door: requests.Session, settings: Settings
):
    for text in (TEXT, ""):
        if text:
            notices.announce(settings, text)
        answer = front_door.get(f"{settings.url}/announcement.json", allow_redirects=False)
        assert answer.json()["message"] == text
        assert bool(answer.json()["since"]) == bool(text)
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Cache-Control"] == "no-store"
        notices.clear(settings)
