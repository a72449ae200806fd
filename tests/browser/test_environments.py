"""Environments as people meet them: in the form, in JupyterLab, and in a notebook that wants another one."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, ViewportSize, expect

from benchtop.settings import Settings
from support import pages, sessions, software
from support.hub import Hub

pytestmark = [
    pytest.mark.needs("hpc/erin", "htc/erin", throughout=True),
    pytest.mark.shares("slurm", throughout=True),
]

WIDE: ViewportSize = {"width": 1280, "height": 860}


@pytest.fixture(scope="module")
def area(settings: Settings) -> Iterator[software.Area]:
    """With one environment for this cluster, and one whose kernel is on the other one alone."""
    with (
        software.published(
            settings, "sample", "2026.1", title="Sample", description="For the tests of the form."
        ) as one,
        software.published(settings, "faraway", "7", title="Far Away", clusters=["htc"]),
    ):
        yield one


@pytest.fixture(scope="module")
def own(
    settings: Settings, signed_in: Callable[[str], requests.Session], area: software.Area
) -> Iterator[Hub]:
    """Erin's hub; she has no session there before and afterwards."""
    found = Hub(settings, signed_in("erin"), "erin", "hpc")
    sessions.end(found)
    yield found
    sessions.end(found)


@pytest.fixture
def erin(page: Page, arrive: Callable[[Page, str], None]) -> Page:
    """A browser with her login."""
    arrive(page, "erin")
    return page


def test_the_form_says_what_an_environment_is_and_asks_for_the_folder_of_ones_own(
    erin: Page, own: Hub, pictures: Path
):
    erin.goto(f"{own.base}/hub/spawn?environment=sample")
    field = erin.get_by_label("Environment", exact=True)
    expect(field).to_have_value("sample")
    expect(erin.get_by_text("For the tests of the form. Kernels: Sample.")).to_be_visible()
    expect(erin.get_by_label("Its folder")).to_be_hidden()
    erin.screenshot(path=pictures / "form-environment.png", full_page=True)
    field.select_option("~")
    expect(erin.get_by_text("For the tests of the form.")).to_be_hidden()
    erin.get_by_label("Its folder").fill("~/my-env")
    erin.get_by_label("Run on").select_option("login")
    expect(field).to_be_visible()
    field.select_option("")
    expect(erin.get_by_label("Its folder")).to_be_hidden()
    erin.goto(f"{own.base}/hub/spawn?environment=nowhere")
    expect(
        erin.get_by_text("“nowhere” is not available to you on this cluster, or not any more.")
    ).to_be_visible()
    pages.nothing_serious(erin, pictures / "form-environment-phone.png")


def test_jupyterlab_shows_its_environment_and_the_launcher_its_kernels(erin: Page, own: Hub, pictures: Path):
    erin.goto(f"{own.base}/hub/spawn?environment=sample")
    pages.ask_for_a_job(erin)
    erin.get_by_label("Partition").select_option("debug")
    erin.get_by_label("Runtime").fill("20")
    erin.get_by_role("button", name="Start").click()
    pages.wait_for_lab(erin)
    erin.goto(f"{own.lab}lab?reset")  # without the tabs of an earlier session
    pages.wait_for_lab(erin)
    expect(erin.locator("#benchtop-status").get_by_text("Environment: sample 2026.1")).to_be_visible()
    section = erin.locator(".jp-Launcher-section").filter(
        has=erin.get_by_role("heading", name="Sample 2026.1")
    )
    expect(section.locator(".jp-LauncherCard")).to_have_count(1)
    expect(section.locator(".jp-LauncherCard-icon svg image")).to_have_attribute(
        "href", re.compile("kernelspecs/sample/logo")
    )
    erin.screenshot(path=pictures / "lab-launcher.png")
    section.locator(".jp-LauncherCard").click()
    expect(erin.locator(".jp-NotebookPanel:visible")).to_be_visible()
    expect(erin.locator(".jp-Toolbar-kernelName:visible")).to_have_text("Sample")


def notebook(own: Hub, path: str, kernel: str, *code: str) -> None:
    """A notebook that was written for this kernel."""
    spec = {"name": kernel, "display_name": kernel.title(), "language": "python"}
    cells = [
        {
            "cell_type": "code",
            "id": f"cell-{n}",
            "source": cell,
            "metadata": {},
            "outputs": [],
            "execution_count": None,
        }
        for n, cell in enumerate(code)
    ]
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": spec}, "cells": cells}
    body = {"type": "notebook", "format": "json", "content": content}
    assert own.open().ok
    assert own.jupyter("PUT", f"contents/{path}", body).ok


def test_the_sidebar_loads_a_module_for_the_kernels_that_start_after_it(erin: Page, own: Hub, pictures: Path):
    sessions.end(own)
    sessions.ready(own, where="batch", partition="debug")  # the facility's own JupyterLab
    erin.goto(f"{own.lab}lab?reset")
    pages.wait_for_lab(erin)
    erin.get_by_role("tab", name="Software Modules").click()
    panel = erin.locator(".jp-Module")
    module = panel.locator(".jp-Module-item").filter(has_text="base/2026.3")
    expect(module).to_be_visible()
    erin.screenshot(path=pictures / "lab-modules.png")
    module.hover()
    module.get_by_role("button", name="Load").click()
    loaded = panel.locator(".jp-Module-section").filter(has_text="Loaded").locator(".jp-Module-item")
    expect(loaded.filter(has_text="base/2026.3")).to_be_visible()
    found = pages.run_in_new_notebook(erin, "import shutil; print(shutil.which('ipython'))")
    assert found == "/software/base/2026.3/bin/ipython"


def test_the_widgets_of_an_environment_are_shown_by_a_session_that_is_not_its_own(erin: Page, own: Hub):
    if not own.ready():
        sessions.ready(own)
    notebook(
        own, "slider.ipynb", "base", "import ipywidgets\nipywidgets.IntSlider(value=7, description='Cut')"
    )
    erin.goto(f"{own.lab}lab/tree/slider.ipynb?reset")
    pages.wait_for_lab(erin)
    expect(erin.locator("#jp-main-statusbar").get_by_text("| Idle")).to_be_visible(timeout=60_000)
    erin.locator(".jp-NotebookPanel:visible .cm-content").first.click()
    erin.keyboard.press("Shift+Enter")
    slider = erin.locator(".jp-OutputArea .jupyter-widgets.widget-slider")
    expect(slider.get_by_role("slider")).to_have_attribute("aria-valuetext", "7", timeout=60_000)
    own.jupyter("DELETE", "contents/slider.ipynb")


def test_a_notebook_whose_kernel_is_elsewhere_names_the_environment_and_leads_to_the_form(
    erin: Page, own: Hub, pictures: Path
):
    if not own.ready():
        sessions.ready(own)
    notebook(own, "far.ipynb", "faraway")
    notebook(own, "unknown.ipynb", "nobody-has-it")
    erin.goto(f"{own.lab}lab/tree/far.ipynb?reset")
    pages.wait_for_lab(erin)
    dialog = erin.locator(".jp-Dialog").filter(has_text="kernel is not here")
    expect(dialog).to_contain_text("“far.ipynb” was written for the kernel “Faraway”")
    expect(dialog).to_contain_text("It is part of Far Away 7.")
    erin.screenshot(path=pictures / "lab-kernel-elsewhere.png")
    with erin.expect_popup() as opened:
        dialog.get_by_role("button", name="Start a session in Far Away on HTC").click()
    form = opened.value
    form.wait_for_url(re.compile("/jupyterhub/htc/hub/spawn"))
    expect(form.get_by_label("Environment", exact=True)).to_have_value("faraway")
    form.close()

    erin.goto(f"{own.lab}lab/tree/unknown.ipynb?reset")
    pages.wait_for_lab(erin)
    dialog = erin.locator(".jp-Dialog").filter(has_text="kernel is not here")
    expect(dialog).to_contain_text("No environment that you may use has it.")
    dialog.get_by_role("button", name="Choose another kernel").click()
    expect(dialog).to_have_count(0)
    for path in ("far.ipynb", "unknown.ipynb"):
        own.jupyter("DELETE", f"contents/{path}")
