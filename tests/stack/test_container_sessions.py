"""Sessions in containers of their own: started, looked into, stopped, adopted; and nothing is left of one."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from testinfra.host import Host

from benchtop.settings import Settings
from support import sessions, traffic
from support.facility import kill, started
from support.homes import Home
from support.hub import Hub
from support.visitors import NAVIGATES
from support.wait import wait_until

START = sessions.START  # a start takes about two seconds
NOTICED = 30  # seconds after which the hub must know that a session is over
BACK = 30  # … and after which a hub that died serves its people again
MEMORY = 800  # MB that these sessions ask for
WHO = {"hpc": "carol", "htc": "bob"}

Services = Callable[..., Host]
EACH = [
    pytest.param(cluster, marks=pytest.mark.needs(f"{cluster}/{person}", throughout=True))
    for cluster, person in WHO.items()
]


# The engine's own list, by its socket: the names of all containers, whatever state they are in
NAMES = """
import http.client, json, socket
class Line(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/engine-api/api.sock")
line = Line("engine")
line.request("GET", "/v1.41/containers/json?all=true")
print(" ".join(name for found in json.load(line.getresponse()) for name in found["Names"]))
"""


def containers(service: Services, own: Hub) -> list[str]:
    """Of this person, on the engine."""
    names = service("engine", user="engine").check_output("python3 -c %s", NAMES).split()
    return [name for name in names if name.startswith(f"/bt-{own.cell}-{own.person}")]


@pytest.fixture(scope="module", params=EACH)
def own(
    request: pytest.FixtureRequest, settings: Settings, signed_in: Callable[[str], requests.Session]
) -> Iterator[Hub]:
    """Somebody's session in a container, which the tests of its cluster share."""
    cluster = request.param
    person = WHO[cluster]
    reader = Hub(settings, signed_in(person), person, cluster)
    sessions.end(reader)
    begin(reader)
    yield reader
    sessions.end(reader)


def begin(own: Hub, **more: object) -> None:
    """A session in a container, opened."""
    sessions.begin(own, within=START, where="container", runtime=20, memory=MEMORY, **more)


def computes(own: Hub, code: str) -> str:
    """What a cell prints, in the kernel that all tests share."""
    running = own.jupyter("GET", "kernels").json()
    return traffic.run(own, str(running[0]["id"]) if running else own.kernel(), code)


# ---- what it is ------------------------------------------------------------------------------------


def test_it_runs_as_its_owner_in_their_home(own: Hub, settings: Settings):
    home = Home(settings, own.person)
    home.remove("of-a-container")
    who = "import getpass, os; print(getpass.getuser(), os.getuid(), os.getcwd())"
    name, uid, folder = computes(own, who).split()
    assert (name, folder) == (own.person, f"/home/{own.person}")
    computes(
        own, "import pathlib; pathlib.Path.home().joinpath('of-a-container').write_text('mine'); print(1)"
    )
    assert home.run("stat -c %U:%u ~/of-a-container").strip() == f"{own.person}:{uid}"
    home.remove("of-a-container")


def test_it_sees_nothing_of_anybody_else(own: Hub):
    look = """
import json, os
whose = {os.stat(f"/proc/{pid}").st_uid for pid in os.listdir("/proc") if pid.isdigit()}
print(json.dumps([os.listdir("/home"), sorted(whose)]))
"""
    homes, whose = json.loads(computes(own, look))
    assert homes == [own.person]
    assert whose == [int(computes(own, "import os; print(os.getuid())"))]


def test_its_status_bar_says_where_it_is_and_what_it_has(own: Hub):
    told = own.facility("GET", "status").json()
    assert told["place"] == "container"
    assert told["memory"]["granted"] == MEMORY << 20
    assert 0 < told["ends"] - told["now"] <= 20 * 60


def test_environments_of_the_software_area_are_there(own: Hub):
    specs = own.jupyter("GET", "kernelspecs").json()["kernelspecs"]
    told = [spec["spec"]["metadata"].get("benchtop", {}) for spec in specs.values()]
    assert any("environment" in kernel for kernel in told), told


def test_a_kernel_that_takes_too_much_memory_ends_alone(own: Hub):
    kernel = own.kernel()
    with pytest.raises(traffic.CUT):
        traffic.run(own, kernel, f"held = bytearray({MEMORY + 100} << 20)", patience=10)
    death = wait_until(
        lambda: found.json() if (found := own.facility("GET", f"kernels/{kernel}")).ok else None,
        timeout=NOTICED,
        what="the kernel's death to be known",
    )
    assert death["memory"]
    assert own.ready(), "and the session goes on"
    own.jupyter("DELETE", f"kernels/{kernel}")


def test_an_administrator_sees_it_among_all_sessions(own: Hub, settings: Settings, signed_in: Any):
    page = signed_in("erin").get(f"{settings.url}/sessions/{own.cluster}", headers=NAVIGATES, timeout=60).text
    row = page.partition(f'<th scope="row">{own.person}</th>')[2].partition("</tr>")[0]
    assert "benchtop/session" in row
    assert f"{MEMORY} MB" in row


# ---- its life --------------------------------------------------------------------------------------


@pytest.mark.alone
def test_a_hub_that_dies_knows_it_again(own: Hub, settings: Settings, service: Services):
    """And so do the others: each cell's hub looks after its own."""
    computes(own, "kept = 'still there'; print(1)")
    before, alive = own.server(), started(settings, own.cell)
    kill(settings, own.cell)
    wait_until(lambda: not alive & started(settings, own.cell), timeout=BACK, what="the hub to have died")
    wait_until(own.answers, timeout=BACK, what="the hub to be back")
    wait_until(own.ready, timeout=BACK, what="the hub to know the session")
    now = own.server()
    assert before
    assert now
    assert now["started"] == before["started"]
    assert computes(own, "print(kept)") == "still there"
    assert len(containers(service, own)) == 1


def test_a_server_with_a_name_has_a_container_of_its_own(own: Hub, settings: Settings, service: Services):
    second = Hub(settings, own.browser, own.person, own.cluster, "second")
    try:
        begin(second)
        within = "import os; print(os.readlink('/proc/self/ns/pid'))"
        first, other = (traffic.run(each, each.kernel(), within) for each in (own, second))
        assert first != other
        assert len(containers(service, own)) == 2
    finally:
        second.forget()
    wait_until(lambda: len(containers(service, own)) == 1, timeout=NOTICED, what="the end of the second")


def test_too_much_is_refused_at_the_field(own: Hub):
    second = Hub(own.settings, own.browser, own.person, own.cluster, "other")
    for field, value in (("memory", "64 GB"), ("cpus", 64), ("runtime", "9 d"), ("image", "elsewhere/image")):
        answer = second.start(where="container", **{field: value})
        assert answer.status_code == 400, field
        assert answer.json()["message"].startswith({"cpus": "CPUs"}.get(field, field.capitalize())), field


def test_a_start_that_is_cancelled_leaves_nothing(own: Hub, settings: Settings, service: Services):
    second = Hub(settings, own.browser, own.person, own.cluster, "cancelled")
    with sessions.slow(Home(settings, own.person)):
        assert second.start(where="container", runtime=20).status_code in {201, 202}
        wait_until(lambda: len(containers(service, own)) == 2, timeout=START, what="its container")
        second.forget()
        wait_until(lambda: len(containers(service, own)) == 1, timeout=NOTICED, what="its end")


def test_what_is_stopped_leaves_nothing(own: Hub, settings: Settings, service: Services):
    sessions.end(own)
    wait_until(lambda: not containers(service, own), timeout=NOTICED, what="the end of the container")
    begin(own)  # for whoever comes next


def test_too_much_memory_of_jupyterlab_itself_ends_it_and_its_owner_is_told_once(
    own: Hub, settings: Settings, service: Services
):
    sessions.end(own)
    sessions.told(own)
    with sessions.greedy(Home(settings, own.person)) as take:
        begin(own)
        take()
        wait_until(lambda: own.server() is None, timeout=NOTICED, what="the hub to notice the end")
    assert f"it used more memory than requested ({MEMORY} MB)" in sessions.told_once(own)
    assert not containers(service, own)
    begin(own)
