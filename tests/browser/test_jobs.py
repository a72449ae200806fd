"""JupyterLab's Jobs panel: what it shows of an array and a session, by keyboard too, and that it cancels."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize, expect

from benchtop.settings import Settings
from support import pages, sessions
from support.batch import Batch
from support.hub import Hub

pytestmark = [
    pytest.mark.needs("hpc/erin", "htc/erin", throughout=True),
    pytest.mark.shares("slurm", throughout=True),
]

WIDE: ViewportSize = {"width": 1280, "height": 860}
NARROW: ViewportSize = {"width": 640, "height": 860}
STARTED = 60_000  # ms for a job, on a busy machine
UNSEEN = 7_000  # ms: more than two questions of a panel that is seen
JOB = [
    "sbatch", "--parsable", "--partition=harvester", "--mem=64M", "--time=5", "--output=/dev/null",
    "--chdir=/tmp", "--wrap=sleep 300",
]  # fmt: skip
ARRAY = [*JOB, "--array=0-9%1", "--job-name=simulation"]
HOSTILE = "<img src=x onerror=alert(1)> fit"


@pytest.fixture
def own(settings: Settings, signed_in: Callable[[str], requests.Session]) -> Iterator[Hub]:
    """Erin's hub and a session of hers; no job of hers is left afterwards."""
    found = Hub(settings, signed_in("erin"), "erin", "hpc")
    with sessions.running(found):
        yield found
    Batch(settings, "hpc").clear("erin")


def test_the_panel_lists_an_array_as_one_line_and_cancels_it_once_it_has_asked(
    page: Page, arrive: Callable[[Page, str], None], own: Hub, settings: Settings, pictures: Path
):
    array = Batch(settings, "hpc").said("erin", *ARRAY).strip()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "benchtop/jobs" in request.url else None)
    page.on("dialog", lambda dialog: pytest.fail(f"a job's name was run: {dialog.message}"))
    page.set_viewport_size(WIDE)
    arrive(page, "erin")
    page.goto(f"{own.lab}lab?reset")
    pages.wait_for_lab(page)
    page.wait_for_timeout(UNSEEN)  # nothing to wait for: that is what is promised
    assert asked == [], "nobody sees the panel"

    page.get_by_role("tab", name="Jobs").click()
    panel = page.get_by_role("region", name="Jobs")
    line = panel.locator("li").filter(has_text=f"Slurm {array}")
    expect(line).to_contain_text("1 running, 9 waiting", timeout=STARTED)
    expect(line).to_contain_text("simulation")
    expect(line).to_contain_text("No more of them may run at a time")
    session = panel.locator("li").filter(has_text="this session")
    expect(session).to_contain_text("jh-")
    expect(session.get_by_role("button", name="Cancel")).to_have_count(0)

    more = line.get_by_role("button", name=f"Jobs of Slurm {array}")
    more.focus()
    page.keyboard.press("Enter")
    expect(line).to_contain_text(f"{array}_[1-9]")
    asked_before = len(asked)
    page.wait_for_timeout(UNSEEN)
    assert len(asked) > asked_before, "the control: a panel that is seen asks"
    expect(more).to_be_focused()
    found = Axe().run(page, context="#benchtop-jobs").response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in pages.GRAVE] == []
    page.screenshot(path=pictures / "jobs-panel.png")

    Batch(settings, "hpc").said("erin", *JOB, f"--job-name={HOSTILE}")
    expect(panel.locator("li").filter(has_text=HOSTILE)).to_have_count(1, timeout=STARTED)
    line.get_by_role("button", name=f"Cancel Slurm {array} ").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"Slurm {array}")
    expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Enter")
    expect(line).to_contain_text("1 running, 9 waiting")
    line.get_by_role("button", name=f"Cancel Slurm {array} ").click()
    page.get_by_role("button", name="Cancel the job").click()
    ended = panel.locator("section").filter(has_text="Ended within a day").locator("li")
    expect(ended.filter(has_text=f"Slurm {array}")).to_contain_text("cancelled", timeout=STARTED)

    page.route("**/benchtop/jobs", lambda route: route.abort())
    expect(panel.get_by_role("alert")).to_contain_text("does not answer")
    page.unroute("**/benchtop/jobs")
    expect(panel.get_by_role("alert")).to_be_hidden()
    page.set_viewport_size(NARROW)
    inside, needed = json.loads(panel.evaluate("one => JSON.stringify([one.clientWidth, one.scrollWidth])"))
    assert needed <= inside, "nothing is cut off in a narrow window"
