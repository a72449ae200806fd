"""How long from the click on Start until JupyterLab answers.

floor: a stock `jupyterhub-singleuser` of the same versions on the same node, started by hand, until its
       /api/status answers 200; no scheduler, no hub to start it, nothing trimmed
click: POST to the hub's API as the form does, until /api/status of the person's server answers 200 through
       Apache and the proxy

Both in turn, so that whatever else the machine does meets both.
"""

import json
import sys
import time
from dataclasses import dataclass
from statistics import median

from benchtop import compose, enrol
from benchtop.hubs import Hub
from benchtop.settings import Settings
from figures import Figure, until

PERSON, FLOOR_PORT = "alice", "18888"
ANSWER = 30  # seconds for one question


@dataclass(frozen=True)
class Course:
    """Where on a cluster the same is measured as on the other."""

    name: str
    node: str
    options: dict[str, object]
    bar: float
    aim: float


COURSES = {
    "hpc": Course("Slurm", "gpu-1", {"partition": "debug", "gpu": "pascal:1", "runtime": 10}, 1.5, 1.0),
    "htc": Course("HTCondor", "condor-ep-1", {"runtime": 10}, 2.0, 1.3),
}

# Runs on the node, as the person: start the stock server, ask it until it answers, end it.
# (What a session leaves out is loaded here: lab/config/jupyter/jupyter_server_config.json is overruled.)
FLOOR = """
import json, os, pathlib, signal, subprocess, sys, tempfile, time, urllib.request
url = f"http://127.0.0.1:{sys.argv[1]}{sys.argv[2]}api/status"
ask = urllib.request.Request(url, headers={"Authorization": "token " + os.environ["JUPYTERHUB_API_TOKEN"]})
folder = tempfile.TemporaryDirectory()
on = {"jupyter_lsp": True, "notebook_shim": True, "benchtop_lab.extension": False}
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


def measure(settings: Settings, cluster: str, rounds: int) -> list[Figure]:
    """Starts on one cluster."""
    course = COURSES[cluster]
    own = Hub(settings, enrol.login(settings, PERSON), PERSON, cluster)
    stop(own)
    made = own.api("POST", f"users/{PERSON}/tokens", {"expires_in": 7200}).json()
    floors, clicks = [], []
    try:
        for number in range(1, rounds + 1):
            floors.append(floor(own, course, made["token"]))
            clicks.append(click(own, course, made["token"]))
            said = f"{course.name} {number}/{rounds}: floor {floors[-1]:.2f} s, click {clicks[-1]:.2f} s"
            print(said, file=sys.stderr)
    finally:
        own.api("DELETE", f"users/{PERSON}/tokens/{made['id']}")
    return [
        Figure(f"{course.name}: click → JupyterLab answers, median", seconds(clicks), seconds(floors)),
        Figure(
            f"{course.name}: the same ÷ floor",
            f"{median(clicks) / median(floors):.2f}",
            bar=f"≤ {course.bar}",
            aim=f"{course.aim}",
        ),
    ]


def seconds(values: list[float]) -> str:
    """The median, and how far the others are from it."""
    return f"{median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"


def stop(own: Hub) -> None:
    """End the person's session and wait until the hub has forgotten it."""
    own.stop()
    until(lambda: own.server() is None, "the end of a session")


def click(own: Hub, course: Course, token: str) -> float:
    """Seconds from the request to an answering JupyterLab."""
    began = time.monotonic()
    own.start(**course.options).raise_for_status()
    headers = {"Authorization": f"token {token}"}

    def answers() -> bool:
        if not own.ready():
            return False
        status = own.browser.get(f"{own.lab}api/status", headers=headers, timeout=ANSWER)
        return status.status_code == 200

    until(answers, "JupyterLab")
    took = time.monotonic() - began
    stop(own)
    return took


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
