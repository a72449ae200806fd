"""Whatever a guest runs is kept in the facility's image: attacked from inside, and by every way into a job.

Beside each "no" stands erin, who is confined to nothing, with the same program on the same node.
"""

import json
from collections.abc import Callable, Iterator
from subprocess import CompletedProcess
from typing import Any

import pytest
from testinfra.host import Host

from benchtop.settings import Settings
from support import notebooks, sessions
from support.batch import Batch
from support.homes import Home
from support.hub import Hub
from support.wait import wait_until

pytestmark = [pytest.mark.needs("hpc/gina", "htc/gina", "hpc/erin", "htc/erin"), pytest.mark.long]
# Her jobs have nodes to themselves, which jobs of others would have to leave first
ON_SLURM, ON_CONDOR = pytest.mark.needs("slurm"), pytest.mark.needs("condor")
ON_BOTH = pytest.mark.parametrize(
    "cluster", [pytest.param("hpc", marks=ON_SLURM), pytest.param("htc", marks=ON_CONDOR)]
)

Services = Callable[..., Host]
Own = Callable[[str, str], Hub]
Found = dict[str, Any]

GUEST, CONTROL = "gina", "erin"
NODES = {"hpc": "cpu-1", "htc": "condor-ep-1"}
ENDS = 60  # seconds for a small job on a busy machine
LEFT, OUTSIDE = "/tmp/left-by-somebody", "/tmp/outside"  # noqa: S108 on a node
# What a node has, and nobody's job needs
THE_NODES_OWN = [
    "/keys", "/etc/slurm", "/etc/condor", "/var/lib/slurm", "/var/log/condor", "/run/condor", "/run/slurm",
    "/var/lib/extrausers", "/etc/shadow", LEFT,
]  # fmt: skip
INSIDE = ["bin", "dev", "etc", "home", "lib", "lib32", "lib64", "opt", "proc", "run", "sbin", "software",
          "sys", "tmp", "usr", "var"]  # fmt: skip
# Both must be reached by name: the gateway to the hub, and the egress proxy
OPEN = [["apache", 8444], ["egress", 3128]]
# What anybody's job reaches on the networks of a node, by its address: there is no name service inside
CLOSED = {
    "hpc": [["slurmctld", 6817], ["slurmdbd", 6819], ["gpu-1", 6821], ["hpc-login", 22],
            ["hpc-1-proxy", 8000], ["apache", 8443], ["egress", 3130]],
    "htc": [["condor-ap", 9618], ["condor-cm", 9618], ["htc-login", 22],
            ["htc-1-proxy", 8000], ["apache", 8443], ["egress", 3130]],
}  # fmt: skip
# Tries it all, and writes down what it found: as JSON to its argument, or to standard output
PROBE = """
import json, os, pathlib, pwd, socket, subprocess, sys
me = pwd.getpwuid(os.getuid())
asked = json.loads(pathlib.Path(me.pw_dir, "asked.json").read_text())

def reached(host, port):
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True

def made(*words):
    try:
        socket.socket(*words).close()
    except OSError:
        return False
    return True

def uid(path):
    try:
        return path.stat().st_uid
    except OSError:
        return 0

def homes(root):
    try:
        return os.listdir(root / "home")
    except OSError:
        return []

def listed(script, *words):
    # erin's other homes are closed, and their names are what matters
    done = subprocess.run([*words, "sh", "-c", script], capture_output=True, text=True)
    return sorted(done.stdout.split())

def leads_outside(number):
    path = f"/proc/self/fd/{number}"
    return os.path.isdir(path) and not os.readlink(path).startswith("/proc")

processes = [path for path in pathlib.Path("/proc").iterdir() if path.name.isdecimal()]
folders = ("/", "/etc", "/usr", "/opt", "/software", "/home")
status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
fast = socket.socket()
try:
    fast.sendto(b"x", 0x20000000, tuple(asked["closed"][0]))
    by_sending = True
except OSError as error:
    by_sending = error.errno not in (13,)
found = {
    "user": me.pw_name,
    "root": sorted(os.listdir("/")),
    "homes": sorted(os.listdir("/home")),
    "people": sorted(one.pw_name for one in pwd.getpwall() if 1500 <= one.pw_uid < 60000),
    "others": sorted({uid(path) for path in processes} & set(range(1500, 60000)) - {me.pw_uid}),
    "own": sorted(path for path in asked["paths"] if os.path.exists(path)),
    "writable": [path for path in folders if os.access(path, os.W_OK)],
    "open": [host for host, port in asked["open"] if reached(host, port)],
    "closed": [[host, port] for host, port in asked["closed"] if reached(host, port)],
    "udp": made(socket.AF_INET, socket.SOCK_DGRAM) or made(socket.AF_INET6, socket.SOCK_DGRAM),
    "mptcp": made(socket.AF_INET, socket.SOCK_STREAM, 262),
    "by sending": by_sending,
    "capabilities": int(status["CapEff"], 16),
    "by others' roots": sorted({home for path in processes for home in homes(path / "root")}),
    "uncovered": listed(
        "umount -R -l /tmp /home/* /etc /proc /usr /opt /; ls -d /home/* /keys /etc/slurm /etc/condor",
        "unshare", "--user", "--map-root-user", "--mount",
    ),
    "outside": [number for number in os.listdir("/proc/self/fd") if leads_outside(number)],
    "marked": os.environ.get("BENCHTOP_CONFINED", ""),
}
text = json.dumps(found)
if len(sys.argv) > 1 and sys.argv[1].endswith("found.json"):
    pathlib.Path(sys.argv[1] + ".part").write_text(text)
    os.replace(sys.argv[1] + ".part", sys.argv[1])
else:
    print(text)
"""
CONDOR = """universe = vanilla
executable = /bin/sh
transfer_executable = false
should_transfer_files = YES
transfer_output_files = ""
arguments = "-c '{command}'"
initialdir = /tmp
output = /dev/null
error = /dev/null
request_memory = 128M
requirements = Machine == "{node}"
{more}
queue
"""


def slurm(settings: Settings, person: str, command: str, *options: str) -> CompletedProcess[bytes]:
    """Submit by hand: the answer of sbatch."""
    words = ["--parsable", "--partition=debug", "--mem=128M", "--time=3", "--output=slurm-%j.out", *options]
    if not any(option.startswith("--nodelist") for option in options):
        words.append(f"--nodelist={NODES['hpc']}")
    shell = 'cd && exec sbatch "$@"'
    return Batch(settings, "hpc").run(
        person, "sh", "-c", shell, "sh", *words, f"--wrap={command}", on="cpu-1", check=False
    )


def condor(settings: Settings, person: str, command: str, more: str = "") -> CompletedProcess[bytes]:
    """The answer of condor_submit."""
    text = CONDOR.format(command=command, node=NODES["htc"], more=more)
    submit = 'cd "$(mktemp -d)" && printf "%s" "$1" >job && condor_submit -spool -terse job'
    return Batch(settings, "htc").run(person, "sh", "-c", submit, "sh", text, check=False)


def submit(settings: Settings, cluster: str, person: str, command: str) -> None:
    """Submit by hand to either, which must be taken."""
    done = (slurm if cluster == "hpc" else condor)(settings, person, command)
    assert done.returncode == 0, done.stdout + done.stderr


def refused(done: CompletedProcess[bytes], sentence: str) -> None:
    """It is, and says so."""
    said = (done.stdout + done.stderr).decode()
    assert done.returncode, said
    assert sentence in " ".join(said.split()), said


def address(service: Services, node: str, host: str) -> str:
    """As a node has it, which has a name service."""
    return str(service(node).check_output("getent ahostsv4 %s", host).split()[0])


@pytest.fixture
def homes(settings: Settings) -> Iterator[dict[str, Home]]:
    """The two people's homes; what tests leave there is gone afterwards, and so are their jobs."""
    found = {person: Home(settings, person) for person in (GUEST, CONTROL)}
    yield found
    for person, home in found.items():
        for cluster in NODES:
            Batch(settings, cluster).clear(person)
        home.remove("asked.json", "probe.py", "found.json", "gate", "out.so", "out.c", "task", "session.link")
        home.run("rm -f slurm-*.out")


@pytest.fixture
def prepared(settings: Settings, service: Services, homes: dict[str, Home]) -> Callable[[str], None]:
    """Put the probe, and what it is to try on a cluster, into both homes."""

    def prepare(cluster: str) -> None:
        node = NODES[cluster]
        closed = [[address(service, node, host), port] for host, port in CLOSED[cluster]]
        service(node).check_output("touch %s && chmod 644 %s", LEFT, LEFT)
        for home in homes.values():
            home.put("asked.json", json.dumps({"open": OPEN, "closed": closed, "paths": THE_NODES_OWN}))
            home.put("probe.py", PROBE)

    return prepare


def in_a_job(settings: Settings, cluster: str, home: Home) -> Found:
    """What the probe finds in a job of theirs that was submitted by hand."""
    home.remove("found.json")
    submit(settings, cluster, home.person, f"python3 {home.path}/probe.py {home.path}/found.json")
    read = "cat found.json 2>/dev/null || true"
    text = wait_until(lambda: home.run(read), timeout=ENDS, what=f"{home.person}'s job", every=0.5)
    return dict(json.loads(text))


def is_confined(found: Found, cluster: str) -> None:
    """All that is promised of such a job."""
    assert found["user"] == GUEST
    assert set(found["root"]) <= set(INSIDE)
    assert found["homes"] == [GUEST]
    assert found["people"] == [GUEST]
    assert found["others"] == []
    assert found["own"] == []
    assert found["writable"] == []
    assert found["open"] == [host for host, _ in OPEN]
    assert found["closed"] == []
    assert [found[way] for way in ("udp", "mptcp", "by sending")] == [False] * 3
    assert found["capabilities"] == 0
    assert set(found["by others' roots"]) <= {GUEST}
    assert [path for path in found["uncovered"] if path != f"/home/{GUEST}"] == []
    assert found["outside"] == []
    assert found["marked"] == "yes"


def is_not(found: Found, cluster: str) -> None:
    """The same of somebody else's: the probe does see what is there."""
    assert found["user"] == CONTROL
    assert {GUEST, CONTROL, "alice"} <= set(found["homes"])
    assert {GUEST, CONTROL, "alice"} <= set(found["people"])
    assert {"/etc/slurm" if cluster == "hpc" else "/etc/condor", "/var/lib/extrausers", LEFT} <= set(
        found["own"]
    )
    assert found["open"] == [host for host, _ in OPEN]
    assert len(found["closed"]) > len(CLOSED[cluster]) - 2
    assert found["udp"]
    assert found["by sending"]
    assert "/home/alice" in found["uncovered"]
    assert found["marked"] == ""


@ON_BOTH
def test_a_job_that_was_submitted_by_hand_is_kept_in_the_image(
    cluster: str, settings: Settings, homes: dict[str, Home], prepared: Callable[[str], None]
):
    prepared(cluster)
    is_not(in_a_job(settings, cluster, homes[CONTROL]), cluster)
    is_confined(in_a_job(settings, cluster, homes[GUEST]), cluster)


@ON_BOTH
def test_a_session_is_kept_in_it_too_and_works(
    cluster: str, settings: Settings, homes: dict[str, Home], prepared: Callable[[str], None], own: Own
):
    """Its kernels and terminals are of the session; it came up, so the way back to its hub is there."""
    prepared(cluster)
    hers = own(GUEST, cluster)
    asked = {"partition": "debug", "runtime": 10} if cluster == "hpc" else {"runtime": 10}
    with sessions.running(hers, **asked):
        assert hers.open().ok
        (shown,) = notebooks.run_cells(hers, "python3", [PROBE])
        found = json.loads(shown.stdout)
        found["outside"] = []  # a kernel's own folder
        is_confined(found, cluster)
        assert hers.jupyter("POST", "terminals").ok


# ---- each way round it, on Slurm ----------------------------------------------------------------

# A library that a program loads before it does anything: what it writes on the node shows that it was outside
PRELOADED = """
#include <fcntl.h>
#include <unistd.h>
__attribute__((constructor)) static void begin(void) {
  close(open("/tmp/outside", O_CREAT | O_WRONLY, 0644));
}
"""
SAYS = {
    ("--input=/etc/passwd",): "read nothing on standard input",
    ("--output=/tmp/elsewhere",): "write to your home alone",
    ("--error=../../tmp/elsewhere",): "write to your home alone",
    ("--container=/tmp",): "inside the facility's own image",
}


@ON_SLURM
def test_slurm_refuses_what_is_no_batch_job_or_leads_out_of_it(settings: Settings, homes: dict[str, Home]):
    batch = Batch(settings, "hpc")
    for words in (["srun", "hostname"], ["salloc", "--no-shell"]):
        options = ["--partition=debug", "--mem=64M", "--time=1"]
        refused(batch.run(GUEST, words[0], *options, *words[1:], on="cpu-1", check=False), "batch jobs alone")
    for options, sentence in SAYS.items():
        refused(slurm(settings, GUEST, "true", *options), sentence)
    assert (
        batch.run(
            CONTROL, "srun", "--partition=debug", "--mem=64M", "--time=1", "true", on="cpu-1"
        ).returncode
        == 0
    )


@ON_SLURM
def test_no_variable_and_no_step_gets_past_it(settings: Settings, service: Services, homes: dict[str, Home]):
    """A step would run its owner's --task-epilog outside; a variable, a library of theirs first of all."""
    batch, node = Batch(settings, "hpc"), service("cpu-1")
    outside = [
        "--export=ALL,LD_PRELOAD=$HOME/out.so,LD_LIBRARY_PATH=$HOME,PYTHONPATH=$HOME,BASH_ENV=$HOME/task"
    ]
    task = f"#!/bin/sh\ntouch {OUTSIDE}\n"
    for person, is_outside in ((CONTROL, True), (GUEST, False)):
        node.check_output("rm -f %s", OUTSIDE)
        home = homes[person]
        home.put("out.c", PRELOADED)
        home.put("task", task)
        home.run("g++ -x c -shared -fPIC -o out.so out.c; chmod 755 task; touch gate")
        options = [option.replace("$HOME", home.path) for option in outside]
        done = slurm(settings, person, 'while [ -e "$HOME/gate" ]; do sleep 0.2; done', *options)
        assert done.returncode == 0, done.stderr
        number = done.stdout.decode().strip()
        running = lambda person=person: [job.state for job in batch.jobs(person)] == ["RUNNING"]  # noqa: E731
        wait_until(running, timeout=ENDS, what=f"the job of {person}")
        if is_outside:
            wait_until(lambda: node.file(OUTSIDE).exists, timeout=ENDS, what="the control")
            node.check_output("rm -f %s", OUTSIDE)
        step = ["srun", f"--jobid={number}", "--overlap", f"--task-epilog={home.path}/task", "true"]
        answer = batch.run(person, *step, on="cpu-1", check=False)
        assert (answer.returncode == 0) is is_outside, answer.stderr
        home.remove("gate")
        wait_until(lambda person=person: not batch.jobs(person), timeout=ENDS, what="its end")
        assert node.file(OUTSIDE).exists is is_outside
    node.check_output("rm -f %s", OUTSIDE)


@ON_SLURM
def test_what_was_decided_cannot_be_changed_and_nobody_else_comes_to_the_node(
    settings: Settings, homes: dict[str, Home]
):
    batch, gate = Batch(settings, "hpc"), 'while [ -e "$HOME/gate" ]; do sleep 0.2; done'
    for home in homes.values():
        home.put("gate", "")
    number = slurm(settings, GUEST, gate, "--array=0-1").stdout.decode().strip()
    both = lambda: [job.state for job in batch.jobs(GUEST)] == ["RUNNING"] * 2  # noqa: E731
    wait_until(both, timeout=ENDS, what="both tasks, side by side: the node is hers")
    waiting = slurm(settings, CONTROL, "true").stdout.decode().strip()
    shown = "scontrol show job"
    wait_until(
        lambda: "Resources" in batch.said(CONTROL, *shown.split(), waiting, on="cpu-1"),
        timeout=ENDS, what="somebody else's job to wait for the node",
    )  # fmt: skip
    assert {job.state for job in batch.jobs(GUEST)} == {"RUNNING"}
    held = slurm(settings, GUEST, "true", "--hold").stdout.decode().strip()
    for change in ("OverSubscribe=YES", "StdOut=/tmp/elsewhere"):
        done = batch.run(GUEST, "scontrol", "update", f"JobId={held}", change, on="cpu-1", check=False)
        assert done.returncode, change
    assert "confined" in batch.said("erin", *shown.split(), number, on="cpu-1"), "an admin sees it"


# ---- … and on HTCondor -----------------------------------------------------------------------------

SUBMITTED = {
    '+PreCmd = "/bin/sh"': "run one program",
    '+PostCmd = "/bin/sh"': "run one program",
    "universe = container\ncontainer_image = /tmp": "inside the facility's own image",
    "universe = local": "inside the facility's own image",
}


@ON_CONDOR
def test_htcondor_refuses_what_would_run_beside_a_job(settings: Settings, homes: dict[str, Home]):
    for more, sentence in SUBMITTED.items():
        refused(condor(settings, GUEST, "true", more), sentence)


@ON_CONDOR
def test_a_job_that_says_to_be_nobodys_guest_is_confined_all_the_same(
    settings: Settings, service: Services, homes: dict[str, Home]
):
    batch, node = Batch(settings, "htc"), service(NODES["htc"])
    node.check_output("rm -f %s", OUTSIDE)
    for person, is_outside in ((CONTROL, True), (GUEST, False)):
        home = homes[person]
        home.put("out.c", PRELOADED)
        home.remove("found.json")
        home.run("g++ -x c -shared -fPIC -o out.so out.c")
        lines = f'+Confined = false\nenvironment = "LD_PRELOAD={home.path}/out.so PYTHONPATH={home.path}"'
        done = condor(settings, person, f"echo done > {home.path}/found.json", lines)
        assert done.returncode == 0, done.stderr
        wait_until(
            lambda home=home: home.run("cat found.json 2>/dev/null || true"), timeout=ENDS, what="the job"
        )
        assert node.file(OUTSIDE).exists is is_outside
        node.check_output("rm -f %s", OUTSIDE)
    assert not batch.jobs(GUEST)


@ON_CONDOR
def test_nobody_elses_job_comes_to_an_execute_node_where_hers_is(settings: Settings, homes: dict[str, Home]):
    batch = Batch(settings, "htc")
    gate = "while [ -e {home}/gate ]; do sleep 0.2; done"

    def state(person: str) -> list[str]:
        return [job.state for job in batch.jobs(person)]

    def waits(person: str) -> None:
        """It was looked for a place, and there was none."""
        (number,) = (job.number for job in batch.jobs(person))
        looked = ["condor_q", number, "-autoformat", "LastRejMatchTime"]
        wait_until(
            lambda: batch.said(person, *looked).strip().isdecimal(), timeout=ENDS, what="a negotiation"
        )
        assert state(person) == ["PENDING"]

    for home in homes.values():
        home.put("gate", "")
    submit(settings, "htc", GUEST, gate.format(home=homes[GUEST].path))
    wait_until(lambda: state(GUEST) == ["RUNNING"], timeout=ENDS, what="her job")
    submit(settings, "htc", CONTROL, gate.format(home=homes[CONTROL].path))
    waits(CONTROL)
    homes[GUEST].remove("gate")
    wait_until(lambda: state(CONTROL) == ["RUNNING"], timeout=ENDS, what="his turn, when she is gone")
    submit(settings, "htc", GUEST, "true")
    waits(GUEST)


# ---- the login nodes -----------------------------------------------------------------------------


@ON_BOTH
def test_she_has_no_session_on_a_login_node(cluster: str, settings: Settings, own: Own, service: Services):
    """Many people share one, so nobody is confined there. The node says no, whatever a hub was told."""
    login = service(f"{cluster}-login")
    assert login.check_output("login-principals gina 2007") == ""
    assert login.check_output("login-principals erin 2005") == "erin"
    hers = own(GUEST, cluster)
    answer = hers.start(where="login", runtime=10)
    assert answer.status_code == 400
    assert "is not open to you" in answer.text
    assert Batch(settings, cluster).jobs(GUEST) == []
    assert "python" not in login.run("ps -u gina -o comm=").stdout
