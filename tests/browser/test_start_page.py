"""The Start page leads to what somebody has running, on both clusters, and says what it cannot know."""

import re
from collections.abc import Callable, Iterator

import pytest
import requests
from playwright.sync_api import Locator, Page, expect

from benchtop.settings import Settings
from support import pages, sessions
from support.hub import Hub

pytestmark = [
    pytest.mark.needs("hpc/erin", "htc/erin", throughout=True),
    pytest.mark.shares("slurm", "condor"),
]


@pytest.fixture(scope="module")
def own(settings: Settings, signed_in: Callable[[str], requests.Session]) -> Iterator[dict[str, Hub]]:
    """Erin's default session on hpc, and one with a name on htc; both are ready."""
    browser = signed_in("erin")
    hubs = {
        "hpc": Hub(settings, browser, "erin", "hpc"),
        "htc": Hub(settings, browser, "erin", "htc", name="second"),
    }
    for hub in hubs.values():
        sessions.end(hub)
        sessions.ready(hub, within=90, where="login", runtime=20)
    yield hubs
    for hub in hubs.values():
        sessions.end(hub)


@pytest.fixture
def start(page: Page, own: dict[str, Hub], arrive: Callable[[Page, str], None]) -> Page:
    arrive(page, "erin")
    return page


def card(page: Page, cluster: str) -> Locator:
    return page.locator(f'[data-cluster="{cluster}"]')


def test_it_shows_the_sessions_on_both_clusters_and_one_click_opens_one(start: Page, settings: Settings):
    expect(card(start, "hpc").get_by_text("My Server")).to_be_visible()
    expect(card(start, "htc").get_by_text("second")).to_be_visible()
    expect(card(start, "htc").get_by_text("Running on the login node htc-login")).to_be_visible()
    start.get_by_role("link", name="Open second on HTC").click()
    pages.wait_for_lab(start)
    assert "/jupyterhub/htc/user/erin/second/" in start.url


def test_it_says_what_is_free_and_leads_to_help(start: Page):
    expect(card(start, "hpc").get_by_text(re.compile(r"Free now: \d+ of \d+ CPUs"))).to_be_visible()
    expect(card(start, "htc").get_by_text(re.compile(r"Jupyter slots: \d+ of \d+ CPUs"))).to_be_visible()
    start.get_by_role("link", name="How it works").click()
    expect(start.get_by_role("heading", name="How it works")).to_be_visible()


def test_a_hub_that_is_away_is_told_of_and_hides_no_other(start: Page, settings: Settings):
    start.route("**/jupyterhub/hpc/hub/mine", lambda route: route.fulfill(status=503, body="away"))
    start.goto(settings.url)
    expect(card(start, "hpc").get_by_text("does not answer at the moment")).to_be_visible()
    expect(card(start, "htc").get_by_text("second")).to_be_visible()
    expect(card(start, "hpc").get_by_role("link", name="Open notebooks on HPC")).to_be_visible()


def test_it_stops_a_session_and_leaves_the_others(start: Page, own: dict[str, Hub]):
    start.get_by_role("button", name="Stop second on HTC").click()
    expect(card(start, "htc").get_by_text("second")).to_have_count(0, timeout=40_000)
    assert own["htc"].server() is None
    assert own["hpc"].ready()
    expect(card(start, "hpc").get_by_role("button", name="Stop My Server on HPC")).to_be_visible()


def test_an_administrators_list_has_its_buttons_on_the_screen(start: Page, settings: Settings):
    start.goto(f"{settings.url}/sessions/hpc")
    for width in (1500, 1280, 390):
        start.set_viewport_size({"width": width, "height": 900})
        box = start.locator("summary", has_text="Stop").first.bounding_box()
        assert box
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width, f"{width} px: {box}"


@pytest.mark.needs("hpc/carol")
def test_a_scientist_reads_nothing_of_cells_addresses_and_gpus_that_are_not_theirs(
    page: Page, arrive: Callable[[Page, str], None]
):
    arrive(page, "carol")
    expect(card(page, "hpc").get_by_text("Free now")).to_be_visible()
    shown = page.locator("body").inner_text()
    assert not re.search(r"\bcell\b|Address|GPU|hpc-\d", shown)


def test_an_administrator_reads_which_cell_is_theirs(start: Page):
    """The control: the facility knows, and says so where it is of use."""
    expect(card(start, "hpc").get_by_text("Your cell")).to_be_visible()
