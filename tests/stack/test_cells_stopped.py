"""A cell out of service: its people read what the admin wrote, and nobody else notices."""

from collections.abc import Callable, Iterator

import pytest
import requests

from benchtop import topology
from benchtop.settings import Settings
from support.front_door import words
from support.tool import run_tool
from support.wait import wait_until

pytestmark = pytest.mark.alone

SignedIn = Callable[[str], requests.Session]

MESSAGE = "New disks for <hpc>: back at 14:00 & not before."


@pytest.fixture(scope="module")
def stopped(settings: Settings) -> Iterator[str]:
    """Carol's cell of cluster hpc, out of service."""
    cell = topology.cell_of("carol", "hpc", settings.cells)
    done = run_tool(settings, "cell", "stop", cell, "--message", MESSAGE)
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        yield cell
    finally:
        again = run_tool(settings, "cell", "start", cell)
    assert again.returncode == 0, again.stdout + again.stderr


def test_its_people_read_what_the_admin_wrote(stopped: str, signed_in: SignedIn, settings: Settings):
    page = signed_in("carol").get(f"{settings.url}/jupyterhub/hpc/hub/home")
    assert page.status_code == 503
    assert MESSAGE in words(page)
    assert stopped in words(page)
    assert MESSAGE in words(signed_in("carol").get(f"{settings.url}/"))


@pytest.mark.parametrize(
    ("name", "cluster"), [("alice", "hpc"), ("erin", "hpc"), ("alice", "htc"), ("bob", "htc")]
)
def test_nobody_else_notices(stopped: str, name: str, cluster: str, signed_in: SignedIn, settings: Settings):
    page = signed_in(name).get(f"{settings.url}/jupyterhub/{cluster}/hub/home")
    assert page.status_code == 200
    assert "out of service" not in words(signed_in(name).get(f"{settings.url}/")).lower()


def test_nobody_reads_the_text_by_asking_for_it(stopped: str, signed_in: SignedIn, settings: Settings):
    for path in (f"/notices/{stopped}", "/notices/", f"/parts/../notices/{stopped}"):
        assert signed_in("alice").get(f"{settings.url}{path}").status_code in (403, 404)


def test_status_says_so_and_is_content(stopped: str, settings: Settings):
    done = run_tool(settings, "status")
    assert done.returncode == 0, done.stdout
    line = next(line for line in done.stdout.splitlines() if f"cell {stopped}" in line)
    assert f"out of service: {MESSAGE}" in line


def test_a_cell_comes_back_by_one_command(signed_in: SignedIn, settings: Settings):
    cell, home = topology.cell_of("alice", "htc", settings.cells), f"{settings.url}/jupyterhub/htc/hub/home"
    try:
        assert run_tool(settings, "cell", "stop", cell, "--message", "A moment.").returncode == 0
        assert signed_in("alice").get(home).status_code == 503
    finally:
        again = run_tool(settings, "cell", "start", cell)
    assert again.returncode == 0, again.stdout + again.stderr
    page = wait_until(
        lambda: (page := signed_in("alice").get(home)).ok and page,
        timeout=20,
        what="the hub of the cell to be reached again",
    )
    assert "out of service" not in words(page).lower()
