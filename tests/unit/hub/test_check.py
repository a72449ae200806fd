"""What `make apply` says of a hub's configuration, line by line, before any hub has it."""

import asyncio

import pytest

from benchtop_hub import check
from benchtop_hub.access.minter import Refused
from benchtop_hub.app import BenchtopHub
from benchtop_hub.backends import commands
from standins import ROOT, OnSlurm, Slurm
from standins import session as made

BEGIN = f"""\
from traitlets.config import get_config
from benchtop_hub.sessions.batch import CondorSession, SlurmSession
c = get_config()
c.JupyterHub.spawner_class = KIND
c.KIND.jobs, c.KIND.software = "{ROOT / "hub/jobs"}", "{ROOT}"
c.JupyterHub.cookie_secret = b"0" * 32
"""
SCRIPT = "#!/bin/sh\\n{cmd}\\n"


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """`judged(lines)`: what is wrong with a configuration that these end, the first of which is line 7."""
    monkeypatch.setattr(check, "HERE", tmp_path)

    def of(lines, kind="SlurmSession"):
        BenchtopHub.clear_instance()
        (tmp_path / check.CONFIG).write_text(BEGIN.replace("KIND", kind) + lines)
        return list(check.configuration(BenchtopHub.instance()))

    yield of
    BenchtopHub.clear_instance()


@pytest.mark.parametrize("kind", ["SlurmSession", "CondorSession"])
def test_what_comes_with_the_facility_is_fine(judged, kind):
    assert judged("", kind) == []


def test_what_a_site_may_set_is_fine(judged):
    mine = "c.SlurmSpawner.req_prologue = 'module load x'\nc.SlurmSession.usual_cpus = 2\n"
    assert judged(mine + f"c.SlurmSession.batch_script = '{SCRIPT}'\n") == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("c.SlurmSession.usual_cpu = 2", "SlurmSession has no option usual_cpu"),
        ("c.SlurmSesion.usual_cpus = 2", "there is no SlurmSesion here: its options would have no effect"),
        ("c.SlurmSpawner.exec_prefix = 'sudo'", "SlurmSpawner.exec_prefix: Leave it out: commands run as"),
        ("c.SlurmSession.req_memory = 'much'", 'req_memory: "much" is no amount of memory like 2G.'),
        ("c.SlurmSpawner.req_gres = 'shard:1'", 'req_gres: "shard:1" is no number of GPUs like gpu:tesla:1.'),
        (
            "c.SlurmSession.req_queue = 'long'",
            "req_queue: nothing reads it: put {queue} into",
        ),
        (f"c.SlurmSession.batch_script = '{SCRIPT}{{memroy}}'", "batch_script: {memroy} stands for nothing."),
        ("c.SlurmSession.batch_script = '#!/bin/sh'", "batch_script: {cmd} is missing"),
        ("c.SlurmSession.batch_script = '{cmd'", "batch_script: its placeholders cannot be read"),
        ("c.SlurmSession.jobs = '/nowhere'", "No such file or directory: '/nowhere/slurm.sh'"),
        ("c.SlurmSession.software = '/nowhere'", "software: /nowhere is not a folder on the hubs."),
        ("c.SlurmSession.closed_to = {'logn': ['external']}", "closed_to: there is no place 'logn' here."),
        ("c.SlurmSession.usual_cpus = 'two'", "usual_cpus"),
        ("c.SlurmSession.usual_cpus = ", "invalid syntax"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_mistake_is_told_by_its_line(judged, line, told):
    (mistake,) = judged(f"# of the site\n{line}\n")
    assert told in mistake
    where = "hub/jobs/slurm.sh:1" if "jobs" in line else f"hub/{check.CONFIG}:8"
    assert mistake.startswith(f"{where}: "), mistake


def test_another_spawner_is_judged_as_well(judged):
    assert judged("c.JupyterHub.spawner_class = 'simple'\n", "SlurmSession")[1:] == []


# ---- what the scheduler says ---------------------------------------------------------------------------


@pytest.fixture
def rehearsed(tmp_path, monkeypatch):
    """`rehearsed(slurm, **site)`: what is wrong with the job of a session on it."""
    monkeypatch.setattr(check, "HERE", tmp_path)
    (tmp_path / check.CONFIG).write_text("c.SlurmSession.batch_script = 'x'\n")

    def of(slurm, **site):
        monkeypatch.setattr(check, "trial", lambda *_: made(OnSlurm, slurm, **site))
        hub = BenchtopHub()
        return asyncio.run(check.rehearsal(hub, "alice"))

    return of


def test_a_job_that_the_scheduler_takes_is_fine_and_nothing_is_submitted(rehearsed, slurm):
    assert rehearsed(slurm) == []
    ((*command,),) = slurm.ran
    assert command[-1] == "--test-only"


def test_one_that_it_refuses_is_told_in_its_words(rehearsed):
    slurm = Slurm()
    slurm.refuse = commands.Failed("sbatch: error: Invalid feature specification")
    assert rehearsed(slurm) == [f"hub/{check.CONFIG}:1: Slurm: sbatch: error: Invalid feature specification"]


def test_a_script_that_cannot_be_a_jobs_is_told(rehearsed, slurm):
    (told,) = rehearsed(slurm, batch_script="#!/usr/bin/python3\n{cmd}\n")
    assert told.startswith(f"hub/{check.CONFIG}:1: Slurm: batch_script: its first line must name a shell")


@pytest.mark.parametrize("trouble", [commands.Failed("Unable to contact slurm controller"), Refused("No.")])
def test_a_scheduler_that_cannot_be_asked_says_nothing_against_it(rehearsed, slurm, capsys, trouble):
    slurm.refuse = trouble
    assert rehearsed(slurm) == []
    assert "Slurm could not be asked about it" in capsys.readouterr().out
