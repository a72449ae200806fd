"""A real browser: Debian's chromium in the stack's `browser` service, driven from here.

It trusts the facility's own CA and nothing else is relaxed: a certificate error fails the test.
Every page that a test looks at can be kept as a picture; a failed test keeps the last one.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from benchtop.settings import Settings
from support import pages
from support.homes import check_held_everywhere

CDP_PORT = os.environ.get("BENCHTOP_CDP_PORT", "9222")
# A page of the facility answers within seconds where nobody else is at work: here, other tests are.
# A session that starts has its own, longer wait.
expect.set_options(timeout=pages.PATIENCE)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker has the browser: each that is connected would be told of every page of all."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.together("the browser"))
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{CDP_PORT}")
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def arrive(settings: Settings) -> Callable[[Page, str], None]:
    """`arrive(page, "alice")`: she is on the Start page, by the login of an earlier test if it still holds.

    Keycloak takes each one-time code once, and the next one comes half a minute later. What the Start page
    tells once, it tells here: the test has her for itself on each cluster.
    """
    known: dict[str, list[Any]] = {}

    def come(page: Page, name: str) -> None:
        check_held_everywhere(settings, name)
        page.context.add_cookies(known.get(name, []))
        page.goto(settings.url)
        if page.url != f"{settings.url}/":
            page.context.clear_cookies()
            pages.log_in(page, settings, name)
            known[name] = [*page.context.cookies()]

    return come


@pytest.fixture(scope="session")
def pictures(settings: Settings) -> Path:
    """Where screenshots go; `make screenshots` takes those of the documentation from there."""
    folder = settings.state / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def new_visitor(
    chromium: Browser, pictures: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[[], Page]]:
    """A page of a browser without any cookie, as often as it is called."""
    contexts: list[BrowserContext] = []

    def visit() -> Page:
        context = chromium.new_context(viewport={"width": 1280, "height": 860})
        context.set_default_timeout(pages.PATIENCE)
        contexts.append(context)
        return context.new_page()

    yield visit
    report = request.node.stash.get(FAILED, False)
    for number, context in enumerate(contexts):
        if report and context.pages:
            context.pages[-1].screenshot(path=pictures / f"failed-{request.node.name}-{number}.png")
        context.close()


@pytest.fixture
def page(new_visitor: Callable[[], Page]) -> Page:
    return new_visitor()


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[object]:
    report = yield
    if report.when == "call":  # type: ignore[attr-defined]
        item.stash[FAILED] = report.failed  # type: ignore[attr-defined]
    return report
