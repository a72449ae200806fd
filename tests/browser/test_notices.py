"""What JupyterLab says by itself: that the session is about to end."""

import re
from collections.abc import Callable

import pytest
import requests
from playwright.sync_api import Locator, Page, expect

import steps
from benchtop.hubs import Hub
from benchtop.settings import Settings
from waiting import wait_until

MINUTE = 60_000
RUNTIME = {"hpc": 10, "htc": 10}  # minutes


@pytest.fixture
def lab(page: Page, settings: Settings, signed_in: Callable[[str], requests.Session], cluster: str):
    """Alice's JupyterLab in a session of ten minutes, on a page whose clock the test sets."""
    own = Hub(settings, signed_in("alice"), "alice", cluster)

    def end() -> None:
        wait_until(lambda: own.stop().status_code in {202, 204, 404}, timeout=60, what="the hub to stop it")
        wait_until(lambda: own.server() is None, timeout=60, what="the end of alice's session")

    end()
    asked: dict[str, object] = {"runtime": RUNTIME[cluster]}
    if cluster == "hpc":
        asked["partition"] = "debug"
    own.start(**asked).raise_for_status()
    wait_until(own.ready, timeout=60, what="alice's session")
    steps.log_in(page, settings, "alice")
    page.clock.install()
    page.goto(f"{own.lab}lab")
    steps.wait_for_lab(page)
    yield page
    end()


def ending(page: Page, when: str = "") -> Locator:
    """The notice that the runtime is nearly over."""
    return page.locator(".jp-toast-message").filter(has_text=re.compile(f"This session ends at .*{when}"))


@pytest.mark.parametrize("cluster", ["hpc", "htc"])
def test_it_warns_five_minutes_and_one_minute_before_the_runtime_is_over(lab: Page):
    lab.clock.fast_forward(2 * MINUTE)
    expect(ending(lab)).to_have_count(0)  # eight minutes are left: the control
    lab.clock.fast_forward(3 * MINUTE)
    expect(ending(lab, "in [45] minutes")).to_be_visible()
    lab.clock.fast_forward(4 * MINUTE)
    expect(ending(lab, "in 1 minute:")).to_be_visible()
