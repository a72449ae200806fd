"""Sessions that wait for no scheduler: on the login node of each cluster, with limits of their own."""

import subprocess
from collections.abc import Callable, Iterator

import pytest
import requests
from testinfra.host import Host

from benchtop.settings import Settings
from support import sessions, traffic
from support.batch import Batch
from support.hub import Hub
from support.wait import wait_until

CLUSTERS = ("hpc", "htc")
START = 60  # seconds; a start takes about one
NOTICED = 30  # seconds after which the hub must know that a session is over
LIMITS = {"Max processes": "512", "Max open files": "4096", "Max cpu time": str(240 * 60)}

# Alice, on each; carol and bob have a shell there.
EACH = [
    pytest.param(cluster, marks=pytest.mark.needs("hpc/alice", "htc/alice", f"{cluster}/{other}"))
    for cluster, other in (("hpc", "carol"), ("htc", "bob"))
]

pytestmark = pytest.mark.parametrize("cluster", EACH)


@pytest.fixture
def alice(
    settings: Settings,
    service: Callable[[str], Host],
    signed_in: Callable[[str], requests.Session],
    cluster: str,
) -> Iterator[Hub]:
    """Alice, who has no session on this cluster now, and will have none when the test is over."""
    own = Hub(settings, signed_in("alice"), "alice", cluster)
    service(own.cell)  # for their logs, should the test fail
    service(f"{cluster}-login")
    sessions.end(own)
    yield own
    sessions.end(own)


def begin(own: Hub) -> None:
    """A session on the login node, opened."""
    sessions.begin(own, within=START, where="login", runtime=10)


def processes(node: Host, person: str = "alice") -> list[str]:
    """What runs as that person there."""
    found = node.run("ps --no-headers -o pid:1,args:200 -u %s", person).stdout.splitlines()
    return [line for line in found if not line.endswith("<defunct>")]


def test_a_session_runs_there_as_the_person_and_leaves_nothing_behind(
    alice: Hub, cluster: str, service: Callable[[str], Host]
):
    node = service(f"{cluster}-login")
    begin(alice)
    kernel = alice.kernel()
    where = "import getpass, socket; print(getpass.getuser(), socket.gethostname())"
    assert traffic.run(alice, kernel, where) == f"alice {cluster}-login"
    # cut loose from everything that a session is known by: double fork, session and group of its own
    loose = (
        "import subprocess as s; s.Popen(['sh', '-c', 'setsid sleep 4321 & setsid sleep 4321 &']); print(1)"
    )
    assert traffic.run(alice, kernel, loose) == "1"
    wait_until(
        lambda: len([p for p in processes(node) if "sleep 4321" in p and "sh -c" not in p]) == 2,
        timeout=10,
        what="two that are cut loose",
    )
    sessions.end(alice)
    wait_until(lambda: not processes(node), timeout=NOTICED, what="the end of all that alice had there")


def test_it_has_the_limits_of_the_login_node(alice: Hub, cluster: str, service: Callable[[str], Host]):
    begin(alice)
    said = traffic.run(alice, alice.kernel(), "print(open('/proc/self/limits').read())")
    lines = {line[:25].strip(): line[26:46].strip() for line in said.splitlines()}
    assert {name: lines[name] for name in LIMITS} == LIMITS
    assert lines["Max core file size"] == "0"


def test_its_batch_commands_work_without_a_password_or_a_token(alice: Hub, cluster: str):
    begin(alice)
    kernel = alice.kernel()
    command, known = {"hpc": ("sinfo --noheader", "debug"), "htc": ("condor_version", "CondorVersion")}[
        cluster
    ]
    assert known in traffic.run(alice, kernel, f"import os; print(os.popen({command!r}).read())")
    assert "SLURM_JWT" not in traffic.run(alice, kernel, "print(list(os.environ))")


def test_too_much_memory_of_its_own_ends_it_and_its_owner_is_told_once(alice: Hub, cluster: str):
    """Of a kernel, it ends the kernel alone: test_work_in_a_session.py."""
    with sessions.greedy(Batch(alice.settings, cluster), "alice") as take:
        begin(alice)
        take()
        wait_until(lambda: alice.server() is None, timeout=NOTICED, what="the hub to notice the end")
    assert "MB of memory; the limit on the login node is 1024 MB" in sessions.told_once(alice)


def test_a_second_one_at_the_same_time_is_refused_with_a_sentence(alice: Hub, cluster: str):
    begin(alice)
    second = Hub(alice.settings, alice.browser, "alice", cluster, "second")
    try:
        answer = second.start(where="login", runtime=10)
        said = (
            answer.text
            if answer.status_code >= 400
            else wait_until(second.failure, timeout=START, what="a refusal")
        )
        assert "You already have a session on the login node" in said
        assert alice.ready()
    finally:
        second.forget()


def test_what_is_longer_than_the_login_node_allows_is_refused_at_the_field(alice: Hub, cluster: str):
    answer = alice.start(where="login", runtime=100_000 if cluster == "hpc" else 721)
    assert answer.status_code == 400
    assert "Runtime" in answer.json()["message"]
    assert alice.server() is None


def test_make_shell_opens_a_shell_of_a_persons_own_there(cluster: str, settings: Settings):
    name = {"hpc": "carol", "htc": "bob"}[cluster]
    shell = subprocess.run(
        ["make", "--silent", "shell", f"USER={name}"], cwd=settings.root, text=True, capture_output=True,
        input="id -un; hostname; pwd; touch /etc/mine || echo read-only\n", timeout=60, check=False,
    )  # fmt: skip
    assert shell.stdout.split() == [name, f"{cluster}-login", f"/home/{name}", "read-only"], shell.stderr
