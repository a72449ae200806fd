"""What makes no sense gets a page that says so, a status and a line in the log; never a stack trace."""

import base64
import re
import time
from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote

import pytest
import requests
from bs4 import BeautifulSoup

from benchtop.people import enrol
from benchtop.settings import Settings
from benchtop.stack import compose
from support.facility import logged
from support.front_door import NOT_FOUND, UNREADABLE, UPGRADE, USED_ALREADY, Answer, ask, form_of
from support.wait import wait_until

SignedIn = Callable[[str], requests.Session]

HPC = "/jupyterhub/hpc"
MINUTE = 60  # seconds: how old an answer of the login may be
SKEW = 60  # seconds that mellon allows for between two clocks


def told(settings: Settings, page: Answer | requests.Response, status: int, *words: str) -> None:
    """A page with these words and a number, under which the log has the request."""
    read = BeautifulSoup(page.text, "html.parser").get_text(" ", strip=True)
    found = page.status if isinstance(page, Answer) else page.status_code
    assert found == status, read
    assert all(word in read for word in words), read
    assert "Traceback" not in page.text
    number = {key.lower(): value for key, value in page.headers.items()}["x-request-id"]
    assert logged(settings, "apache", rf"access .*request={re.escape(number)} .*status={status} ")


def test_somebody_without_a_cluster_learns_whom_to_ask(signed_in: SignedIn, settings: Settings):
    for cluster in settings.clusters:
        page = ask(settings, f"/jupyterhub/{cluster}/hub/home", session=signed_in("frank"))
        told(settings, page, 403, "has no cluster yet", "support@")


@pytest.mark.parametrize("path", ["/jupyterhub/nothing/", "/jupyterhub/hpc2/hub/home", "/jupyterhub/HPC/"])
def test_a_cluster_that_does_not_exist_is_said_not_to(path: str, settings: Settings):
    told(settings, ask(settings, path), 404, NOT_FOUND, "cluster", "does not exist")


def test_a_cell_that_does_not_exist_is_said_not_to(settings: Settings):
    page = ask(
        settings, "/_cell/hpc-9/jupyterhub/hpc/hub/api/user", headers={"Authorization": "token whatever"}
    )
    told(settings, page, 404, "/_cell/CELL/", "the Tokens page of your hub shows your cell")


@pytest.mark.parametrize(
    "target",
    [
        "https://elsewhere.example/",
        "//elsewhere.example/",
        "/\\elsewhere.example",
        "https://{name}:9999/",
        "https://{name}/",
        "http://{name}:{port}/",
        "https://{name}:{port}@elsewhere.example/",
        " https://{name}:9999/",
        "javascript:alert(1)",
    ],
)
def test_an_address_that_leads_elsewhere_is_refused(target: str, signed_in: SignedIn, settings: Settings):
    """Another port of ours is elsewhere as well: another server may listen there."""
    target = quote(target.format(name=settings.name, port=settings.port), safe="")
    for way in ("login", "logout"):
        told(settings, ask(settings, f"/mellon/{way}?ReturnTo={target}"), 400, "return to is not part")
        told(settings, ask(settings, f"/mellon/{way}?a=b&ReturnTo={target}"), 400, "return to is not part")
    for page in ("/login", "/spawn", "/home", "/logout", "/", ""):
        answer = ask(settings, f"{HPC}/hub{page}?next={target}", session=signed_in("carol"))
        told(settings, answer, 400, "leads to a page outside this facility")


ODD = ["%00", "%zz", "%", "%01", "%09", "%0a", "%1f", "%7F"]


@pytest.mark.parametrize("odd", ODD)
def test_what_cannot_be_read_hides_no_address(odd: str, signed_in: SignedIn, settings: Settings):
    """The check of where an address leads refuses by itself what it cannot read, wherever that is.

    Also where it leads nowhere else: the program behind has a check of its own, which must not be what holds.
    """
    carol = signed_in("carol")
    for target in ("//elsewhere.example", "/", ""):
        for query in (
            f"{{}}={odd}{target}",
            f"{{}}={target}{odd}",
            f"x={odd}&{{}}={target}",
            f"{{}}={target}&{odd}",
        ):
            for way in ("login", "logout"):
                page = ask(settings, f"/mellon/{way}?{query.format('ReturnTo')}")
                assert (page.status, page.heading) == (400, UNREADABLE)
            page = ask(settings, f"{HPC}/hub/login?{query.format('next')}", session=carol)
            assert (page.status, page.heading) == (400, UNREADABLE)


NO_UTF8 = [
    "%E4",
    "lab/tree/%E4",
    "%C0%AE",
    "%C0%AE%C0%AE/",
    "x%FFx",
    "%E0%80%AF",
    "%ED%A0%80",
    "%F4%90%80%80",
    "%C3",
]


@pytest.mark.parametrize("path", NO_UTF8)
def test_an_address_that_is_no_utf8_is_refused_before_anybody_reads_it(
    path: str, signed_in: SignedIn, settings: Settings
):
    """By people, strangers and programs; the control is the next test."""
    token = {"Authorization": "token whatever"}
    for place in (HPC, f"{HPC}/hub", f"{HPC}/user/carol", f"{HPC}/hub/api/users", "/sessions/hpc", ""):
        for headers in ({}, token, UPGRADE):
            page = ask(settings, f"{place}/{path}", headers=headers)
            assert (page.status, page.heading) == (400, UNREADABLE)
    told(settings, ask(settings, f"{HPC}/{path}", session=signed_in("carol")), 400, "cannot be read")
    assert ask(settings, f"/_cell/hpc-1{HPC}/hub/api/{path}", headers=token).status == 400
    assert ask(settings, f"/resources/{path}", host=settings.login_name).status == 400


@pytest.mark.parametrize("page", ["home?stopped=", "spawn?memory=", "token?x=", "user/carol/?x=", "mine?x="])
def test_a_query_that_is_no_utf8_is_told_of_and_never_tried_again(
    page: str, signed_in: SignedIn, settings: Settings
):
    """A page that reloads itself would do so for ever."""
    for odd in ("%E4", "x%FF", "%zz", "%"):
        answer = ask(settings, f"{HPC}/hub/{page}{odd}", session=signed_in("carol"))
        told(settings, answer, 400, "cannot be read")
        assert "http-equiv" not in answer.text
    fine = ask(settings, f"{HPC}/hub/{page}%C3%A4", session=signed_in("carol"))
    assert fine.heading != UNREADABLE, "the control"


@pytest.mark.parametrize("name", ["é", "日本", "😀.ipynb", "a b", "100%", "\u07ff\uffff\U0010ffff"])
def test_every_other_address_gets_there(name: str, signed_in: SignedIn, settings: Settings):
    page = ask(settings, f"{HPC}/hub/{quote(name)}", session=signed_in("carol"))
    assert page.status == 404
    assert "jhdata" in page.text  # a page of the hub's


def test_no_proxy_of_a_cell_throws(signed_in: SignedIn, settings: Settings):
    """The control is that they log at all. (After the tests above, which ask for what made them throw.)"""
    for path in NO_UTF8:
        ask(settings, f"{HPC}/{path}", session=signed_in("carol"))
    proxies = [f"{cell}-proxy" for cell in settings.cell_names]
    log = compose.run(settings, "logs", "--no-color", "--since", "2m", *proxies).stdout.decode()
    assert "[ConfigProxy]" in log
    assert "URIError" not in log


def test_an_address_that_leads_back_here_is_followed(signed_in: SignedIn, settings: Settings):
    for target in (f"{settings.url}/signed-out", "/signed-out"):
        for encoded in (target, quote(target, safe="")):
            assert ask(settings, f"/mellon/login?ReturnTo={encoded}").status == 303
    for target in (f"{settings.url}{HPC}/hub/home", f"{HPC}/hub/home"):
        for encoded in (target, quote(target, safe="")):
            answer = ask(settings, f"{HPC}/hub/login?next={encoded}", session=signed_in("carol"))
            assert answer.status == 302
            assert answer.headers["location"].endswith(f"{HPC}/hub/home")


# ---- answers of the login -----------------------------------------------------------------


@pytest.fixture(scope="module")
def erin(settings: Settings) -> requests.Session:
    return enrol.login(settings, "erin")


@pytest.fixture(scope="module", autouse=True)
def aging(erin: requests.Session, settings: Settings) -> tuple[str, dict[str, str]]:
    """An answer of the login that nobody uses, got before the first test: the last need not wait long."""
    return new_response(erin, settings)


def new_response(browser: requests.Session, settings: Settings) -> tuple[str, dict[str, str]]:
    """What Keycloak gives a browser that is logged in there, to hand to Apache."""
    browser.cookies.clear(domain=settings.name)
    return form_of(browser.get(f"{settings.url}/"), "SAMLResponse")


def test_an_answer_that_was_used_is_refused(erin: requests.Session, settings: Settings):
    action, answer = new_response(erin, settings)
    assert erin.post(action, data=answer, allow_redirects=False).status_code == 303  # the control
    told(settings, erin.post(action, data=answer, allow_redirects=False), 400, USED_ALREADY)


def test_an_answer_may_not_lead_elsewhere(erin: requests.Session, settings: Settings):
    for target in ("https://elsewhere.example/", f"https://{settings.name}:9999/"):
        action, answer = new_response(erin, settings)
        reply = erin.post(action, data=answer | {"RelayState": target}, allow_redirects=False)
        assert reply.status_code == 400 or reply.headers["Location"] == f"{settings.url}/"


@pytest.mark.parametrize("form", [{}, {"SAMLResponse": ""}, {"SAMLResponse": "x"}, {"SAMLResponse": "PHg+"}])
def test_what_is_no_answer_at_all_is_refused(form: dict[str, str], settings: Settings):
    stranger = enrol.session(settings)
    page = stranger.post(f"{settings.url}/mellon/postResponse", data=form, allow_redirects=False)
    told(settings, page, 400, "The login response could not be used")


@pytest.mark.parametrize("query", ["", "?SAMLRequest=x", "?SAMLRequest=PHg%2B", "?SAMLResponse=x"])
def test_keycloak_says_so_too_when_nothing_was_asked(query: str, settings: Settings):
    page = ask(settings, f"/realms/benchtop/protocol/saml{query}", host=settings.login_name)
    told(settings, page, 400)
    assert page.heading
    assert "org.keycloak" not in page.text
    assert "org.jboss" not in page.text


def test_an_answer_of_the_login_is_good_for_a_minute(
    aging: tuple[str, dict[str, str]], erin: requests.Session, settings: Settings
):
    """The control: one that is used at once."""
    action, answer = aging
    written = base64.b64decode(answer["SAMLResponse"]).decode()
    made = datetime.fromisoformat(re.findall(r'<samlp:Response [^>]*IssueInstant="([^"]+)"', written)[0])
    # of the assertion, and of what confirms its subject
    ends = [datetime.fromisoformat(end) for end in re.findall(r'(?<!Session)NotOnOrAfter="([^"]+)"', written)]
    assert [(end - made).total_seconds() + SKEW for end in ends] == pytest.approx([MINUTE, MINUTE], abs=1)
    wait_until(
        lambda: time.time() > made.timestamp() + MINUTE + 1, timeout=90, what="the end of its life", every=1
    )
    erin.cookies.clear(domain=settings.name)
    erin.get(f"{settings.url}/mellon/login?ReturnTo=/", allow_redirects=False)  # mellon asks for its cookie
    told(settings, erin.post(action, data=answer, allow_redirects=False), 400, "more than a minute old")
    assert erin.get(f"{settings.url}/", allow_redirects=False).status_code == 303
