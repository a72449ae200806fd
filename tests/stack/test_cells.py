"""Cells: everybody always meets the same one; taking one out of service troubles its own people alone."""

import re
from collections.abc import Callable, Iterator

import pytest
import requests

from benchtop import topology
from benchtop.settings import Settings
from benchtop.stack import compose
from support import sessions
from support.front_door import words
from support.hub import Hub
from support.tool import run_tool
from support.wait import wait_until

SignedIn = Callable[[str], requests.Session]
PEOPLE = [
    ("alice", "hpc"),
    ("alice", "htc"),
    ("bob", "htc"),
    ("carol", "hpc"),
    ("erin", "hpc"),
    ("erin", "htc"),
]


def served_by(settings: Settings, page: requests.Response) -> str:
    """The cell that Apache passed a request on to, by its log."""
    number = page.headers["X-Request-Id"]

    def found() -> str:
        log = compose.run(settings, "logs", "--no-color", "--since", "2m", "apache").stdout.decode()
        lines = [line for line in log.splitlines() if f"request={number}" in line and " cell=" in line]
        return re.sub(r".* cell=(\S+) .*", r"\1", lines[0]) if lines else ""

    return wait_until(found, timeout=10, what="the request's line in Apache's log")


# ---- who meets which ----------------------------------------------------------------------


@pytest.mark.parametrize(("name", "cluster"), PEOPLE)
def test_a_person_meets_the_hub_of_their_cell(
    name: str, cluster: str, signed_in: SignedIn, settings: Settings
):
    page = signed_in(name).get(f"{settings.url}/jupyterhub/{cluster}/hub/home")
    assert page.status_code == 200
    assert served_by(settings, page) == topology.cell_of(name, cluster, settings.cells)


@pytest.mark.parametrize("way", ["cookie", "query", "path"])
def test_no_route_that_a_client_makes_up_changes_that(way: str, signed_in: SignedIn, settings: Settings):
    mine = topology.cell_of("carol", "hpc", settings.cells)
    for cell in topology.every_cell("hpc"):
        path, cookies = "/jupyterhub/hpc/hub/home", {}
        if way == "cookie":
            cookies = {"ROUTEID": f".{cell}"}
        elif way == "query":
            path += f"?ROUTEID=.{cell}"
        else:
            path += f";ROUTEID=.{cell}"
        page = signed_in("carol").get(f"{settings.url}{path}", cookies=cookies)
        assert served_by(settings, page) == mine


def test_the_landing_page_says_to_an_administrator_which_cell_is_theirs(
    signed_in: SignedIn, settings: Settings
):
    shown = words(signed_in("erin").get(f"{settings.url}/"))
    for cluster in settings.clusters:
        assert f"Your cell {topology.cell_of('erin', cluster, settings.cells)}" in shown


def test_a_header_that_claims_another_cell_is_not_shown(signed_in: SignedIn, settings: Settings):
    claims = {"X-Cell-hpc": "hpc-99", "X-Notice-hpc": "hpc-99"}
    assert "hpc-99" not in signed_in("alice").get(f"{settings.url}/", headers=claims).text


@pytest.mark.shares("services", "checkout")
def test_status_lists_each_cell_with_its_people(signed_in: SignedIn, settings: Settings):
    assert signed_in("carol").get(f"{settings.url}/jupyterhub/hpc/hub/home").status_code == 200
    done = run_tool(settings, "status")
    assert done.returncode == 0, done.stdout + done.stderr
    for cell in settings.cell_names:
        line = rf"cell {cell} +\d+ (?:people|person), \d+ sessions?"
        assert re.search(line, done.stdout), done.stdout
    mine = topology.cell_of("carol", "hpc", settings.cells)
    assert not re.search(rf"cell {mine} +0 people", done.stdout), done.stdout


# ---- how many -----------------------------------------------------------------------------


@pytest.fixture
def server(signed_in: SignedIn, settings: Settings) -> Iterator[Hub]:
    """A server of alice's on cluster hpc, ended afterwards."""
    with sessions.running(Hub(settings, signed_in("alice"), "alice", "hpc")) as own:
        yield own


@pytest.mark.needs("hpc/alice", "checkout")
@pytest.mark.shares("services", "slurm")
def test_another_number_of_cells_is_refused_while_a_server_would_move(server: Hub, settings: Settings):
    """Alice is in the second of three cells, and would be in the first of two."""
    assert "alice" in run_tool(settings, "status").stdout  # the control: her server is seen
    before = [one.id for one in compose.containers(settings.project)]
    done = run_tool(settings, "up", CELLS="2")
    assert done.returncode == 1
    assert "alice (hpc-2 → hpc-1)" in done.stderr + done.stdout
    assert [one.id for one in compose.containers(settings.project)] == before
    assert server.ready()


@pytest.mark.needs("hpc/alice", "checkout")
@pytest.mark.shares("services", "slurm")
def test_so_is_the_loss_of_a_cluster(server: Hub, settings: Settings):
    done = run_tool(settings, "up", CLUSTERS="htc")
    assert done.returncode == 1
    assert "alice (hpc-2 → none)" in done.stderr + done.stdout
    assert server.ready()
