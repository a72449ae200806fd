"""Sessions from their start to their end, as tests begin and look at them."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from html import unescape
from typing import Any

import requests

from benchtop.settings import Settings
from benchtop.stack import compose
from support.batch import Batch, Job
from support.homes import Home
from support.hub import Hub
from support.visitors import NAVIGATES
from support.wait import wait_until

Own = Callable[[str, str], Hub]

# What the form of each cluster takes at least
SMALL: dict[str, dict[str, object]] = {"hpc": {"partition": "debug", "runtime": 20}, "htc": {"runtime": 20}}
START = 90  # seconds for a session on a busy machine
END = 60  # … and until a stopped one is gone
FULL = 30  # seconds until the jobs that fill a node run
REAPED = 110  # … and until one that nobody owns is gone: two looks in a row, and just missed the first
# JupyterLab reads this while it starts, after the job has said its port
SLOW = "/home/{person}/.jupyter/jupyter_server_config.py"
WAITS = "import pathlib, time\nwhile pathlib.Path(__file__).exists():\n    time.sleep(0.1)\n"
# pgrep's words for the process of JupyterLab alone: the shell beside it has its name in its own words, and
# the program that looks after its memory has it as a part of another name
PROCESS = "^/opt/lab/bin/python.*benchtop_lab[.]session( |$)"
# What a session's own processes know of it: its environment, and the port that it listens on
SESSION = """
import json, os, pathlib
for one in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        if b"benchtop_lab.session" not in (one / "cmdline").read_bytes().split(b"\\0"):
            continue
        if one.stat().st_uid != os.getuid():
            continue
        pairs = (item.partition("=") for item in (one / "environ").read_text().split("\\0") if item)
        env = {name: value for name, _, value in pairs}
        own = {os.readlink(link) for link in (one / "fd").iterdir()}
        rows = [line.split() for line in (one / "net/tcp").read_text().splitlines()[1:]]
    except OSError:
        continue
    ports = [int(row[1][-4:], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in own]
    print(json.dumps({"pid": int(one.name), "env": env, "port": ports[0] if ports else 0}))
"""
# A job's program speaks to its hub like this. Token and report come by standard input: no list shows them.
REPORT = """
import json, ssl, sys, urllib.error, urllib.request
url, token, body = json.load(sys.stdin)
headers = {"Content-Type": "application/json"} | ({"Authorization": "token " + token} if token else {})
tls = ssl.create_default_context(cafile="/etc/benchtop/trust/bundle.pem")
request = urllib.request.Request(url, data=body.encode(), headers=headers, method="POST")
try:
    answer = urllib.request.urlopen(request, timeout=20, context=tls)
except urllib.error.HTTPError as refused:
    answer = refused
print(answer.status)
"""


def start(own: Hub, **wanted: Any) -> None:
    """Ask for a session, which must be taken."""
    answer = own.start(**{**SMALL[own.cluster], **wanted})
    assert answer.status_code in {201, 202}, answer.text


def ready(own: Hub, *, within: float = START, **wanted: Any) -> None:
    """Start a session and wait for it; within: seconds."""
    start(own, **wanted)
    wait_until(own.ready, timeout=within, what=f"the session of {own.person} on {own.cluster}")


def begin(own: Hub, *, within: float = START, **wanted: Any) -> None:
    """Start a session and open it; within: seconds until it is ready."""
    ready(own, within=within, **wanted)
    assert own.open().ok


def begin_anew(own: Hub) -> None:
    """End the session that may be left of an earlier test, start one and open it."""
    end(own)
    begin(own)


def end(own: Hub) -> None:
    """End a session, if there is one, as a person does."""
    wait_until(lambda: own.stop().status_code in {202, 204, 404}, timeout=END, what="the hub to stop it")
    wait_until(lambda: own.server() is None, timeout=END, what=f"the end of {own.person}'s session")


@contextmanager
def running(own: Hub, **wanted: Any) -> Iterator[Hub]:
    """A session that is ready meanwhile; there is none before and none afterwards."""
    end(own)
    ready(own, **wanted)
    yield own
    end(own)


def over(own: Hub, batch: Batch) -> None:
    """No session and no job is left."""
    end(own)
    batch.clear(own.person)
    wait_until(lambda: not batch.jobs(own.person), timeout=END, what=f"the end of {own.person}'s jobs")
    told(own)  # whatever was left to say


def told(own: Hub) -> list[str]:
    """Why sessions ended, as the next page of the hub says it to who goes there."""
    page = own.browser.get(f"{own.base}/hub/home", headers=NAVIGATES, timeout=60)
    shown = re.findall(r'role="status">Your session (?:ended: )?([^<]+)<', page.text)
    return [unescape(words).strip() for words in shown]


def told_once(own: Hub) -> str:
    """Why the session ended; the next page does not say it again."""
    wait_until(lambda: own.server() is None, timeout=END, what=f"the end of {own.person}'s session")
    (why,) = told(own)
    assert told(own) == []
    return why


@contextmanager
def slow(home: Home) -> Iterator[Callable[[], None]]:
    """JupyterLab of its owner waits while it starts; what is given ends that."""
    file = SLOW.format(person=home.person)
    home.put(file, WAITS)

    def go_on() -> None:
        home.remove(file)

    try:
        yield go_on
    finally:
        go_on()


# … takes more memory than a session has, as soon as it is told to: no kernel can be ended instead of it
GREEDY = """
import pathlib, threading, time
def take():
    while not pathlib.Path("~/take-memory").expanduser().exists():
        time.sleep(0.1)
    globals()["held"] = b"x" * (1300 << 20)
threading.Thread(target=take, daemon=True).start()
"""


@contextmanager
def greedy(home: Home) -> Iterator[Callable[[], None]]:
    """A session that its owner starts now takes too much memory itself, when what is given is called."""
    file, sign = SLOW.format(person=home.person), "take-memory"
    home.remove(sign)
    home.put(file, GREEDY)

    def take() -> None:
        home.put(sign, "")

    try:
        yield take
    finally:
        home.remove(sign, file)


def loading(own: Hub, batch: Batch) -> tuple[Job, dict[str, object]]:
    """Wait until a session has said its port and its JupyterLab loads; its job and its process."""
    wait_until(
        lambda: own.stage().startswith("JupyterLab is starting"), timeout=START, what="the port to be known"
    )
    job = batch.job(own.person)
    assert job
    (process,) = batch.said(own.person, "python3", "-c", SESSION, on=job.node).splitlines()
    return job, json.loads(process)


@contextmanager
def owners(settings: Settings, signed_in: Callable[[str], requests.Session]) -> Iterator[Own]:
    """Who has no session now, and none when it is over: `("alice", "hpc")`."""
    known: dict[tuple[str, str], Hub] = {}

    def meet(person: str, cluster: str) -> Hub:
        if (person, cluster) not in known:
            known[person, cluster] = Hub(settings, signed_in(person), person, cluster)
            over(known[person, cluster], Batch(settings, cluster))
        return known[person, cluster]

    try:
        yield meet
    finally:
        for (person, cluster), one in known.items():
            for name in filter(None, one.api("GET", f"users/{person}").json()["servers"]):
                replace(one, name=name).forget()
            over(one, Batch(settings, cluster))


@contextmanager
def full(batch: Batch, person: str) -> Iterator[Callable[[], None]]:
    """A job of this person takes all of Slurm's cpu-1; what is given ends it earlier."""
    options = ["--partition=harvester", "--cpus-per-task=8", "--mem=64M", "--time=5"]
    options += ["--chdir=/tmp", "--output=/dev/null", "--wrap=sleep 300"]
    try:
        batch.run(person, "sbatch", *options)
        wait_until(
            lambda: [job.state for job in batch.jobs(person)] == ["RUNNING"], timeout=FULL, what="cpu-1 full"
        )
        yield lambda: batch.clear(person)
    finally:
        batch.clear(person)


def reaped(own: Hub) -> int:
    """How many jobs the hub has ended that no server knew, by its own count."""
    python = ["exec", "-T", own.cell, "/opt/hub/bin/python", "-c", METRICS, own.cluster]
    said = compose.run(own.settings, *python).stdout.decode()
    found = re.search(r"^benchtop_reaped_jobs_total (\S+)", said, re.MULTILINE)
    assert found, said
    return int(float(found[1]))


METRICS = """
import sys, urllib.request
token = open("/keys/metrics.token").read().strip()
url = f"http://hub:8081/jupyterhub/{sys.argv[1]}/hub/metrics"
asked = urllib.request.Request(url, headers={"Authorization": f"token {token}"})
print(urllib.request.urlopen(asked, timeout=20).read().decode())
"""
