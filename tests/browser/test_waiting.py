"""The page that a person waits on, in a browser: everybody can follow it, and end it."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Page, expect
from testinfra.host import Host

from benchtop.settings import Settings
from support import pages
from support.as_person import as_person
from support.hub import Hub
from support.wait import wait_until

pytestmark = [pytest.mark.needs("hpc/alice", "htc/alice"), pytest.mark.shares("slurm")]

STARTS = 120  # seconds, on a busy machine
CONFIG = "/home/alice/.jupyter/jupyter_server_config.py"


@pytest.fixture
def node(service: Callable[[str], Host]) -> Callable[[str], str]:
    """What a line of shell says that alice types on a node of hpc."""
    return lambda line: str(service("cpu-1").check_output(as_person("alice", "sh -c %s"), line))


@pytest.fixture
def alice(
    page: Page,
    settings: Settings,
    signed_in: Callable[[str], requests.Session],
    node: Callable[[str], str],
    arrive: Callable[[Page, str], None],
) -> Iterator[Page]:
    """Her browser; she has no session and no job, now and when the test is over."""
    own = Hub(settings, signed_in("alice"), "alice")

    def clear() -> None:
        node(f"rm -f {CONFIG}; scancel --user=alice")
        wait_until(lambda: own.stop().status_code == 204, timeout=STARTS, what="alice's session to end")

    clear()
    arrive(page, "alice")
    yield page
    clear()


@pytest.fixture
def waiting(alice: Page, settings: Settings, node: Callable[[str], str]) -> Page:
    """Her page of a session that waits: a job of hers holds the only GPU that a person may have in debug."""
    options = "--chdir=/tmp --output=/dev/null --partition=debug --gres=gpu:1"
    node(f"sbatch {options} --wrap 'sleep 300'")
    holds = "squeue --user=alice --noheader --states=RUNNING"
    wait_until(lambda: node(holds), timeout=STARTS, what="alice's job to run")
    begin(alice, settings, gpu="pascal:1")
    expect(alice.locator("#stage")).to_contain_text("as many GPUs as you may have", timeout=STARTS * 1000)
    return alice


@pytest.fixture
def without_script(chromium: Browser, waiting: Page) -> Iterator[Page]:
    """A browser that runs no script, with alice's cookies, on the same page."""
    state = waiting.context.storage_state()
    context = chromium.new_context(java_script_enabled=False, storage_state=state)
    context.set_default_timeout(pages.PATIENCE)
    page = context.new_page()
    page.goto(waiting.url)
    yield page
    context.close()


def begin(page: Page, settings: Settings, gpu: str = "none") -> None:
    page.goto(f"{settings.url}/jupyterhub/hpc/hub/spawn")
    pages.ask_for_a_job(page)
    page.get_by_label("Partition").select_option("debug")
    page.get_by_label("GPU").select_option(gpu)
    page.get_by_label("Runtime").fill("10")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(re.compile("/hub/spawn-pending/alice"))


def test_who_waits_reads_how_far_it_is_and_since_when(waiting: Page):
    expect(waiting.get_by_role("heading", level=1)).to_have_text("Your session is starting")
    bar = waiting.get_by_role("progressbar", name="Progress of the start")
    expect(bar).to_have_attribute("aria-valuenow", "20")
    expect(waiting.locator("[aria-live=polite]")).to_contain_text("Waiting in the queue of partition debug")
    before = waiting.get_by_role("timer").inner_text()
    expect(waiting.get_by_role("timer")).not_to_have_text(before)


def test_a_screen_reader_and_a_phone_find_nothing_wrong(waiting: Page, pictures: Path):
    pages.nothing_serious(waiting, pictures / "waiting-phone.png")


def test_stop_ends_it_and_says_so(waiting: Page):
    waiting.get_by_role("button", name="Cancel start").click()
    waiting.wait_for_url(re.compile(r"/hub/home"))
    expect(waiting.get_by_role("status").filter(has_text="My Server")).to_have_text(
        re.compile("My Server (was|is being) stopped.")
    )


def test_without_a_script_it_is_followed_and_stopped_as_well(without_script: Page):
    expect(without_script.locator("#stage")).to_contain_text("as many GPUs as you may have")
    without_script.get_by_role("button", name="Cancel start").click()
    expect(without_script.get_by_text(re.compile("My Server (was|is being) stopped."))).to_be_visible()


def test_it_leads_to_the_session_by_itself(waiting: Page, node: Callable[[str], str]):
    node("scancel --user=alice --state=RUNNING")
    pages.wait_for_lab(waiting)


def test_a_failure_is_announced_with_its_reason_and_a_way_on(
    alice: Page, settings: Settings, node: Callable[[str], str], pictures: Path
):
    node(f"mkdir -p {Path(CONFIG).parent} && echo 'raise SystemExit(\"told to alice\")' > {CONFIG}")
    begin(alice, settings)
    alert = alice.get_by_role("alert")
    expect(alert).to_contain_text("ended before JupyterLab could start", timeout=STARTS * 1000)
    expect(alert).to_contain_text("told to alice")
    pages.nothing_serious(alice, pictures / "failed-start-phone.png")
    alice.get_by_role("link", name="Choose again").click()
    expect(alice.get_by_role("button", name="Start")).to_be_visible()
