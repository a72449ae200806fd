"""Where a login and a logout lead to, once they are done: never away from this facility."""

from collections.abc import Callable
from urllib.parse import quote, urljoin, urlsplit

import pytest
import requests
from bs4 import BeautifulSoup

from benchtop.people import enrol
from benchtop.settings import Settings

Follow = Callable[[str], requests.Response]


@pytest.fixture(scope="module")
def alice(settings: Settings) -> requests.Session:
    """A session that only these tests use, since a mistake in them would end it."""
    return enrol.login(settings, "alice")


@pytest.fixture
def follow(alice: requests.Session, settings: Settings) -> Follow:
    """Log in once more, to come back to an address: the last answer of Apache, not followed."""

    def through(target: str) -> requests.Response:
        begin = f"{settings.url}/mellon/login?ReturnTo={quote(target, safe='')}"
        first = alice.get(begin, allow_redirects=False)
        if first.status_code != 303:
            return first
        page = BeautifulSoup(alice.get(first.headers["Location"]).text, "html.parser")
        form = page.select_one("form:has([name=SAMLResponse])")
        assert form
        fields = {str(field["name"]): str(field["value"]) for field in form.select("input[name]")}
        return alice.post(str(form["action"]), data=fields, allow_redirects=False)

    return through


@pytest.mark.parametrize("path", ["/", "/jupyterhub/hpc/hub/home?a=b#c", "/signed-out"])
def test_a_login_leads_to_where_somebody_wanted_to_go(path: str, follow: Follow, settings: Settings):
    answer = follow(settings.url + path)
    assert (answer.status_code, answer.headers["Location"]) == (303, settings.url + path)


ELSEWHERE = [
    "https://elsewhere.example/",
    "//elsewhere.example/",
    "/\\elsewhere.example/",
    "\\\\elsewhere.example/",
    "\t//elsewhere.example/",
    "https:elsewhere.example",
    "https:///elsewhere.example/",
    "https:\\\\elsewhere.example/",
    "https://{name}.elsewhere.example/",
    "https://{name}@elsewhere.example/",
    "https://{name}:{port}@elsewhere.example/",
    "https://elsewhere.example#@{name}:{port}/",
    "https://elsewhere.example\\@{name}:{port}/",
    "javascript:alert(1)",
    "data:text/html,x",
    "https://{name}:{port}/\r\nLocation: https://elsewhere.example/",
]


@pytest.mark.parametrize("target", ELSEWHERE)
def test_a_login_leads_nowhere_else(target: str, follow: Follow, settings: Settings):
    answer = follow(target.format(name=settings.name, port=settings.port))
    assert answer.status_code == 400
    assert "Location" not in answer.headers


@pytest.mark.parametrize("target", ELSEWHERE)
def test_nor_does_a_logout(target: str, settings: Settings):
    """Of somebody who is logged out already: there it is Apache alone that decides."""
    target = target.format(name=settings.name, port=settings.port)
    address = f"{settings.url}/mellon/logout?ReturnTo={quote(target, safe='')}"
    answer = enrol.session(settings).get(address, allow_redirects=False)
    assert answer.status_code == 400
    assert "Location" not in answer.headers


def test_a_logout_leads_to_the_page_that_says_so(settings: Settings):
    back = f"{settings.url}/signed-out"
    address = f"{settings.url}/mellon/logout?ReturnTo={quote(back, safe='')}"
    answer = enrol.session(settings).get(address, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, back)


def test_a_word_without_a_scheme_is_a_page_of_ours(follow: Follow, settings: Settings):
    answer = follow("elsewhere.example")
    assert urlsplit(urljoin(answer.url, answer.headers["Location"])).hostname == settings.name


def test_no_session_was_lost_on_the_way(alice: requests.Session, settings: Settings):
    assert alice.get(f"{settings.url}/", allow_redirects=False).status_code == 200
