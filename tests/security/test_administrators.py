"""What an administrator may do opens for the person at the browser: for no script there, and no token."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import pytest
import requests
from bs4 import BeautifulSoup
from testinfra.host import Host

from benchtop import topology
from benchtop.settings import Settings
from support import programs, sessions
from support.batch import Batch
from support.front_door import ask
from support.hub import Hub

pytestmark = [pytest.mark.needs("hpc/alice", throughout=True), pytest.mark.shares("slurm", throughout=True)]

SignedIn = Callable[[str], requests.Session]
Service = Callable[..., Host]

HUB = "/jupyterhub/hpc/hub"
# What a browser says by itself of what a page of the same origin asks for, and of what somebody goes to
NAVIGATES = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}
SCRIPTS = {
    "fetch": {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"},
    "frame": NAVIGATES | {"Sec-Fetch-Dest": "iframe"},
    "picture": {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin"},
    "object": NAVIGATES | {"Sec-Fetch-Dest": "object"},
    "prefetch": {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin"},
}


# A server's owner may have it say what they like
OWN = {"Cross-Origin-Opener-Policy": "same-origin", "X-Own": "yes"}


@pytest.fixture(scope="module")
def alices(signed_in: SignedIn, settings: Settings) -> Iterator[Hub]:
    """A session of alice's, who is in the cell of erin, the administrator."""
    assert topology.cell_of("alice", "hpc", settings.cells) == topology.cell_of("erin", "hpc", settings.cells)
    file, batch = sessions.SLOW.format(person="alice"), Batch(settings, "hpc")
    here = 'if "/hpc/" in __import__("os").environ["JUPYTERHUB_SERVICE_PREFIX"]'  # her home is HTC's as well
    line = f"{here}: c.ServerApp.tornado_settings = {json.dumps({'headers': OWN})}"
    batch.run("alice", "sh", "-c", 'mkdir -p ~/.jupyter && echo "$0" > "$1"', line, file)
    try:
        with sessions.running(Hub(settings, signed_in("alice"), "alice", "hpc")) as own:
            yield own
    finally:
        batch.run("alice", "rm", "-f", file)


@pytest.fixture(scope="module")
def token(signed_in: SignedIn, settings: Settings) -> Iterator[str]:
    """A token of erin's, made as her own page makes it."""
    made = programs.new_token(signed_in("erin"), settings, "hpc", "erin")
    yield made["token"]
    programs.own_page(signed_in("erin"), settings, "hpc", "DELETE", f"/users/erin/tokens/{made['id']}")


def straight(apache: Host, cell: str, path: str, headers: Mapping[str, str], *data: str) -> tuple[int, str]:
    """What a hub answers to erin, with Apache's own key and signature: status and page."""
    cluster = cell.partition("-")[0]
    secret = re.search(
        rf"^Define SSO_SECRET_{cluster.upper()} (\S+)$",
        apache.file("/keys/secrets.conf").content_string,
        re.MULTILINE,
    )
    assert secret
    time, groups = datetime.now(UTC).strftime("%Y%m%d%H%M%S"), f"people|cluster-{cluster}|facility-admins"
    signed = {"X-SSO-User": "erin", "X-SSO-Groups": groups, "X-SSO-Time": time}
    told = "|".join((secret[1], "erin", time, groups, secret[1]))
    signed["X-SSO-Sig"] = hashlib.sha1(told.encode(), usedforsecurity=False).hexdigest()
    lines = [word for k, v in (signed | headers).items() for word in ("--header", f"{k}: {v}")]
    lines += [word for pair in data for word in ("--data-urlencode", pair)]
    command = "curl --silent --write-out '\n%%{http_code}' --max-time 15 --cert /keys/client.pem"
    command += " --cacert /keys/edge-ca.pem %s" + " %s" * len(lines)
    address = f"https://{cell}-proxy:8000/jupyterhub/{cluster}/hub{path}"
    page, _, status = apache.check_output(command, address, *lines).rpartition("\n")
    return int(status), page


def button(page: str, person: str) -> dict[str, str]:
    """What the button beside somebody's session sends."""
    for form in BeautifulSoup(page, "html.parser").select("td form"):
        sends = {str(one["name"]): str(one["value"]) for one in form.select("input")}
        if sends["person"] == person:
            return sends
    raise AssertionError(f"no button for {person}: {page}")


# ---- pages and buttons ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/sessions/hpc", "/sessions/hpc/{cell}", f"{HUB}/admin"])
def test_a_page_for_administrators_opens_when_somebody_goes_to_it(
    path: str, signed_in: SignedIn, settings: Settings
):
    erin, at = signed_in("erin"), path.format(cell=topology.cell_of("erin", "hpc", settings.cells))
    programs.own_page(erin, settings, "hpc", "GET", "/users/erin")  # a session of the hub's own
    for how, headers in SCRIPTS.items():
        answer = ask(settings, at, session=erin, headers=headers)
        assert (answer.status, "alice" in answer.text) == (403, False), how
    opened = ask(settings, at, session=erin, headers=NAVIGATES)
    assert opened.status == 200, "the control"
    browser = erin.get(settings.url + at, headers=NAVIGATES, timeout=60)
    assert browser.headers["Cross-Origin-Opener-Policy"] == "same-origin", "twice would be as good as never"
    assert ask(settings, at, session=signed_in("alice"), headers=NAVIGATES).status == 403


@pytest.mark.parametrize("headers", [{}, NAVIGATES, SCRIPTS["fetch"]], ids=["program", "person", "script"])
def test_a_part_of_the_list_has_no_door_of_its_own(
    headers: Mapping[str, str], signed_in: SignedIn, settings: Settings
):
    for path in ("sessions", "sessions/", "%73essions", "/sessions", "x/../sessions", "sessions;x"):
        answer = ask(settings, f"{HUB}/{path}", session=signed_in("erin"), headers=headers)
        assert (answer.status in {403, 404}, "rowgroup" in answer.text) == (True, False), path


def test_the_hub_itself_tells_a_person_from_a_script(alices: Hub, service: Service):
    apache = service("apache")
    status, page = straight(apache, alices.cell, "/sessions", NAVIGATES)
    assert status == 200, "the control"
    sends = [f"{name}={value}" for name, value in button(page, "alice").items()]
    for how in ("fetch", "frame"):
        assert straight(apache, alices.cell, "/sessions", SCRIPTS[how])[0] == 403, how
        assert straight(apache, alices.cell, "/admin", SCRIPTS[how])[0] == 403, how
        assert straight(apache, alices.cell, "/sessions", SCRIPTS[how], *sends)[0] == 403, how
    elsewhere = NAVIGATES | {"Sec-Fetch-Site": "same-site"}
    assert straight(apache, alices.cell, "/sessions", elsewhere, *sends)[0] == 403
    assert alices.ready()


def test_no_script_presses_a_button(alices: Hub, signed_in: SignedIn, settings: Settings):
    erin = signed_in("erin")
    sends = button(erin.get(f"{settings.url}/sessions/hpc", timeout=60).text, "alice")
    for at in (f"{settings.url}/sessions/hpc/{alices.cell}", f"{settings.url}{HUB}/sessions"):
        for how, headers in SCRIPTS.items():
            assert erin.post(at, data=sends, headers=headers).status_code == 403, (at, how)
    assert alices.ready()


def test_no_server_makes_itself_of_the_hubs_kind(alices: Hub, signed_in: SignedIn, settings: Settings):
    """Else a page of it could keep hold of a window of the hub's."""
    assert alices.open().ok
    path, alice = "/jupyterhub/hpc/user/alice/static/favicon.ico", signed_in("alice")
    page = ask(settings, "/jupyterhub/hpc/user/alice/api/status", session=alice)
    assert page.headers.get("x-own") == "yes", "the control"
    assert "cross-origin-opener-policy" not in page.headers
    assert ask(settings, path, session=alice).status == 200, "the control"
    worker = {"Service-Worker": "script", "Sec-Fetch-Dest": "serviceworker"}
    assert ask(settings, path, session=alice, headers=worker).status == 403, "it could say the same"


# ---- cookies and tokens --------------------------------------------------------------------------------

POWERS = [
    ("GET", "/users"),
    ("POST", "/users"),
    ("GET", "/users/alice"),
    ("PATCH", "/users/alice"),
    ("DELETE", "/users/alice"),
    ("GET", "/users/alice/tokens"),
    ("POST", "/users/alice/tokens"),
    ("POST", "/users/alice/server"),
    ("DELETE", "/users/alice/server"),
    ("POST", "/users/alice/servers/other"),
    ("GET", "/users/alice/server/progress"),
    ("POST", "/users/alice/activity"),
    ("POST", "/users/alice/admin-access"),
    ("POST", "/users/alice/expected-start"),
    ("GET", "/groups"),
    ("POST", "/groups/mine"),
    ("POST", "/groups/facility-admins/users"),
    ("GET", "/services"),
    ("GET", "/proxy"),
    ("POST", "/proxy"),
    ("POST", "/shutdown"),
    ("GET", "/info"),
    ("GET", "/metrics"),
    ("GET", "/shares/alice"),
    ("POST", "/shares/alice/"),
]


def powers(ask: Callable[[str, str], requests.Response], api: str) -> dict[tuple[str, str], int]:
    """What of all that is not refused."""
    found = {(method, path): ask(method, f"{api}{path}").status_code for method, path in POWERS}
    return {what: status for what, status in found.items() if status not in {403, 404}}


def test_an_administrators_cookie_is_a_persons_cookie(alices: Hub, signed_in: SignedIn, settings: Settings):
    erin, api = signed_in("erin"), f"{settings.url}{HUB}/api"
    own = programs.own_page(erin, settings, "hpc", "GET", "/users/erin")
    assert (own.status_code, own.json()["admin"]) == (200, False), "the control: the cookie is good"
    sign = {"X-XSRFToken": erin.cookies.get("_xsrf", path=f"{HUB}/") or ""}
    assert erin.get(f"{api}/users/erin", headers=sign | SCRIPTS["fetch"], timeout=60).status_code == 200
    assert powers(lambda *what: erin.request(*what, json={}, headers=sign, timeout=60), api) == {}
    assert alices.ready()


def test_an_administrators_token_is_a_persons_token(alices: Hub, token: str, settings: Settings):
    program = programs.program(settings, token)
    api = f"{settings.url}/_cell/{alices.cell}/jupyterhub/hpc/hub/api"
    assert program.get(f"{api}/users/erin", timeout=60).status_code == 200, "the control"
    assert powers(lambda *what: program.request(*what, json={}, timeout=60), api) == {}
    assert alices.ready()


def test_an_administrators_token_opens_nobody_elses_server(
    alices: Hub, token: str, signed_in: SignedIn, settings: Settings
):
    """Apache lets any token through to the server that the address names: the server asks whose it is."""
    program, server = programs.program(settings, token), f"{alices.base}/user/alice"
    for path in ("/api/status", "/api/kernels", "/api/contents", "/api/terminals"):
        assert program.get(f"{server}{path}", timeout=60, allow_redirects=False).status_code == 403, path
    assert program.post(f"{server}/api/kernels", json={}, timeout=60).status_code == 403
    assert program.post(f"{server}/api/shutdown", json={}, timeout=60).status_code == 403
    alices_own = programs.new_token(signed_in("alice"), settings, "hpc", "alice")["token"]
    own = programs.program(settings, alices_own)
    assert own.get(f"{server}/api/status", timeout=60).status_code == 200, "the control"


@pytest.mark.needs("hpc/erin")  # of whoever has a session, this page leads to it
def test_an_administrator_starts_nothing_in_somebody_elses_name(
    alices: Hub, signed_in: SignedIn, settings: Settings
):
    for whose, status in (("alice", {403, 404}), ("erin", {200})):
        answer = ask(settings, f"{HUB}/spawn/{whose}", session=signed_in("erin"), headers=NAVIGATES)
        assert answer.status in status, whose
    asked = f"{HUB}/api/oauth2/authorize?client_id=jupyterhub-user-alice&response_type=code&redirect_uri="
    asked += "/jupyterhub/hpc/user/alice/oauth_callback"
    answer = ask(settings, asked, session=signed_in("erin"), headers=NAVIGATES)
    assert (answer.status, "code=" in answer.headers.get("location", "")) == (403, False)


def test_no_script_can_read_what_the_hubs_forms_carry(signed_in: SignedIn, settings: Settings):
    """A page of the same origin may take on the hub's address, and reads its cookies: but not these."""
    signed_in("carol").get(f"{settings.url}{HUB}/home", timeout=60)
    cookies = {cookie.name: cookie for cookie in signed_in("carol").cookies if cookie.path.startswith(HUB)}
    assert {"_xsrf", "jupyterhub-hub-login"} <= {name.partition("-hpc")[0] for name in cookies}, cookies
    assert not [name for name, cookie in cookies.items() if not cookie.has_nonstandard_attr("HttpOnly")]
