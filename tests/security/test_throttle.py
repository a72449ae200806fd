"""How many logins an address may try: a class gets in, passwords by the hundred do not."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from benchtop.settings import Settings
from support.front_door import Answer, ask
from support.wait import wait_until

pytestmark = pytest.mark.alone

SignedIn = Callable[[str], requests.Session]

CLASS = 30
STEPS = 4  # of one login: the way there, password, code, the answer
BURST = 200
WINDOW = 10  # seconds, as in apache/conf/throttle.conf
LOGIN = "/realms/benchtop/login-actions/authenticate"


def post(settings: Settings, path: str) -> Answer:
    """Send one step of a login, byte for byte, on a connection of its own."""
    host = settings.name if "mellon" in path else settings.login_name
    return ask(settings, path, host=host, method="POST", headers={"Content-Length": "0"})


def passes(settings: Settings) -> bool:
    return post(settings, LOGIN).status != 429


@pytest.fixture(autouse=True)
def rested(settings: Settings) -> Iterator[None]:
    """Every other test logs in from this address too: it is let in before and after."""
    wait_until(lambda: passes(settings), timeout=2 * WINDOW, what="the end of the window", every=1)
    yield
    wait_until(lambda: passes(settings), timeout=2 * WINDOW, what="the end of the window", every=1)


def burst(settings: Settings, count: int, *paths: str) -> list[Answer]:
    with ThreadPoolExecutor(max_workers=12) as pool:
        return list(pool.map(lambda number: post(settings, paths[number % len(paths)]), range(count)))


def test_a_class_behind_one_address_logs_in_at_once(settings: Settings):
    """As many steps as thirty logins have, sent faster than any class could."""
    answers = burst(settings, CLASS * STEPS, LOGIN, "/mellon/postResponse", "/mellon/login")
    assert 429 not in {answer.status for answer in answers}


@pytest.mark.parametrize(
    "path", [LOGIN, "//realms//benchtop//login-action%73/authenticate", f"/resources/..{LOGIN}"]
)
def test_passwords_by_the_hundred_are_refused_for_some_seconds(
    path: str, signed_in: SignedIn, settings: Settings
):
    carol = signed_in("carol")
    for _ in range(3):  # they may fall into two windows, on a busy machine into more
        refused = [answer for answer in burst(settings, BURST, path, LOGIN) if answer.status == 429]
        if len(refused) >= BURST - 190:
            break
        wait_until(lambda: passes(settings), timeout=2 * WINDOW, what="the end of the window", every=1)
    assert len(refused) >= BURST - 190
    assert {page.heading for page in refused} == {"Too many logins at once"}
    assert all("Wait ten seconds" in page.text for page in refused)
    # whoever is logged in does not notice, whatever they do
    assert carol.get(f"{settings.url}/").status_code == 200
    assert carol.get(f"{settings.url}/jupyterhub/hpc/hub/home").status_code == 200
    wait_until(lambda: passes(settings), timeout=WINDOW + 5, what="the end of the window", every=1)


def test_what_is_not_a_login_is_not_counted(signed_in: SignedIn, settings: Settings):
    carol = signed_in("carol")
    home = f"{settings.url}/jupyterhub/hpc/hub/home"
    assert {carol.get(home).status_code for _ in range(BURST)} == {200}
    assert passes(settings)
