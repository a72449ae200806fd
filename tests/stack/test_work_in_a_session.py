"""Work in a session, as a person does it there: on a node of each cluster, and on each login node."""

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from benchtop.settings import Settings
from support import package_index, sessions, traffic
from support.batch import Batch
from support.hub import Hub
from support.wait import wait_until

pytestmark = [pytest.mark.shares("slurm", "condor"), pytest.mark.long]

MEMORY = 900  # MB that the sessions in jobs ask for; on a login node each has 1024
NOTICED = 30  # seconds: JupyterLab looks every three whether a kernel lives, a batch system every five
INSTALLED = 180  # seconds to make an environment and fill it from an index
SUBMITTED = 60  # seconds until a small job has run on a busy machine
INSTALLING = Path(__file__).parents[2] / "docs/how-to/install-packages.md"
PLACES = [
    pytest.param(
        (cluster, where),
        id=f"{cluster}-{where}",
        marks=pytest.mark.needs(f"{cluster}/heidi", throughout=True),
    )
    for cluster in ("hpc", "htc")
    for where in ("batch", "login")
]


@pytest.fixture(scope="module", params=PLACES)
def own(
    request: pytest.FixtureRequest, settings: Settings, signed_in: Callable[[str], requests.Session]
) -> Iterator[Hub]:
    """Heidi's session, which all tests of one place share."""
    cluster, where = request.param
    reader = Hub(settings, signed_in("heidi"), "heidi", cluster)
    sessions.end(reader)
    asked: dict[str, Any] = {"where": where, "runtime": 20}
    if where == "batch":
        asked |= {"memory": MEMORY, **({"partition": "debug", "gpu": "pascal:1"} if cluster == "hpc" else {})}
    assert reader.start(**asked).status_code in {201, 202}
    wait_until(reader.ready, timeout=sessions.START, what=f"the session on {cluster}")
    assert reader.open().ok
    reader.kernel()  # the one that is kept
    yield reader
    sessions.end(reader)
    Batch(settings, cluster).clear("heidi")


@pytest.fixture
def is_job(own: Hub) -> bool:
    """Is it a batch job, and no session of the login node?"""
    return not str(status(own)["place"]).startswith("login")


def status(own: Hub) -> dict[str, Any]:
    """What JupyterLab's status bar shows."""
    found: dict[str, Any] = own.facility("GET", "status").json()
    return found


def shell(own: Hub, command: str) -> str:
    """What a command prints, run by a cell of a kernel that is kept for this."""
    code = (
        f"import subprocess; print(subprocess.run({command!r}, shell=True, text=True, capture_output=True))"
    )
    return traffic.run(own, kept_kernel(own), code)


def lasting(own: Hub, commands: str) -> None:
    """Run commands that may take longer than a cell should; each must succeed."""
    quiet = "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL"  # a cell would show it, whenever it comes
    begin = f"import subprocess; lasts = subprocess.Popen(['sh', '-ec', {commands!r}], {quiet})"
    traffic.run(own, kept_kernel(own), begin)
    ended = wait_until(
        lambda: traffic.run(own, kept_kernel(own), "print(lasts.poll())").replace("None", ""),
        timeout=INSTALLED,
        what=f"the end of {commands}",
    )
    assert ended == "0", commands


def kept_kernel(own: Hub) -> str:
    """The oldest kernel of the session, which no test ends."""
    running = own.jupyter("GET", "kernels").json()
    return str(running[0]["id"]) if running else own.kernel()


def answers(own: Hub, kernel: str) -> bool:
    """Does it run a cell? What one is sent that has only just been started may be lost."""
    with contextlib.suppress(*traffic.CUT):
        return traffic.run(own, kernel, "print('there')") == "there"
    return False


def dies(own: Hub, code: str) -> dict[str, Any]:
    """Run a cell that ends its kernel; why it did, as JupyterLab is told."""
    kernel = own.kernel()
    with contextlib.suppress(*traffic.CUT):
        traffic.run(own, kernel, code, patience=2)  # nothing comes back, and the cell goes on without us
    death = wait_until(
        lambda: found.json() if (found := own.facility("GET", f"kernels/{kernel}")).ok else None,
        timeout=NOTICED,
        what="the kernel's death to be known",
    )
    assert own.ready(), "the session goes on"
    wait_until(lambda: answers(own, kernel), timeout=NOTICED, what="the kernel to be there anew")
    own.jupyter("DELETE", f"kernels/{kernel}")
    return dict(death)


# ---- its kernels --------------------------------------------------------------------------------


def test_a_kernels_sockets_are_out_of_the_home_and_have_a_short_path(own: Hub):
    code = "from ipykernel.connect import get_connection_file; print(get_connection_file())"
    file = traffic.run(own, kept_kernel(own), code)
    assert not file.startswith("/home/")
    assert len(file) + len("-ipc-5") <= 107, "the bytes of a socket's path"


def test_a_kernel_that_crashes_leaves_no_core_file_and_says_that_it_crashed(own: Hub):
    death = dies(own, "held = bytearray(300 << 20); import ctypes; ctypes.string_at(0)")
    assert death["reason"] == "it crashed (signal 11, segmentation fault)."
    assert not death["memory"]
    assert "returncode=1" in shell(own, "find ~ -maxdepth 2 -name 'core*' -type f -size +1M | grep .")


def test_nothing_that_is_started_there_may_leave_a_core_file(own: Hub):
    ask = "ulimit -Sc; ulimit -Hc"
    assert "'0\\n0\\n'" in shell(own, ask)
    if own.cluster == "hpc":  # and no job that is submitted from there
        assert "'0\\n0\\n'" in shell(own, f"srun --partition=debug --time=1 --mem=64M sh -c '{ask}'")


def test_a_cell_that_takes_too_much_memory_costs_its_kernel_and_not_the_session(own: Hub):
    granted = status(own)["memory"]["granted"] >> 20
    death = dies(own, f"held = bytes(1) * ({granted + 500} << 20); held = held.replace(bytes(1), bytes([1]))")
    assert death["memory"]
    assert f"needed more memory than requested ({granted} MB; it had taken " in str(death["reason"])
    assert "Start a session with more memory" in str(death["reason"])


def test_so_does_what_takes_it_piece_by_piece(own: Hub):
    # 400 MB in a second at most, as a computation does: on a machine that is busy with other tests, the batch
    # system ends whoever is faster than a look at memory
    piece = "held.append(b'x' * (20 << 20)); time.sleep(0.05)"
    death = dies(own, f"import time\nheld = []\nwhile True:\n    {piece}")
    assert death["memory"]


def test_a_pasted_table_of_11_mb_runs(own: Hub):
    def printed(code: str) -> str:
        return traffic.run(own, kernel, code, patience=60)  # a browser would wait for as long as it takes

    kernel = own.kernel()
    assert printed(f"print(len('{'x' * (11 << 20)}'))") == str(11 << 20)
    assert printed(f"print('{'y' * 1000}' * 11_000)") == "y" * 11_000_000, "and comes back"
    own.jupyter("DELETE", f"kernels/{kernel}")


# ---- its terminals --------------------------------------------------------------------------------


def test_a_terminal_has_the_environment_of_the_notebooks(own: Hub):
    shown = traffic.type_into_terminal(own, "which python jupyter pip", "bash -lc 'which jupyter'")
    for name in ("python", "pip"):
        assert f"/opt/lab/bin/{name}\r" in shown
    assert shown.count("/opt/lab/bin/jupyter\r") == 2


def test_so_it_has_when_a_persons_own_files_set_the_path(own: Hub, settings: Settings):
    profile = "export PATH=/usr/bin:/bin:$HOME/bin"
    kept = shell(own, f"cd; mv .bash_profile .bash_profile.kept; echo '{profile}' > .bash_profile")
    assert "CompletedProcess" in kept
    try:
        shown = traffic.type_into_terminal(own, "which jupyter; echo $PATH")
        assert "/opt/lab/bin/jupyter\r" in shown
        assert ":/home/heidi/bin\r" in shown
    finally:
        shell(own, "cd; rm .bash_profile; mv .bash_profile.kept .bash_profile")


def test_people_can_install_for_themselves_and_make_environments(own: Hub):
    made = shell(own, MAKE_WHEEL + "/usr/bin/python3 -m venv env && env/bin/pip --version")
    assert "returncode=0" in made
    installed = shell(
        own, "cd ~/install-test && pip install --user --no-index --quiet ./hallo-1-py3-none-any.whl"
    )
    assert "returncode=0" in installed, installed
    kernel = own.kernel()  # one that begins afterwards knows of it
    assert traffic.run(own, kernel, "import hallo_test; print(hallo_test.WORD)") == "hallo"
    own.jupyter("DELETE", f"kernels/{kernel}")
    assert "returncode=0" in shell(own, "rm -r ~/.local/lib/python3*/site-packages/hallo* ~/install-test")


MAKE_WHEEL = """
rm -rf ~/install-test; mkdir ~/install-test && cd ~/install-test && python - <<'END'
import zipfile
with zipfile.ZipFile("hallo-1-py3-none-any.whl", "w") as wheel:
    wheel.writestr("hallo_test.py", "WORD = 'hallo'")
    about = "hallo-1.dist-info/"
    wheel.writestr(about + "METADATA", "Metadata-Version: 2.1\\nName: hallo\\nVersion: 1\\n")
    wheel.writestr(about + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(about + "RECORD", "hallo_test.py,,\\n")
END
"""

# ---- packages of one's own, as docs/how-to/install-packages.md says it --------------------------------


def blocks() -> list[str]:
    """What the page has people type, block by block."""
    return re.findall(r"^```\n(.*?)^```$", INSTALLING.read_text(), re.MULTILINE | re.DOTALL)


def test_a_package_is_installed_by_a_cell_and_removed_by_a_terminal(own: Hub):
    package_index.address()
    install, remove = blocks()[:2]
    assert install == f"%pip install {package_index.PACKAGE}\n"
    kernel = own.kernel()
    traffic.run(own, kernel, install)
    own.jupyter("DELETE", f"kernels/{kernel}")
    kernel = own.kernel()
    place = traffic.run(own, kernel, "import iniconfig; print(iniconfig.__file__)")
    own.jupyter("DELETE", f"kernels/{kernel}")
    assert place.startswith("/home/heidi/.local/lib/python3")
    assert "returncode=0" in shell(own, remove)
    assert "No module named" in shell(own, "python -c 'import iniconfig'")


def test_what_is_installed_for_one_environment_is_in_no_other(own: Hub):
    package_index.address()
    lasting(own, f"/software/base/current/bin/pip install --quiet {package_index.PACKAGE}")
    try:
        started = own.jupyter("POST", "kernels", {"name": "base"})
        assert started.ok, started.text
        kernel = str(started.json()["id"])
        place = traffic.run(own, kernel, "import iniconfig; print(iniconfig.__file__)")
        own.jupyter("DELETE", f"kernels/{kernel}")
        assert place.startswith("/home/heidi/.local/benchtop/base-py3")
        assert "No module named" in shell(own, "/opt/lab/bin/python -c 'import iniconfig'")
        left_out = "PYTHONNOUSERSITE=1 /software/base/current/bin/python -c 'import iniconfig'"
        assert "No module named" in shell(own, left_out), "nor where somebody leaves out their own settings"
    finally:
        lasting(own, "rm -r ~/.local/benchtop/base-py3*")


def test_an_environment_of_ones_own_becomes_a_kernel(own: Hub, is_job: bool):
    if is_job == (own.cluster == "htc"):
        return  # a job of Slurm's and the login node of the other cluster: the rest is the same
    package_index.address()
    make, remove = blocks()[2:4]
    try:
        lasting(own, make)
        started = own.jupyter("POST", "kernels", {"name": "mine"})
        assert started.ok, started.text
        kernel = str(started.json()["id"])
        code = "import iniconfig, sys; print(sys.prefix, iniconfig.__file__)"
        prefix, place = traffic.run(own, kernel, code).split()
        own.jupyter("DELETE", f"kernels/{kernel}")
        assert prefix == "/home/heidi/environments/mine"
        assert place.startswith(prefix), "of its own, and not what somebody installed for another environment"
    finally:
        lasting(own, remove)


# ---- batch jobs from it -----------------------------------------------------------------------------

SCRIPT = """#!/bin/sh
#SBATCH --partition=debug --time=2 --chdir=/home/heidi --output=from-a-session.%j
srun hostname && echo gpus=$CUDA_VISIBLE_DEVICES token=$JUPYTERHUB_API_TOKEN cpus=$SLURM_CPUS_PER_TASK
"""


@pytest.mark.parametrize("options", ["", "--export=ALL"])
def test_a_batch_job_from_a_session_inherits_nothing_that_slurm_gave_it(own: Hub, options: str):
    submit = f"printf %s {SCRIPT!r} | sed 's/\\\\n/\\n/g' | "
    submitted = shell(
        own, f"{submit} sbatch --wait --parsable {options} && cat ~/from-a-session.*; rm ~/from-a-session.*"
    )
    assert "gpus= token= cpus=\\n" in submitted, submitted
    assert "mutually exclusive" not in submitted


@pytest.mark.parametrize("command", ["srun", "salloc --quiet srun"])
def test_srun_and_salloc_start_jobs_of_their_own(own: Hub, command: str):
    started = shell(
        own,
        f"{command} --partition=debug --time=1 --mem=64M sh -c 'echo job=$SLURM_JOB_ID'; echo $SLURM_JOB_ID",
    )
    if own.cluster != "hpc":
        assert "on the nodes and the login node of the Slurm cluster alone. Use sbatch from here" in started
        return
    assert "returncode=0" in started, started
    found = started.partition("stdout='job=")[2].split("\\n")
    assert found[0].isdecimal()
    assert found[0] != found[1], "of its own"


def test_its_own_job_can_be_looked_at(own: Hub, is_job: bool):
    if own.cluster == "hpc" and is_job:
        assert "JobState=RUNNING" in shell(own, "scontrol show job $SLURM_JOB_ID")
    else:
        assert "stdout=''" in shell(own, "echo -n $SLURM_JOB_ID")


# ---- documents --------------------------------------------------------------------------------------

NOTEBOOK = {
    "type": "notebook", "format": "json",
    "content": {
        "nbformat": 4, "nbformat_minor": 5, "metadata": {},
        "cells": [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Hallo"}],
    },
}  # fmt: skip


def test_whatever_format_is_offered_for_a_notebook_works_and_others_are_refused_with_a_sentence(own: Hub):
    assert own.jupyter("PUT", "contents/export-test.ipynb", NOTEBOOK).ok
    offered = set(own.jupyter("GET", "nbconvert").json()) - {
        "custom",
        "notebook",
        "python",
    }  # not in its menu
    assert {"html", "markdown", "script"} <= offered
    for name in offered:
        answer = own.browser.get(f"{own.lab}nbconvert/{name}/export-test.ipynb", timeout=120)
        assert answer.ok, f"{name}: {answer.status_code}"
    for name in {"pdf", "webpdf", "latex"} - offered:
        answer = own.browser.get(f"{own.lab}nbconvert/{name}/export-test.ipynb", timeout=60)
        assert answer.status_code == 404
        assert "Save as PDF" in answer.text
    own.jupyter("DELETE", "contents/export-test.ipynb")


def test_the_status_says_where_it_runs_until_when_and_what_it_takes(own: Hub, is_job: bool):
    told = status(own)
    if is_job and own.cluster == "hpc":
        shown = shell(own, "echo $CUDA_VISIBLE_DEVICES")
        assert re.search(r"stdout='[01]\\n'", shown), "it has one GPU, whichever nobody else has"
    assert 0 < told["ends"] - told["now"] <= 20 * 60
    assert 50 << 20 < told["memory"]["used"] < told["memory"]["granted"]
    places = {"hpc": "partition debug", "htc": "Jupyter slots"}
    assert told["place"] == (places[own.cluster] if is_job else "login node")
    assert told["node"] in {"gpu-1", "cpu-1", "condor-ep-1", "condor-ep-2", f"{own.cluster}-login"}
    assert told["memory"]["granted"] == (MEMORY if is_job else 1024) << 20
