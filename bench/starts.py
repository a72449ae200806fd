"""How long from the click on Start until JupyterLab answers, and what of it each step takes.

floor: a stock `jupyterhub-singleuser` of the same versions on the same node, started by hand, until its
       /api/status answers 200; no scheduler, no hub to start it, nothing trimmed
click: the form is sent as its button does it, until /api/status of the person's server answers 200 through
       Apache and the proxy to somebody who followed the page that waits

All in turn, so that whatever else the machine does meets all of them. When a step is over says whoever did
it: the hub's log line of the start, the job's first process on its node, the page that waits.
"""

import json
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median

from benchtop.console import Problem
from benchtop.people import enrol
from benchtop.settings import Settings
from benchtop.stack import compose
from figures import Figure, Table, until
from support.hub import Hub

PERSON, FLOOR_PORT = "alice", "18888"
LOGIN, CONTAINER = "login node", "container"
ANSWER = 30  # seconds for one question
STEPS = {
    "request": "the form is sent and read, the hub begins",
    "submit": "rights are checked, the job is taken",
    "queue": "the job's first process runs",
    "report": "the session's port has reached the hub",
    "answer": "JupyterLab answers the hub",
    "route": "the proxy has the route, the page knows",
    "page": "JupyterLab answers the browser",
}


@dataclass(frozen=True)
class Course:
    """Where the same is measured as elsewhere. No bar: nobody waits for a scheduler there."""

    name: str
    cluster: str
    node: str
    options: Mapping[str, object]
    bar: float = 0.0
    aim: float = 0.0


COURSES = {
    "hpc": Course(
        "Slurm", "hpc", "gpu-1", {"partition": "debug", "gpu": "pascal:1", "runtime": 10}, 1.0, 0.6
    ),
    "htc": Course("HTCondor", "htc", "condor-ep-1", {"runtime": 10}, 1.3, 0.8),
}


@dataclass
class Taken:
    """What was measured on a course, in seconds."""

    floors: list[float] = field(default_factory=list)
    wholes: list[float] = field(default_factory=list)
    steps: list[Mapping[str, float]] = field(default_factory=list)


# Runs on the node: when the oldest process of a person was born that is younger than a time of the clock.
BORN = """
import os, sys, time
who, since = int(sys.argv[1]), float(sys.argv[2])
boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
born = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        status = open(f"/proc/{pid}/status").read().split("Uid:")[1].split()
        stat = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    except OSError:
        continue
    if int(status[0]) == who:
        born.append(boot + int(stat[19]) / os.sysconf("SC_CLK_TCK"))
print(min((when for when in born if when > since), default=""))
"""
# Runs on the node, as the person: start the stock server, ask it until it answers, end it.
# (What a session leaves out is loaded here: lab/config/jupyter/jupyter_server_config.json is overruled.)
FLOOR = """
import json, os, pathlib, signal, subprocess, sys, tempfile, time, urllib.request
url = f"http://127.0.0.1:{sys.argv[1]}{sys.argv[2]}api/status"
ask = urllib.request.Request(url, headers={"Authorization": "token " + os.environ["JUPYTERHUB_API_TOKEN"]})
folder = tempfile.TemporaryDirectory()
on = {"jupyter_lsp": True, "notebook_shim": True, "benchtop_lab.session.extension": False}
stock = json.dumps({"ServerApp": {"jpserver_extensions": on}})
pathlib.Path(folder.name, "jupyter_server_config.json").write_text(stock)
os.environ |= {"JUPYTER_CONFIG_DIR": folder.name, "JUPYTER_PREFER_ENV_PATH": "0"}
began = time.monotonic()
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
server = subprocess.Popen(["/opt/lab/bin/jupyterhub-singleuser"], **quiet)
try:
    while True:
        try:
            if urllib.request.urlopen(ask, timeout=5).status == 200:
                break
        except OSError as error:
            if server.poll() is not None or time.monotonic() - began > 60:
                sys.exit(f"the stock server did not answer: {error}")
            time.sleep(0.02)
    print(time.monotonic() - began)
finally:
    server.send_signal(signal.SIGKILL)
"""


def measure(settings: Settings, rounds: int) -> list[Figure | Table]:
    """Starts on each cluster, on a login node and in a container."""
    first = settings.clusters[0]
    courses = [COURSES[cluster] for cluster in settings.clusters]
    courses.append(Course(LOGIN, first, f"{first}-login", {"where": "login", "runtime": 10}))
    if settings.engine:  # its floor is the login node's: the engine itself runs no server
        courses.append(Course(CONTAINER, first, f"{first}-login", {"where": "container", "runtime": 10}))
    uid = compose.run(settings, "exec", "-T", f"{first}-login", "id", "-u", PERSON).stdout.decode().strip()
    browser = enrol.login(settings, PERSON)
    hubs = {cluster: Hub(settings, browser, PERSON, cluster) for cluster in settings.clusters}
    tokens = {cluster: token(own) for cluster, own in hubs.items()}
    taken = {course.name: Taken() for course in courses}
    try:
        for own in hubs.values():
            stop(own)
        for number in range(1, rounds + 1):
            for course in courses:
                one, own = taken[course.name], hubs[course.cluster]
                one.floors.append(floor(own, course, tokens[course.cluster]["token"]))
                began, ready, answered = click(own, course.options, tokens[course.cluster]["token"])
                one.wholes.append(answered - began)
                one.steps.append(steps(own, uid, began, ready, answered))
                stop(own)
                line = f"floor {one.floors[-1]:.2f} s, click {one.wholes[-1]:.2f} s"
                print(f"{course.name} {number}/{rounds}: {line}", file=sys.stderr)
    finally:
        for cluster, own in hubs.items():
            own.api("DELETE", f"users/{PERSON}/tokens/{tokens[cluster]['id']}")
    lines = [line for course in courses for line in figures(course, taken[course.name])]
    if settings.engine:
        ratio = median(taken[CONTAINER].wholes) / median(taken[LOGIN].wholes)
        lines.append(Figure(f"{CONTAINER}: the whole ÷ the {LOGIN}'s", f"{ratio:.2f}", bar="≤ 1.5"))
    return [*lines, table(taken)]


def figures(course: Course, taken: Taken) -> list[Figure]:
    """The whole beside its floor."""
    what = f"{course.name}: click → JupyterLab answers, median"
    ratio = f"{median(taken.wholes) / median(taken.floors):.2f}"
    bar, aim = (f"≤ {course.bar}", f"{course.aim}") if course.bar else ("", "")
    return [
        Figure(what, seconds(taken.wholes), seconds(taken.floors)),
        Figure(f"{course.name}: the same ÷ floor", ratio, bar=bar, aim=aim),
    ]


def table(taken: Mapping[str, Taken]) -> Table:
    """What each step took."""
    rows = [
        (
            f"until {what}",
            *(f"{1000 * median(start[step] for start in one.steps):.0f}" for one in taken.values()),
        )
        for step, what in STEPS.items()
    ]
    rows.append(("the whole", *(f"{1000 * median(one.wholes):.0f}" for one in taken.values())))
    rows.append(("its floor", *(f"{1000 * median(one.floors):.0f}" for one in taken.values())))
    return Table("The steps of a start: ms that each takes, median", ("step", *taken), tuple(rows))


def seconds(values: list[float]) -> str:
    """The median, and how far the others are from it."""
    return f"{median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"


def token(own: Hub) -> dict[str, str]:
    """A token of the person, for questions to their session."""
    made: dict[str, str] = own.api("POST", f"users/{own.person}/tokens", {"expires_in": 7200}).json()
    return made


def stop(own: Hub) -> None:
    """End the person's session and wait until the hub has forgotten it."""
    own.stop()
    until(lambda: own.server() is None, "the end of a session")


def click(own: Hub, options: Mapping[str, object], token: str) -> tuple[float, float, float]:
    """When Start was pressed, when the page knew that it is ready, and when JupyterLab answered."""
    own.browser.get(f"{own.base}/hub/spawn", timeout=ANSWER)  # the form that is looked at before
    headers = {"Authorization": f"token {token}"}
    began = time.time()
    own.press_start(**options).raise_for_status()
    if not own.followed():
        raise Problem(f"Cannot be measured: {own.failure() or 'the session did not start'}")
    ready = time.time()
    until(
        lambda: own.browser.get(f"{own.lab}api/status", headers=headers, timeout=ANSWER).status_code == 200,
        "JupyterLab",
    )
    return began, ready, time.time()


def steps(own: Hub, uid: str, began: float, ready: float, answered: float) -> dict[str, float]:
    """Seconds of each step of the start that was clicked and answered at these times of the clock."""
    ended, node, taken = log_line(own, began)
    submitted = ended - sum(taken.values()) + taken["submit"]
    words = ("exec", "-T", node, "python3", "-c", BORN, uid, str(began))
    ran = max(submitted, float(compose.run(own.settings, *words).stdout))
    reported = ended - taken["answer"]
    return {
        "request": submitted - taken["submit"] - began,
        "submit": taken["submit"],
        "queue": ran - submitted,
        "report": reported - ran,
        "answer": taken["answer"],
        "route": ready - ended,
        "page": answered - ready,
    }


def log_line(own: Hub, since: float) -> tuple[float, str, dict[str, float]]:
    """What the hub's log says of the start: when it ended, on which node, and seconds of its steps."""
    ago = f"{time.time() - since + 1:.0f}s"
    lines = compose.log_text(own.settings, "--no-log-prefix", "--timestamps", "--since", ago, own.cell)
    for line in reversed(lines):
        started = rf"(\S+) .*session started user={own.person} .* at=([^:]+):\d+ "
        found = re.match(started + r"environment=\S+ (submit_ms=.*)", line)
        if found:
            taken = {step: int(took) / 1000 for step, took in re.findall(r"(\w+)_ms=(\d+)", found[3])}
            return datetime.fromisoformat(found[1]).timestamp(), found[2], taken
    raise Problem(f"The log of {own.cell} says nothing of the start of {own.person}'s session.")


def floor(own: Hub, course: Course, token: str) -> float:
    """Seconds of the stock server on the node; the token goes over stdin, not into a process list."""
    settings, prefix = own.settings, own.lab.removeprefix(own.settings.url)
    environment = {
        "JUPYTERHUB_USER": PERSON,
        "JUPYTERHUB_SERVICE_PREFIX": prefix,
        "JUPYTERHUB_BASE_URL": f"/jupyterhub/{own.cluster}/",
        "JUPYTERHUB_CLIENT_ID": f"jupyterhub-user-{PERSON}",
        "JUPYTERHUB_API_URL": own.gateway,
        "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{FLOOR_PORT}{prefix}",
        "JUPYTERHUB_HOST": "",
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps([f"access:servers!user={PERSON}"]),
        "SSL_CERT_FILE": "/etc/benchtop/trust/bundle.pem",
        "HOME": f"/home/{PERSON}",
        "PATH": "/opt/lab/bin:/usr/bin:/bin",
    }
    words = [f"{key}={value}" for key, value in environment.items()]
    become = ["setpriv", f"--reuid={PERSON}", "--regid=people", "--init-groups"]
    become += ["env", "--chdir", f"/home/{PERSON}"]
    run = 'read -r JUPYTERHUB_API_TOKEN; export JUPYTERHUB_API_TOKEN; exec python -c "$1" "$2" "$3"'
    words += ["sh", "-c", run, "sh", FLOOR, FLOOR_PORT, prefix]
    done = compose.run(settings, "exec", "-T", course.node, *become, *words, input=f"{token}\n".encode())
    return float(done.stdout)
