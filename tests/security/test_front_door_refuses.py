"""What the front door refuses; beside each "no" its "yes"."""

import posixpath
import re
import socket
import ssl
from collections.abc import Callable
from itertools import product
from urllib.parse import unquote

import pytest
import requests
from testinfra.host import Host

from benchtop import topology
from benchtop.people import enrol
from benchtop.settings import Settings
from benchtop.stack import compose
from support.front_door import NO_ACCESS, UPGRADE, USED_ALREADY, ask, form_of
from support.stand_in import stand_in

SignedIn = Callable[[str], requests.Session]
Service = Callable[..., Host]

HPC = "/jupyterhub/hpc"
CLAIMS = [
    "X-SSO-User",
    "X_SSO_User",
    "x-sso_user",
    "REMOTE_USER",
    "REMOTE-USER",
    "X-Remote-User",
    "X_Remote_User",
    "X-Forwarded-User",
    "HTTP_REMOTE_USER",
]


# ---- who somebody is ----------------------------------------------------------------------


@pytest.mark.parametrize("header", CLAIMS)
def test_nobody_becomes_somebody_else_by_a_header(header: str, signed_in: SignedIn, settings: Settings):
    claims = {header: "erin", "X-SSO-Groups": "facility-admins", "X-SSO-Sig": "0" * 40}
    page = signed_in("carol").get(f"{settings.url}{HPC}/hub/home", headers=claims)
    assert page.status_code == 200
    assert 'user: "carol"' in page.text
    assert "erin" not in page.text


def test_erin_herself_is_erin(signed_in: SignedIn, settings: Settings):
    assert 'user: "erin"' in signed_in("erin").get(f"{settings.url}{HPC}/hub/home").text


@pytest.mark.parametrize("header", CLAIMS)
def test_a_header_is_no_login(header: str, settings: Settings):
    answer = ask(settings, f"{HPC}/hub/home", headers={header: "erin"})
    assert answer.status == 303
    assert answer.headers["location"].startswith(f"{settings.url}/mellon/login")


@pytest.mark.parametrize("cookie", ["mellon-hub=0123456789abcdef0123456789abcdef", "mellon-hub=cookietest"])
def test_an_invented_session_is_no_login(cookie: str, settings: Settings):
    assert ask(settings, f"{HPC}/hub/home", headers={"Cookie": cookie}).status == 303


# ---- whose server it is -------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/user/erin",
        "/user/erin/lab",
        "/user/erin/second/lab",
        "/user/carol/../erin/second/",
        "/user/%65rin/",
        "/user/carol/../erin/",
        "/user/carol/%2e%2e/erin/",
        "/user/carol/.%2e/erin/",
        "/user/./erin/",
        "//user//erin/",
        "/hub/../user/erin/",
        "/user/carol;/../erin/",
        "/user/Erin/",
        "/user/erin;x/",
    ],
)
def test_a_server_opens_for_its_owner_alone(path: str, signed_in: SignedIn, settings: Settings):
    page = ask(settings, f"{HPC}{path}", session=signed_in("carol"))
    assert (page.status, page.heading) == (403, NO_ACCESS)


@pytest.mark.parametrize(
    "path", ["/user%2ferin/", "/user/carol%2f..%2ferin/", "/user%5cerin/", "/user%252ferin/lab"]
)
def test_an_encoded_slash_hides_no_name(path: str, signed_in: SignedIn, settings: Settings):
    """Refused, or brought to the hub, which finds no such page; never to a server."""
    assert ask(settings, f"{HPC}{path}", session=signed_in("carol")).status in {302, 404}


def test_the_owner_gets_to_their_server_or_to_its_start(signed_in: SignedIn, settings: Settings):
    page = ask(settings, f"{HPC}/user/carol/", session=signed_in("carol"))
    assert page.status in {200, 302}


# ---- what a person's server is told -------------------------------------------------------


@pytest.mark.parametrize(("upgrade", "status"), [({}, 204), (UPGRADE, 101)], ids=["page", "websocket"])
@pytest.mark.parametrize(("name", "cluster"), [("carol", "hpc"), ("bob", "htc")])
def test_a_persons_server_learns_neither_mellons_cookie_nor_who_somebody_is(
    name: str, cluster: str, upgrade: dict[str, str], status: int, signed_in: SignedIn, settings: Settings
):
    claims = dict.fromkeys(CLAIMS, "erin") | {"Cookie": f"jupyterhub-user-{name}=theirs; ROUTEID=.elsewhere"}
    with stand_in(settings, name, cluster) as server:
        page = ask(settings, f"{server.path}/x", session=signed_in(name), headers=claims | upgrade)
        headers = server.told()
    assert page.status == status
    assert f"jupyterhub-user-{name}=theirs" in headers["cookie"]  # the control: its own cookie arrives
    assert "mellon" not in headers["cookie"]
    assert "elsewhere" not in headers["cookie"]
    assert not {key for key in headers if "sso" in key or ("user" in key and key != "user-agent")}
    assert "erin" not in headers.values()


def test_a_persons_server_gets_nothing_but_the_token_of_a_program(signed_in: SignedIn, settings: Settings):
    shown = {
        "Authorization": "token whatever-it-is",
        "Cookie": "jupyterhub-user-carol=hers",
        "X-SSO-User": "erin",
    }
    with stand_in(settings, "carol", "hpc") as server:
        page = ask(settings, f"{server.path}/x", session=signed_in("carol"), headers=shown)
        headers = server.told()
    assert page.status == 204
    assert headers["authorization"] == shown["Authorization"]
    assert headers["cookie"] == f"ROUTEID=.{topology.cell_of('carol', 'hpc', settings.cells)}"
    assert not {key for key in headers if "sso" in key}


@pytest.mark.parametrize(("name", "cluster", "other"), [("carol", "hpc", "erin"), ("bob", "htc", "alice")])
@pytest.mark.parametrize("way", ["/user/{}/x", "/user/%{:x}{}/x", "/user/{name}/../{}/x", "//user//{}/x"])
def test_a_websocket_opens_for_its_owner_alone(
    name: str, cluster: str, other: str, way: str, signed_in: SignedIn, settings: Settings
):
    """The control is the test above: the owner's opens."""
    words = (ord(other[0]), other[1:]) if "%" in way else (other,)
    path = f"/jupyterhub/{cluster}" + way.format(*words, name=name)
    assert ask(settings, path, session=signed_in(name), headers=UPGRADE).status == 403


# ---- what is open at all ------------------------------------------------------------------

# What may follow an address, so that a guard on it no longer fits while what it guards still does
BEHIND = ["", "/", "/x", ";x", "%2f", "%2fx", "x", ".", "/.", "/%2e", "//", "%20", "?x"]
OPEN = r"/(announcement\.json|favicon\.ico|notices/announcement\.json|assets/[a-z]+\.[a-z]+)"


@pytest.fixture(scope="module")
def addresses(settings: Settings) -> list[str]:
    """Every address that Apache's configuration names (of a pattern: how it begins), with what may follow it.

    Also every file that it could show.
    """
    named: set[str] = set()
    for file in (settings.root / "apache").rglob("*.conf"):
        for line in file.read_text().splitlines():
            path = re.match(r'\s*(?:<Location|Alias|ProxyPass|Redirect \d+) "?(/[^">\s]*)', line)
            begins = re.match(
                r'\s*(?:<LocationMatch|AliasMatch|RedirectMatch \d+) "\^(/(?:\$?[\w/-])*)', line
            )
            named |= {found[1].rstrip("/") for found in (path, begins) if found} - {""}
    named = {
        one.replace("$cluster", cluster).replace("$cell", f"{cluster}-1")
        for one, cluster in product(named, settings.clusters)
    }
    assert {"/balancer-manager", "/server-status", "/signed-out", f"{HPC}/hub"} <= named
    pages = settings.root / "apache" / "www"
    files = [f"/{file.relative_to(pages)}" for file in pages.rglob("*.*")]
    twice = [f"/{one}{end}" for one, end in product(sorted(named), ("", "/"))]
    return [f"{one}{end}" for one, end in product(sorted(named), BEHIND)] + files + twice


@pytest.mark.parametrize(
    ("name", "trust", "meant"),
    [
        ("jupyter", "ca", rf"{OPEN}|/(signed-out|help|cookies-cleared)"),
        ("login", "ca", rf"{OPEN}|/cookies-cleared"),  # (what is open of Keycloak's: below)
        ("gateway", "edge-ca", rf"{OPEN}|/_cell/[a-z]+-1/jupyterhub/[a-z]+/hub/api"),
    ],
    ids=["jupyter", "login", "gateway"],
)
@pytest.mark.shares("checkout")
def test_a_stranger_gets_nothing_but_what_is_meant_to_be_open(
    name: str, trust: str, meant: str, addresses: list[str], settings: Settings
):
    """However an address goes on; the control is that something is. (Asked beside Apache, as from outside)"""
    at = {"jupyter": settings.url, "login": settings.login_url, "gateway": "https://apache:8444"}[name]
    paths = [path for path in addresses if "/realms/" not in path]
    asked = "".join(f'url = "{at}{path}"\noutput = /dev/null\n' for path in paths)
    words = f"exec -T apache curl --silent --path-as-is --cacert /keys/{trust}.pem --config - --connect-to"
    shown = "%{http_code} %{redirect_url}\\n"
    done = compose.run(
        settings, *words.split(), "::apache:", "--write-out", shown, input=asked.encode(), timeout=120
    )
    answers = [
        (path, *line.split(" ")) for path, line in zip(paths, done.stdout.decode().splitlines(), strict=True)
    ]
    given = {
        posixpath.normpath("/" + unquote(path.partition("?")[0]).lstrip("/"))
        for path, status, _ in answers
        if status < "300"
    }
    assert {one for one in given if not re.fullmatch(meant, one)} == set()
    assert given
    here = (f"{settings.url}/", f"{settings.login_url}/")
    assert [one for one in answers if "300" <= one[1] < "400" and not one[2].startswith(here)] == []
    away = [path for path, status, _ in answers if not "200" <= status < "500"]
    assert [path for path in away if not path.strip("/").startswith("sign-in-is-away")] == []


@pytest.mark.parametrize("page", ["balancer-manager", "server-status"])
def test_apaches_own_pages_are_for_the_admin_inside_its_container(
    page: str, service: Service, settings: Settings
):
    for end in ("", "/", "/x"):
        address = f"{settings.url}/{page}{end}"
        assert "<title>" in service("apache").check_output("curl --silent --cacert /keys/ca.pem %s", address)
        refused = ask(settings, f"/{page}{end}")
        assert (refused.status, refused.heading) == (403, NO_ACCESS)


@pytest.mark.parametrize(
    "way", ["/pages/sessions.shtml", "/sessions/hpc/../../pages/sessions.shtml", "/sessions.shtml"]
)
def test_the_list_of_sessions_has_one_address(way: str, signed_in: SignedIn, settings: Settings):
    """For an administrator, too: at another one no guard would stand. The control: test_sessions_page.py."""
    assert ask(settings, way, session=signed_in("erin")).status in {403, 404}


# ---- mellon -------------------------------------------------------------------------------


def test_the_sessions_cookie_is_for_this_name_alone_and_out_of_reach_of_scripts(
    signed_in: SignedIn, settings: Settings
):
    (cookie,) = [c for c in signed_in("carol").cookies if c.name == "mellon-hub"]
    assert cookie.domain == settings.name  # http.cookiejar writes a dot before a domain that was named
    assert cookie.secure
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "Lax"


@pytest.mark.parametrize("verb", ["login", "logout"])
@pytest.mark.parametrize(
    "target", ["https://elsewhere.example/", "//elsewhere.example/", "https://{name}.elsewhere.example/"]
)
def test_nobody_is_sent_elsewhere(verb: str, target: str, settings: Settings):
    target = target.format(name=settings.name)
    assert ask(settings, f"/mellon/{verb}?ReturnTo={target}").status == 400


@pytest.mark.parametrize("verb", ["login", "logout"])
def test_people_are_sent_back_here(verb: str, settings: Settings):
    assert ask(settings, f"/mellon/{verb}?ReturnTo={settings.url}/signed-out").status == 303


@pytest.mark.parametrize(
    "endpoint",
    [
        "artifactResponse",
        "paosResponse",
        "auth",
        "repost",
        "invalidate",
        "probeDisco",
        "logoutRequest",
        "",
        "login/x",
    ],
)
def test_mellon_answers_only_where_a_login_and_a_logout_need_it(endpoint: str, settings: Settings):
    """The control is each login: test_people_are_sent_back_here."""
    for method in ("GET", "POST"):
        page = ask(settings, f"/mellon/{endpoint}?ReturnTo=/", method=method, headers={"Content-Length": "0"})
        assert page.status == 404
        assert "set-cookie" not in page.headers


def test_no_header_makes_mellon_let_somebody_pass(settings: Settings):
    """To a client that says it speaks ECP it would answer itself, but only where a page would be made."""
    claims = {
        "Accept": "text/html, application/vnd.paos+xml",
        "PAOS": 'ver="urn:liberty:paos:2003-08";"urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp"',
    }
    for path in ("/", f"{HPC}/hub/home", "/sessions/hpc"):
        assert ask(settings, path, headers=claims).status == 400  # mellon's word for half of such a claim


def new_response(browser: requests.Session, settings: Settings) -> tuple[str, dict[str, str]]:
    """What Keycloak gives a browser that is logged in there, to hand to Apache."""
    browser.cookies.clear(domain=settings.name)
    return form_of(browser.get(f"{settings.url}/"), "SAMLResponse")


def test_an_answer_of_the_login_works_once(settings: Settings):
    browser = enrol.login(settings, "erin")
    action, answer = new_response(browser, settings)
    assert browser.post(action, data=answer, allow_redirects=False).status_code == 303
    again = browser.post(action, data=answer, allow_redirects=False)
    assert again.status_code == 400
    assert USED_ALREADY in again.text


def test_an_answer_that_was_changed_or_belongs_elsewhere_does_not_work(settings: Settings):
    browser = enrol.login(settings, "frank")
    action, answer = new_response(browser, settings)
    middle = len(answer["SAMLResponse"]) // 2
    other = "A" if answer["SAMLResponse"][middle] != "A" else "B"
    changed = answer["SAMLResponse"][:middle] + other + answer["SAMLResponse"][middle + 1 :]
    refused = browser.post(action, data=answer | {"SAMLResponse": changed}, allow_redirects=False)
    assert refused.status_code in {400, 403, 500}
    assert "Traceback" not in refused.text
    assert browser.get(f"{settings.url}/", allow_redirects=False).status_code == 303
    stranger = enrol.session(settings)  # the login did not begin in this browser
    assert stranger.post(action, data=answer, allow_redirects=False).status_code in {400, 403, 303}
    assert stranger.get(f"{settings.url}/", allow_redirects=False).status_code == 303


# ---- Keycloak -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/admin/",
        "/admin/master/console/",
        "/admin/realms/benchtop/users",
        "//admin/",
        "/ADMIN/",
        "/realms/master",
        "/realms/master/protocol/saml",
        "/realms/benchtop",
        "/realms/benchtop/account/",
        "/realms/benchtop/protocol/openid-connect/token",
        "/realms/benchtop/protocol/saml/clients/benchtop",
        "/realms/benchtop/protocol/saml/../../../master/protocol/saml",
        "/realms/benchtop/login-actions/%2e%2e/%2e%2e/master/",
        "/realms/benchtop/login-actions/..%2f..%2fmaster/",
        "/realms/benchtop/login-actions/..;/..;/master/",
        "/resources/../admin/",
        "/resources/%2e%2e/admin/",
        "/resources/%252e%252e/admin/",
        "/resources/..%5cadmin/",
        "/resources/..;/admin/",
        "/metrics",
        "/health",
        "/mellon/metadata",
    ],
)
def test_of_keycloak_only_the_login_is_open(path: str, settings: Settings):
    assert ask(settings, path, host=settings.login_name).status in {403, 404}


def test_the_login_itself_is_open(front_door: requests.Session, settings: Settings):
    assert ask(settings, "/realms/benchtop/protocol/saml/descriptor", host=settings.login_name).status == 200
    page = front_door.get(f"{settings.url}/")
    assert page.url.startswith(settings.login_url)
    (style, *_) = re.findall(r'href="(/resources/[^"]+\.css)"', page.text)
    assert ask(settings, style, host=settings.login_name).status == 200


# ---- TLS and headers ----------------------------------------------------------------------


def test_old_tls_is_refused(settings: Settings):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(settings, highest=ssl.TLSVersion.TLSv1_2)


def test_todays_tls_is_spoken(settings: Settings):
    assert handshake(settings, highest=ssl.TLSVersion.TLSv1_3) == "TLSv1.3"


def handshake(settings: Settings, *, highest: ssl.TLSVersion) -> str | None:
    """Speak TLS, `highest` at most; the version that was agreed on."""
    tls = ssl.create_default_context(cafile=str(settings.state / "ca" / "ca.pem"))
    tls.minimum_version, tls.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, highest
    raw = socket.create_connection((settings.bind, settings.port), timeout=10)
    with raw, tls.wrap_socket(raw, server_hostname=settings.name) as secure:
        return secure.version()


@pytest.mark.parametrize("path", ["/", "/signed-out", "/nowhere", f"{HPC}/hub/home", "/assets/style.css"])
def test_every_answer_carries_the_protecting_headers(path: str, signed_in: SignedIn, settings: Settings):
    page = signed_in("carol").get(f"{settings.url}{path}")
    assert page.headers["Strict-Transport-Security"] == "max-age=63072000"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert page.headers["Server"] == "Apache"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/mellon/login?ReturnTo=https://elsewhere.example/", 400),
        ("/jupyterhub/hpc/hub/api/user", 403),
        ("/jupyterhub/hpc/user/erin/lab", 403),
        ("/_cell/nowhere/", 403),
        ("/jupyterhub/hpc/hub/nothing", 404),
        ("/mellon/postResponse", 405),
    ],
)
def test_so_does_every_error(path: str, status: int, signed_in: SignedIn, settings: Settings):
    session = None if "api" in path else signed_in("carol")
    page = ask(settings, path, session=session)
    assert page.status == status
    assert page.headers["strict-transport-security"] == "max-age=63072000"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "same-origin"
    assert page.headers["server"] == "Apache"


def test_so_does_the_login_and_what_it_refuses(settings: Settings):
    for path, status in (("/realms/benchtop/protocol/saml", 400), ("/admin/", 404), ("/resources/", 404)):
        page = ask(settings, path, host=settings.login_name)
        assert page.status == status
        assert page.headers["strict-transport-security"] == "max-age=63072000"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "same-origin"


def test_a_page_of_a_hub_or_server_may_load_nothing_from_elsewhere(signed_in: SignedIn, settings: Settings):
    """What that leaves possible, a browser shows: tests/browser/test_front_door.py."""
    for path in ("/hub/home", "/hub/api/users/carol"):
        policy = signed_in("carol").get(f"{settings.url}{HPC}{path}").headers["Content-Security-Policy"]
        assert "script-src 'self' 'unsafe-inline' 'unsafe-eval';" in policy
        assert "connect-src 'self';" in policy


def test_no_page_of_another_site_can_frame_the_login(settings: Settings):
    page = enrol.session(settings).get(settings.url)
    assert 'name="password"' in page.text
    assert page.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert "frame-ancestors 'self'" in page.headers["Content-Security-Policy"]


def test_another_name_gets_nothing(settings: Settings):
    for name in ("elsewhere.example", f"x.{settings.name}"):
        page = ask(settings, "/", headers={"Host": name})
        assert page.status in {404, 421}
        assert "location" not in page.headers
    assert ask(settings, "/").status == 303


def test_forwarding_headers_of_a_client_change_no_redirect(settings: Settings):
    lies = {
        "X-Forwarded-Host": "elsewhere.example",
        "X-Forwarded-Proto": "http",
        "Forwarded": "host=elsewhere.example",
    }
    answer = ask(settings, f"{HPC}/", headers=lies)
    assert answer.headers["location"].startswith(f"{settings.url}/mellon/login")
    assert "elsewhere" not in answer.headers["location"]
