"""A hub or a proxy that dies takes no notebook with it."""

import time
from collections.abc import Callable

import pytest

from benchtop.settings import Settings
from support import sessions
from support.facility import kill, started
from support.traffic import Traffic
from support.wait import wait_until

LOGIN_BACK = 30  # seconds after which a hub that died serves its people again
ROUTES_BACK = 5  # … and after which a proxy that died leads to sessions again
PEOPLE = [("alice", "hpc"), ("bob", "htc")]

Notebook = Callable[[str, str], Traffic]
Notebooks = Callable[..., list[Traffic]]


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
def test_no_message_is_lost_when_a_hub_dies_and_it_knows_its_sessions_again(
    notebooks: Notebooks, settings: Settings, signal: str
):
    works = notebooks(*PEOPLE)
    before = [work.hub.server() for work in works]
    cells = [work.hub.cell for work in works]
    alive = started(settings, *cells)
    for cell in cells:
        kill(settings, cell, signal)
    wait_until(lambda: not alive & started(settings, *cells), timeout=30, what="the hubs to have died")
    for work, then in zip(works, before, strict=True):
        wait_until(work.hub.answers, timeout=LOGIN_BACK, what="the hub to be back")
        assert work.hub.browser.get(f"{work.hub.base}/hub/home", timeout=30).status_code == 200
        work.goes_on(timeout=30)
        assert (work.failed, work.cuts) == ([], 0)

        now = wait_until(work.hub.server, timeout=10, what="the hub to know the session")
        assert then
        assert (now["ready"], now["started"]) == (True, then["started"])
        work.hub.stop()
        wait_until(lambda own=work.hub: own.server() is None, timeout=sessions.END, what="the session to end")  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "cluster"),
    [pytest.param(*one, marks=[pytest.mark.needs(one[1]), pytest.mark.together(one[1])]) for one in PEOPLE],
)
def test_a_proxy_that_dies_leads_to_the_same_kernel_within_seconds(
    notebook: Notebook, settings: Settings, name: str, cluster: str
):
    work = notebook(name, cluster)
    began = time.monotonic()
    kill(settings, f"{work.hub.cell}-proxy")
    wait_until(lambda: work.cuts, timeout=ROUTES_BACK, what="the websocket to be cut", every=0.02)
    wait_until(
        lambda: work.hub.jupyter("GET", f"kernels/{work.kernel}").status_code == 200,
        timeout=ROUTES_BACK - (time.monotonic() - began),
        what="the way to the session",
        every=0.05,
    )
    work.goes_on(timeout=10)
    assert work.cuts == 1
