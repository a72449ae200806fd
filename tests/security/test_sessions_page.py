"""The list of all sessions opens for administrators alone: at the front door, and straight at each hub."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
import requests
from bs4 import BeautifulSoup
from testinfra.host import Host

from benchtop import topology
from benchtop.settings import Settings
from benchtop_hub.access.identity import sign
from support import sessions
from support.front_door import NO_ACCESS, ask
from support.hub import Hub

pytestmark = [pytest.mark.needs("hpc/carol", throughout=True), pytest.mark.shares("slurm", throughout=True)]

SignedIn = Callable[[str], requests.Session]
Service = Callable[..., Host]
MEMBER, ADMIN = "people|cluster-{}", "people|cluster-{}|facility-admins"


@pytest.fixture(scope="module")
def shared(signed_in: SignedIn, settings: Settings) -> Iterator[Hub]:
    with sessions.running(Hub(settings, signed_in("carol"), "carol", "hpc")) as own:
        yield own


@pytest.fixture
def carols(shared: Hub) -> Hub:
    """A session of carol's, who on two or three cells is in another one than erin; anew once it was ended."""
    if not shared.ready():
        sessions.ready(shared)
    return shared


def button(page: str, person: str) -> dict[str, str]:
    """What the button beside somebody's session sends, and where, under the key `at`."""
    for form in BeautifulSoup(page, "html.parser").select("td form"):
        sends = {str(one["name"]): str(one["value"]) for one in form.select("input")}
        if sends["person"] == person:
            return sends | {"at": str(form["action"])}
    raise AssertionError(f"no button for {person}: {page}")


def test_nobody_else_sees_or_ends_any(carols: Hub, signed_in: SignedIn, settings: Settings):
    sends = button(signed_in("erin").get(f"{settings.url}/sessions/hpc", timeout=60).text, "carol")
    at = sends.pop("at")
    for name in ("alice", "bob", "carol"):
        page = ask(settings, "/sessions/hpc", session=signed_in(name))
        assert (page.status, page.heading) == (403, NO_ACCESS)
        assert "administrators" in page.text
        assert ask(settings, at, session=signed_in(name)).status == 403
        assert signed_in(name).post(settings.url + at, data=sends).status_code == 403
        own_cell = signed_in(name).get(f"{settings.url}/jupyterhub/hpc/hub/sessions")
        assert own_cell.status_code == 403
    assert carols.ready()


@pytest.mark.parametrize("path", ["/sessions/htc", "/sessions/htc/htc-1"])
def test_a_header_makes_no_administrator(path: str, signed_in: SignedIn, settings: Settings):
    claims = dict.fromkeys(("X-SSO-User", "X_SSO_User", "REMOTE_USER"), "erin")
    claims |= {"X-SSO-Groups": ADMIN.format("htc"), "X-SSO-Sig": "0" * 40}
    assert ask(settings, path, session=signed_in("alice"), headers=claims).status == 403
    assert ask(settings, path, headers=claims).status in {303, 403}


def test_no_script_and_no_frame_of_the_same_origin_reads_it(signed_in: SignedIn, settings: Settings):
    """An administrator's notebook has that origin, and shows what others wrote."""
    for destination, status in (("empty", 403), ("iframe", 403), ("document", 200)):
        headers = {"Sec-Fetch-Dest": destination}
        page = ask(settings, "/sessions/hpc", session=signed_in("erin"), headers=headers)
        assert page.status == status, destination


def test_a_button_without_its_pages_sign_does_nothing(carols: Hub, signed_in: SignedIn, settings: Settings):
    sends = button(signed_in("erin").get(f"{settings.url}/sessions/hpc", timeout=60).text, "carol")
    at = settings.url + sends.pop("at")
    elsewhere = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}
    assert signed_in("erin").post(at, data=sends | {"sign": ""}).status_code == 403
    assert signed_in("erin").post(at, data=sends, headers=elsewhere).status_code == 403
    assert carols.ready()


def test_an_administrator_sees_the_sessions_of_every_cell_and_ends_one(
    carols: Hub, signed_in: SignedIn, settings: Settings
):
    if settings.cells > 1:
        assert carols.cell != topology.cell_of("erin", "hpc", settings.cells), "the control: another cell"
    page = signed_in("erin").get(f"{settings.url}/sessions/hpc", timeout=60)
    assert page.status_code == 200
    for cell in topology.every_cell("hpc")[: settings.cells]:
        assert re.search(rf"{cell}: \d+ session", page.text)
    sends = button(page.text, "carol")
    ended = signed_in("erin").post(settings.url + sends.pop("at"), data=sends, timeout=60)
    assert "The session of <strong>carol</strong> is being stopped" in ended.text
    assert sessions.told_once(carols) == "was stopped by an administrator."


@pytest.mark.parametrize("cell", [cell for name in topology.CLUSTERS for cell in topology.every_cell(name)])
def test_a_hub_believes_apaches_signature_for_an_administrator_and_nothing_else(
    cell: str, service: Service, settings: Settings
):
    if cell not in settings.cell_names:
        return  # CELLS and CLUSTERS leave it out
    cluster = cell.partition("-")[0]
    apache = service("apache")
    found = re.search(
        rf"^Define SSO_SECRET_{cluster.upper()} (\S+)$",
        apache.file("/keys/secrets.conf").content_string,
        re.MULTILINE,
    )
    assert found

    def status(groups: str, secret: str) -> int:
        time = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
        headers = {"X-SSO-User": "erin", "X-SSO-Groups": groups, "X-SSO-Time": time}
        headers["X-SSO-Sig"] = sign(secret.encode(), "erin", time, groups.encode())
        command = "curl --silent --output /dev/null --write-out %%{http_code} --max-time 15"
        command += " --cert /keys/client.pem --cacert /keys/edge-ca.pem %s" + " --header %s" * len(headers)
        address = f"https://{cell}-proxy:8000/jupyterhub/{cluster}/hub/sessions"
        return int(apache.check_output(command, address, *(f"{k}: {v}" for k, v in headers.items())))

    assert status(ADMIN.format(cluster), found[1]) == 200, "the control"
    assert status(MEMBER.format(cluster), found[1]) == 403
    assert status(ADMIN.format(cluster), "f" * 48) == 403
