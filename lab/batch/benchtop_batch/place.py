"""Where this process runs: which batch systems take jobs from it, and what a job needs to know.

Nothing but the standard library.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Cluster = Literal["slurm", "condor"]

CREDENTIALS = "BENCHTOP_CREDENTIALS"  # of the environment: the folder that the session's server keeps
VOUCHER = Path(
    "/run/slurm/sack.socket"
)  # of Slurm on a node of its own: sackd or slurmd vouches for whoever asks
JOB_FILES = Path(".local/share/benchtop_batch")  # below the home: nodes of each cluster see it


def clusters(env: Mapping[str, str] = os.environ, voucher: Path = VOUCHER) -> list[Cluster]:
    """The batch systems that take jobs of this person from here, now; this node's own first.

    Empty where there is none: `reason` says why.
    """
    folder = Path(env[CREDENTIALS]) if env.get(CREDENTIALS) else None
    tokens = Path(env["_CONDOR_SEC_TOKEN_DIRECTORY"]) if env.get("_CONDOR_SEC_TOKEN_DIRECTORY") else None
    own = voucher.exists()
    slurm = own or bool(env.get("SLURM_JWT")) or bool(folder and (folder / "slurm.jwt").is_file())
    condor = bool(tokens and tokens.is_dir() and any(tokens.iterdir()))
    there: dict[Cluster, bool] = {
        "slurm": slurm and shutil.which("sbatch") is not None,
        "condor": condor and shutil.which("condor_submit") is not None,
    }
    order: tuple[Cluster, ...] = ("slurm", "condor") if own else ("condor", "slurm")
    return [cluster for cluster in order if there[cluster]]


def reason(env: Mapping[str, str] = os.environ) -> str:
    """Why no batch system takes jobs from here, as a sentence; "" where nobody knows."""
    try:
        return Path(env[CREDENTIALS], "why").read_text().strip()
    except (KeyError, OSError, UnicodeDecodeError):
        return ""


def python() -> str:
    """The interpreter of this process, by a path that is the same on each node."""
    return sys.executable


def scratch(name: str, home: Path | None = None) -> Path:
    """A new private folder for the files of jobs, below the home. name: what its own name begins with.

    Raises OSError, for example where the home is full.
    """
    parent = (home or Path.home()) / JOB_FILES
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))
