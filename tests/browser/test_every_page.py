"""Everybody can read and use every page: with a screen reader, in the dark, on a phone."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize

from benchtop.settings import Settings
from support import pages
from support.sessions import Own

pytestmark = pytest.mark.shares("announcement", "slurm", "condor")

WIDTHS: tuple[ViewportSize, ...] = ({"width": 1280, "height": 860}, {"width": 390, "height": 844})
SETTLES = 60_000  # milliseconds until a page has all that it loads, on a busy machine
HPC, HTC = "/jupyterhub/hpc/hub", "/jupyterhub/htc/hub"
# "": signed out; the last ones of each are pages that refuse something
OWN = [f"{HPC}/home", f"{HPC}/spawn", f"{HPC}/token"]
SEEN = {
    "": ["/", "/signed-out", "/help", "/cookies-cleared", "/nothing"],
    "alice": ["/", *OWN, f"{HTC}/home", f"{HTC}/spawn", "/sessions/hpc"],
    "carol": ["/", *OWN, f"{HPC}/nothing", f"{HTC}/home"],
    "erin": ["/", "/sessions/hpc", f"{HPC}/admin", f"{HPC}/home", f"{HTC}/token"],
}

FORMS = {"alice": ("hpc/alice", "htc/alice"), "carol": ("hpc/carol",), "erin": ("hpc/erin", "htc/erin")}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "name",
    [
        # who has a session would be shown it in place of the form; and the Start page tells once what ended
        pytest.param(name, id=name or "signed-out", marks=pytest.mark.needs(*FORMS.get(name, ())))
        for name in SEEN
    ],
)
def test_nothing_serious_is_wrong_with_any_page(
    page: Page,
    settings: Settings,
    pictures: Path,
    arrive: Callable[[Page, str], None],
    own: Own,
    name: str,
    theme: str,
):
    for place in FORMS.get(name, ()):
        own(name, place.partition("/")[0])
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    if name:
        arrive(page, name)
    wrong = []
    for path in SEEN[name]:
        page.goto(f"{settings.url}{path}")
        page.wait_for_load_state("networkidle", timeout=SETTLES)
        wrong += list(looked_at(page, pictures / f"{name or 'nobody'}-{theme}", path))
    assert not wrong, "\n".join(wrong)


def looked_at(page: Page, picture: Path, path: str) -> Iterator[str]:
    """What is wrong with a page, wide and narrow, a line each."""
    for size in WIDTHS:
        page.set_viewport_size(size)
        where = f"{path} {size['width']}"
        page.screenshot(path=f"{picture}{where.replace('/', '-').replace(' ', '-')}.png", full_page=True)
        needed, there = page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        if needed > there:
            yield f"{where}: scrolls sideways, {needed} px"
        for found in Axe().run(page).response["violations"]:
            if found["impact"] in pages.GRAVE:
                node = found["nodes"][0]
                yield f"{where}: {found['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        yield from cut_off(page, where)


def cut_off(page: Page, where: str) -> Iterator[str]:
    """Choices of which the field shows a part only."""
    for label in page.evaluate(CUT_OFF):
        yield f"{where}: the choice “{label}” is cut off"


CUT_OFF = """() => [...document.querySelectorAll("select")].filter(one => one.offsetParent).flatMap(field => {
  const style = getComputedStyle(field), pen = document.createElement("canvas").getContext("2d")
  pen.font = style.font
  const room = field.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight)
  return [...field.options].map(one => one.text).filter(text => pen.measureText(text).width > room)
})"""
