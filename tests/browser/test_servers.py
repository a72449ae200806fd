"""The pages of a person's servers and of all sessions, as people and administrators meet them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

import steps
from benchtop import notices
from benchtop.settings import Settings


@pytest.fixture
def announced(settings: Settings, nothing_announced: None) -> str:
    """Something that every page shows meanwhile."""
    text = "Slurm is down on Friday from 8 to 10."
    notices.announce(settings, text)
    return text


def test_the_page_of_ones_servers(
    page: Page, settings: Settings, pictures: Path, announced: str, arrive: Callable[[Page, str], None]
):
    arrive(page, "alice")
    page.goto(f"{settings.url}/jupyterhub/hpc/hub/home")
    expect(page.get_by_role("status").filter(has_text=announced)).to_be_visible()
    expect(page.get_by_role("heading", name="My Server")).to_be_visible()
    page.screenshot(path=pictures / "servers.png")
    steps.nothing_serious(page, pictures / "servers-phone.png")


def test_a_name_that_cannot_be_is_told_at_the_field_without_a_script(
    chromium: Browser, page: Page, settings: Settings, arrive: Callable[[Page, str], None]
):
    arrive(page, "alice")
    page.goto(f"{settings.url}/jupyterhub/hpc/hub/home")  # a session of the hub's own
    context = chromium.new_context(java_script_enabled=False, storage_state=page.context.storage_state())
    try:
        plain = context.new_page()
        plain.goto(f"{settings.url}/jupyterhub/hpc/hub/home")
        plain.get_by_label("Its name").fill("My Server!")
        plain.get_by_role("button", name="Choose what it gets").click()
        expect(plain.get_by_text(re.compile("is no name for a server"))).to_be_visible()
        expect(plain.get_by_label("Its name")).to_have_attribute("aria-invalid", "true")
        plain.get_by_label("Its name").fill("gpu-test")
        plain.get_by_role("button", name="Choose what it gets").click()
        expect(plain.get_by_text("Its name is gpu-test")).to_be_visible()
        expect(plain.get_by_role("button", name="Start")).to_be_visible()
    finally:
        context.close()


def test_the_list_of_all_sessions(
    page: Page, settings: Settings, pictures: Path, announced: str, arrive: Callable[[Page, str], None]
):
    arrive(page, "erin")
    page.get_by_role("link", name=re.compile("essions")).first.click()
    expect(page.get_by_role("heading", name=re.compile("Sessions on the cluster"))).to_be_visible()
    expect(page.get_by_role("status").filter(has_text=announced)).to_be_visible()
    page.screenshot(path=pictures / "sessions.png", full_page=True)
    steps.nothing_serious(page, pictures / "sessions-phone.png")


OPEN = """at => new Promise(done => {
    const opened = window.open(at)
    const look = () => {
        let read = ""
        try { read = opened.closed ? "gone" : opened.document.body?.innerText ?? "" }
        catch (error) { read = "gone" }
        if (read == "gone" || read.includes("essions")) done(read)
        else setTimeout(look, 50)
    }
    look()
})"""
FETCH = "at => fetch(at).then(answer => answer.status)"
FRAME = """at => new Promise(done => {
    const frame = document.createElement("iframe")
    frame.onload = () => { try { done(frame.contentDocument.body.innerText) } catch (error) { done("") } }
    frame.src = at
    document.body.append(frame)
})"""


def test_no_script_of_the_same_origin_gets_hold_of_a_page_for_administrators(
    page: Page, settings: Settings, arrive: Callable[[Page, str], None]
):
    """The start page stands for a notebook of theirs: it is of the same kind to a browser."""
    arrive(page, "erin")
    assert "All sessions of cluster hpc" in page.evaluate(OPEN, "/"), "the control: it may read its own kind"
    for at in ("/sessions/hpc", "/jupyterhub/hpc/hub/admin"):
        assert page.evaluate(FETCH, at) in {403, 405}
        assert "hpc-1" not in page.evaluate(FRAME, at)
        assert page.evaluate(OPEN, at) == "gone"
    page.goto(f"{settings.url}/jupyterhub/hpc/hub/admin")
    expect(page.get_by_role("heading", name=re.compile("People of cell hpc-"))).to_be_visible()
    assert "_xsrf" not in page.evaluate("document.cookie"), "what the forms of the hub carry"
    assert any(cookie["name"] == "_xsrf" for cookie in page.context.cookies(page.url)), "the control"
