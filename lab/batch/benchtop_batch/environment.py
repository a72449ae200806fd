"""What of a notebook's environment its jobs are given, and how: by a private file, never by the job itself.

Whoever may look at a queue reads the environment that a job of HTCondor carries. And what is the session's
own, like its token and the variables of its job, is of no use in another one: BENCHTOP_OWN names it.

Nothing but the standard library.
"""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchtop_batch import place

_PACKAGES = Path(__file__).parents[1]
_SESSION = (
    "BENCHTOP_",
    "JPY_",
    "JUPYTER",
    "SLURM",
    "SBATCH_",
    "SRUN_",
    "SALLOC_",
    "_CONDOR_",
    "CONDOR",
    "PMI",
    "IPP_",
)
_PLACE = frozenset(  # true on one host alone, or in one process
    {"HOSTNAME", "INVOCATION_ID", "OLDPWD", "PWD", "SHLVL", "TEMP", "TMP", "TMPDIR", "XDG_RUNTIME_DIR", "_"}
)
_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def of_jobs(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that a job is given: none of the session's own, and none that is called a secret."""
    own = {*env.get(place.OWN, "").split(), *_PLACE}
    given = {
        name: value
        for name, value in sorted(env.items())
        if name not in own
        and not name.startswith(_SESSION)
        and not _SECRET.search(name)
        and _NAME.fullmatch(name)
        and "\0" not in value
    }
    # An environment that somebody made for themselves has this package by its path alone
    given["PYTHONPATH"] = os.pathsep.join(filter(None, [given.get("PYTHONPATH"), str(_PACKAGES)]))
    return given


def script(env: Mapping[str, str], words: Sequence[str]) -> str:
    """A program of the shell that runs a command with these variables; bash would load modules first."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in env.items()]
    return "\n".join(["#!/bin/sh", *lines, f"exec {shlex.join(words)}", ""])


def work_folder(here: Path | None = None, home: Path | None = None) -> Path:
    """Where jobs begin: where the notebook is, if nodes have that folder as well; else in the home."""
    home = home or Path.home()
    try:
        here = (here or Path.cwd()).resolve()
    except OSError:  # it was removed
        return home
    return here if here.is_relative_to(home.resolve()) else home
