"""What a person does on the facility's pages, by the names that the pages show."""

from __future__ import annotations

import re
import time
from base64 import b64decode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pyotp
import zxingcpp
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, ViewportSize, expect

from benchtop.people import enrol
from benchtop.settings import Settings
from benchtop.stack import compose

PATIENCE = 45_000  # ms for what a page shows, on a busy machine
LAB = 90_000  # … and for JupyterLab to be there
GRAVE = {"serious", "critical"}
PHONE: ViewportSize = {"width": 360, "height": 740}


def nothing_serious(page: Page, picture: Path) -> None:
    """A screen reader and a phone find nothing serious wrong with a page; `picture` is of the latter."""
    page.set_viewport_size(PHONE)
    page.screenshot(path=picture, full_page=True)
    wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1], "a phone would scroll sideways"
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in GRAVE] == []


def give_password(page: Page, settings: Settings, name: str, password: str) -> None:
    """Open the facility as a stranger and send the login form."""
    page.goto(settings.url)
    expect(page).to_have_url(re.compile(re.escape(settings.login_url)))
    page.locator("#username").fill(name)
    page.locator("#password").fill(password)
    page.locator("#kc-login").click()


def give_code(page: Page, code: str) -> None:
    """Send the one-time code of somebody who has enrolled."""
    page.locator("input[name=otp]").fill(code)
    page.locator("#kc-login").click()


def log_in(page: Page, settings: Settings, name: str) -> None:
    """Password, code, landing page."""
    give_password(page, settings, name, enrol.password(settings, name))
    give_code(page, enrol.fresh_code(settings, name))
    page.wait_for_url(f"{settings.url}/")


def read_qr(page: Page) -> pyotp.TOTP:
    """What an authenticator app gets from the enrolment page: the QR image itself, decoded."""
    source = page.locator("img#kc-totp-secret-qr-code").get_attribute("src") or ""
    image = Image.open(BytesIO(b64decode(source.split(",", 1)[1])))
    (code,) = zxingcpp.read_barcodes(image)
    otp = pyotp.parse_uri(code.text)
    assert isinstance(otp, pyotp.TOTP)
    return otp


def finish_enrolment(page: Page, otp: pyotp.TOTP, spelt: Callable[[str], str] = str) -> None:
    """Type the code that the app shows, as the page asks for. spelt: how somebody types it"""
    page.locator("#totp").fill(spelt(otp.now()))
    page.locator("#userLabel").fill("phone")
    page.locator("#saveTOTPBtn").click()


def code_after(otp: pyotp.TOTP) -> str:
    """The next period's code, which Keycloak takes already: enrolling used this period's up."""
    return otp.at(int(time.time()) + otp.interval)


def ask_for_a_job(page: Page) -> None:
    """The form remembers the last start, which may have been on the login node, or with little memory."""
    page.get_by_label("Run on").select_option("batch")
    page.get_by_label("Memory").fill("1 GB")


def start_in_pool(page: Page, settings: Settings) -> None:
    """Open the form of the cluster htc, take what it offers, wait for JupyterLab."""
    page.goto(f"{settings.url}/jupyterhub/htc/hub/spawn")
    ask_for_a_job(page)
    page.get_by_role("button", name="Start").click()
    wait_for_lab(page)


def start(page: Page, settings: Settings, *, partition: str, gpu: str = "none") -> None:
    """Fill in the form, press Start, wait for JupyterLab."""
    page.goto(f"{settings.url}/jupyterhub/hpc/hub/spawn")
    ask_for_a_job(page)
    page.get_by_label("Partition").select_option(partition)
    choice = page.get_by_label("GPU")
    if gpu != "none" or choice.count():  # who may have none is not asked
        choice.select_option(gpu)
    page.get_by_label("Runtime").fill("20")
    page.get_by_role("button", name="Start").click()
    wait_for_lab(page)


def wait_for_lab(page: Page) -> None:
    """JupyterLab is there: its launcher or a document can be seen."""
    lab, trouble = page.locator("#jp-main-dock-panel"), page.locator("#failure:visible, .error")
    expect(lab.or_(trouble).first).to_be_visible(timeout=LAB)
    assert not trouble.first.is_visible(), page.locator("body").inner_text()
    expect(lab).to_be_visible(timeout=LAB)  # it may be drawn anew in this moment
    expect(page.locator("#jupyterlab-splash")).to_have_count(0, timeout=LAB)


def run_in_new_notebook(page: Page, code: str) -> str:
    """Open a notebook from the launcher, run one cell, and return what it printed."""
    page.locator('.jp-LauncherCard[data-category="Notebook"]:visible').first.click()
    notebook = page.locator(".jp-NotebookPanel:visible")
    cell = notebook.locator(".jp-CodeCell .cm-content").first
    expect(cell).to_be_visible()
    expect(page.locator("#jp-main-statusbar").get_by_text("| Idle")).to_be_visible(timeout=60_000)
    cell.click()
    page.keyboard.insert_text(code)
    page.keyboard.press("Shift+Enter")
    prompt = notebook.locator(".jp-CodeCell .jp-InputPrompt").first
    expect(prompt).to_have_text("[1]:", timeout=60_000)
    return "\n".join(notebook.locator(".jp-OutputArea-output").all_inner_texts()).strip()


def log_of(settings: Settings, service: str) -> str:
    """The recent log of a service."""
    return compose.run(settings, "logs", "--no-color", "--since", "5m", service).stdout.decode()
