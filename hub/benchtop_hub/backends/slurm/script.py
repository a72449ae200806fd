"""The text of a session's job: the site's batch script, with what was granted in it."""

import re
from collections.abc import Mapping

from benchtop_hub.backends.backend import Launch
from benchtop_hub.backends.slurm.form import Granted

# Slurm hands every SLURM_ variable of the hub's command on. This one is no longer needed, and when it
# expires in some minutes, each Slurm command in the session would fail because of it.
# JupyterLab warns of the end of the job.
FIRST = "unset SLURM_JWT\nexport BENCHTOP_ENDS=$SLURM_JOB_END_TIME\n"
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
