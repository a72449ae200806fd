"""What a real browser makes of the front door: the end of a session, and what a page may load."""

import html
import re
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from benchtop.people import enrol
from benchtop.settings import Settings
from support import pages
from support.front_door import NO_ACCESS, form_of

pytestmark = pytest.mark.needs("hpc/carol", "hpc/erin", "htc/erin")  # whose Start pages are opened

POLICY = r"^CSP |Content.Security.Policy"
HUB = "/jupyterhub/hpc/hub"
END = """async (name) => {
  const answer = await fetch(`/jupyterhub/hpc/hub/api/users/${name}/server`,
    {method: "DELETE", headers: {"X-XSRFToken": window.jhdata.xsrf_token}})
  return answer.status
}"""
TELL = """document.addEventListener("securitypolicyviolation",
  event => console.error("CSP", event.violatedDirective, event.blockedURI))"""


@pytest.fixture
def carol(page: Page, settings: Settings) -> Iterator[Page]:
    """Carol's browser, logged in; her session ends with the test."""
    pages.log_in(page, settings, "carol")
    end_own(page, settings)
    yield page
    if page.context.cookies(settings.url):
        end_own(page, settings)


def end_own(page: Page, settings: Settings) -> None:
    """End the session of whoever is logged in, as their own page does."""
    page.goto(f"{settings.url}{HUB}/home")
    assert page.evaluate(END, page.evaluate("window.jhdata.user")) in {202, 204, 400, 404}


@pytest.mark.shares("slurm")
def test_the_next_person_on_the_same_browser_finds_nothing_of_the_first(carol: Page, settings: Settings):
    page = carol
    pages.start(page, settings, partition="debug")
    page.goto(f"{settings.url}{HUB}/logout")
    page.wait_for_url(f"{settings.url}/signed-out")
    expect(page.get_by_role("heading", name="You are logged out")).to_be_visible()
    assert not page.context.cookies(settings.url)
    try:
        pages.log_in(page, settings, "erin")
        page.goto(f"{settings.url}{HUB}/home")
        assert page.evaluate("window.jhdata.user") == "erin"
        answer = page.goto(f"{settings.url}/jupyterhub/hpc/user/carol/lab")
        assert answer
        assert answer.status == 403
        expect(page.get_by_role("heading", name=NO_ACCESS)).to_be_visible()
    finally:
        page.context.clear_cookies()
        pages.log_in(page, settings, "carol")  # hers again, and it still runs
    page.goto(f"{settings.url}/jupyterhub/hpc/user/carol/lab")
    pages.wait_for_lab(page)


def test_who_logs_in_over_anothers_forgotten_session_is_themselves(
    carol: Page, new_visitor: Callable[[], Page], settings: Settings
):
    """The cookies of carol's hub stay in the browser when only the single sign-on has ended."""
    page = carol
    page.goto(f"{settings.url}{HUB}/home")
    for name in ("mellon-hub", "KEYCLOAK_IDENTITY", "KEYCLOAK_SESSION", "AUTH_SESSION_ID"):
        page.context.clear_cookies(name=name)
    assert [cookie for cookie in page.context.cookies() if cookie["path"].startswith(HUB)]  # type: ignore[typeddict-item]
    pages.log_in(page, settings, "erin")
    page.goto(f"{settings.url}{HUB}/home")
    assert page.evaluate("window.jhdata.user") == "erin"
    assert "carol" not in page.locator("body").inner_text()


@pytest.mark.shares("slurm")
def test_jupyterlab_lives_with_its_content_security_policy(carol: Page, settings: Settings):
    page = carol
    complaints: list[str] = []
    page.on("console", lambda line: complaints.append(line.text) if re.search(POLICY, line.text) else None)
    page.add_init_script(TELL)
    pages.start(page, settings, partition="debug")
    page.goto(f"{settings.url}/jupyterhub/hpc/user/carol/lab?reset")  # without the documents of another test
    pages.wait_for_lab(page)
    page.locator('.jp-LauncherCard[title="Start a new terminal session"]').click()
    terminal = page.locator(".jp-Terminal .xterm-screen")
    expect(terminal).to_be_visible()
    terminal.click()
    page.keyboard.type("echo $((6 * 7)) > policy.txt\n")
    page.locator('[data-command="launcher:create"]:visible').first.click()
    code = (
        "import time\nfrom IPython.display import HTML, SVG, display\n"
        "display(HTML('<b style=\"color: teal\">styled</b>'))\n"
        "display(SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>'))\n"
        "while not (said := open('policy.txt').read()): time.sleep(0.1)\nprint(said)"
    )
    assert "42" in pages.run_in_new_notebook(page, code)
    assert not complaints

    forbidden = "https://elsewhere.example/x.js"
    with page.expect_console_message(lambda line: forbidden in line.text):  # the control: it would be told of
        page.evaluate(
            "src => document.head.append(Object.assign(document.createElement('script'), {src}))", forbidden
        )
    assert complaints


# ---- what another page makes a browser do -------------------------------------------------

ELSEWHERE = "https://elsewhere.example/"
LOAD = """addresses => Promise.all(addresses.flatMap(address => [
  ["img", "src"], ["script", "src"], ["iframe", "src"], ["object", "data"]].map(([kind, where]) =>
    new Promise(done => {
      const node = Object.assign(document.createElement(kind), {[where]: address})
      node.onload = node.onerror = () => done(kind)
      document.body.append(node)
    })).concat(fetch(address, {mode: "no-cors", credentials: "include"}).catch(() => null))))"""


def show_elsewhere(page: Page, body: str) -> None:
    """Open a page of another site, which exists in this browser alone."""
    page.route(f"{ELSEWHERE}**", lambda route: route.fulfill(body=body, content_type="text/html"))
    page.goto(ELSEWHERE)


def mellons_cookie(page: Page, settings: Settings) -> list[str]:
    return [
        cookie["value"] for cookie in page.context.cookies(settings.url) if cookie["name"] == "mellon-hub"
    ]  # type: ignore[typeddict-item]


def test_no_other_page_signs_anybody_in_or_out(
    page: Page, arrive: Callable[[Page, str], None], settings: Settings
):
    """Neither one of another site nor a notebook, which has our origin; the control: a click does."""
    arrive(page, "carol")
    before = mellons_cookie(page, settings)
    back = quote(f"{settings.url}/signed-out", safe="")
    ends = f"{settings.url}/mellon/logout?ReturnTo={back}"
    addresses = [f"{settings.url}/mellon/login?ReturnTo={back}", ends, f"{settings.url}{HUB}/logout"]
    for place in (ELSEWHERE, f"{settings.url}{HUB}/home"):
        if place == ELSEWHERE:
            show_elsewhere(page, "<title>elsewhere</title>")
        else:
            page.goto(place)
        page.evaluate(LOAD, [*addresses, f"{settings.url}/signed-out"])
        assert mellons_cookie(page, settings) == before
    show_elsewhere(page, f"<script>location = '{ends}'</script>")
    expect(page.get_by_role("heading", name="This was not you")).to_be_visible()
    page.goto(f"{settings.url}{HUB}/home")
    assert page.evaluate("window.jhdata.user") == "carol"
    assert mellons_cookie(page, settings) == before
    page.goto(settings.url)
    page.get_by_role("link", name="Log out").click()
    page.wait_for_url(f"{settings.url}/signed-out")
    assert not page.context.cookies(settings.url)
    page.goto(settings.url)
    expect(page.locator("#password")).to_be_visible()


def test_no_other_page_signs_a_browser_in_as_somebody_else(
    page: Page, arrive: Callable[[Page, str], None], settings: Settings
):
    """With an answer of the login that is its sender's own; the control: the login's own form does."""
    attacker = enrol.login(settings, "frank")
    attacker.cookies.clear(domain=settings.name)
    action, fields = form_of(attacker.get(f"{settings.url}/"), "SAMLResponse")
    inputs = "".join(f'<input name="{html.escape(k)}" value="{html.escape(v)}">' for k, v in fields.items())
    form = f'<form method="post" action="{action}">{inputs}</form>'
    page.goto(settings.url)  # mellon now expects an answer in this browser
    show_elsewhere(page, f"{form}<script>document.forms[0].submit()</script>")
    expect(page.get_by_role("heading", name="This was not you")).to_be_visible()
    page.goto(settings.url)
    expect(page.locator("#password")).to_be_visible()
    arrive(page, "erin")
    expect(page.get_by_text("(erin)").first).to_be_visible()


# ---- more cookies than the facility reads -------------------------------------------------


@pytest.mark.parametrize(
    ("number", "path"), [(17, "/"), (17, "/jupyterhub/hpc/"), (45, "/")], ids=["all", "hub", "many-more"]
)
def test_too_many_cookies_are_told_of_and_a_button_clears_them(
    page: Page, arrive: Callable[[Page, str], None], settings: Settings, number: int, path: str
):
    arrive(page, "carol")
    page.context.add_cookies(
        [
            {
                "name": f"left-{one}",
                "value": "x" * 1000,
                "domain": settings.name,
                "path": path,
                "secure": True,
            }
            for one in range(number)
        ]
    )
    page.goto(f"{settings.url}/jupyterhub/hpc/hub/home")
    expect(page.get_by_role("heading", name="Your browser sends too many cookies")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('button.button')).cursor") == "pointer"
    page.get_by_role("button", name="Clear the cookies of this site").click()
    expect(page.get_by_role("heading", name="The cookies of this site are cleared")).to_be_visible()
    assert not page.context.cookies(f"{settings.url}{path}")
    page.goto(settings.url)
    expect(page.locator("#password")).to_be_visible()


def test_too_many_cookies_for_the_login_are_told_of_there(page: Page, settings: Settings):
    host = settings.login_name
    page.context.add_cookies(
        [
            {"name": f"left-{one}", "value": "x" * 1000, "domain": host, "path": "/", "secure": True}
            for one in range(17)
        ]
    )
    page.goto(settings.url)
    page.get_by_role("button", name="Clear the cookies of this site").click()
    expect(page.get_by_role("heading", name="The cookies of this site are cleared")).to_be_visible()
    page.goto(settings.url)
    expect(page.locator("#password")).to_be_visible()


def test_no_other_page_clears_anybodys_cookies(
    page: Page, arrive: Callable[[Page, str], None], settings: Settings
):
    arrive(page, "carol")
    before = mellons_cookie(page, settings)
    show_elsewhere(page, "<title>elsewhere</title>")
    page.evaluate(LOAD, [f"{settings.url}/cookies-cleared"])
    page.goto(ELSEWHERE)
    page.evaluate(f"location = '{settings.url}/cookies-cleared'")
    page.wait_for_url(f"{settings.url}/cookies-cleared")
    assert before
    assert mellons_cookie(page, settings) == before
