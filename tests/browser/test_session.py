"""One thread through the facility: a form, a job, a notebook, and its end."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect
from testinfra.host import Host

from benchtop import topology
from benchtop.people import roster
from benchtop.settings import Settings
from support import pages
from support.as_person import as_person
from support.hub import Hub
from support.wait import wait_until

pytestmark = pytest.mark.shares("slurm", "condor")

Service = Callable[..., Host]
COMMANDS = (
    "id -un",
    "hostname",
    "echo gpus=$CUDA_VISIBLE_DEVICES",
    "echo job=$SLURM_JOB_ID",
    "nvidia-smi | head -1",
)
CELL = f"import subprocess\nfor command in {COMMANDS}:\n    print(subprocess.getoutput(command))"


@pytest.fixture
def jobs(service: Service) -> Callable[[str], list[str]]:
    """The numbers of a person's jobs, by the scheduler itself."""
    return lambda name: (
        service("slurmctld").check_output("squeue --noheader --format=%%A --user=%s", name).split()
    )


@pytest.fixture
def pool_jobs(service: Service) -> Callable[[str], list[str]]:
    """Likewise on HTCondor; an admin on the access point sees everybody's."""
    return lambda name: (
        service("condor-ap", user="root")
        .check_output("condor_q -global -allusers -constraint %s -autoformat ClusterId", f'Owner == "{name}"')
        .split()
    )


@pytest.fixture
def no_session(
    settings: Settings,
    signed_in: Callable[[str], requests.Session],
    jobs: Callable[[str], list[str]],
    service: Service,
    everybody: roster.People,
) -> Iterator[Callable[[str], None]]:
    """Make sure that a person has no session and no open documents, now and when the test is over."""
    touched: set[str] = set()

    def end(name: str) -> None:
        touched.add(name)
        for cluster in everybody.people[name].clusters:
            hub = Hub(settings, signed_in(name), name, cluster)
            assert hub.stop().status_code in {202, 204, 404}
            wait_until(lambda hub=hub: hub.server() is None, timeout=60, what=f"the end of {name}'s session")
        wait_until(lambda: not jobs(name), timeout=30, what=f"the end of {name}'s jobs")
        remove = f"rm -rf /home/{name}/.jupyter/lab/workspaces"
        service("hpc-login").check_output(as_person(name, remove))

    yield end
    for name in touched:
        end(name)


@pytest.mark.needs("hpc/alice", "htc/alice")
def test_alice_runs_a_cell_inside_a_job_with_a_pascal_gpu(
    page: Page,
    settings: Settings,
    pictures: Path,
    jobs: Callable[[str], list[str]],
    no_session: Callable[[str], None],
    record_property: Callable[[str, object], None],
):
    no_session("alice")
    began = time.monotonic()
    pages.log_in(page, settings, "alice")
    page.get_by_role("link", name="Open notebooks on HPC").click()
    pages.ask_for_a_job(page)
    page.get_by_label("Partition").select_option("debug")
    page.get_by_label("GPU").select_option("pascal:1")
    page.get_by_label("Runtime").fill("30")
    expect(page.get_by_role("status").filter(has_text="Expected start")).to_be_visible()
    page.screenshot(path=pictures / "form.png")
    clicked = time.monotonic()
    page.get_by_role("button", name="Start").click()
    pages.wait_for_lab(page)
    ready = time.monotonic()
    said = pages.run_in_new_notebook(page, CELL)
    done = time.monotonic()
    page.screenshot(path=pictures / "notebook.png")

    who, where, gpus, job, smi = said.splitlines()
    assert (who, where) == ("alice", "gpu-1")
    assert gpus in {"gpus=0", "gpus=1"}  # whichever nobody else has
    assert [job] == [f"job={number}" for number in jobs("alice")]
    assert "emulated" in smi.lower()
    figures = {
        "login to output": done - began,
        "click to Lab": ready - clicked,
        "notebook to output": done - ready,
    }
    for what, seconds in figures.items():
        record_property(what, round(seconds, 1))
        print(f"{what}: {seconds:.1f} s")


@pytest.mark.needs("hpc/alice", "htc/alice")
def test_files_stay_when_the_session_ends(
    page: Page,
    settings: Settings,
    no_session: Callable[[str], None],
    jobs: Callable[[str], list[str]],
    arrive: Callable[[Page, str], None],
):
    no_session("alice")
    arrive(page, "alice")
    words = f"kept {time.time_ns()}"
    pages.start(page, settings, partition="debug")
    pages.run_in_new_notebook(page, f"open('kept.txt', 'w').write('{words}')")
    first = jobs("alice")
    no_session("alice")
    pages.start(page, settings, partition="debug")
    assert jobs("alice") != first
    assert words in pages.run_in_new_notebook(page, "print(open('kept.txt').read())")


@pytest.mark.needs("hpc/alice", "htc/alice")
def test_stop_ends_the_job_at_once(
    page: Page,
    settings: Settings,
    no_session: Callable[[str], None],
    jobs: Callable[[str], list[str]],
    arrive: Callable[[Page, str], None],
):
    no_session("alice")
    arrive(page, "alice")
    pages.start(page, settings, partition="debug")
    assert len(jobs("alice")) == 1
    page.goto(f"{settings.url}/jupyterhub/hpc/hub/home")
    page.get_by_role("button", name=re.compile("Stop My Server")).click()
    wait_until(lambda: not jobs("alice"), timeout=10, what="the end of alice's job")


@pytest.mark.needs("hpc/carol")
def test_carol_is_not_offered_a_gpu(
    page: Page, settings: Settings, no_session: Callable[[str], None], arrive: Callable[[Page, str], None]
):
    no_session("carol")
    arrive(page, "carol")
    page.goto(f"{settings.url}/jupyterhub/hpc/hub/spawn")
    expect(page.get_by_label("Partition")).to_be_visible()
    expect(page.get_by_label("GPU")).to_have_count(0)
    expect(page.locator("input[name=gpu]")).to_have_value("none")
    expect(page.get_by_label("Partition").locator("option[value=usatlas]")).to_have_count(0)


@pytest.mark.needs("hpc/carol")
def test_a_forged_request_of_carol_for_a_gpu_is_refused_with_a_sentence(
    page: Page,
    settings: Settings,
    pictures: Path,
    no_session: Callable[[str], None],
    jobs: Callable[[str], list[str]],
    service: Service,
    arrive: Callable[[Page, str], None],
):
    no_session("carol")
    arrive(page, "carol")
    page.goto(f"{settings.url}/jupyterhub/hpc/hub/spawn")
    page.get_by_label("Partition").select_option("debug")  # whatever she asked for last
    page.evaluate("document.querySelector('[name=gpu]').value = 'pascal:1'")
    with page.expect_response(re.compile(r"/hub/spawn")) as sent:
        page.get_by_role("button", name="Start").click()
    assert sent.value.status == 400
    expect(page.get_by_text(re.compile("GPU: your account does not include GPUs")).first).to_be_visible()
    page.screenshot(path=pictures / "refused.png")
    assert not jobs("carol")
    cell = topology.cell_of("carol", "hpc", settings.cells)
    log = pages.log_of(settings, cell)
    assert re.search(
        rf"spawn refused user=carol cell={cell} field=gpu value='pascal:1' rule=\S+ request=\S+", log
    )


@pytest.mark.needs("hpc/alice", "htc/alice")
def test_the_same_request_of_alice_is_granted(
    page: Page,
    settings: Settings,
    no_session: Callable[[str], None],
    jobs: Callable[[str], list[str]],
    arrive: Callable[[Page, str], None],
):
    """The control beside the refusal: it is carol's rights that refuse it, not the form."""
    no_session("alice")
    arrive(page, "alice")
    pages.start(page, settings, partition="debug", gpu="pascal:1")
    assert len(jobs("alice")) == 1


POOL_COMMANDS = ("id -un", "hostname", "echo slot=$_CONDOR_SLOT", "pwd")
POOL_CELL = f"import subprocess\nfor command in {POOL_COMMANDS}:\n    print(subprocess.getoutput(command))"


@pytest.mark.needs("htc/bob")
def test_bob_runs_a_cell_inside_a_job_of_the_pool(
    page: Page, settings: Settings, pictures: Path, no_session: Callable[[str], None]
):
    no_session("bob")
    pages.log_in(page, settings, "bob")
    page.get_by_role("link", name="Open notebooks on HTC").click()
    pages.ask_for_a_job(page)
    page.screenshot(path=pictures / "pool-form.png")
    page.get_by_role("button", name="Start").click()
    pages.wait_for_lab(page)
    who, where, slot, folder = pages.run_in_new_notebook(page, POOL_CELL).splitlines()
    page.screenshot(path=pictures / "pool-notebook.png")
    assert (who, folder) == ("bob", "/home/bob")
    assert where in {"condor-ep-1", "condor-ep-2"}
    assert slot.startswith("slot=jupyter")


@pytest.mark.needs("hpc/alice", "htc/alice")
def test_alice_has_a_server_on_each_cluster_at_the_same_time(
    page: Page,
    settings: Settings,
    signed_in: Callable[[str], requests.Session],
    no_session: Callable[[str], None],
    arrive: Callable[[Page, str], None],
):
    no_session("alice")
    arrive(page, "alice")
    expect(page.get_by_role("link", name=re.compile("Open notebooks on"))).to_have_count(2)
    pages.start(page, settings, partition="debug")
    pages.start_in_pool(page, settings)
    where = {}
    for cluster in ("hpc", "htc"):
        # a workspace of its own: both have the same home, and would show each other's notebooks
        page.goto(f"{settings.url}/jupyterhub/{cluster}/user/alice/lab/workspaces/{cluster}")
        pages.wait_for_lab(page)
        where[cluster] = pages.run_in_new_notebook(page, "import socket; print(socket.gethostname())")
    assert where["hpc"] in {"gpu-1", "cpu-1"}
    assert where["htc"] in {"condor-ep-1", "condor-ep-2"}
    for cluster in ("hpc", "htc"):
        assert Hub(settings, signed_in("alice"), "alice", cluster).ready()
