"""The text of a session's job: the site's batch script, with what was granted in it."""

import re
from collections.abc import Mapping

from benchtop_hub.backends import run
from benchtop_hub.backends.backend import NO_HOME, Launch
from benchtop_hub.backends.slurm.form import Granted

# Slurm hands every SLURM_ variable of the hub's command on. This one is no longer needed, and when it
# expires in some minutes, each Slurm command in the session would fail because of it.
# JupyterLab warns of the end of the job. A site's shell may read what it finds in a home before it comes here
# (`#!/bin/bash -l`): so until here there is none (environment). And the log is not sbatch's --output: where
# that is a pipe, slurmstepd waits for ever to open it, and the job never ends.
FIRST = f"""\
unset SLURM_JWT
export BENCHTOP_ENDS=$SLURM_JOB_END_TIME
if [ -n "$SLURM_JOB_ID" ]; then
export HOME="$BENCHTOP_HOME"
{run.open_log('"${BENCHTOP_RUN:+$BENCHTOP_RUN/log}"')}fi
"""
_SHELL = re.compile(r"#!\s*(/usr/bin/env\s+|/\S*/)(bash|sh|dash|zsh|ksh)\b")


def values(granted: Granted) -> Mapping[str, object]:
    """What batchspawner's placeholders stand for."""
    return {
        "partition": granted.partition,
        "account": granted.account,
        "qos": granted.qos,
        "reservation": granted.reservation,
        "gres": granted.gres,
        "ngpus": granted.gpu_count or "",
        "nprocs": granted.cpus,
        "memory": f"{granted.memory}M",
        "runtime": granted.runtime,
    }


def environment(launch: Launch) -> Mapping[str, str]:
    """Of the job's shell, as it begins: the session's, without a home whose files that shell could read."""
    log = f"{launch.home}/{launch.log}"
    return {**launch.env, "HOME": NO_HOME, "BENCHTOP_HOME": launch.home, "BENCHTOP_LOG": log}


def of_job(granted: Granted, launch: Launch) -> str:
    """What sbatch reads; no secret is in it. Raises ValueError for a script that is none of a shell."""
    return begin(launch.script({**values(granted), "cmd": launch.command}))


def begin(text: str) -> str:
    """The script with FIRST before its first command, whoever wrote it."""
    lines = text.splitlines(keepends=True)
    if not lines or not _SHELL.match(lines[0]):
        raise ValueError('batch_script: its first line must name a shell, like "#!/bin/bash".')
    at = next((n for n, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    return "".join([*lines[:at], FIRST, *lines[at:]])
