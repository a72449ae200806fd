"""A notebook has Dask workers with nothing filled in; nobody else can use them, and they end with it."""

import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import requests

from benchtop.settings import Settings
from support import sessions, traffic
from support.batch import Batch
from support.hub import Hub
from support.wait import wait_until

pytestmark = [
    pytest.mark.needs("hpc/carol", "htc/bob", throughout=True),
    pytest.mark.shares("slurm", "condor", throughout=True),
]

WHO = {"hpc": "carol", "htc": "bob"}
CLASS = {"hpc": "SLURMCluster", "htc": "HTCondorCluster"}
STRANGER = "erin"  # somebody else on the same node
GONE = 60  # seconds in which nothing is left of a notebook's workers
LAB = "/opt/lab/bin/python"

BEGIN = """
import json, os
from dask_jobqueue import {cluster} as Cluster
from dask.distributed import Client
cluster = Cluster(n_workers=1)
client = Client(cluster)
client.wait_for_workers(1, timeout=60)
(worker,) = client.scheduler_info()["workers"]
print(json.dumps({{
    "answer": client.submit(lambda x: x + 1, 41).result(), "pid": os.getpid(), "node": os.uname().nodename,
    "scheduler": cluster.scheduler_address, "worker": worker, "pages": cluster.dashboard_link,
    "run": os.environ["BENCHTOP_RUN"], "keys": str(cluster._keys),
    "python": client.run(lambda: __import__("sys").prefix),
    "job": [job.job_id for job in cluster.workers.values()],
}}))
"""
# What somebody without the keys tries: as a client with none, and with keys of their own
ATTACK = """
import logging, sys
logging.disable(logging.CRITICAL)
from distributed import Client
from distributed.security import Security
from distributed.core import connect, rpc
import asyncio
def attempt(name, *args, **kwargs):
    try:
        print(name, Client(*args, timeout=4, **kwargs).submit(lambda: 42).result(timeout=4))
    except Exception as error:
        print(name, "refused", type(error).__name__)
scheduler, worker = sys.argv[1:]
attempt("no-keys", scheduler)
attempt("plain", scheduler.replace("tls://", "tcp://"))
attempt("own-keys", scheduler, security=Security.temporary())
async def to_worker(**kwargs):
    try:
        comm = await connect(worker, timeout=4, **kwargs)
        await comm.write({"op": "identity", "reply": True})
        print("worker", await comm.read())
    except Exception as error:
        print("worker", "refused", type(error).__name__)
asyncio.run(to_worker(**Security.temporary().get_connection_args("client")))
"""
# What somebody else on the node tries with the pages: by the socket, and by each TCP port of their owner's
LOOK = """
import http.client, pathlib, socket, ssl, sys
try:
    line = socket.socket(socket.AF_UNIX); line.connect(sys.argv[1]); print("socket", "open")
except OSError as error:
    print("socket", error.strerror)
rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
ports = {int(row[1][-4:], 16) for row in rows if row[3] == "0A" and int(row[7]) == int(sys.argv[2])}
context = ssl._create_unverified_context()
for port in ports:
    for more in ({}, {"context": context}):
        try:
            kind = http.client.HTTPSConnection if more else http.client.HTTPConnection
            asked = kind(sys.argv[3], port, timeout=3, **more)
            asked.request("GET", "/status")
            answer = asked.getresponse()
            print("port", answer.status, b"Dask" in answer.read())
        except Exception as error:
            print("port", type(error).__name__)
"""


@dataclass
class Notebook:
    """A kernel with a cluster of one worker, and what it says of itself."""

    own: Hub
    batch: Batch
    kernel: str
    said: dict[str, object] = field(default_factory=dict)

    def run(self, code: str) -> str:
        """What a cell prints."""
        return traffic.run(self.own, self.kernel, code)

    def others(self, program: str, *words: object) -> str:
        """What a program of somebody else prints on the same node."""
        node = str(self.said["node"])
        command = ["env", "HOME=/tmp", LAB, "-c", program, *map(str, words)]
        return self.batch.said(STRANGER, *command, on=node)


@pytest.fixture(scope="module", params=list(WHO))
def notebook(
    request: pytest.FixtureRequest, settings: Settings, signed_in: Callable[[str], requests.Session]
) -> Iterator[Notebook]:
    """On each cluster, with a worker that answers."""
    cluster = request.param
    own = Hub(settings, signed_in(WHO[cluster]), WHO[cluster], cluster)
    batch = Batch(settings, cluster)
    with sessions.running(own):
        assert own.open().ok
        found = Notebook(own, batch, own.kernel())
        found.said = json.loads(found.run(BEGIN.format(cluster=CLASS[cluster])).splitlines()[-1])
        yield found
    wait_until(lambda: not batch.jobs(own.person), timeout=GONE, what="the end of all jobs")


def test_a_cluster_without_an_argument_has_a_worker_that_answers(notebook: Notebook):
    assert notebook.said["answer"] == 42
    assert list(notebook.said["python"].values()) == ["/opt/lab"]  # type: ignore[attr-defined]
    assert str(notebook.said["scheduler"]).startswith("tls://")
    names = {job.number for job in notebook.batch.jobs(notebook.own.person)}
    assert {str(number).partition(".")[0] for number in notebook.said["job"]} < names  # type: ignore[attr-defined]


def test_nobody_without_its_keys_speaks_with_scheduler_or_worker(notebook: Notebook):
    told = notebook.others(ATTACK, notebook.said["scheduler"], notebook.said["worker"]).split("\n")
    assert [line.split()[:2] for line in told if line] == [
        ["no-keys", "refused"],
        ["plain", "refused"],
        ["own-keys", "refused"],
        ["worker", "refused"],
    ]
    again = "from distributed import Client\n"
    again += f"with Client({notebook.said['scheduler']!r}) as one: print(one.submit(lambda: 43).result())"
    assert notebook.run(again) == "43", "another client of the same session has the keys"


def test_its_keys_are_in_no_list(notebook: Notebook):
    person, job = notebook.own.person, str(notebook.said["job"][0])  # type: ignore[index]
    asks = {
        "hpc": ["scontrol", "show", "job", "--details", job],
        "htc": ["condor_q", "-allusers", "-long", job],
    }
    shown = notebook.batch.said(
        STRANGER if notebook.batch.cluster == "hpc" else person, *asks[notebook.batch.cluster]
    )
    assert "PRIVATE KEY" not in shown
    keys = str(notebook.said["keys"])
    assert notebook.run(f"import os; print(oct(os.stat({keys!r}).st_mode)[-3:])") == "600"
    read = f"cat {shlex.quote(keys)} || echo no"
    told = notebook.batch.said(STRANGER, "sh", "-c", f"({read}) 2>/dev/null", on=str(notebook.said["node"]))
    assert told.strip() == "no"


def test_its_pages_open_for_its_owner_and_for_nobody_else(
    notebook: Notebook, settings: Settings, signed_in: Callable[[str], requests.Session]
):
    own, pages = notebook.own, str(notebook.said["pages"])
    assert pages.startswith(own.lab.removeprefix(settings.url))
    answer = own.browser.get(f"{settings.url}{pages}", timeout=60)
    assert answer.status_code == 200
    assert "Dask" in answer.text
    # somebody else's browser
    assert signed_in(STRANGER).get(f"{settings.url}{pages}", timeout=60).status_code == 403
    # somebody else's program on the same node
    socket = f"{notebook.said['run']}/dask/{pages.split('/')[-2]}.sock"
    uid = notebook.run("import os; print(os.getuid())")
    address = str(notebook.said["scheduler"]).removeprefix("tls://").partition(":")[0]
    told = notebook.others(LOOK, socket, uid, address).splitlines()
    assert told[0] == "socket Permission denied"
    assert [line for line in told if line.endswith("True")] == []
    assert notebook.run(
        f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({socket!r}); print('open')"
    ).endswith("open")


def test_workers_end_when_the_notebook_is_killed(notebook: Notebook):
    """The last of these: its cluster is gone afterwards."""
    person = notebook.own.person
    jobs = {str(number).partition(".")[0] for number in notebook.said["job"]}  # type: ignore[attr-defined]
    notebook.batch.said(person, "kill", "-KILL", str(notebook.said["pid"]), on=str(notebook.said["node"]))

    def left() -> set[str]:
        return jobs & {job.number for job in notebook.batch.jobs(person)}

    wait_until(lambda: not left(), timeout=GONE, what="the end of the workers")
    look = f"test -e {notebook.said['keys']} || echo gone"
    wait_until(
        lambda: (
            notebook.batch.said(person, "sh", "-c", look, on=str(notebook.said["node"])).strip() == "gone"
        ),
        timeout=GONE,
        what="the end of the keys",
    )
