"""Keycloak or the database is away: who works goes on, who comes reads why not, and it mends itself."""

import re
from collections.abc import Callable

import pytest
import requests
from bs4 import BeautifulSoup

from benchtop.console import Problem
from benchtop.people import enrol
from benchtop.settings import Settings
from support.facility import crash, stopped
from support.hub import Hub
from support.traffic import Traffic
from support.wait import stays, wait_until

Notebook = Callable[[str, str], Traffic]
Notebooks = Callable[..., list[Traffic]]
TOLD = 15  # seconds after which a page must say that a service is away
BACK = 60  # … and after which everything must work again
# What a program says to its author, and no page to its reader
TRACE = re.compile(r"Traceback|Exception|\bat [\w.$]+\(|psycopg|SQL|hibernate|org\.|stack", re.IGNORECASE)


def readable(page: requests.Response) -> requests.Response:
    """A page for people: it says something, and shows no trace of a program."""
    soup = BeautifulSoup(page.text, "html.parser")
    assert soup.h1, page.text
    assert soup.h1.get_text(strip=True)
    assert not TRACE.search(soup.get_text(" ")), soup.get_text(" ")
    return page


def comes_back(settings: Settings, name: str) -> bool:
    """Somebody logs in from the beginning, by password and code, and sees their cluster."""
    browser = enrol.login(settings, name, path="/jupyterhub/hpc/hub/home")
    return bool(browser.get(f"{settings.url}/jupyterhub/hpc/hub/home", timeout=30).ok)


def comes_back_at_last(settings: Settings, name: str) -> bool:
    """The same; False while they are refused.

    Each connection that Keycloak or a hub had to a database that died costs one try.
    """
    try:
        return comes_back(settings, name)
    except Problem:
        return False


def stranger(settings: Settings) -> requests.Response:
    """Where somebody ends who is not logged in; whatever the page says, people can read it."""
    return readable(enrol.session(settings).get(f"{settings.url}/", timeout=30))


def refused(settings: Settings) -> bool:
    """The way to the login ends at a page that says that it is not available."""
    return stranger(settings).status_code == 503


def open_again(settings: Settings) -> bool:
    """It ends at the question for name and password."""
    page = stranger(settings)
    return page.ok and bool(BeautifulSoup(page.text, "html.parser").select("input[name=password]"))


def test_while_keycloak_is_away_people_work_and_a_login_says_that_it_is(
    notebook: Notebook, settings: Settings
):
    work = notebook("alice", "hpc")
    with stopped(settings, "keycloak"):
        wait_until(lambda: refused(settings), timeout=TOLD, what="the page about the login")
        assert work.hub.browser.get(f"{settings.url}/", timeout=30).ok
        assert work.hub.browser.get(f"{work.hub.base}/hub/home", timeout=30).ok
        work.goes_on(timeout=30)
    wait_until(lambda: open_again(settings), timeout=TOLD, what="the login page")
    assert comes_back(settings, "carol")
    assert (work.failed, work.cuts) == ([], 0)


def test_while_the_database_is_away_notebooks_run_and_every_page_says_what_is_wrong(
    notebooks: Notebooks, settings: Settings
):
    works = notebooks(("alice", "hpc"), ("bob", "htc"))
    before = [work.hub.server() for work in works]
    with stopped(settings, "postgres"):
        wait_until(lambda: refused(settings), timeout=TOLD, what="the page about the login")
        for work in works:
            page = readable(work.hub.browser.get(f"{work.hub.base}/hub/home", timeout=60))
            assert page.status_code == 503
            assert "cannot reach its database" in page.text
            assert work.hub.browser.get(f"{settings.url}/", timeout=30).ok
        # longer than a hub takes from one look at its sessions to the next
        stays(lambda: all(work.hub.jupyter("GET", "kernels").ok for work in works), lasting=20, what="work")
        for work in works:
            work.goes_on(timeout=30)
    for work, then in zip(works, before, strict=True):
        wait_until(work.hub.answers, timeout=BACK, what="the hub")
        assert work.hub.browser.get(f"{work.hub.base}/hub/home", timeout=30).ok
        now = work.hub.server()
        assert now
        assert then
        assert (now["ready"], now["started"]) == (True, then["started"])
    wait_until(lambda: open_again(settings), timeout=BACK, what="the login page")
    assert comes_back(settings, "carol")
    assert [(work.failed, work.cuts) for work in works] == [([], 0)] * 2


@pytest.mark.parametrize("service", ["keycloak", "postgres"])
def test_a_crash_is_over_without_anybody_doing_anything(
    notebook: Notebook, hub: Callable[[str, str], Hub], settings: Settings, service: str
):
    work = notebook("alice", "hpc")
    crash(settings, service)
    wait_until(lambda: open_again(settings), timeout=BACK, what="the login page")
    wait_until(lambda: comes_back_at_last(settings, "carol"), timeout=BACK, what="carol's login")
    wait_until(work.hub.answers, timeout=BACK, what="the hub")
    assert work.hub.ready()
    work.goes_on(timeout=30)
    assert (work.failed, work.cuts) == ([], 0)
