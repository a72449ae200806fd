"""A person's jobs on both batch systems: in a notebook, and as JupyterLab's panel asks for them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from benchtop.settings import Settings
from support import sessions, traffic
from support.batch import Batch
from support.hub import Hub
from support.wait import wait_until

pytestmark = [
    pytest.mark.needs("hpc/erin", "htc/erin", throughout=True),
    pytest.mark.shares("slurm", "condor"),
]

RUNS = 60  # seconds until the jobs of a test are where they are to be, on a busy machine
CELL = 60  # … for a cell that asks all
SUBMIT = """
import json, pathlib, subprocess
def say(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
folder = pathlib.Path.home() / "jobs-of-a-test"
folder.mkdir(exist_ok=True)
(folder / "busy.py").write_text('''
import time
held, end = b"x" * (80 << 20), time.time() + 12
while time.time() < end:
    pass
time.sleep(300)
''')
small = ["sbatch", "--parsable", "--partition=harvester", "--mem=200M", "--time=5"]
array = say(*small, "--array=0-3%1", "--job-name=<b>fit</b> | two", f"--output={folder}/%A-%a.txt",
            f"--wrap=echo begun; exec python3 {folder}/busy.py")
held = say(*small, "--hold", "--wrap=true")
failed = say(*small, f"--output={folder}/%x-%j.txt", "--job-name=three", "--wrap=exit 3")
(folder / "a.sub").write_text(f'''
executable = /usr/bin/python3
arguments = {folder}/busy.py
output = {folder}/condor.$(Process).txt
transfer_executable = false
should_transfer_files = NO
request_memory = 200M
JobBatchName = map
queue 2
''')
cluster = say("condor_submit", "-terse", str(folder / "a.sub")).split(".")[0]
print(json.dumps([str(folder), array, held, failed, cluster]))
"""
LIST = """
import benchtop_batch, json
found = benchtop_batch.jobs()
print(json.dumps([found.missing, [vars(job) | {"cpu": job.cpu(found.at)} for job in found]]))
"""
CANCEL = "benchtop_batch.jobs().cancel()"
CLEAN = "import shutil; shutil.rmtree(folder, ignore_errors=True)"


@pytest.fixture(scope="module")
def own(settings: Settings, signed_in: Callable[[str], requests.Session]) -> Iterator[Hub]:
    """Erin's session on Slurm; none of her jobs is left on either system."""
    with sessions.owners(settings, signed_in) as meet:
        meet("erin", "htc")
        found = meet("erin", "hpc")
        sessions.begin(found)
        yield found


@pytest.fixture
def kernel(own: Hub) -> Iterator[str]:
    """A kernel in which SUBMIT can be run; what it left goes."""
    started = own.kernel()
    yield started
    traffic.run(own, started, CLEAN, CELL)
    own.jupyter("DELETE", f"kernels/{started}")
    for cluster in ("hpc", "htc"):
        batch = Batch(own.settings, cluster)
        numbers = [job.number for job in batch.jobs("erin") if not job.name.startswith("jh-")]
        if numbers:
            batch.cancel("erin", *numbers)


def listed(own: Hub, kernel: str) -> dict[str, dict[str, Any]]:
    """What jobs() says, by number."""
    missing, found = json.loads(traffic.run(own, kernel, LIST, CELL))
    assert missing == []
    return {job["number"]: job for job in found}


def test_jobs_of_both_systems_are_listed_with_their_reasons_and_use_and_are_cancelled(own: Hub, kernel: str):
    folder, array, held, failed, cluster = json.loads(traffic.run(own, kernel, SUBMIT, CELL))
    shown: dict[str, dict[str, Any]] = {}

    def settled() -> bool:
        shown.clear()
        shown.update(listed(own, kernel))
        mapped = shown.get(f"{cluster}.0", {})
        running = [shown.get(number, {}).get("state") for number in (f"{array}_0", f"{cluster}.0")]
        ended = shown.get(failed, {}).get("state") == "failed"
        return running == ["running", "running"] and ended and bool(mapped["cpu"] and mapped["memory_used"])

    wait_until(settled, timeout=RUNS, what="the jobs to run", tell=lambda: json.dumps(shown, indent=1))
    first, rest = shown[f"{array}_0"], shown[f"{array}_[1-3]"]
    assert (first["name"], first["node"], first["log"]) == (
        "<b>fit</b> | two", "cpu-1", f"{folder}/{array}-0.txt",
    )  # fmt: skip
    assert (rest["state"], rest["count"]) == ("waiting", 3)
    assert rest["reason"] == "no more of them may run at a time"
    assert (shown[held]["state"], shown[held]["reason"]) == ("held", "you put it on hold")
    assert shown[failed]["reason"] == "it ended with exit code 3"
    assert shown[failed]["log"] == f"{folder}/three-{failed}.txt"
    mapped = shown[f"{cluster}.0"]
    assert mapped["node"].startswith("condor-ep-")
    assert mapped["log"] == f"{folder}/condor.0.txt"
    assert mapped["memory"] == 200 << 20
    assert 70 << 20 < mapped["memory_used"] < 200 << 20
    assert [job["name"][:3] for job in shown.values() if job["session"] == "this"] == ["jh-"]

    traffic.run(own, kernel, CANCEL, CELL)

    def over() -> bool:
        shown.clear()
        shown.update(listed(own, kernel))
        mine = [f"{array}_0", held, f"{cluster}.0", f"{cluster}.1"]
        return all(shown.get(number, {}).get("state") == "cancelled" for number in mine)

    wait_until(over, timeout=RUNS, what="the jobs to be cancelled", tell=lambda: json.dumps(shown, indent=1))
    assert shown[f"{cluster}.0"]["reason"] == "you cancelled it"
    assert shown[f"{array}_0"]["reason"] == "you cancelled it"
    assert 0.02 < shown[f"{array}_0"]["cpu"] < 1.5, "Slurm says what it used, once it has ended"
    assert own.ready(), "the session was left out"


def test_the_panel_has_an_array_as_one_line_and_cancels_it_and_no_session(
    own: Hub, kernel: str, signed_in: Callable[[str], requests.Session]
):
    _, array, *_ = json.loads(traffic.run(own, kernel, SUBMIT, CELL))
    shown: dict[str, Any] = {}

    def line() -> dict[str, Any]:
        shown.clear()
        shown.update(own.facility("GET", "jobs").json())
        found = [one for one in shown["active"]["groups"] if one["number"] == array]
        return found[0] if found else {}

    wait_until(
        lambda: line().get("counts") == {"running": 1, "waiting": 3}, timeout=RUNS, what="the array to run",
        tell=lambda: json.dumps(shown, indent=1),
    )  # fmt: skip
    assert {one["cluster"] for one in shown["active"]["groups"]} == {"slurm", "condor"}
    (session,) = [one for one in shown["active"]["groups"] if one["session"] == "this"]
    refused = own.facility("DELETE", f"jobs/slurm/{session['number']}").json()["message"]
    assert "is a session" in refused
    assert own.facility("DELETE", f"jobs/slurm/{array}").json() == {"message": ""}
    wait_until(lambda: not line(), timeout=RUNS, what="the array to be cancelled")
    assert own.ready()

    address = f"{own.lab}benchtop/jobs"
    assert own.browser.delete(f"{address}/slurm/{array}", timeout=60).status_code == 403, "no XSRF token"
    assert own.facility("DELETE", "jobs/slurm/1;2").status_code == 404
    assert own.facility("DELETE", "jobs/slurm/--user=carol").status_code == 404
    assert signed_in("carol").get(address, timeout=60).status_code == 403
    assert own.facility("GET", "jobs").ok, "the control: her own page may ask"
