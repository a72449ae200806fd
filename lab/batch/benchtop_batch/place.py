"""Where this process runs: which batch systems take jobs from it, and what a job needs to know.

Nothing but the standard library.
"""

import configparser
import contextlib
import errno
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Cluster = Literal["slurm", "condor"]

CREDENTIALS = "BENCHTOP_CREDENTIALS"  # of the environment: the folder that the session's server keeps
CONFINED = "BENCHTOP_CONFINED"  # …: in sessions of people whose jobs reach nothing
OWN = "BENCHTOP_OWN"  # …: names what is a session's own
PROGRAMS: dict[Cluster, str] = {"slurm": "sbatch", "condor": "condor_submit"}
VOUCHER = Path(
    "/run/slurm/sack.socket"
)  # of Slurm on a node of its own: sackd or slurmd vouches for whoever asks
SETTINGS = Path("/etc/benchtop/batch.ini")
KEPT = 7 * 86400  # seconds
ROOM = 1 << 16  # bytes that are written to see whether there is space: some file systems tell late
JOB_FILES = Path(".local/share/benchtop_batch")  # below the home: nodes of each cluster see it


def in_session(env: Mapping[str, str] = os.environ) -> bool:
    """Is there a server that keeps this process's credentials? Elsewhere the commands know by themselves."""
    return any(name in env for name in (CREDENTIALS, CONFINED, OWN))


def clusters(env: Mapping[str, str] = os.environ, voucher: Path = VOUCHER) -> list[Cluster]:
    """The batch systems that take jobs of this person from here, now; this node's own first.

    env: the environment to go by, this process's own by default
    voucher: the socket of Slurm's own that vouches for whoever asks
    Empty where there is none: `reason` says why.
    """
    folder = Path(env[CREDENTIALS]) if env.get(CREDENTIALS) else None
    tokens = Path(env["_CONDOR_SEC_TOKEN_DIRECTORY"]) if env.get("_CONDOR_SEC_TOKEN_DIRECTORY") else None
    own, free = voucher.exists(), not in_session(env)
    slurm = own or free or bool(env.get("SLURM_JWT")) or bool(folder and (folder / "slurm.jwt").is_file())
    condor = free or bool(tokens and tokens.is_dir() and any(tokens.iterdir()))
    there: dict[Cluster, bool] = {"slurm": slurm, "condor": condor}
    first = own or (free and "SLURM_JOB_ID" in env)
    order: tuple[Cluster, ...] = ("slurm", "condor") if first else ("condor", "slurm")
    return [cluster for cluster in order if there[cluster] and shutil.which(PROGRAMS[cluster])]


def reason(env: Mapping[str, str] = os.environ) -> str:
    """Why no batch system takes jobs from here, as a sentence; "" where nobody knows."""
    try:
        return Path(env[CREDENTIALS], "why").read_text().strip()
    except (KeyError, OSError, UnicodeDecodeError):
        return ""


def python() -> str:
    """The interpreter of this process, by a path that is the same on each node."""
    return sys.executable


def own_job(env: Mapping[str, str] = os.environ) -> tuple[Cluster, str] | None:
    """The job that this process is part of, by batch system and number; None outside of jobs."""
    if env.get("SLURM_JOB_ID"):
        return "slurm", env["SLURM_JOB_ID"]
    with contextlib.suppress(KeyError, OSError, UnicodeDecodeError):
        ad = dict(
            line.split(" = ", 1)
            for line in Path(env["_CONDOR_JOB_AD"]).read_text().splitlines()
            if " = " in line
        )
        return "condor", f"{ad['ClusterId']}.{ad['ProcId']}"
    return None


def settings(section: str, file: Path = SETTINGS) -> dict[str, str]:
    """What the site says in a section of its settings; {} where it says nothing.

    section: of a batch system, what jobs ask for there when nobody says; or another one
    """
    parser = configparser.ConfigParser(interpolation=None)
    with contextlib.suppress(OSError, configparser.Error, UnicodeDecodeError):
        parser.read(file)
    return dict(parser[section]) if parser.has_section(section) else {}


def scratch(name: str, home: Path | None = None) -> Path:
    """A new private folder for the files of jobs, below the home. name: what its own name begins with.

    Raises OSError, for example where the home is full.
    """
    parent = (home or Path.home()) / JOB_FILES
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))


def remove_old(name: str, home: Path | None = None) -> None:
    """Remove folders of `scratch` that nobody removed, because all that would have was killed at once."""
    parent = (home or Path.home()) / JOB_FILES
    for folder in parent.glob(f"{name}-*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > KEPT:
                shutil.rmtree(folder, ignore_errors=True)


def no_room(error: OSError) -> str:
    """What a person is told when files of jobs cannot be written."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return (
            "Your home has no space left, and jobs keep their files there: delete something, then try again."
            " What takes most is shown by `du -xh --max-depth=1 ~ | sort -h`."
        )
    return f"Files of jobs cannot be written in your home: {error.strerror} ({error.filename or JOB_FILES})."


def with_room(folder: Path) -> Path:
    """The same folder, once it is known that something can be written there. Raises OSError."""
    probe = folder / "room"
    try:
        probe.write_bytes(b"x" * ROOM)
    finally:
        probe.unlink(missing_ok=True)
    return folder
