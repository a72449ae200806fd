"""The life of a session race by race, as far as nothing has to be broken for it: see faults/test_races.py."""

import json
import re
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace

import pytest
import requests

from benchtop.settings import Settings
from benchtop.stack import compose
from support import sessions
from support.as_person import become
from support.batch import Batch
from support.homes import Home
from support.hub import Hub
from support.wait import stays, wait_until

pytestmark = pytest.mark.shares("slurm", "condor")

CLUSTERS = ["hpc", "htc"]
TOLD = 10  # seconds: five from the end of a job until its owner knows, and the scheduler's own
LOOK = 5  # seconds between two looks of a hub at its sessions
MINUTE = 60 + 60  # seconds within which a job of a minute must be over: Slurm looks twice a minute

SignedIn = Callable[[str], requests.Session]


# ---- starts ----------------------------------------------------------------------------------


@pytest.mark.alone  # it counts what Slurm is asked in her name, by whatever test
def test_starts_at_once_from_two_windows_give_each_server_one_job_and_all_are_asked_about_at_once(
    own: sessions.Own, settings: Settings
):
    """Servers of one person: the usual one and one with a name, on either cluster."""
    usual = [own("alice", cluster) for cluster in CLUSTERS]
    servers = [*usual, *(replace(one, name="second") for one in usual)]
    for one in servers:
        one.server()  # opens a page, for its cookies
    windows = [replace(one, browser=copy(one.browser)) for one in servers]
    with ThreadPoolExecutor(len(servers) * 2) as pool:
        answers = list(pool.map(lambda one: one.start(**sessions.SMALL[one.cluster]), [*servers, *windows]))
    assert {answer.status_code for answer in answers} <= {201, 202, 400}
    for one in servers:
        wait_until(one.ready, timeout=sessions.START, what=f"{one.cluster} {one.name}")
    for one in usual:
        names = sorted(job.name for job in Batch(settings, one.cluster).jobs("alice"))
        assert names == [f"jh-{one.cell}-alice", f"jh-{one.cell}-alice-second"]

    slurm = Batch(settings, "hpc")  # which counts itself who asked how often
    nothing = asked(slurm, "dave")
    slurm.run("dave", "squeue", "--all", "--noheader")
    question = asked(slurm, "dave") - nothing  # as one costs
    before, looks = asked(slurm, "alice"), 4
    stays(lambda: all(one.ready() for one in servers), lasting=looks * LOOK, what="one of the servers")
    assert 1 <= (asked(slurm, "alice") - before) / question <= looks + 1


def asked(batch: Batch, person: str) -> int:
    """How many questions slurmctld has answered to a person."""
    found = re.search(rf"^\s*{person}\s.*count:(\d+)", batch.said(batch.operator, "sdiag"), re.MULTILINE)
    return int(found[1]) if found else 0


# ---- what a job says ---------------------------------------------------------------------------


@pytest.mark.needs("hpc/carol")
def test_a_job_reports_twice_but_not_something_else_and_not_too_late(own: sessions.Own, settings: Settings):
    reader, batch = own("carol", "hpc"), Batch(settings, "hpc")
    with sessions.slow(Home(settings, reader.person)) as go_on:
        sessions.start(reader)
        job, session = sessions.loading(reader, batch)
        port = int(str(session["port"]))
        assert report(reader, job.node, session, port) == 204
        assert report(reader, job.node, session, port + 1 if port < 65535 else port - 1) == 403
        go_on()
    wait_until(reader.ready, timeout=sessions.START, what="the session, where it said first")
    assert reader.open().ok
    sessions.over(reader, batch)
    assert report(reader, job.node, session, port) == 403
    # a whole job that comes when nobody waits for it any more
    again = compose.command(settings, "exec", "-T", job.node, *become(reader.person), "python3", "-c", AGAIN)
    done = subprocess.run(
        again, input=json.dumps(session["env"]), capture_output=True, text=True, timeout=60, check=False,
        cwd=settings.root, env=compose.environment(settings),
    )  # fmt: skip
    assert done.returncode != 0
    assert "the hub refused this session, so it ends: 403" in done.stdout + done.stderr


AGAIN = """
import json, os, sys
python = "/opt/lab/bin/python"
os.chdir("/tmp")
os.execve(python, [python, "-I", "-m", "benchtop_lab.session"], json.load(sys.stdin))
"""


def report(own: Hub, node: str, session: dict[str, object], port: int) -> int:
    """Say a port to the hub as a process of that session would; the status of its answer."""
    token = dict(session["env"])["JUPYTERHUB_API_TOKEN"]  # type: ignore[call-overload]
    said = json.dumps([f"{own.gateway}/session/port", token, json.dumps({"port": port})]).encode()
    answer = compose.run(own.settings, "exec", "-T", node, "python3", "-c", sessions.REPORT, input=said)
    return int(answer.stdout)


# ---- what becomes of a job ---------------------------------------------------------------------


@pytest.mark.parametrize(("cluster", "how"), [("hpc", "killed"), ("htc", "killed"), ("htc", "cancelled")])
@pytest.mark.needs("hpc/erin", "htc/erin")
def test_a_job_that_dies_before_jupyterlab_answers_is_told_within_seconds(
    own: sessions.Own, settings: Settings, cluster: str, how: str
):
    reader, batch = own("erin", cluster), Batch(settings, cluster)
    with sessions.slow(Home(settings, reader.person)):
        sessions.start(reader)
        job, session = sessions.loading(reader, batch)
        if how == "killed":
            batch.run(reader.person, "kill", "-KILL", str(session["pid"]), on=job.node)
        else:
            batch.cancel(reader.person, job.number)
        wait_until(lambda: reader.server() is None, timeout=TOLD, what="the start to have failed")
    sentence = reader.failure()
    assert f"Job {job.number} " in sentence
    words = {"killed": "was killed", "cancelled": "was cancelled|somebody ended it"}[how]
    assert re.search(words, sentence), sentence


@pytest.mark.needs("slurm", "hpc/carol", "hpc/dave")
def test_a_session_that_is_put_on_hold_waits_says_so_and_is_never_started_anew(
    own: sessions.Own, settings: Settings
):
    """Slurm: held while it waits, and requeued while it runs."""
    reader, batch = own("carol", "hpc"), Batch(settings, "hpc")
    with sessions.full(batch, "dave") as make_room:
        sessions.start(reader, partition="harvester")
        job = wait_until(lambda: batch.job(reader.person), timeout=sessions.START, what="the job")
        batch.run(reader.person, "scontrol", "hold", job.number)
        wait_until(lambda: "you put it on hold" in reader.stage(), timeout=TOLD, what="the hold on the page")
        batch.run(batch.operator, "scontrol", "hold", job.number)
        by = "an administrator put it on hold"
        wait_until(lambda: by in reader.stage(), timeout=TOLD, what="the administrator's hold on the page")
        batch.run(batch.operator, "scontrol", "release", job.number)
        make_room()
    wait_until(reader.ready, timeout=sessions.START, what="the session to run after all")
    assert batch.run(batch.operator, "scontrol", "requeue", job.number, check=False).returncode != 0
    stays(reader.ready, lasting=LOOK + 2, what="the session that was not to be requeued")
    assert [one.number for one in batch.jobs(reader.person)] == [job.number]


@pytest.mark.needs("htc/erin")
def test_a_session_whose_job_is_put_on_hold_ends_and_its_owner_is_told_why_once(
    own: sessions.Own, settings: Settings
):
    """HTCondor: what is on hold does not run any more."""
    reader, batch = own("erin", "htc"), Batch(settings, "htc")
    sessions.begin(reader)
    job = batch.job(reader.person)
    assert job
    batch.run(batch.operator, "condor_hold", "-reason", "the operator looks at it", job.number)
    assert "the operator looks at it" in sessions.told_once(reader)
    wait_until(lambda: not batch.jobs(reader.person), timeout=sessions.END, what="the job to be gone")


@pytest.mark.needs("slurm", "hpc/erin", "hpc/dave")
def test_a_session_that_makes_room_ends_and_its_owner_is_told_why_once(own: sessions.Own, settings: Settings):
    reader, batch = own("erin", "hpc"), Batch(settings, "hpc")
    sessions.begin(reader, partition="scavenger", qos="scavenger", cpus=8, gpu="pascal:1")
    options = ["--partition=debug", "--qos=interactive", "--nodelist=gpu-1", "--cpus-per-task=4", "--time=5"]
    try:
        batch.run("dave", "sbatch", *options, "--chdir=/tmp", "--output=/dev/null", "--wrap=sleep 300")
        assert sessions.told_once(reader) == "a job with a higher priority took its place."
        assert not batch.jobs(reader.person)
        wait_until(
            lambda: [job.state for job in batch.jobs("dave")] == ["RUNNING"],
            timeout=sessions.FULL,
            what="the job that it made room for",
        )
    finally:
        batch.clear("dave")
