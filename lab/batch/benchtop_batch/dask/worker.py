"""The program of a worker's job: `PYTHON worker.py SCHEDULER…`, with the arguments of `dask worker`.

Beside that it

- ends at once, with a sentence, when the scheduler is gone: its notebook ended while the job waited;
- listens on the address by which it reaches the scheduler: machines here have several, and which interface
is which
  differs from one to the next;
- keeps what it spills in the job's own folder, where there is one;
- opens no port for pages.

Run as a file, by whatever Python the notebook has: it needs `distributed`, and nothing of ours but the file
itself.
"""

import os
import pwd
import socket
import sys
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

PATIENCE = 20.0  # seconds for a scheduler that is busy
AGAIN = 1.0  # … between two attempts


def reach(scheduler: str, patience: float = PATIENCE) -> str:
    """The address of this machine towards the scheduler. Raises OSError where nobody answers."""
    parts = urlsplit(scheduler)
    if not parts.hostname or not parts.port:
        raise OSError(f"{scheduler} is no address")
    end = time.monotonic() + patience
    while True:
        try:
            with socket.create_connection((parts.hostname, parts.port), timeout=5) as line:
                address: str = line.getsockname()[0]
        except ConnectionRefusedError:  # there is the machine, and nobody listens: it is over
            raise
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(AGAIN)
        else:
            return address


def arguments(given: list[str], address: str, env: Mapping[str, str]) -> list[str]:
    """Those of `dask worker`, with what only the node knows."""
    more = []
    if not {"--host", "--interface", "--listen-address"} & set(given):
        more += ["--host", address]
    if "--local-directory" not in given:
        more += ["--local-directory", env.get("_CONDOR_SCRATCH_DIR") or env.get("TMPDIR") or "/tmp"]  # noqa: S108
    if not {"--dashboard", "--no-dashboard"} & set(given):
        more += ["--no-dashboard"]
    return [*given, *more]


def run(given: list[str]) -> int:
    """Until it is told to end, or its scheduler is gone."""
    sys.path[0:1] = []  # this file's folder: what lies beside it is not to be found as a package by its name
    if "HOME" not in os.environ:
        os.environ["HOME"] = pwd.getpwuid(os.getuid()).pw_dir
    try:
        address = reach(given[0])
    except OSError as error:
        print(
            f"No scheduler answers at {given[0]} ({error.strerror or error}): the notebook that asked for "
            "this worker has ended, or cannot be reached from here. So this job ends.",
            file=sys.stderr,
        )
        return 1
    import dask.config
    import distributed.node

    if (
        distributed.node.ServerNode.start_http_server.__module__ == "distributed.node"
    ):  # of a Python without our hooks
        dask.config.set({"distributed.worker.http.routes": []})
    from distributed.cli.dask_worker import main

    main(arguments(given, address, os.environ), standalone_mode=False)
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
