"""What JupyterLab says by itself: that the session is about to end."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests
from playwright.sync_api import Locator, Page, expect

from benchtop.settings import Settings
from support import pages, sessions
from support.hub import Hub

MINUTE = 60_000
RUNTIME = {"hpc": 10, "htc": 10}  # minutes


@pytest.fixture
def lab(page: Page, settings: Settings, signed_in: Callable[[str], requests.Session], cluster: str):
    """Alice's JupyterLab in a session of ten minutes, on a page whose clock the test sets."""
    own = Hub(settings, signed_in("alice"), "alice", cluster)
    sessions.end(own)
    sessions.ready(own, within=60, runtime=RUNTIME[cluster])
    pages.log_in(page, settings, "alice")
    page.clock.install()
    with told(page):
        page.goto(f"{own.lab}lab")
        pages.wait_for_lab(page)
    yield page
    sessions.end(own)


@contextmanager
def told(page: Page) -> Iterator[None]:
    """Wait until the page has asked what there is to say and knows it.

    Its first answer is what it compares its clock with, and a question's time-out follows that clock as well:
    one that is put forward meanwhile breaks the question off.
    """
    with (
        page.expect_request_finished(lambda one: one.url.endswith("/benchtop/notices"), timeout=MINUTE),
        page.expect_request_finished(lambda one: one.url.endswith("/announcement.json"), timeout=MINUTE),
    ):
        yield
    page.evaluate("new Promise(done => setTimeout(done, 100))")


def forward(page: Page, minutes: int) -> None:
    """Put the page's clock forward, which has it ask anew."""
    with told(page):
        page.clock.fast_forward(minutes * MINUTE)


def ending(page: Page, when: str = "") -> Locator:
    """The notice that the runtime is nearly over."""
    return page.locator(".jp-toast-message").filter(has_text=re.compile(f"This session ends at .*{when}"))


@pytest.mark.parametrize("cluster", ["hpc", "htc"])
@pytest.mark.needs("hpc/alice", "htc/alice")
@pytest.mark.shares("slurm", "condor", "announcement")
def test_it_warns_five_minutes_and_one_minute_before_the_runtime_is_over(lab: Page):
    forward(lab, 2)
    expect(ending(lab)).to_have_count(0)  # eight minutes are left: the control
    forward(lab, 3)
    expect(ending(lab, "in [45] minutes")).to_be_visible()
    lab.context.clear_cookies(
        name="mellon-hub"
    )  # the login ends: the page still has its own token, which counts
    forward(lab, 4)
    expect(ending(lab, r"in 1 minute\)")).to_be_visible()
