"""JupyterLab's Dask panel: a new cluster, more workers, and pages that open for nobody else."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import Page, ViewportSize, expect

from benchtop.settings import Settings
from support import pages, sessions
from support.batch import Batch
from support.hub import Hub
from support.wait import wait_until

pytestmark = [
    pytest.mark.needs("hpc/erin", "htc/erin", throughout=True),
    pytest.mark.shares("slurm", throughout=True),
]

WIDE: ViewportSize = {"width": 1440, "height": 900}
STARTED = 60_000  # ms for a cluster, and for a worker, on a busy machine
GONE = 60  # seconds until the jobs of a session that was ended are gone


@pytest.fixture
def own(settings: Settings, signed_in: Callable[[str], requests.Session]) -> Iterator[Hub]:
    """Erin's hub and a session of hers; nothing is left of it and its workers afterwards."""
    found, batch = Hub(settings, signed_in("erin"), "erin", "hpc"), Batch(settings, "hpc")
    with sessions.running(found):
        yield found
    wait_until(lambda: not batch.jobs("erin"), timeout=GONE, what="the end of her workers")


def test_the_panel_starts_a_cluster_scales_it_and_shows_its_pages(
    page: Page,
    arrive: Callable[[Page, str], None],
    own: Hub,
    settings: Settings,
    signed_in: Callable[[str], requests.Session],
    pictures: Path,
):
    page.set_viewport_size(WIDE)
    arrive(page, "erin")
    page.goto(own.lab)
    pages.wait_for_lab(page)
    page.get_by_role("tab", name="Dask").click()
    page.get_by_role("button", name="NEW", exact=True).click()
    cluster = page.locator(".dask-ClusterListingItem")
    expect(cluster).to_contain_text("SLURMCluster 1", timeout=STARTED)
    cluster.get_by_role("button", name="SCALE").click()
    dialog = page.locator(".jp-Dialog")
    dialog.locator("input.dask-ScalingInput").first.fill("1")
    dialog.get_by_role("button", name="SCALE").click()
    expect(
        cluster.locator(".dask-ClusterListingItem-stats").filter(has_text="Number of Workers: 1")
    ).to_be_visible(timeout=STARTED)
    launch = page.locator(".dask-DashboardListing-item").get_by_role("button", name="Workers", exact=True)
    expect(launch).to_be_enabled(timeout=STARTED)
    launch.click()
    shown = page.frame_locator("iframe[src*='individual-workers']")
    expect(shown.locator("body")).to_contain_text(
        "tls://", timeout=STARTED
    )  # the table has the worker's address
    page.screenshot(path=pictures / "dask-panel.png")

    link = cluster.get_by_role("link").first.get_attribute("href") or ""
    address = f"{settings.url}{urlsplit(link).path}"
    assert own.browser.get(address, timeout=60).status_code == 200
    assert signed_in("carol").get(address, timeout=60).status_code == 403

    cluster.get_by_role("button", name="SHUTDOWN").click()
    expect(cluster).to_have_count(0, timeout=STARTED)
    wait_until(
        lambda: len(Batch(settings, "hpc").jobs("erin")) == 1, timeout=GONE, what="the end of the worker"
    )
    page.goto(f"{own.lab}lab?reset")  # or her next session would open with these tabs
    pages.wait_for_lab(page)
