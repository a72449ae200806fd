"""What people and jobs meet at the front door, and what it says when something is not there."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from bs4 import BeautifulSoup
from testinfra.host import Host

from benchtop.people import enrol
from benchtop.settings import Settings
from support.facility import logged
from support.front_door import NOT_FOUND, UPGRADE, ask, form_of, words

Services = Callable[..., Host]
SignedIn = Callable[[str], requests.Session]

VISITS = 300  # of each of two windows; one in fifty met a connection that was just going away
GATEWAY = "curl --silent --path-as-is --cacert /keys/edge-ca.pem --write-out %s %s"


# ---- the login ----------------------------------------------------------------------------


def test_a_stranger_is_sent_to_the_login_with_a_signed_request(
    front_door: requests.Session, settings: Settings
):
    page = front_door.get(f"{settings.url}/")
    request = page.history[-1].headers["Location"]
    assert request.startswith(f"{settings.login_url}/realms/benchtop/protocol/saml?SAMLRequest=")
    assert "Signature=" in request


def test_the_landing_page_greets_a_person_and_offers_their_cluster(signed_in: SignedIn, settings: Settings):
    page = signed_in("carol").get(f"{settings.url}/")
    assert "(carol)" in words(page)
    assert BeautifulSoup(page.text, "html.parser").select_one('a[href="/jupyterhub/hpc/"]')
    assert "administrators" not in words(page)


def test_an_admin_also_gets_hints_for_admins(signed_in: SignedIn, settings: Settings):
    assert "For administrators" in words(signed_in("erin").get(f"{settings.url}/"))


def test_somebody_without_a_cluster_is_told_so_and_whom_to_ask(signed_in: SignedIn, settings: Settings):
    page = signed_in("frank").get(f"{settings.url}/")
    assert page.status_code == 200
    assert "Your account has no cluster yet" in words(page)
    assert BeautifulSoup(page.text, "html.parser").select_one('a[href^="mailto:"]')
    assert "/jupyterhub/hpc/" not in page.text


def test_the_landing_page_is_not_kept_by_browsers(signed_in: SignedIn, settings: Settings):
    assert signed_in("carol").get(f"{settings.url}/").headers["Cache-Control"] == "no-store"


def test_signing_out_ends_the_session_here_and_at_keycloak(settings: Settings):
    browser = enrol.login(settings, "carol")
    here, there = f"{settings.url}/mellon/logout", f"{settings.url}/signed-out"
    action, answer = form_of(browser.get(here, params={"ReturnTo": there}), "SAMLResponse")
    page = browser.post(action, data=answer)
    assert page.url == there
    assert "logged out" in words(page)
    assert page.headers["Clear-Site-Data"] == '"cache", "cookies", "storage"'
    again = browser.get(f"{settings.url}/")
    assert again.url.startswith(settings.login_url)
    assert "password" in again.text


def test_a_picture_on_another_page_signs_nobody_out(front_door: requests.Session, settings: Settings):
    shown = front_door.get(f"{settings.url}/signed-out", headers={"Sec-Fetch-Dest": "image"})
    assert "Clear-Site-Data" not in shown.headers
    visited = front_door.get(f"{settings.url}/signed-out", headers={"Sec-Fetch-Dest": "document"})
    assert "Clear-Site-Data" in visited.headers


# ---- the clusters -------------------------------------------------------------------------


def test_a_person_of_the_cluster_reaches_its_hub(signed_in: SignedIn, settings: Settings):
    page = signed_in("carol").get(f"{settings.url}/jupyterhub/hpc/hub/home")
    assert page.status_code == 200
    assert "carol" in page.text


def test_the_address_without_its_last_slash_works_too(signed_in: SignedIn, settings: Settings):
    answer = signed_in("carol").get(f"{settings.url}/jupyterhub/hpc", allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (308, f"{settings.url}/jupyterhub/hpc/")


def test_somebody_who_is_not_of_the_cluster_gets_a_page_that_says_so(signed_in: SignedIn, settings: Settings):
    page = signed_in("frank").get(f"{settings.url}/jupyterhub/hpc/")
    assert page.status_code == 403
    assert "has no cluster yet" in words(page)


@pytest.mark.needs("hpc/erin")  # her server would answer the websocket
def test_a_websocket_that_is_refused_costs_nobody_a_request(signed_in: SignedIn, settings: Settings):
    """The page of a session that is gone tries again and again; Apache shares its connections to a cell."""
    base = f"{settings.url}/jupyterhub/hpc"
    pages = {
        f"{base}/user/erin/api/kernels/gone/channels": UPGRADE | {"Origin": settings.url},
        f"{base}/hub/api/": {},
    }

    def visit(page: str) -> set[int]:
        browser = enrol.session(settings)
        browser.cookies.update(signed_in("erin").cookies)
        return {
            browser.get(page, headers=pages[page], timeout=30, allow_redirects=False).status_code
            for _ in range(VISITS)
        }

    signed_in("erin").get(f"{base}/hub/home")
    with ThreadPoolExecutor() as pool:
        refused, met, refused_too, met_too = pool.map(visit, [*pages, *pages])
    assert met | met_too == {200}
    assert refused | refused_too == {302}


def test_browsers_keep_files_that_carry_a_version_and_no_pages(signed_in: SignedIn, settings: Settings):
    """JupyterLab is some hundred files: asked for again at each visit, they are most of its start."""
    carol = signed_in("carol")
    page = carol.get(f"{settings.url}/jupyterhub/hpc/hub/home")
    assert page.headers["Cache-Control"] == "private, max-age=0, must-revalidate"
    (style, *_) = re.findall(r'href="(/jupyterhub/hpc/hub/static/[^"]+css\?v=[^"]+)"', page.text)
    assert carol.get(f"{settings.url}{style}").headers["Cache-Control"] == "max-age=315360000"


# ---- what goes wrong ----------------------------------------------------------------------


def test_an_address_that_does_not_exist_is_a_page_whose_number_the_log_knows(
    service: Services, settings: Settings
):
    page = ask(settings, "/jupyterhub/nothing/")
    assert (page.status, page.heading) == (404, NOT_FOUND)
    service("apache")  # its log is shown when this fails
    number = page.headers["x-request-id"]
    assert number in page.text
    assert logged(settings, "apache", rf'request={number} .* status=404 .*"/jupyterhub/nothing/"')


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/mellon/login?ReturnTo=https://elsewhere.example/", 400),
        ("/mellon/logout?ReturnTo=https://elsewhere.example/", 400),
        ("/mellon/postResponse", 405),
        ("/server-status", 403),
        ("/errors/500.shtml", 403),
        ("/parts/head.shtml", 403),
    ],
)
def test_an_error_keeps_its_status_and_says_what_to_do(path: str, status: int, settings: Settings):
    page = ask(settings, path)
    assert page.status == status
    assert page.heading
    assert ">Start page</a>" in page.text


@pytest.mark.parametrize(
    ("path", "scripts"), [("/", ["/assets/start.js"]), ("/help", [])], ids=["the Start page", "any other"]
)
def test_a_page_of_ours_needs_nothing_from_elsewhere_and_no_script_but_the_start_pages(
    path: str, scripts: list[str], signed_in: SignedIn, settings: Settings
):
    page = signed_in("erin").get(f"{settings.url}{path}")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert ("script-src 'self'" in policy, "unsafe" in policy) == (bool(scripts), False)
    soup = BeautifulSoup(page.text, "html.parser")
    assert not soup.select("style, [style], [onclick]")
    assert [node.get("src") for node in soup.select("script")] == scripts
    sources = [str(node.get("src") or node.get("href")) for node in soup.select("img, link, script")]
    assert all(source.startswith("/assets/") for source in sources)
    for source in sources:
        assert ask(settings, source).status == 200


# ---- jobs ---------------------------------------------------------------------------------


def test_a_job_reaches_its_hubs_api_through_the_gateway(service: Services):
    """From a node, with the trust that a session has: the hub tells its version to anybody."""
    script = (
        "import json, ssl, urllib.request as r;"
        "tls = ssl.create_default_context(cafile='/etc/benchtop/trust/bundle.pem');"
        "url = 'https://apache:8444/_cell/hpc-1/jupyterhub/hpc/hub/api/';"
        "print(json.load(r.urlopen(url, context=tls, timeout=10))['version'])"
    )
    assert service("gpu-1").check_output("python3 -c %s", script).startswith("6.")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/jupyterhub/hpc/hub/api/",
        "/_cell/hpc-1/jupyterhub/hpc/hub/login",
        "/_cell/hpc-1/jupyterhub/hpc/hub/apiary",
        "/_cell/hpc-1/jupyterhub/hpc/user/carol/",
        "/_cell/hpc-1/jupyterhub/hpc/hub/api/../home",
        "/_cell/hpc-1/jupyterhub/hpc/hub/api/%2e%2e/home",
        "/_cell/hpc-1/jupyterhub/hpc/hub/api/..%2fhome",
        "/_cell/nowhere/jupyterhub/hpc/hub/api/",
        "/mellon/metadata",
        "/server-status",
    ],
)
def test_the_gateway_leads_nowhere_else(path: str, service: Services):
    answer = service("apache").check_output(GATEWAY, "%{http_code}", f"https://apache:8444{path}")
    assert answer.endswith("404")


# ---- the container ------------------------------------------------------------------------


def test_apache_has_no_root_no_capability_and_no_writable_root(service: Services):
    apache = service("apache")
    status = apache.check_output("cat /proc/1/status /proc/self/status")
    assert set(re.findall(r"^Uid:\s+(.*)$", status, re.M)) == {"33\t33\t33\t33"}
    assert set(re.findall(r"^Cap(?:Prm|Eff|Bnd|Amb):\s+(\w+)$", status, re.M)) == {"0" * 16}
    assert set(re.findall(r"^NoNewPrivs:\s+(\d)$", status, re.M)) == {"1"}
    assert apache.run("touch /etc/apache2/x /usr/x /keys/x /tmp/x").rc != 0
    assert not apache.file("/etc/apache2/x").exists


def test_the_balancer_watches_the_proxy_from_inside_only(service: Services, settings: Settings):
    address = f"{settings.url}/balancer-manager"
    page = service("apache").check_output("curl --silent --cacert /keys/ca.pem %s", address)
    assert "/_chp_healthz" in page
    assert "Init Ign Ok" in page  # no error of a single request counts
    assert ask(settings, "/balancer-manager").status == 403
