"""What JupyterLab's page says of the session behind it, and how it leads on from there."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Locator, Page, expect

from benchtop.settings import Settings
from support import pages, sessions
from support.batch import Batch
from support.homes import Home
from support.hub import Hub

pytestmark = [
    pytest.mark.needs("hpc/erin", "htc/erin", throughout=True),
    pytest.mark.shares("slurm", "condor", throughout=True),
]

CLUSTERS = ["hpc", "htc"]
MEMORY = 400  # MB: JupyterLab and a kernel take about half
PLACE = {
    "hpc": re.compile("partition debug, (cpu|gpu)-1"),
    "htc": re.compile("Jupyter slots, condor-ep-[12]"),
}
PATIENCE = 60_000  # ms until the page knows that its session is gone: the hub looks every five seconds

Start = Callable[[str], Hub]


@pytest.fixture(scope="module")
def both(settings: Settings, signed_in: Callable[[str], requests.Session]) -> Iterator[dict[str, Hub]]:
    """Erin's hubs, on both clusters; she has no session there afterwards."""
    own = {cluster: Hub(settings, signed_in("erin"), "erin", cluster) for cluster in CLUSTERS}
    for one in own.values():
        sessions.end(one)
    yield own
    for one in own.values():
        sessions.end(one)
    forget(settings, "~/.jupyter/lab/workspaces ~/*.ipynb")


def forget(settings: Settings, what: str) -> None:
    """Remove something from Erin's home. A notebook whose kernel runs would find it again, by its name."""
    Batch(settings, "hpc").run("erin", "sh", "-c", f"rm -rf {what}", on="cpu-1")


@pytest.fixture
def start(both: dict[str, Hub]) -> Start:
    """Her session on a cluster, as it is, or a new one."""

    def ready(cluster: str) -> Hub:
        own = both[cluster]
        if not own.ready():
            sessions.ready(own, memory=MEMORY, where="batch")
        assert own.open().ok
        return own

    return ready


def show(page: Page, own: Hub) -> None:
    """Open JupyterLab, without what was open there before."""
    page.goto(f"{own.lab}lab?reset")
    pages.wait_for_lab(page)


def tabs(page: Page) -> Locator:
    """The tabs of the main area."""
    return page.locator("#jp-main-dock-panel .lm-TabBar-tabLabel")


def notice(page: Page, words: str) -> Locator:
    return page.locator(".jp-toast-message").filter(has_text=re.compile(words))


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_the_status_bar_says_how_long_how_much_and_where(
    page: Page, start: Start, arrive: Callable[[Page, str], None], cluster: str, pictures: Path
):
    own = start(cluster)
    arrive(page, "erin")
    show(page, own)
    status = page.locator("#benchtop-status")
    expect(status.get_by_text(re.compile(r"^1?\d min left$"))).to_be_visible()
    expect(status.get_by_text(re.compile(rf"^\d+ of {MEMORY} MB$"))).to_be_visible()
    expect(status.get_by_text(PLACE[cluster])).to_be_visible()
    page.screenshot(path=pictures / f"lab-status-{cluster}.png")


def test_the_help_menu_leads_to_the_facility_and_only_formats_that_work_are_offered(
    page: Page, start: Start, both: dict[str, Hub], arrive: Callable[[Page, str], None]
):
    own = start("hpc")
    arrive(page, "erin")
    show(page, own)
    page.get_by_role("menuitem", name="Help", exact=True).click()
    for words in (
        "Start Page of the Facility",
        "Help with the Facility",
        "Contact the Support",
        "My Sessions",
    ):
        entry = page.get_by_role("menuitem", name=words)
        expect(entry).to_be_visible()
    with page.expect_popup() as opened:
        page.get_by_role("menuitem", name="My Sessions").click()
    expect(opened.value).to_have_url(re.compile("/jupyterhub/hpc/hub/home"))
    opened.value.close()
    pages.run_in_new_notebook(page, "1")
    page.get_by_role("menuitem", name="File", exact=True).click()
    page.locator(".lm-Menu-item").filter(has_text="Save and Export Notebook As").click()
    expect(page.get_by_role("menuitem", name="HTML", exact=True)).to_be_visible()
    for absent in ("PDF", "Webpdf", "LaTeX"):
        expect(page.get_by_role("menuitem", name=absent, exact=True)).to_have_count(0)


def test_each_session_has_its_own_tabs_and_says_what_is_open_in_the_other(
    page: Page, settings: Settings, start: Start, arrive: Callable[[Page, str], None]
):
    hpc, htc = start("hpc"), start("htc")
    forget(settings, "~/.jupyter/lab/workspaces")
    path = "open-twice.ipynb"
    content = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3"}},
        "cells": [],
    }
    assert hpc.jupyter(
        "PUT", f"contents/{path}", {"type": "notebook", "format": "json", "content": content}
    ).ok
    arrive(page, "erin")
    page.goto(f"{hpc.lab}lab/tree/{path}?reset")
    pages.wait_for_lab(page)
    expect(tabs(page).filter(has_text=path)).to_be_visible()
    expect(notice(page, "is also open")).to_have_count(0)  # the control

    other = page.context.new_page()
    other.goto(f"{htc.lab}lab")
    pages.wait_for_lab(other)
    expect(tabs(other).filter(has_text="Launcher")).to_be_visible()
    expect(tabs(other).filter(has_text=path)).to_have_count(0)
    expect(other.locator(".jp-Dialog")).to_have_count(0)
    other.goto(f"{htc.lab}lab/tree/{path}")
    pages.wait_for_lab(other)
    expect(notice(other, f"“{path}” is also open in your session on HPC")).to_be_visible()

    page.reload()
    pages.wait_for_lab(page)
    expect(tabs(page).filter(has_text=path)).to_be_visible()
    other.close()
    for own in (hpc, htc):
        assert own.jupyter("GET", "contents").ok
    hpc.jupyter("DELETE", f"contents/{path}")


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_a_kernel_that_dies_says_why(
    page: Page, start: Start, arrive: Callable[[Page, str], None], cluster: str, pictures: Path
):
    own = start(cluster)
    arrive(page, "erin")
    show(page, own)
    pages.run_in_new_notebook(page, "1")
    page.keyboard.insert_text("import ctypes; ctypes.string_at(0)")
    page.keyboard.press("Shift+Enter")
    dialog = page.locator(".jp-Dialog")
    expect(dialog).to_contain_text("it crashed (signal 11, segmentation fault)")
    dialog.get_by_role("button", name="Ok").click()
    expect(dialog).to_have_count(0)
    page.keyboard.insert_text(f"held = b'x' * ({MEMORY} << 20)")
    page.keyboard.press("Shift+Enter")
    expect(dialog).to_contain_text(
        f"the session needed more memory than requested ({MEMORY} MB; it had taken"
    )
    expect(dialog.get_by_role("button", name="Start again with more memory")).to_be_visible()
    page.screenshot(path=pictures / f"lab-kernel-died-{cluster}.png")
    dialog.get_by_role("button", name="Start again with more memory").click()
    page.wait_for_url(re.compile(f"/jupyterhub/{cluster}/hub/spawn/erin"), timeout=PATIENCE)
    expect(page.get_by_label("Memory")).to_have_value(re.compile(f"^{2 * MEMORY}"))


KERNEL = ".local/share/jupyter/kernels/of-ones-own"
# Starts as long as ~/kernel-may-start is there
COMMAND = "[ -e ~/kernel-may-start ] || { echo no licence >&2; exit 3; }; exec $0 -m ipykernel_launcher -f $1"


def test_a_kernel_of_ones_own_that_fails_says_what_it_said_last(
    page: Page, settings: Settings, start: Start, arrive: Callable[[Page, str], None], pictures: Path
):
    own, home = start("hpc"), Home(settings, "erin")
    argv = ["sh", "-c", COMMAND, "/opt/lab/bin/python", "{connection_file}"]
    home.put(
        f"{KERNEL}/kernel.json", json.dumps({"argv": argv, "display_name": "Mine", "language": "python"})
    )
    spec = {"kernelspec": {"name": "of-ones-own", "display_name": "Mine"}}
    cell = {
        "cell_type": "code",
        "id": "a",
        "metadata": {},
        "source": "",
        "outputs": [],
        "execution_count": None,
    }
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": spec, "cells": [cell]}
    notebook = {"type": "notebook", "format": "json", "content": content}
    assert own.jupyter("PUT", "contents/own-kernel.ipynb", notebook).ok
    dialog = page.locator(".jp-Dialog")
    try:
        arrive(page, "erin")
        page.goto(f"{own.lab}lab/tree/own-kernel.ipynb?reset")
        pages.wait_for_lab(page)
        expect(dialog).to_contain_text("The kernel “Mine” ended while it was starting (exit code 3)")
        expect(dialog).to_contain_text("no licence")
        page.screenshot(path=pictures / "lab-kernel-does-not-start.png")
        dialog.get_by_role("button", name="Ok").click()

        home.put("kernel-may-start", "")  # the control
        page.goto(f"{own.lab}lab/tree/own-kernel.ipynb?reset")
        pages.wait_for_lab(page)
        expect(page.locator("#jp-main-statusbar").get_by_text("Mine | Idle")).to_be_visible()
        expect(dialog).to_have_count(0)

        home.remove("kernel-may-start")
        page.get_by_text("Mine", exact=True).first.wait_for()
        page.locator(".jp-Notebook .jp-Cell").first.click()
        page.keyboard.insert_text("import os; os._exit(5)")
        page.keyboard.press("Shift+Enter")
        expect(dialog).to_contain_text("The kernel is not started again")
        expect(dialog).to_contain_text("no licence")
        page.screenshot(path=pictures / "lab-kernel-not-started-again.png")
        dialog.get_by_role("button", name="Ok").click()
    finally:
        home.remove(KERNEL, "kernel-may-start")
        own.jupyter("DELETE", "contents/own-kernel.ipynb")


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_a_session_that_ran_out_of_memory_says_so_where_its_owner_looks_and_leads_to_more(
    page: Page,
    settings: Settings,
    both: dict[str, Hub],
    start: Start,
    arrive: Callable[[Page, str], None],
    cluster: str,
    pictures: Path,
):
    sessions.end(both[cluster])
    with sessions.greedy(Home(settings, "erin")) as take:
        own = start(cluster)
        arrive(page, "erin")
        show(page, own)
        take()
        dialog = page.locator(".jp-Dialog").filter(has_text="Your session has ended")
        expect(dialog).to_contain_text(f"used more memory than requested ({MEMORY} MB)", timeout=PATIENCE)
        page.screenshot(path=pictures / f"lab-ended-{cluster}.png")
        dialog.get_by_role("button", name="Start again with more memory").click()
        page.wait_for_url(re.compile(f"/jupyterhub/{cluster}/hub/spawn/erin"))
        expect(page.get_by_label("Memory")).to_have_value(re.compile(f"^{2 * MEMORY}"))


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_one_that_was_ended_from_outside_says_that(
    page: Page, settings: Settings, start: Start, arrive: Callable[[Page, str], None], cluster: str
):
    own, batch = start(cluster), Batch(settings, cluster)
    arrive(page, "erin")
    show(page, own)
    job = batch.job("erin")
    assert job
    batch.cancel("erin", job.number)
    dialog = page.locator(".jp-Dialog").filter(has_text="Your session has ended")
    expect(dialog).to_contain_text(
        re.compile("Your session ended: it (was cancelled|is no longer known)"), timeout=PATIENCE
    )
    expect(dialog.get_by_role("button", name="Start again with more memory")).to_have_count(0)
    dialog.get_by_role("button", name="Start again").click()
    page.wait_for_url(re.compile(f"/jupyterhub/{cluster}/hub/spawn"))


SOCKETS = """
window.WebSocket = class extends WebSocket {
  constructor(...given) { super(...given); (window.sockets ??= []).push(this); }
};"""
SEND = """(megabytes) => {
  const line = window.sockets.filter((one) => one.url.includes("/channels")).pop();
  try { line.send("x".repeat(megabytes << 20)); } catch (error) { return error.message; }
}"""


def test_a_cell_that_is_too_large_is_told_and_the_kernel_stays(
    page: Page, start: Start, arrive: Callable[[Page, str], None]
):
    own = start("hpc")
    arrive(page, "erin")
    page.add_init_script(SOCKETS)
    show(page, own)
    pages.run_in_new_notebook(page, "kept = 1")
    assert "The cell is too large" in page.evaluate(SEND, 101)
    expect(page.locator(".jp-Dialog")).to_contain_text("101 MB are more than a kernel takes at once (100 MB)")
    page.locator(".jp-Dialog").get_by_role("button").last.click()
    page.locator(".jp-Cell.jp-mod-active .cm-content").click()
    page.keyboard.insert_text("print(kept + 1)")
    page.keyboard.press("Shift+Enter")
    expect(page.locator(".jp-OutputArea-output").last).to_have_text("2")
