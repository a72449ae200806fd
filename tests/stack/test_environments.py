"""A session runs in the environment that was chosen: on both clusters, on login nodes and in containers."""

import re
import time
from collections.abc import Callable, Iterator

import pytest
import requests

from benchtop.settings import Settings
from benchtop.stack import compose
from support import sessions, software, traffic
from support.facility import logged
from support.homes import Home
from support.hub import Hub
from support.wait import wait_until

pytestmark = [
    pytest.mark.needs("hpc/carol", "htc/bob", throughout=True),
    pytest.mark.shares("slurm", "condor", throughout=True),
    pytest.mark.long,
]

NAME, TITLE = "trial", "Trial"
WHO = {"hpc": "carol", "htc": "bob"}
TOLD = 60  # seconds in which somebody whose session cannot start reads why
ASKED: dict[str, dict[str, object]] = {
    "hpc": {"where": "batch", "partition": "debug", "runtime": 10},
    "htc": {"where": "batch", "runtime": 10},
    "hpc-login": {"where": "login", "runtime": 10},
    "htc-login": {"where": "login", "runtime": 10},
    "hpc-container": {"where": "container", "runtime": 10},
    "htc-container": {"where": "container", "runtime": 10},
}
# What a cell finds out of its own Python and of the server that has started it
WHICH = """
import os, sys
server = open(f"/proc/{os.getppid()}/cmdline").read().split("\\0")[0]
print(sys.prefix, server, os.environ["BENCHTOP_ENVIRONMENT"], os.environ["PATH"].split(":")[0])
"""
FACILITY = "/opt/lab /opt/lab/bin/python"

At = Callable[[str], Hub]


@pytest.fixture(scope="module")
def area(settings: Settings) -> Iterator[software.Area]:
    """With one environment for everybody."""
    with software.published(settings, NAME, "2026.1", title=TITLE) as found:
        yield found


@pytest.fixture(scope="module")
def at(settings: Settings, signed_in: Callable[[str], requests.Session]) -> Iterator[At]:
    """`at("htc-login")`: the hub of somebody there who has no session."""
    known = {cluster: Hub(settings, signed_in(who), who, cluster) for cluster, who in WHO.items()}

    def go(place: str) -> Hub:
        own = known[place.partition("-")[0]]
        sessions.end(own)
        return own

    yield go
    for own in known.values():
        sessions.end(own)


def begin(own: Hub, place: str, environment: str) -> str:
    """Start a session in an environment, and run a cell in the kernel that a notebook begins with."""
    sessions.begin(own, **ASKED[place], environment=environment)
    return in_default_kernel(own)


def in_default_kernel(own: Hub) -> str:
    """What WHICH prints there."""
    name = own.jupyter("GET", "kernelspecs").json()["default"]
    kernel = own.jupyter("POST", "kernels", {"name": name})
    kernel.raise_for_status()
    return traffic.run(own, kernel.json()["id"], WHICH)


def fails(own: Hub, place: str, **wanted: object) -> str:
    """Start a session that must fail; what its owner is shown."""
    assert own.start(**{**ASKED[place], **wanted}).status_code in {201, 202, 500}
    wait_until(lambda: own.server() is None, timeout=TOLD, what="the start to fail")
    return own.failure()


@pytest.mark.parametrize("place", ASKED)
def test_a_session_runs_in_the_environment_that_was_chosen(
    settings: Settings, area: software.Area, at: At, place: str
):
    own, folder = at(place), f"/software/{NAME}/2026.1"
    assert begin(own, place, NAME) == f"{folder} {folder}/bin/python {NAME}/2026.1 {folder}/bin"
    assert own.facility("GET", "status").json()["environment"] == f"{NAME}/2026.1"
    page = own.open().text
    assert "static/remoteEntry.js" in page, "what the facility adds to JupyterLab is there"
    assert '"@jupyterlab/apputils-extension:announcements"' in page, "and its settings"
    logged(
        settings, own.cell, rf"session started user={own.person} .* environment={NAME}/2026\.1 ", within=30
    )
    metrics = compose.run(
        settings, "exec", "-T", own.cell, "/opt/hub/bin/python", "-c", sessions.METRICS, own.cluster
    ).stdout.decode()
    count = rf'benchtop_sessions_started_total{{environment="{NAME}/2026.1"}} [1-9]'
    assert re.search(count, metrics)


@pytest.mark.parametrize("place", ["hpc", "htc", "hpc-login", "htc-container"])
def test_a_whole_session_runs_inside_an_image(settings: Settings, at: At, place: str):
    own = at(place)
    with software.published(settings, "boxed", "1", kind="container") as area:
        try:
            assert begin(own, place, "boxed").startswith("/usr /usr/bin/python3 boxed/1 ")
            ask = (
                "import os; print(os.environ['APPTAINER_CONTAINER'], os.access(os.environ['HOME'], os.W_OK))"
            )
            assert traffic.run(own, own.kernel(), ask) == "/software/boxed/1/rootfs True"
            assert "static/remoteEntry.js" in own.open().text
        finally:
            sessions.end(own)
        area.remove("boxed")


def test_a_plain_session_is_the_facilitys_own_and_has_the_kernel_as_well(area: software.Area, at: At):
    own = at("htc")
    printed = begin(own, "htc", "")
    assert printed.startswith(FACILITY)
    assert NAME in own.jupyter("GET", "kernelspecs").json()["kernelspecs"]


def test_a_new_version_is_for_new_sessions_and_running_ones_keep_theirs(area: software.Area, at: At):
    own = at("hpc")
    begin(own, "hpc", NAME)
    area.publish(NAME, "2026.2", title=TITLE)
    try:
        assert f" {NAME}/2026.1 " in in_default_kernel(own)
        sessions.end(own)
        found = own.browser.get(f"{own.base}/hub/spawn", timeout=60).text
        wait_until(
            lambda: f"{TITLE} (2026.2)" in own.browser.get(f"{own.base}/hub/spawn", timeout=60).text,
            timeout=60,
            what="the new version in the form",
        )
        assert f'<option value="{NAME}" selected>' in found, "the last one is remembered"
        assert f" {NAME}/2026.2 " in begin(own, "hpc", NAME)
    finally:
        area.switch(NAME, "2026.1")
        area.remove(f"{NAME}/2026.2")


@pytest.mark.parametrize("place", ["hpc", "htc-login"])
def test_an_environment_that_breaks_before_the_session_starts_is_told(
    settings: Settings, area: software.Area, at: At, place: str
):
    own = at(place)
    area.publish("brittle", "1")
    try:
        area.run('rm "$1" && printf "#!/bin/sh\\necho no libpython >&2; exit 3\\n" >"$1" && chmod 755 "$1"',
                 "/software/brittle/1/bin/python")  # fmt: skip
        told = fails(own, place, environment="brittle")
        assert "its environment brittle/1 did not start JupyterLab" in told
        area.run('rm "$1"', "/software/brittle/1/bin/python")
        told = fails(own, place, environment="brittle")
        assert "its environment brittle/1 is broken: /software/brittle/1/bin/python is missing" in told
    finally:
        area.remove("brittle")


# ---- a virtual environment of one's own -------------------------------------------------------------


@pytest.mark.parametrize("place", ["hpc", "htc", "htc-login", "hpc-container"])
def test_a_virtual_environment_of_ones_own_with_jupyterlab_runs_the_session(
    settings: Settings, at: At, place: str
):
    own = at(place)
    path, folder = (
        software.own_environment(Home(settings, own.person), "my-env", software.WITH_LAB),
        f"/home/{own.person}/my-env",
    )
    assert begin(own, place, path) == (f"{folder} {folder}/bin/python {folder} {folder}/bin")


def test_one_with_a_kernel_alone_is_what_notebooks_begin_with(settings: Settings, at: At):
    own = at("hpc")
    path = software.own_environment(Home(settings, own.person), "my-env", software.WITH_KERNEL)
    printed = begin(own, "hpc", path)
    folder = f"/home/{own.person}/my-env"
    assert printed.startswith(f"{folder} /opt/lab/bin/python {folder} ")


def test_one_that_cannot_be_used_says_what_to_do(settings: Settings, at: At):
    own = at("htc")
    home = Home(settings, own.person)
    path = software.own_environment(home, "my-env", software.WITHOUT_ANYTHING)
    assert "~/my-env/bin/pip install ipykernel" in fails(own, "htc", environment=path)
    home.remove("my-env")
    begun = time.monotonic()
    assert "the virtual environment ~/my-env does not exist" in fails(own, "htc", environment=path)
    assert time.monotonic() - begun < TOLD
