"""The pages of a person's servers and of all sessions, as people and administrators meet them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from benchtop import topology
from benchtop.settings import Settings
from benchtop.stack import notices
from support import pages


@pytest.fixture
def announced(settings: Settings, nothing_announced: None) -> str:
    """Something that every page shows meanwhile."""
    text = "Slurm is down on Friday from 8 to 10."
    notices.announce(settings, text)
    return text


@pytest.mark.needs("announcement", "hpc/alice", "htc/alice")
def test_the_page_of_ones_servers(
    page: Page, settings: Settings, pictures: Path, announced: str, arrive: Callable[[Page, str], None]
):
    arrive(page, "alice")
    page.goto(f"{settings.url}/jupyterhub/hpc/hub/home")
    expect(page.get_by_role("status").filter(has_text=announced)).to_be_visible()
    expect(page.get_by_role("heading", name="My Server")).to_be_visible()
    page.screenshot(path=pictures / "servers.png")
    pages.nothing_serious(page, pictures / "servers-phone.png")


@pytest.mark.needs("hpc/alice", "htc/alice")
def test_a_name_that_cannot_be_is_told_at_the_field_without_a_script(
    chromium: Browser, page: Page, settings: Settings, arrive: Callable[[Page, str], None]
):
    arrive(page, "alice")
    page.goto(f"{settings.url}/jupyterhub/hpc/hub/home")  # a session of the hub's own
    context = chromium.new_context(java_script_enabled=False, storage_state=page.context.storage_state())
    try:
        plain = context.new_page()
        plain.goto(f"{settings.url}/jupyterhub/hpc/hub/home")
        plain.get_by_label("Session name").fill("My Server!")
        plain.get_by_role("button", name="Choose resources").click()
        expect(plain.get_by_text(re.compile("is not a valid name"))).to_be_visible()
        expect(plain.get_by_label("Session name")).to_have_attribute("aria-invalid", "true")
        plain.get_by_label("Session name").fill("gpu-test")
        plain.get_by_role("button", name="Choose resources").click()
        expect(plain.get_by_text("Session name: gpu-test")).to_be_visible()
        expect(plain.get_by_role("button", name="Start")).to_be_visible()
    finally:
        context.close()


@pytest.mark.needs("announcement", "hpc/erin", "htc/erin")
def test_the_list_of_all_sessions(
    page: Page, settings: Settings, pictures: Path, announced: str, arrive: Callable[[Page, str], None]
):
    arrive(page, "erin")
    page.get_by_role("link", name=re.compile("essions")).first.click()
    expect(page.get_by_role("heading", name=re.compile("Sessions on cluster"))).to_be_visible()
    expect(page.get_by_role("status").filter(has_text=announced)).to_be_visible()
    page.screenshot(path=pictures / "sessions.png", full_page=True)
    pages.nothing_serious(page, pictures / "sessions-phone.png")


# What a script may try: each ends with what it can read
FETCH = "at => fetch(at).then(answer => answer.text())"
FRAME = """at => new Promise(done => {
    const frame = document.createElement("iframe")
    frame.onload = () => done(frame.contentDocument?.body.innerText ?? "")
    frame.src = at
    document.body.append(frame)
})"""
OPEN = """at => new Promise(done => {
    const opened = window.open(at)
    const look = () => {
        let text = ""
        try { text = opened.document.body?.innerText ?? "" }
        catch (error) { return done("") }  // it is nobody's who has the origin of this page
        if (opened.closed) done("")  // … or of nobody's windows at all
        else if (/hpc-\\d/.test(text)) done(text)
        else setTimeout(look, 50)
    }
    look()
})"""
LIST, PEOPLE = "/sessions/hpc", "/jupyterhub/hpc/hub/admin"


@pytest.mark.needs("hpc/erin", "htc/erin")
def test_no_script_in_an_administrators_notebook_gets_hold_of_their_pages(
    page: Page, settings: Settings, arrive: Callable[[Page, str], None]
):
    cell = topology.cell_of("erin", "hpc", settings.cells)
    arrive(page, "erin")
    page.goto(f"{settings.url}{PEOPLE}")
    expect(page.get_by_role("heading", name=f"Users in cell {cell}")).to_be_visible()
    notebook, kind = f"{settings.url}/jupyterhub/hpc/user/erin/notebook", {"Content-Type": "text/html"}
    page.route(notebook, lambda asked: asked.fulfill(body="<body>A notebook", headers=kind))
    page.goto(notebook)
    for at in (LIST, PEOPLE):
        for attempt in (FETCH, FRAME, OPEN):
            assert not re.search("hpc-1: |Users in cell", page.evaluate(attempt, at)), (attempt, at)
    page.evaluate("at => history.replaceState({}, '', at)", f"{PEOPLE}/")  # whose cookies it then sees
    assert "_xsrf" not in page.evaluate("document.cookie"), "what the hub's forms carry"
    assert any(cookie["name"] == "_xsrf" for cookie in page.context.cookies(page.url)), "the control"
    kind["Cross-Origin-Opener-Policy"] = "same-origin"  # which Apache lets no server say
    page.goto(notebook)
    assert "hpc-1: " in page.evaluate(OPEN, LIST), "the control: else it could"
