"""What everybody's jobs on a node share cannot be held up by one of them: who is who."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from testinfra.host import Host

from support.as_person import as_person

pytestmark = pytest.mark.shares("slurm", "condor")

Services = Callable[..., Host]

NODES = {"hpc": ("gpu-1", "hpc-login"), "htc": ("condor-ep-1", "htc-login")}
SERVICES = {"hpc": ("hpc-minter", "slurmctld"), "htc": ("htc-minter", "condor-ap")}
STRANGER = "frank"  # who has no job
PYTHON = "/opt/lab/bin/python -c %s"
MANY = 300  # connections; a socket's queue is 128 long, and a daemon of Slurm's takes 150 by itself
AT_ONCE = 1.0  # seconds that a look may take meanwhile
START = 3.0  # seconds that a job on an idle node may take to run; Slurm gives up waiting after 10

# Connects to each socket that is given many times over, says nothing, and connects again when it is cut off.
# Prints how many connections each took at the same time.
HOLD = """
import json, select, socket, sys, time
most, seconds, *paths = sys.argv[1:]
most, end = int(most), time.monotonic() + float(seconds)
def connect(path):
    one = socket.socket(socket.AF_UNIX)
    one.setblocking(False)
    try:
        one.connect(path)
        return one
    except OSError:  # its queue is full
        one.close()
taken, held = dict.fromkeys(paths, 0), {path: [] for path in paths}
while paths and time.monotonic() < end:
    for path, ours in held.items():
        ours += [one for one in (connect(path) for _ in range(most - len(ours))) if one]
        taken[path] = max(taken[path], len(ours))
        poll = select.poll()
        for one in ours:
            poll.register(one, select.POLLHUP)
        gone = {number for number, _ in poll.poll(0)}
        held[path] = [one for one in ours if one.fileno() not in gone]
    time.sleep(0.05)
print(json.dumps(taken))
"""
# Every socket in the file system that whoever runs it may connect to, by asking.
SOCKETS = """
import json, os, stat, sys

found = []
for folder, folders, files in os.walk("/"):
    if folder == "/":
        folders[:] = [name for name in folders if name not in ("proc", "sys", "dev", "home")]
    for path in (os.path.join(folder, name) for name in files):
        try:
            if stat.S_ISSOCK(os.stat(path, follow_symlinks=False).st_mode) and os.access(path, os.W_OK):
                found.append(path)
        except OSError:
            pass
print(json.dumps(sorted(found)))
"""
LOOK = "bash -c 'TIMEFORMAT=%R; { time id dave >/dev/null; } 2>&1'"


@pytest.fixture(params=NODES)
def cluster(request: pytest.FixtureRequest) -> str:
    """Each cluster in turn."""
    return str(request.param)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """For what goes on meanwhile."""
    with ThreadPoolExecutor(2) as threads:
        yield threads


def hold(pool: ThreadPoolExecutor, node: Host, seconds: int) -> Future[dict[str, int]]:
    """Somebody holds connections to every socket there that they may connect to; how many each took."""
    sockets = json.loads(node.check_output(as_person(STRANGER, PYTHON), SOCKETS))
    assert not [path for path in sockets if "nslcd" in path]
    words = [HOLD, str(MANY), str(seconds), *sockets]
    line = as_person(STRANGER, PYTHON + " %s" * (len(words) - 1))
    return pool.submit(lambda: json.loads(node.check_output(line, *words)))


def look(host: Host, times: int = 2) -> float:
    """Seconds that somebody's name and groups take; the best of some, since the machine may be busy."""
    return min(float(host.check_output(LOOK).splitlines()[-1]) for _ in range(times))


def test_no_socket_of_a_node_keeps_anybody_from_being_known(
    cluster: str, service: Services, pool: ThreadPoolExecutor
):
    """Neither there nor where the services are that start and vouch for people."""
    places = [service(name) for name in (*NODES[cluster], *SERVICES[cluster])]
    for node in places[:2]:
        attack = hold(pool, node, 2)
        slowest = max(map(look, places))
        while not attack.done():
            slowest = max(slowest, *map(look, places))
        assert slowest < AT_ONCE
        assert all(attack.result().values()), "each took connections"


@pytest.mark.needs("hpc/carol")
def test_nor_their_job_from_starting_there(service: Services, pool: ThreadPoolExecutor):
    """On Slurm's nodes, where people's commands are vouched for by a socket. (HTCondor's have none.)"""
    run = as_person("carol", "env HOME=/home/carol timeout 20 srun ")
    run += "--chdir=/tmp --quiet --partition=debug --nodelist=gpu-1 --mem=50 --time=1 hostname"
    attack = hold(pool, service("gpu-1"), 8)
    look(service("gpu-1"))
    began = time.monotonic()
    assert service("cpu-1").check_output(run) == "gpu-1"
    assert time.monotonic() - began < START
    assert not attack.done(), "the control: it went on"
    assert min(attack.result().values()) > MANY // 2


@pytest.mark.alone
def test_such_an_attack_would_hold_up_a_daemon_that_is_shared(service: Services, pool: ThreadPoolExecutor):
    """The control: the services' own name service, from inside of a service, to which no job comes."""
    minter = service("htc-minter")
    words = [HOLD, "60", "4", "/run/nslcd/socket"]
    attack = pool.submit(lambda: minter.check_output("python3 -c" + " %s" * len(words), *words))
    slowest = 0.0
    while not attack.done():
        slowest = max(slowest, look(minter, times=1))
    assert slowest > AT_ONCE
    assert json.loads(attack.result())["/run/nslcd/socket"]


def test_nodes_know_the_same_people_as_the_services(cluster: str, service: Services):
    node, minter = service(NODES[cluster][0]), service(SERVICES[cluster][0])
    for database in ("passwd", "group"):
        known = {
            tuple(line.split(":")) for line in minter.check_output("getent -s ldap %s", database).splitlines()
        }
        assert known
        same = {
            tuple(line.split(":"))
            for line in node.check_output("getent -s extrausers %s", database).splitlines()
        }
        assert {(*entry[:3], *sorted(entry[3].split(","))) for entry in known} == {
            (*entry[:3], *sorted(entry[3].split(","))) for entry in same
        }


def test_nobody_on_a_node_changes_who_is_who(cluster: str, service: Services):
    for node in (service(name) for name in NODES[cluster]):
        assert "dave" in node.check_output(as_person(STRANGER, "cat /var/lib/extrausers/passwd"))
        assert node.run("touch /var/lib/extrausers/passwd").rc != 0, "not even root there"
