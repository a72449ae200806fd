"""What JupyterLab says of a person's own files, and the way to work without them, in a browser."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect

from benchtop.settings import Settings
from support import pages, sessions
from support.homes import Home
from support.hub import Hub

pytestmark = [pytest.mark.needs("hpc/erin", "htc/erin"), pytest.mark.shares("slurm")]

STARTS = 120_000  # milliseconds, on a busy machine
CONFIG = ".jupyter/jupyter_server_config.py"
THEMES = ".jupyter/lab/user-settings/@jupyterlab/apputils-extension/themes.jupyterlab-settings"


@pytest.fixture
def home(settings: Settings) -> Home:
    """Erin's."""
    return Home(settings, "erin")


@pytest.fixture
def own(home: Home, settings: Settings, signed_in: Callable[[str], requests.Session]) -> Iterator[Hub]:
    """Erin, who has no session and none of these files, now and when the test is over."""
    hub = Hub(settings, signed_in("erin"), "erin")

    def clear() -> None:
        home.remove(".jupyter", ".ipython", ".local", ".bash_profile", ".bashrc", ".profile", "large")
        sessions.end(hub)

    clear()
    yield hub
    clear()


@pytest.fixture
def erin(page: Page, arrive: Callable[[Page, str], None], own: Hub) -> Page:
    """Her browser."""
    arrive(page, "erin")
    return page


def open_lab(page: Page, own: Hub) -> None:
    """Her JupyterLab, on the login node, where it starts at once."""
    sessions.ready(own, where="login", runtime=10)
    page.goto(f"{own.lab}lab")
    pages.wait_for_lab(page)


def test_a_cut_off_settings_file_is_named_in_a_jupyterlab_that_works(erin: Page, own: Hub, home: Home):
    home.put(THEMES, '{"theme": "Jupy')
    open_lab(erin, own)
    notice = erin.locator(".jp-toast-message").filter(has_text="cannot be read")
    expect(notice).to_contain_text("is not used: themes.jupyterlab-settings", timeout=STARTS)
    erin.get_by_role("button", name="Details").click()
    dialog = erin.get_by_role("dialog")
    expect(dialog).to_contain_text("Your own settings")
    expect(dialog).to_contain_text("/apputils-extension/themes.jupyterlab-settings is not JSON")


def test_a_start_that_failed_has_a_button_that_does_without_own_settings(
    erin: Page, own: Hub, home: Home, settings: Settings, pictures: Path
):
    home.put(CONFIG, "import sys; sys.exit(3)\n")
    home.put(".bash_profile", "exit 1\n")
    erin.goto(f"{settings.url}/jupyterhub/hpc/hub/spawn")
    erin.get_by_label("Run on").select_option("login")
    erin.get_by_label("Runtime").fill("10")
    erin.get_by_role("button", name="Start").click()
    alert = erin.get_by_role("alert")
    expect(alert).to_contain_text(
        "~/.jupyter/jupyter_server_config.py ended it (exit code 3)", timeout=STARTS
    )
    button = erin.get_by_role("button", name="Start without my own settings")
    expect(button).to_be_visible()
    erin.screenshot(path=pictures / "failed-start.png")
    button.click()
    pages.wait_for_lab(erin)
    banner = erin.locator("#benchtop-without-settings")
    expect(banner).to_contain_text("Started without your own settings", timeout=STARTS)
    expect(banner).to_contain_text("~/.jupyter")
    expect(banner).to_contain_text("Broken: ~/.bash_profile, ~/.jupyter/jupyter_server_config.py")
    erin.screenshot(path=pictures / "without-settings.png")
    banner.get_by_role("button", name="Open a terminal").click()
    terminal = erin.locator(".jp-Terminal:visible")
    expect(terminal).to_be_visible()
    expect(terminal.locator(".xterm-screen")).to_be_visible()
    terminal.locator("textarea").focus()
    erin.keyboard.type("rm .jupyter/jupyter_server_config.py && touch large\n")
    expect(erin.locator(".jp-DirListing-item", has_text="large")).to_be_visible(timeout=60_000)
    assert home.run(f"test -e {CONFIG} || echo gone").split() == ["gone"]


def test_the_form_offers_it_and_forgets_it(erin: Page, own: Hub, settings: Settings, pictures: Path):
    form = f"{settings.url}/jupyterhub/hpc/hub/spawn"
    erin.goto(form)
    box = erin.get_by_label("Start without my own settings")
    expect(box).not_to_be_checked()
    erin.screenshot(path=pictures / "form-with-choice.png", full_page=True)
    erin.get_by_label("Run on").select_option("login")
    box.check()
    erin.get_by_role("button", name="Start").click()
    pages.wait_for_lab(erin)
    expect(erin.locator("#benchtop-without-settings")).to_contain_text("nothing was there", timeout=STARTS)
    sessions.end(own)
    erin.goto(form)
    expect(box).not_to_be_checked()


def test_it_shows_how_full_the_home_is_and_finds_what_is_large(
    erin: Page, own: Hub, home: Home, pictures: Path
):
    home.run("mkdir large && head -c 30000000 /dev/urandom >large/data.bin")
    open_lab(erin, own)
    item = erin.locator("#benchtop-home button")
    expect(item).to_have_text(re.compile(r"Home \d+ % full"), timeout=STARTS)
    expect(erin.locator(".jp-toast-message").filter(has_text="home folder")).to_have_count(0)
    item.click()
    panel = erin.locator("#benchtop-what-is-large")
    expect(panel.get_by_role("button", name="large/data.bin")).to_be_visible()
    expect(panel).to_contain_text("30.0 MB")
    erin.screenshot(path=pictures / "what-is-large.png")
    panel.get_by_role("button", name="large", exact=True).click()
    expect(erin.locator(".jp-DirListing-item", has_text="data.bin")).to_be_visible()


def test_a_home_that_is_full_is_warned_of(erin: Page, own: Hub, home: Home, pictures: Path):
    with home.full("hpc-login"):
        open_lab(erin, own)
        notice = erin.locator(".jp-toast-message").filter(has_text="home folder")
        expect(notice).to_contain_text("Nothing can be saved in your home folder: it is full", timeout=STARTS)
        erin.screenshot(path=pictures / "full-home.png")
        erin.get_by_role("button", name="Show what is large").click()
        expect(erin.locator("#benchtop-what-is-large").get_by_role("button", name="data/big")).to_be_visible()
        sessions.end(own)
