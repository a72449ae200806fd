"""Nobody starts a session in an environment that is for others, whatever their browser or program sends."""

from collections.abc import Callable, Iterator

import pytest
import requests
from bs4 import BeautifulSoup

from benchtop.settings import Settings
from support import software
from support.facility import logged
from support.hub import Hub
from support.wait import wait_until

pytestmark = [pytest.mark.needs("hpc/carol", "hpc/alice")]

NAME = "members"
SENTENCE = "is not available to you on this cluster, or not any more."


@pytest.fixture(scope="module")
def environment(settings: Settings) -> Iterator[None]:
    """For alice's group alone, on this cluster."""
    with software.published(settings, NAME, "1", groups=["usatlas"], clusters=["hpc"]):
        yield


@pytest.fixture
def hub(settings: Settings, signed_in: Callable[[str], requests.Session]) -> Callable[[str], Hub]:
    return lambda person: Hub(settings, signed_in(person), person, "hpc")


def offered(own: Hub) -> list[str]:
    page = own.browser.get(f"{own.base}/hub/spawn", timeout=60).text
    return [str(one["value"]) for one in BeautifulSoup(page, "html.parser").select("#environment option")]


def press_start(own: Hub, environment: str) -> requests.Response:
    """Send the form as it comes, but with this environment, which it need not offer."""
    url = f"{own.base}/hub/spawn"
    (form,) = BeautifulSoup(own.browser.get(url, timeout=60).text, "html.parser").select("#spawn_form")
    action = f"{own.settings.url}{form['action']}"
    data = {"where": "batch", "environment": environment}
    return own.browser.post(action, data=data, headers={"Referer": url}, timeout=60, allow_redirects=False)


@pytest.mark.usefixtures("environment")
def test_an_environment_of_a_group_is_for_its_members(settings: Settings, hub: Callable[[str], Hub]):
    alice, carol = hub("alice"), hub("carol")
    wait_until(lambda: NAME in offered(alice), timeout=30, what="the environment in the form")
    assert NAME not in offered(carol)

    answer = carol.start(environment=NAME)
    assert (answer.status_code, SENTENCE in answer.json()["message"]) == (400, True)
    refused = (
        rf"spawn refused user=carol cell={carol.cell} field=environment value='{NAME}' rule=environments"
    )
    logged(settings, carol.cell, f"{refused} request=")
    page = press_start(carol, NAME)
    assert page.status_code == 400
    (problem,) = BeautifulSoup(page.text, "html.parser").select("#environment-problem")
    assert SENTENCE in problem.get_text()
    answer = carol.api("POST", "users/carol/expected-start", {"environment": NAME})
    assert (answer.status_code, answer.json()["field"]) == (400, "environment")
    assert carol.server() is None

    answer = alice.api("POST", "users/alice/expected-start", {"environment": NAME})
    assert answer.status_code == 200, "the control"


def test_a_folder_of_somebody_else_is_none_of_ones_own(hub: Callable[[str], Hub]):
    carol = hub("carol")
    for path in ("/home/alice/my-env", "~/../alice/my-env", "/software", "/"):
        answer = carol.api("POST", "users/carol/expected-start", {"environment": path})
        assert (answer.status_code, answer.json()["field"]) == (400, "environment")
    answer = carol.api("POST", "users/carol/expected-start", {"environment": "~/my-env"})
    assert answer.status_code == 200, "the control"
