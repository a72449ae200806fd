"""The Launcher offers the tutorials: a copy at first, and later what is newer beside it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from benchtop.settings import Settings
from support import pages, sessions
from support.homes import Home
from support.hub import Hub

pytestmark = [pytest.mark.needs("hpc/erin", "htc/erin"), pytest.mark.shares("slurm")]

STARTS = 120_000  # milliseconds, on a busy machine
NAME, TITLE = "02-gpus", "GPUs, and how to ask for one"
FILE = f"tutorials/{NAME}.ipynb"


@pytest.fixture
def home(settings: Settings) -> Iterator[Home]:
    """Erin's, without tutorials."""
    found = Home(settings, "erin")
    found.remove("tutorials")
    yield found
    found.remove("tutorials")


@pytest.fixture
def own(settings: Settings, home: Home, signed_in: Callable[[str], requests.Session]) -> Iterator[Hub]:
    """Her session on the login node, where it starts at once."""
    hub = Hub(settings, signed_in("erin"), "erin", "hpc")
    with sessions.running(hub, where="login", runtime=10):
        yield hub


def test_the_launcher_lists_tutorials_and_copies_one_and_a_newer_one_beside_it(
    page: Page, arrive: Callable[[Page, str], None], own: Hub, home: Home, pictures: Path
):
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url) if "benchtop/tutorials" in sent.url else None)
    arrive(page, "erin")
    page.goto(f"{own.lab}lab?reset")
    pages.wait_for_lab(page)
    section = page.locator(".jp-Launcher-section").filter(
        has=page.get_by_role("heading", name="Tutorials", exact=True)
    )
    card = section.locator(".jp-LauncherCard")
    expect(card).to_have_count(1)
    assert asked == [], "nothing is asked before somebody opens the list"
    page.screenshot(path=pictures / "launcher-tutorials.png")
    card.click()

    region = page.get_by_role("region", name="Tutorials", exact=True)
    rows = region.locator("li")
    expect(rows).to_have_count(9, timeout=STARTS)
    row = rows.filter(has_text=TITLE)
    expect(row).to_contain_text("About 1 minute · Slurm")
    found = Axe().run(page, context=".benchtop-tutorials").response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in pages.GRAVE] == []
    page.screenshot(path=pictures / "tutorials.png")
    row.get_by_role("button", name=f"Open: {TITLE}").click()
    heading = page.locator(".jp-NotebookPanel:visible").get_by_role("heading", name=TITLE)
    expect(heading).to_be_visible(timeout=STARTS)

    # the facility's notebook becomes another one than the copy was made from, and the copy is edited
    copy = json.loads(home.run(f"cat {FILE}"))
    copy["metadata"]["benchtop"]["version"] = "of last year"
    copy["cells"][-1]["source"] = ["my own words"]
    home.put(FILE, json.dumps(copy))
    page.goto(f"{own.lab}lab?reset")
    pages.wait_for_lab(page)
    page.get_by_role("menuitem", name="Help", exact=True).click()
    page.get_by_role("menuitem", name="Tutorials", exact=True).click()
    expect(row).to_contain_text(
        f"newer version than your copy ~/{FILE}, which you have changed", timeout=STARTS
    )
    row.get_by_role("button", name="Show what differs").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("[data-kind='-']")).to_contain_text("my own words")
    expect(dialog.locator("[data-kind='+']")).not_to_have_count(0)
    page.screenshot(path=pictures / "tutorial-difference.png")
    dialog.get_by_role("button", name="Keep mine").click()
    expect(dialog).to_have_count(0)
    assert home.run("ls tutorials").split() == [f"{NAME}.ipynb"]

    row.get_by_role("button", name="Show what differs").click()
    page.get_by_role("dialog").get_by_role("button", name="Take the new one as a new file").click()
    expect(page.locator(".jp-NotebookPanel:visible").get_by_role("heading", name=TITLE)).to_be_visible()
    page.get_by_role("tab", name="Tutorials").click()
    expect(row).to_contain_text(f"Your copy: ~/tutorials/{NAME}-2.ipynb")
    assert json.loads(home.run(f"cat {FILE}"))["cells"][-1]["source"] == ["my own words"]
