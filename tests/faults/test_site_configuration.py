"""A site's own hub configuration: its batch script, its prologue and its defaults do what they say.

The scripts are of the kinds that sites publish; batchspawner's documentation has the placeholders.
"""

import json
import re

import pytest

from benchtop.settings import Settings
from support import sessions
from support.batch import Batch
from support.checkout import Checkout
from support.hub import Hub
from support.sessions import Own

pytestmark = pytest.mark.alone  # the hubs of a cluster restart

# Lines of #SBATCH, a module that is loaded by a function, an srun prefix, str.format's placeholders
WITH_SBATCH_LINES = """\
#!/bin/bash
#SBATCH --job-name=not-what-the-hub-says
#SBATCH --time=1-00:00:00
#SBATCH {options}
unset XDG_RUNTIME_DIR
trap 'echo SIGTERM received' TERM
module() case $1 in load) export LOADED="$2 by {username}" ;; esac
{prologue}
module load anaconda
srun {cmd}
{epilogue}
"""
# Jinja's conditions, read from a file
WITH_JINJA = """\
#!/usr/bin/env bash
{% if partition == "debug" %}
export PLACE="short: {{ nprocs }} CPUs, {{ memory }}, {{ runtime }} min"
{% else %}
export PLACE=long
{% endif %}
exec {{ cmd }}
"""
# HTCondor's, much as batchspawner has it
CONDOR = """\
Executable = /bin/sh
RequestMemory = {memory}
RequestCpus = {nprocs}
Arguments = "-c 'SITE=""of {username}"" exec {cmd}'"
Remote_Initialdir = {homedir}
Output = {homedir}/.jupyterhub.condor.out
Error = {homedir}/.jupyterhub.condor.err
ShouldTransferFiles = False
+Project = "benchtop"
Requirements = (IsJupyterSlot =?= True)
{options}
Queue
"""


def environment(own: Hub, batch: Batch) -> dict[str, str]:
    """What the session that runs has in its environment."""
    job = batch.job(own.person)
    assert job
    (process,) = batch.said(own.person, "python3", "-c", sessions.SESSION, on=job.node).splitlines()
    known: dict[str, str] = json.loads(process)["env"]
    return known


def test_a_script_with_sbatch_lines_a_module_and_srun(checkout: Checkout, settings: Settings, own: Own):
    checkout.append("hub/clusters/hpc.py", f"c.SlurmSpawner.batch_script = {WITH_SBATCH_LINES!r}")
    checkout.append("hub/clusters/hpc.py", "c.SlurmSpawner.req_prologue = 'export BEFORE=prologue'")
    checkout.append("hub/clusters/hpc.py", "c.SlurmSpawner.req_epilogue = 'echo epilogue > ~/epilogue'")
    checkout.append("hub/clusters/hpc.py", "c.SlurmSpawner.req_options = '--nice=7'")
    checkout.append("hub/clusters/hpc.py", "c.SlurmSpawner.req_memory = '640M'")
    checkout.applied()
    alice, batch = own("alice", "hpc"), Batch(settings, "hpc")
    batch.run("alice", "rm", "-f", "/home/alice/epilogue", on="cpu-1")
    with sessions.running(alice, partition="debug", runtime=20):
        known = environment(alice, batch)
        assert known["LOADED"] == "anaconda by alice"
        assert known["BEFORE"] == "prologue"
        assert known["SLURM_STEP_ID"] == "0", "srun made a step"
        assert "SLURM_JWT" not in known
        shown = batch.said(
            "alice", "scontrol", "--oneliner", "show", "job", batch.job("alice").number, on="cpu-1"
        )
        assert "JobName=jh-hpc-" in shown, "what the hub says wins"
        assert "TimeLimit=00:20:00" in shown
        assert "Nice=7" in shown
        assert "mem=640M" in shown
    assert batch.said("alice", "cat", "/home/alice/epilogue", on="cpu-1").strip() == "epilogue"


def test_a_script_that_is_a_file_with_jinja(checkout: Checkout, settings: Settings, own: Own):
    checkout.create("hub/jobs/site.sh", WITH_JINJA)
    read = "open('/etc/jupyterhub/jobs/site.sh').read()"
    checkout.append("hub/clusters/hpc.py", f"c.SlurmSpawner.batch_script = {read}")
    checkout.applied()
    alice, batch = own("alice", "hpc"), Batch(settings, "hpc")
    with sessions.running(alice, partition="debug", runtime=20, cpus=2, memory=700):
        assert environment(alice, batch)["PLACE"] == "short: 2 CPUs, 700M, 20 min"


def test_a_description_of_htcondor(checkout: Checkout, settings: Settings, own: Own):
    checkout.append("hub/clusters/htc.py", f"c.CondorSpawner.batch_script = {CONDOR!r}")
    checkout.append("hub/clusters/htc.py", "c.CondorSpawner.req_prologue = 'export BEFORE=prologue'")
    checkout.append("hub/clusters/htc.py", "c.CondorSpawner.req_epilogue = 'echo epilogue > ~/epilogue'")
    checkout.applied()
    bob, batch = own("bob", "htc"), Batch(settings, "htc")
    with sessions.running(bob, runtime=20, memory=700):
        known = environment(bob, batch)
        assert known["SITE"] == "of bob"
        assert known["BEFORE"] == "prologue"
        ad = batch.said("bob", "condor_q", batch.job("bob").number, "-long")
        assert 'Project = "benchtop"' in ad
        assert "IsJupyterSlot" in ad
        assert "NumShadowStarts" in ad, "and ours"
        assert "RequestMemory = 700" in ad
        assert known["JUPYTERHUB_API_TOKEN"] not in ad
    assert batch.said("bob", "cat", "/home/bob/epilogue", on="condor-ep-1").strip() == "epilogue"


@pytest.mark.parametrize(
    ("name", "line", "reason"),
    [
        ("hpc", "c.SlurmSpawner.exec_prefix = 'sudo -E -u {username}'", "exec_prefix: Leave it out"),
        ("hpc", "c.BatchSpawnerBase.batch_query_cmd = 'squeue'", "batch_query_cmd: Leave it out"),
        ("hpc", "c.SlurmSpawner.req_queue = 'batch'", r"req_queue: nothing reads it"),
        ("hpc", "c.SlurmSpawner.req_memory = 'plenty'", r'req_memory: "plenty" is no amount'),
        (
            "hpc",
            "c.SlurmSpawner.batch_script = '#!/bin/bash\\n{cmd} {colour}'",
            r"\{colour\} stands for nothing",
        ),
        ("hpc", "c.SlurmSpawner.batch_script = '#!/usr/bin/python3\\n{cmd}'", "must name a shell"),
        (
            "hpc",
            "c.SlurmSpawner.batch_script = '#!/bin/bash\\n#SBATCH --flavour=strong\\n{cmd}'",
            "Slurm: .*flavour",
        ),
        (
            "htc",
            "c.CondorSpawner.batch_script = 'getenv = True\\nArguments = {cmd}\\nqueue'",
            "getenv would show",
        ),
        (
            "htc",
            "c.CondorSpawner.batch_script = 'executable = /bin/sh\\nrank = 1 +\\narguments = {cmd}\\nqueue'",
            "HTCondor: .*",
        ),
    ],
)
def test_what_cannot_apply_is_refused_with_what_to_set_instead(
    checkout: Checkout, name: str, line: str, reason: str
):
    checkout.append(f"hub/clusters/{name}.py", line)
    said = checkout.refused()
    assert re.search(rf"hub/clusters/{name}\.py:\d+: .*{reason}", said), said
