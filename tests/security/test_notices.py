"""What JupyterLab asks of its session when the login has ended: by its page's own token, by nothing less."""

import re
from collections.abc import Callable, Iterator

import pytest
import requests

from benchtop.people import enrol
from benchtop.settings import Settings
from support import sessions
from support.hub import Hub

pytestmark = [
    pytest.mark.needs("hpc/erin", "htc/erin", throughout=True),
    pytest.mark.shares("slurm", "condor"),
]


@pytest.fixture(scope="module", params=["hpc", "htc"])
def own(
    request: pytest.FixtureRequest, settings: Settings, signed_in: Callable[[str], requests.Session]
) -> Iterator[Hub]:
    """Erin's session on the login node of a cluster, opened."""
    hub = Hub(settings, signed_in("erin"), "erin", request.param)
    sessions.end(hub)
    sessions.begin(hub, where="login", runtime=20)
    yield hub
    sessions.end(hub)


def asked(own: Hub, token: str = "") -> requests.Response:
    """Ask as the page does once the login has ended: without any cookie."""
    headers = {"Authorization": f"token {token}"} if token else {}
    return enrol.session(own.settings).get(
        f"{own.lab}benchtop/notices", headers=headers, allow_redirects=False, timeout=60
    )


def tokens(own: Hub) -> str:
    """The token that JupyterLab's page has of its server."""
    found = re.search(r'"token": "([^"]+)"', own.open().text)
    assert found
    return found[1]


def test_the_pages_own_token_is_enough(own: Hub):
    answer = asked(own, tokens(own))
    assert answer.status_code == 200, answer.text
    assert answer.json()["ends"]


@pytest.mark.parametrize("token", ["", "nonsense", "the-facilitys-announcement"])
def test_without_it_nobody_is_told(own: Hub, token: str):
    assert asked(own, token).status_code in {303, 403}


def test_anothers_token_opens_nothing(own: Hub, signed_in: Callable[[str], requests.Session]):
    carol = Hub(own.settings, signed_in("carol"), "carol", "hpc")
    theirs = carol.api("POST", "users/carol/tokens", {"note": "test", "expires_in": 60}).json()["token"]
    assert asked(own, theirs).status_code == 403
