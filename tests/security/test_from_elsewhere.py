"""No page but a person's own way begins or ends a login: what browsers say about a request decides.

Whether they say it as they should, a real one shows: tests/browser/test_front_door.py. The pages of notebooks
have the origin of the facility, so what they load is as hostile as what another site's pages do.
"""

import base64
import re

import pytest
import requests

from benchtop.people import enrol
from benchtop.settings import Settings
from support.front_door import ask, form_of

Say = dict[str, str]

HUB = "/jupyterhub/hpc/hub"
PERSON = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-User": "?1"}
# What a page can make a browser send without anybody's going anywhere
LOADS: list[Say] = [
    {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "same-origin"},
    {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"},
    {"Sec-Fetch-Dest": "object", "Sec-Fetch-Mode": "navigate"},
    {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Purpose": "prefetch;prerender"},
]
SITES = ["same-origin", "same-site", "cross-site"]


@pytest.fixture(scope="module")
def erin(settings: Settings) -> requests.Session:
    """A session that only these tests use, since a mistake would end it."""
    return enrol.login(settings, "erin", path=f"{HUB}/home")


@pytest.fixture(scope="module")
def frank(settings: Settings) -> requests.Session:
    """Logged in at Keycloak, which gives him a new answer as often as he asks."""
    return enrol.login(settings, "frank")


def is_in(browser: requests.Session, settings: Settings) -> bool:
    """Whether Apache and the hub know who it is."""
    front = browser.get(f"{settings.url}/", allow_redirects=False).status_code
    return (front, ask(settings, f"{HUB}/home", session=browser).status) == (200, 200)


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("loads", LOADS, ids=lambda say: "-".join(say.values()))
def test_what_a_page_loads_neither_begins_nor_ends_a_login(
    loads: Say, site: str, erin: requests.Session, settings: Settings
):
    """The control is the next test: a person does both, with the same address."""
    back = f"ReturnTo={settings.url}/signed-out"
    for path in (f"/mellon/login?{back}", f"/mellon/logout?{back}", f"{HUB}/logout"):
        page = ask(settings, path, session=erin, headers=loads | {"Sec-Fetch-Site": site})
        assert (page.status, page.heading) == (403, "This was not you")
        assert "set-cookie" not in page.headers
        assert "clear-site-data" not in page.headers
    shown = ask(settings, "/signed-out", session=erin, headers=loads | {"Sec-Fetch-Site": site})
    assert (shown.status, "clear-site-data" in shown.headers) == (200, False)
    assert is_in(erin, settings)


def test_a_person_who_goes_there_begins_and_ends_one(settings: Settings):
    """In also by a link from elsewhere; out by a page of ours, or by typing the address."""
    back = f"{settings.url}/signed-out"
    for site in (*SITES, "none"):
        begun = ask(settings, f"/mellon/login?ReturnTo={back}", headers=PERSON | {"Sec-Fetch-Site": site})
        assert (begun.status, "mellon-hub=cookietest" in begun.headers["set-cookie"]) == (303, True)
    for site in ("same-origin", "none"):
        ended = ask(settings, f"/mellon/logout?ReturnTo={back}", headers=PERSON | {"Sec-Fetch-Site": site})
        assert (ended.status, ended.headers["location"]) == (303, back)


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT", "OPTIONS"])
@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_nobody_is_sent_into_a_logout(method: str, site: str, erin: requests.Session, settings: Settings):
    """By a link, a form or a script of another site; a mail's link, which comes from none, is a click."""
    for path in (f"/mellon/logout?ReturnTo={settings.url}/signed-out", f"{HUB}/logout"):
        said = PERSON | {"Sec-Fetch-Site": site, "Origin": "https://elsewhere.example", "Content-Length": "0"}
        assert ask(settings, path, session=erin, headers=said, method=method).status in {403, 405}
    visited = ask(settings, "/signed-out", session=erin, headers=PERSON | {"Sec-Fetch-Site": "cross-site"})
    assert "clear-site-data" not in visited.headers
    assert is_in(erin, settings)


def new_response(browser: requests.Session, settings: Settings) -> tuple[str, dict[str, str]]:
    """What Keycloak gives a browser that is logged in there, to hand to Apache."""
    browser.cookies.clear(domain=settings.name)
    return form_of(browser.get(f"{settings.url}/"), "SAMLResponse")


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("https://elsewhere.example", "cross-site"),
        ("null", "cross-site"),  # a frame in a sandbox
        ("{url}", "same-origin"),  # a notebook
        ("https://x.{name}:{port}", "same-site"),
        ("{login_url}.elsewhere.example", "cross-site"),
        ("", "cross-site"),
        ("", "same-origin"),
        ("https://elsewhere.example", ""),  # a browser that knows no Fetch metadata
    ],
)
def test_no_page_logs_a_browser_in_as_somebody_else(
    origin: str, site: str, frank: requests.Session, settings: Settings
):
    """An attacker's own answer of the login, which Keycloak made and nobody has used."""
    action, answer = new_response(frank, settings)
    victim = enrol.session(settings)
    victim.get(
        f"{settings.url}/mellon/login?ReturnTo=/", allow_redirects=False
    )  # so that mellon has its cookie
    places = {
        "url": settings.url,
        "login_url": settings.login_url,
        "name": settings.name,
        "port": settings.port,
    }
    said = {"Origin": origin.format(**places), "Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
    said = {key: value for key, value in said.items() if value}
    refused = victim.post(action, data=answer, headers=said, allow_redirects=False)
    assert refused.status_code == 403
    assert "This was not you" in refused.text
    assert victim.get(f"{settings.url}/", allow_redirects=False).status_code == 303
    # the control: the same answer by Keycloak's own form (by a program that says nothing: each other login)
    ours = PERSON | {"Origin": settings.login_url, "Sec-Fetch-Site": "same-site"}
    assert victim.post(action, data=answer, headers=ours, allow_redirects=False).status_code == 303
    assert "(frank)" in victim.get(f"{settings.url}/").text


def test_a_logout_that_keycloak_confirms_arrives(settings: Settings):
    """Its answer is a form of Keycloak's; from elsewhere, the same form is refused."""
    carol = enrol.login(settings, "carol")
    back = f"{settings.url}/signed-out"
    page = carol.get(f"{settings.url}/mellon/logout", params={"ReturnTo": back}, headers=PERSON)
    action, answer = form_of(page, "SAMLResponse")
    elsewhere = PERSON | {"Origin": settings.url, "Sec-Fetch-Site": "same-origin"}
    assert carol.post(action, data=answer, headers=elsewhere, allow_redirects=False).status_code == 403
    ours = PERSON | {"Origin": settings.login_url, "Sec-Fetch-Site": "same-site"}
    done = carol.post(action, data=answer, headers=ours)
    assert (done.url, done.headers["Clear-Site-Data"]) == (back, '"cache", "cookies", "storage"')


@pytest.mark.parametrize("loads", LOADS, ids=lambda say: "-".join(say.values()))
def test_what_a_page_loads_begins_nothing_at_keycloak(loads: Say, settings: Settings):
    """A signed request of Apache's can be had by anybody, and would replace a login that is under way."""
    address = ask(settings, f"/mellon/login?ReturnTo={settings.url}/").headers["location"]
    path = address.removeprefix(settings.login_url)
    refused = ask(settings, path, host=settings.login_name, headers=loads)
    assert (refused.status, "set-cookie" in refused.headers) == (403, False)
    assert ask(settings, path, host=settings.login_name, headers=PERSON).status == 200


def test_keycloaks_pages_let_a_browser_name_their_origin(settings: Settings):
    """With the policy of all other pages it would say "null", as a sandbox does."""
    page = enrol.session(settings).get(f"{settings.url}/")
    assert page.url.startswith(settings.login_url)
    assert page.headers["Referrer-Policy"] == "strict-origin"


def test_an_answer_that_is_written_oddly_is_no_error_of_ours(frank: requests.Session, settings: Settings):
    """CDATA changes nothing that is signed, but mellon finds no name in it. The control: each login."""
    value = "{}[^>]*>(?:<saml:AttributeValue[^>]*>)?"
    for part in ("groups", "username", "NameID"):
        action, answer = new_response(frank, settings)
        signed = base64.b64decode(answer["SAMLResponse"]).decode()
        written = re.sub(rf"({value.format(part + '.?')})([^<]+)", r"\1<![CDATA[\2]]>", signed)
        assert "CDATA" in written
        form = answer | {"SAMLResponse": base64.b64encode(written.encode()).decode()}
        assert frank.post(action, data=form, allow_redirects=False).status_code in {303, 400}
        pages = [frank.get(f"{settings.url}{path}", allow_redirects=False) for path in ("/", f"{HUB}/home")]
        assert all(page.status_code < 500 for page in pages)
        if part == "username":
            assert {page.status_code for page in pages} == {403}
            assert "did not include the information" in pages[0].text
    ended = frank.get(f"{settings.url}/mellon/logout", params={"ReturnTo": f"{settings.url}/signed-out"})
    assert ended.status_code == 200
