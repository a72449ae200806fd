"""A cell that is down is the matter of its own people alone."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from bs4 import BeautifulSoup

from benchtop import topology
from benchtop.people import enrol
from benchtop.settings import Settings
from support import sessions
from support.facility import stopped
from support.hub import Hub
from support.tool import tool_prints
from support.traffic import Traffic
from support.wait import wait_until

TOLD = 10  # seconds after which a page must say what is wrong
BACK = 30  # … and after which the cell must serve its people again
Notebook = Callable[[str, str], Traffic]
Hubs = Callable[[str, str], Hub]


@contextmanager
def visiting(own: Hub) -> Iterator[list[str]]:
    """Somebody loads their pages all the time, in a browser of their own; what went wrong."""
    browser = enrol.session(own.settings)
    browser.cookies.update(own.browser.cookies)
    pages = [f"{own.settings.url}/", f"{own.base}/hub/home", f"{own.base}/hub/api/ready"]
    wrong: list[str] = []
    seen = 0
    over = threading.Event()

    def visit() -> None:
        nonlocal seen
        while not over.wait(0.1):
            for page in pages:
                answer = browser.get(page, timeout=30)
                if answer.status_code != 200:
                    wrong.append(f"{page}: {answer.status_code}")
            seen += 1

    thread = threading.Thread(target=visit, daemon=True)
    thread.start()
    try:
        yield wrong
    finally:
        over.set()
        thread.join(timeout=60)
    assert seen > 5, "the visitor saw next to nothing"


def page_of(own: Hub) -> tuple[int, str]:
    """Status and text of the page that somebody sees in place of their hub's."""
    answer = own.browser.get(f"{own.base}/hub/home", timeout=30)
    return answer.status_code, BeautifulSoup(answer.text, "html.parser").get_text(" ", strip=True)


@pytest.mark.needs("hpc", "htc")
@pytest.mark.together("hpc")
def test_a_cell_that_is_down_says_so_to_its_people_and_nobody_else_notices(
    notebook: Notebook, hub: Hubs, settings: Settings
):
    work, other = notebook("alice", "hpc"), notebook("carol", "hpc")
    cell = topology.cell_of("alice", "hpc", settings.cells)
    assert topology.cell_of("carol", "hpc", settings.cells) != cell
    with visiting(other.hub) as wrong, stopped(settings, *topology.services_of(cell)):
        wait_until(
            lambda: (page := page_of(work.hub))[0] == 503 and "that serves your account does not" in page[1],
            timeout=TOLD,
            what="the page about the cell",
        )
        assert work.hub.browser.get(f"{settings.url}/", timeout=30).ok, "the landing page is not the cell's"
        if "htc" in settings.clusters:
            elsewhere = hub("alice", "htc")
            assert elsewhere.browser.get(f"{elsewhere.base}/hub/home", timeout=30).ok
        other.goes_on(timeout=30)
    assert wrong == []
    assert (other.failed, other.cuts) == ([], 0)
    wait_until(work.hub.answers, timeout=BACK, what="alice's hub")
    work.goes_on(timeout=BACK)


@pytest.mark.needs("hpc")
@pytest.mark.together("hpc")
def test_a_cell_in_maintenance_shows_the_admins_words_and_comes_back_with_its_servers(
    notebook: Notebook, settings: Settings
):
    work, other = notebook("alice", "hpc"), notebook("carol", "hpc")
    cell = topology.cell_of("alice", "hpc", settings.cells)
    before = work.hub.server()
    with visiting(other.hub) as wrong:
        try:
            said = tool_prints(settings, "cell", "stop", cell, "--message", "Back at 14:00 <b>sharp</b>.")
            assert "alice" in said
            wait_until(lambda: page_of(work.hub)[0] == 503, timeout=TOLD, what="the page about the cell")
            assert "Back at 14:00 <b>sharp</b>." in page_of(work.hub)[1]
            other.goes_on(timeout=30)
        finally:
            tool_prints(settings, "cell", "start", cell)
    assert wrong == []
    assert (other.failed, other.cuts) == ([], 0)

    wait_until(work.hub.answers, timeout=BACK, what="alice's hub")
    work.goes_on(timeout=BACK)
    now = work.hub.server()
    assert now
    assert before
    assert (now["ready"], now["started"]) == (True, before["started"])
    work.hub.stop()
    wait_until(lambda: work.hub.server() is None, timeout=sessions.END, what="the session to end")


@pytest.mark.needs("hpc")
@pytest.mark.together("hpc")
def test_an_administrator_still_sees_the_sessions_of_the_other_cells(settings: Settings, hub: Hubs):
    erin = hub("erin", "hpc")
    first, *others = topology.every_cell("hpc")[: settings.cells]
    with stopped(settings, first):
        page = erin.browser.get(f"{settings.url}/sessions/hpc", timeout=60)
        shown = BeautifulSoup(page.text, "html.parser").get_text(" ", strip=True)
        assert f"{first} is not listed: its hub does not answer" in shown
        assert all(f"{cell}: 0 sessions" in shown for cell in others)
    page = erin.browser.get(f"{settings.url}/sessions/hpc", timeout=60)
    assert f"{first}: 0 sessions" in BeautifulSoup(page.text, "html.parser").get_text(" ", strip=True)
