"""Starts that are stopped or that die, at each place where there are sessions: nothing is left, all is told.

What Slurm's queue says of a job that waits is in test_hub_sessions.py.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest
import requests
from bs4 import BeautifulSoup
from testinfra.host import Host

from benchtop.settings import Settings
from support import sessions
from support.as_person import as_person
from support.homes import Home
from support.hub import Hub
from support.wait import wait_until

pytestmark = pytest.mark.long

Service = Callable[..., Host]
TOLD = 15  # seconds after a job's death in which who waits for it reads why
QUICK = 20  # seconds in which a start that is stopped must be gone, its job as well
STARTS = 120  # seconds, on a busy machine
CONFIG = "/home/erin/.jupyter/jupyter_server_config.py"
OWN_LOG = "/home/erin/.benchtop-session.log"
NAMES = ("second", "filler-a", "filler-b")
SLOW = "import time; print('erin is loading', flush=True); time.sleep(300)"
BROKEN = "raise SystemExit('told to erin')"
LOG = "told to erin"
NODES = {"hpc": ("cpu-1", "gpu-1", "gpu-2"), "htc": ("condor-ep-1", "condor-ep-2"), "login": ("hpc-login",)}
ASKED: dict[str, dict[str, object]] = {
    "hpc": {"partition": "debug", "runtime": 10},
    "htc": {"runtime": 10},
    "login": {"where": "login", "runtime": 10},
}
# Her sessions at a place; what else starts there goes on.
PLACES = [
    pytest.param(
        place,
        # her home is the same on both clusters, and so is what her sessions read there and their log
        marks=[pytest.mark.needs("hpc/erin", "htc/erin"), pytest.mark.shares(*shared)],
    )
    for place, shared in (("hpc", ["slurm"]), ("htc", ["condor"]), ("login", []))
]
FIND = f"pgrep --uid erin --full '{sessions.PROCESS}'"


@dataclass
class Starts:
    """Erin, who starts sessions at one place."""

    hub: Hub
    place: str
    service: Service
    pool: ThreadPoolExecutor

    def begin(self, name: str = "", **more: object) -> Hub:
        """Ask for one, and go on as soon as it is on its way."""
        own = replace(self.hub, name=name)
        self.pool.submit(own.start, **ASKED[self.place], **more)
        wait_until(own.server, timeout=STARTS, what="the start")
        return own

    def processes(self) -> list[tuple[str, str]]:
        """Her sessions' own processes: node and number."""
        return [
            (node, pid) for node in NODES[self.place] for pid in self.service(node).run(FIND).stdout.split()
        ]

    def configure(self, text: str) -> None:
        """Have each JupyterLab of hers run this first."""
        Home(self.hub.settings, "erin").put(CONFIG, text)

    def log(self) -> str:
        """What the latest session of hers without a name said."""
        return self.as_erin(f"cat {OWN_LOG} 2>/dev/null || true")

    def jobs(self) -> list[str]:
        """Those of hers that the scheduler still has; the login node has none."""
        if self.hub.cluster == "hpc":
            return str(self.service("slurmctld").check_output("squeue -h -u erin -o %%A")).split()
        queue = "condor-as condor condor_q -allusers -constraint %s -autoformat ClusterId"
        erins = 'Owner == "erin" && JobStatus != 4 && JobStatus != 3'
        return str(self.service("condor-ap", user="root").check_output(queue, erins)).split()

    def over(self) -> bool:
        """Is nothing left, neither in the hub nor at the scheduler nor on a node?"""
        return not (self.hub.api("GET", "users/erin").json()["servers"] or self.jobs() or self.processes())

    def clear(self) -> None:
        """End whatever there is, and forget it."""
        self.as_erin(f"rm -f {CONFIG} {OWN_LOG}")

        def ended() -> bool:
            self.hub.stop()
            for name in NAMES:
                replace(self.hub, name=name).forget()
            return self.over()

        wait_until(ended, timeout=STARTS, what="erin's servers to end", every=1)

    def as_erin(self, script: str, node: str = "") -> str:
        """What a shell of hers prints, on the first node or on another one."""
        node = node or NODES[self.place][0]
        return str(self.service(node).check_output(as_person("erin", "sh -c %s"), script))


@pytest.fixture
def at(
    settings: Settings, service: Service, signed_in: Callable[[str], requests.Session]
) -> Iterator[Callable[[str], Starts]]:
    """`at("htc")`: erin there, who has nothing now and will have nothing when the test is over."""
    known = []
    with ThreadPoolExecutor(4) as pool:

        def go(place: str) -> Starts:
            cluster = "htc" if place == "htc" else "hpc"
            own = Hub(settings, signed_in("erin"), "erin", cluster)
            service(own.cell)  # for its log, should the test fail
            known.append(Starts(own, place, service, pool))
            known[-1].clear()
            return known[-1]

        yield go
        for one in known:
            one.clear()


def page(own: Hub) -> BeautifulSoup:
    """What somebody who runs no script sees of a start."""
    address = f"{own.base}/hub/spawn-pending/erin/{own.name}".rstrip("/")
    return BeautifulSoup(own.browser.get(address, timeout=60).text, "html.parser")


def press_stop(own: Hub) -> str:
    """The button of that page, without any script; the page that comes then."""
    (form,) = page(own).select("form#end")
    fields = {str(field["name"]): str(field["value"]) for field in form.select("[name]")}
    address = f"{own.settings.url}{form['action']}"
    answer = own.browser.post(address, data=fields, headers={"Referer": address}, timeout=60)
    assert answer.status_code == 200, answer.text
    return BeautifulSoup(answer.text, "html.parser").get_text(" ", strip=True)


def call_stop(own: Hub) -> str:
    """The API, which a program calls."""
    answer = own.stop()
    assert answer.status_code in {202, 204}, answer.text
    return ""


# ---- a start that dies -----------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_a_session_that_is_killed_while_it_loads_is_told_within_seconds(
    at: Callable[[str], Starts], place: str
):
    """As memory that ran out would do it: nothing of Python can say a word."""
    erin = at(place)
    erin.configure(SLOW)
    own = erin.begin()
    wait_until(lambda: "erin is loading" in erin.log(), timeout=STARTS, what="JupyterLab to load")
    ((node, pid),) = erin.processes()
    erin.as_erin(f"kill -KILL {pid}", node)
    wait_until(lambda: own.server() is None, timeout=TOLD, what="the hub to know")
    assert "ended before JupyterLab could start" in own.failure()
    assert "erin is loading" in own.last_words()


@pytest.mark.parametrize("place", PLACES)
def test_a_session_that_gives_up_is_told_with_what_it_said(at: Callable[[str], Starts], place: str):
    erin = at(place)
    erin.configure(BROKEN)
    own = erin.begin()
    wait_until(lambda: own.server() is None, timeout=STARTS, what="the hub to know", tell=own.stage)
    assert "ended before JupyterLab could start" in own.failure()
    assert LOG in own.last_words()
    (alert,) = page(own).select("[role=alert]")
    assert LOG in alert.text, "without any script as well"
    assert not erin.jobs()


# ---- a start that is stopped -------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [press_stop, call_stop])
@pytest.mark.parametrize("name", ["", "second"])
@pytest.mark.parametrize("place", PLACES)
def test_a_start_that_has_just_begun_is_stopped(
    at: Callable[[str], Starts], place: str, name: str, stop: Callable[[Hub], str]
):
    """Its job is on its way to the scheduler, in the queue, or just begins."""
    erin = at(place)
    said = stop(erin.begin(name))
    assert not said or "stopped" in said
    wait_until(erin.over, timeout=QUICK, what="the end of the start")


@pytest.mark.parametrize("stop", [press_stop, call_stop])
@pytest.mark.parametrize("place", PLACES)
def test_a_start_whose_jupyterlab_loads_is_stopped(
    at: Callable[[str], Starts], place: str, stop: Callable[[Hub], str]
):
    erin = at(place)
    erin.configure(SLOW)
    own = erin.begin()
    wait_until(lambda: "erin is loading" in erin.log(), timeout=STARTS, what="JupyterLab to load")
    stop(own)
    wait_until(erin.over, timeout=QUICK, what="the end of the start")


@pytest.mark.parametrize("stop", [press_stop, call_stop])
@pytest.mark.needs("condor", "hpc/erin", "htc/erin")
def test_a_start_that_waits_for_a_place_in_the_pool_is_stopped(
    at: Callable[[str], Starts], stop: Callable[[Hub], str]
):
    erin = at("htc")
    for name in ("filler-a", "filler-b"):  # each takes what a node has for notebooks
        filler = erin.begin(name, cpus=6)
        wait_until(filler.ready, timeout=STARTS, what=name)
    own = erin.begin("second")
    wait_until(lambda: "Waiting in the queue" in own.stage(), timeout=STARTS, what="the session to queue")
    before = set(erin.jobs())
    assert len(before) == 3
    stop(own)
    wait_until(lambda: len(set(erin.jobs()) & before) == 2, timeout=QUICK, what="the end of the job")
    wait_until(lambda: own.server() is None, timeout=QUICK, what="the hub to forget it")
