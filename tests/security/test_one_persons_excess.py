"""What one person's job takes of its node without asking costs nobody else there more than a second."""

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
import requests
from testinfra.host import Host

from benchtop.settings import Settings
from benchtop.stack import compose
from support import sessions
from support.as_person import become
from support.batch import Batch
from support.hub import Hub
from support.wait import wait_until

pytestmark = [
    pytest.mark.needs("hpc/dave", "htc/dave", "hpc/erin", "htc/erin", throughout=True),
    pytest.mark.shares("slurm", "condor", throughout=True),
    pytest.mark.long,
]

ATTACKER, OTHER = "dave", "erin"
LEAST = {"hpc": {"partition": "debug"}, "htc": {}}
STARTS = 60  # seconds for a job on a busy machine, and for an attack there to take what it can
PROBE = 6  # seconds that the other person's look lasts: by then it has taken what it can, or was put out
COST = 1.0  # seconds: the promise
PROCESSES = 512  # compose.yaml
FILE, GO, OUT = (f"/home/{ATTACKER}/excess.{kind}" for kind in ("py", "go", "out"))

# Waits for a file; then each takes what it can get, and keeps it until it is put out, or for a while.
EXCESS = """
import ctypes, os, sys, threading, time
def threads():
    stop = threading.Event()
    for number in range(2000):
        try:
            threading.Thread(target=stop.wait, daemon=True).start()
        except RuntimeError:
            break
    print("threads", number)
def memory():
    for _ in range(3):
        if os.fork() == 0:
            blocks = []
            while len(blocks) < 200:
                blocks.append(b"x" * (16 << 20))
            time.sleep(30)
            os._exit(0)
def folder(path):
    with open(f"{path}/excess", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * (1 << 20))
        except OSError as error:
            print(error.strerror)
        time.sleep(30)
def mounted(kind):
    user, group = os.getuid(), os.getgid()
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNS)
    maps = {"uid_map": f"{user} {user} 1", "setgroups": "deny", "gid_map": f"{group} {group} 1"}
    for name, text in maps.items():
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    if ctypes.CDLL(None).mount(b"x", b"/mnt", kind.encode(), 0, 0):
        raise OSError("cannot mount")
    folder("/mnt")
def files():
    libc = ctypes.CDLL(None)
    for _ in range(8):
        if os.fork() == 0:
            while libc.inotify_init() >= 0 or os.open("/dev/null", os.O_RDONLY):
                pass
go, *kinds = sys.argv[1:]
print("ready", flush=True)
while not os.path.exists(go):
    time.sleep(0.05)
for kind in kinds:
    name, _, path = kind.partition(":")
    try:
        globals()[name](*filter(None, [path]))
    except OSError as error:
        print(error.strerror)
    print(name, "taken", flush=True)
time.sleep(30)
"""
# Somebody else's program on the same node: writes files, starts threads, opens and watches. Tells how long it
# took at most, and for how long it was refused something at most, both in seconds.
PROBE_PROGRAM = """
import ctypes, os, sys, tempfile, threading, time
libc = ctypes.CDLL(None)
def once():
    for path in ("/tmp", "/var/tmp", "/dev/shm"):
        with tempfile.NamedTemporaryFile(dir=path) as file:
            file.write(b"x" * (256 << 10))
            file.flush()
    threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(5)]
    for one in threads: one.start()
    for one in threads: one.join()
    opened = [open("/dev/null") for _ in range(100)]
    for one in opened: one.close()
    watch = libc.inotify_init()
    if watch < 0:
        raise OSError("no inotify")
    os.close(watch)
    return b"y" * (8 << 20)
slowest = refused = 0.0
end, since = time.monotonic() + float(sys.argv[1]), None
while time.monotonic() < end:
    begun = time.monotonic()
    try:
        once()
        slowest, since = max(slowest, time.monotonic() - begun), None
    except (OSError, RuntimeError, MemoryError):
        since = since or begun
        time.sleep(0.02)
    if since:
        refused = max(refused, time.monotonic() - since)
print(slowest, refused)
"""
JOB = """universe = vanilla
executable = /bin/sh
transfer_executable = false
should_transfer_files = YES
arguments = "-c '{command}'"
initialdir = /tmp
output = /dev/null
error = /dev/null
request_cpus = 1
request_memory = 256M
requirements = Machine == "{node}"
My.IsJupyter = true
queue
"""


@dataclass
class Neighbour:
    """The session of somebody else, and the node that it is on."""

    own: Hub
    batch: Batch
    node: str
    started: str
    usual: float  # seconds that the work of cost() takes when nobody attacks: more on a busy machine
    usual_answer: float  # … and answers()

    def answers(self) -> float:
        """How long the session takes to answer, in seconds; it must."""
        begun = time.monotonic()
        answer = self.own.browser.get(f"{self.own.lab}api/status", timeout=30)
        assert answer.ok, answer.text
        assert answer.json()["started"] == self.started, "it is another session"
        return time.monotonic() - begun


@pytest.fixture(scope="module", params=["hpc", "htc"])
def neighbour(
    request: pytest.FixtureRequest, settings: Settings, signed_in: Callable[[str], requests.Session]
) -> Iterator[Neighbour]:
    """A session on a node of each cluster in turn; whoever attacks has nothing there."""
    cluster = str(request.param)
    batch = Batch(settings, cluster)
    with sessions.owners(settings, signed_in) as meet:
        own = meet(OTHER, cluster)
        sessions.begin(own, **LEAST[cluster])
        job = batch.job(own.person)
        assert job
        started = own.jupyter("GET", "status").json()["started"]
        batch.clear(ATTACKER)
        before = Neighbour(own, batch, job.node, started, 0.0, 0.0)
        yield replace(before, usual=cost(before, 1)[0], usual_answer=max(before.answers() for _ in range(3)))


def said(batch: Batch, node: str) -> str:
    return batch.run(ATTACKER, "cat", OUT, on=node, check=False).stdout.decode()


@contextmanager
def excess(neighbour: Neighbour, *what: str) -> Iterator[None]:
    """A job of the attacker's on that node, which waits for GO; it is gone afterwards, and what it left."""
    batch, node = neighbour.batch, neighbour.node
    put = f'rm -f {OUT} {GO}; printf %s "$1" > {FILE}'
    batch.run(ATTACKER, "sh", "-c", put, "sh", EXCESS, on=node)
    command = f"exec /opt/lab/bin/python {FILE} {GO} {' '.join(what)} > {OUT} 2>&1"
    if batch.cluster == "hpc":
        where = ["--partition=scavenger", "--qos=scavenger", f"--nodelist={node}", "--mem=256M", "--time=2"]
        batch.run(ATTACKER, "sbatch", *where, "--chdir=/tmp", "--output=/dev/null", f"--wrap={command}")
    else:
        text = JOB.format(command=command, node=node)
        submit = 'cd "$(mktemp -d)" && printf %s "$1" > job && condor_submit -spool -terse job'
        batch.run(ATTACKER, "sh", "-c", submit, "sh", text)
    try:
        wait_until(lambda: "ready" in said(batch, node), timeout=STARTS, what="the attack to begin")
        yield
    finally:
        batch.clear(ATTACKER)
        wait_until(lambda: not batch.jobs(ATTACKER), timeout=STARTS, what="the attack to end")
        batch.run(ATTACKER, "sh", "-c", f"rm -f /tmp/excess /dev/shm/excess {FILE} {GO} {OUT}", on=node)


def cost(neighbour: Neighbour, seconds: float = PROBE) -> tuple[float, float]:
    """How long somebody else's work on the node took at most, and was refused at most, in seconds."""
    words = [*become(neighbour.own.person), "/opt/lab/bin/python", "-c", PROBE_PROGRAM]
    said = compose.run(
        neighbour.batch.settings, "exec", "-T", neighbour.node, *words, str(seconds)
    ).stdout.split()
    return float(said[0]), float(said[1])


KEPT, PUT_OUT = "what it has is bounded", "whoever takes it is put out"


@pytest.mark.parametrize(
    ("what", "held_by"),
    [
        ("threads files", KEPT),
        ("memory", PUT_OUT),
        ("folder:/tmp", PUT_OUT),
        ("folder:/dev/shm", PUT_OUT),
        ("mounted:tmpfs", PUT_OUT),
    ],
)
def test_one_persons_excess_costs_nobody_else_more_than_a_second(
    neighbour: Neighbour, what: str, held_by: str
):
    batch, node = neighbour.batch, neighbour.node

    def lives() -> bool:
        found = batch.run(ATTACKER, "pgrep", "-u", ATTACKER, "-f", FILE, on=node, check=False)
        return found.returncode == 0

    def refused() -> float:
        """For how long at most, from the beginning of the attack to its end."""
        end, most = time.monotonic() + STARTS, 0.0
        while True:
            most = max(most, cost(neighbour)[1])
            if held_by is KEPT or not lives() or time.monotonic() > end:
                return most

    with excess(neighbour, *what.split()), ThreadPoolExecutor() as other:
        look = other.submit(refused)
        batch.run(ATTACKER, "touch", GO, on=node)
        during = [neighbour.answers()]
        while not look.done():
            during.append(neighbour.answers())
            time.sleep(0.1)
        output = said(batch, node)
        left = lives()
    told = f"refused for {look.result():.2f} s, answer {max(during):.2f} s; the attack said {output!r}"
    # the guard's own work is ten times that of cost(), and takes as much longer on a machine that is busy
    assert look.result() < COST + 10 * neighbour.usual, told
    assert max(during) < neighbour.usual_answer + COST, told
    assert left is (held_by is KEPT), told
    if "threads" in what:
        found = re.search(r"threads (\d+)", output)
        assert found, told
        assert 50 < int(found[1]) < PROCESSES, told
    if "mounted" in what:
        assert "taken" not in output, told  # it was under way until then
    assert neighbour.own.ready()


def test_a_job_cannot_raise_what_it_may_have(neighbour: Neighbour):
    """Neither by itself nor by what it was sent from, and the limit is there in a session, too."""
    batch, node = neighbour.batch, neighbour.node
    for raised in ("ulimit -u 600", "ulimit -n 9000"):
        assert batch.run(ATTACKER, "bash", "-c", raised, on=node, check=False).returncode != 0
    (process,) = batch.said(neighbour.own.person, "python3", "-c", sessions.SESSION, on=node).splitlines()
    pid = json.loads(process)["pid"]
    limits = batch.said(neighbour.own.person, "cat", f"/proc/{pid}/limits", on=node).splitlines()
    most = {line[:25].strip(): line.split()[-2] for line in limits[1:]}
    assert most["Max processes"] == str(PROCESSES)
    assert most["Max open files"] == "8192"


def test_nobodys_limits_travel_with_their_jobs(settings: Settings, service: Callable[[str], Host]):
    """A hub has no such limits; Slurm would hand on those of whoever submits."""
    batch = Batch(settings, "hpc")
    ask = ["srun", "--partition=debug", "--propagate=ALL", "--time=1", "bash", "-c", "ulimit -Su; ulimit -Hu"]
    for soft in ("100", "500"):
        words = ["bash", "-c", f'ulimit -Su {soft}; exec "$@"', "bash", *ask]
        told = batch.said(ATTACKER, *words, on="cpu-1").split()
        assert int(told[1]) <= PROCESSES, told
    line = "ulimit -Su 100; srun --partition=debug --time=1 bash -c 'ulimit -Su'"
    plain = batch.said(ATTACKER, "bash", "-c", line, on="cpu-1")
    assert plain.split() == [str(PROCESSES)], "the control: the node's own limit"


# ---- the queue ----------------------------------------------------------------------------------


def test_one_line_does_not_fill_slurms_queue_and_is_told_why(settings: Settings):
    batch = Batch(settings, "hpc")
    batch.clear(ATTACKER)
    line = ["sbatch", "--partition=harvester", "--hold", "--chdir=/tmp", "--output=/dev/null", "--wrap=true"]
    refused = batch.run(ATTACKER, *line, "--array=0-999", on="cpu-1", check=False)
    assert refused.returncode != 0
    assert b"MaxSubmitJobLimit" in refused.stderr
    try:
        batch.run(ATTACKER, *line, "--array=0-99", on="cpu-1")  # the control
    finally:
        batch.run(ATTACKER, "scancel", "--user", ATTACKER, on="cpu-1")


def test_one_line_does_not_fill_htcondors_queue_and_is_told_why(settings: Settings):
    batch = Batch(settings, "htc")
    text = JOB.format(command="true", node="nowhere").replace("queue\n", "hold = true\nqueue {count}\n")
    submit = 'cd "$(mktemp -d)" && printf %s "$1" > job && condor_submit -terse job'
    refused = batch.run(ATTACKER, "sh", "-c", submit, "sh", text.format(count=1000), check=False)
    try:
        assert refused.returncode != 0
        assert b"MAX_JOBS_PER_OWNER" in refused.stderr
        batch.run(ATTACKER, "sh", "-c", submit, "sh", text.format(count=100))  # the control
    finally:
        batch.run(ATTACKER, "condor_rm", ATTACKER, check=False)


# ---- what others read -----------------------------------------------------------------------------

BROKEN = {
    "JobStatus": '"two"', "EnteredCurrentStatus": '"x"', "RemoteHost": "{{1}}", "LastRemoteHost": "error",
    "HoldReasonCode": '"16"', "HoldReason": "1.5", "ExitCode": "{}", "LastRejMatchReason": "[a = 1]",
}  # fmt: skip


def test_a_broken_ad_hides_nobody_elses_session(
    settings: Settings, signed_in: Callable[[str], requests.Session]
):
    """Which calls itself one of the same cell. A start takes the answer of the queue."""
    batch = Batch(settings, "htc")
    with sessions.owners(settings, signed_in) as meet:
        own = meet(OTHER, "htc")
        batch.clear(ATTACKER)
        marked = f'My.BenchtopCell = "{own.cell}"\nMy.BenchtopMark = "{own.cell}:{ATTACKER}:{"0" * 32}"\n'
        text = JOB.format(command="true", node="nowhere").replace("queue", f"hold = true\n{marked}queue 3")
        submit = 'cd "$(mktemp -d)" && printf %s "$1" > job && condor_submit -terse job | cut -d. -f1'
        number = batch.said(ATTACKER, "sh", "-c", submit, "sh", text).split()[0]
        edits = [f"condor_qedit {number}.0 {name} '{value}'" for name, value in BROKEN.items()]
        edits += [f"condor_qedit {number}.1 HoldReason '\"{'x' * 9000}\"'"]
        try:
            batch.run(ATTACKER, "sh", "-c", " && ".join(edits))
            sessions.ready(own)
        finally:
            # HTCondor itself removes no job whose state is a text
            batch.run(ATTACKER, "condor_qedit", f"{number}.0", "JobStatus", "5", check=False)
            batch.run(ATTACKER, "condor_rm", ATTACKER, check=False)
            batch.run(ATTACKER, "condor_rm", "-forcex", ATTACKER, check=False)
