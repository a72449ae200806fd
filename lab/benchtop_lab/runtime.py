"""Where a session keeps what it needs while it runs: on the node, out of everybody's sight, gone afterwards.

Not in the home. Kernels talk by sockets there whose whole path the kernel of the system allows 107 bytes, of
which their names take 50: with a login name of 23 letters, no kernel started.

Nothing but the standard library: the login node's keeper has it, too.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "JUPYTER_RUNTIME_DIR"
LONGEST = 107 - 50  # bytes of its path
PREFIX = "jupyter-"
SHARED = Path("/tmp")  # noqa: S108 each folder in it is its owner's alone


def make_folder(env: Mapping[str, str], shared: Path = SHARED) -> Path:
    """A folder for this process, which nobody else may enter; what dead ones left behind is removed.

    In the job's own folder, which goes with the job, where there is one of a short path. Raises OSError.
    """
    remove_left(shared)
    prefix = f"{PREFIX}{os.getpid()}-"
    scratch = env.get("_CONDOR_SCRATCH_DIR", "")
    if scratch and len(os.fsencode(scratch)) + len(prefix) + 9 < LONGEST:
        with contextlib.suppress(OSError):
            return Path(tempfile.mkdtemp(prefix=prefix, dir=scratch))
    return Path(tempfile.mkdtemp(prefix=prefix, dir=shared))


def remove_left(shared: Path = SHARED) -> None:
    """Remove the folders of whoever runs this whose process is gone: it was killed, and could not."""
    with contextlib.suppress(OSError), os.scandir(shared) as entries:
        for entry in entries:
            prefix, _, rest = entry.name.partition("-")
            number = rest.partition("-")[0]
            if f"{prefix}-" == PREFIX and number.isdecimal():
                with contextlib.suppress(OSError):
                    owned = entry.stat(follow_symlinks=False).st_uid == os.getuid()
                    if owned and entry.is_dir(follow_symlinks=False) and not Path("/proc", number).exists():
                        shutil.rmtree(entry.path, ignore_errors=True)
