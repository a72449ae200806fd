"""The keys of one cluster: whoever has them may use it, and nobody else.

Dask's own temporary credentials: one key and certificate, made anew for each cluster, which scheduler,
workers and clients show each other. They reach a worker by a file of mode 0600 in a folder of mode 0700 in
the person's home: not by the job's words, which everybody can read, and not by its environment, which is a
part of an HTCondor job's description. Notebooks of the same session find them in the session's own folder,
by the scheduler's address.
"""

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RUN = "BENCHTOP_RUN"  # of the environment: the session's own folder on the node
FOLDER = "dask"  # in it
NAME = "tls.pem"


def make() -> Any:
    """New credentials, in memory: a distributed.Security."""
    from distributed.security import Security

    return Security.temporary()


def text(security: Any) -> str:
    """Key and certificate as one file has them."""
    return f"{security.tls_worker_key}\n{security.tls_worker_cert}"


def write(file: Path, security: Any) -> None:
    """Put them into a new file for nobody else. Raises OSError."""
    handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(handle, "w") as opened:
            opened.write(text(security))
    except OSError:
        file.unlink(missing_ok=True)
        raise


def in_file(security: Any, file: Path) -> Any:
    """The same credentials for a worker, which finds them in that file."""
    worker = copy.copy(security)
    worker.tls_ca_file = worker.tls_worker_key = worker.tls_worker_cert = str(file)
    return worker


def read(file: Path) -> Any:
    """A client's Security by the keys in a file."""
    from distributed.security import Security

    shown = str(file)
    return Security(require_encryption=True, tls_ca_file=shown, tls_client_key=shown, tls_client_cert=shown)


def session_folder(env: Mapping[str, str] = os.environ) -> Path | None:
    """Where all processes of a session, and nobody else, find what its clusters have; None in no session.

    Raises OSError.
    """
    if not env.get(RUN):
        return None
    folder = Path(env[RUN], FOLDER)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def known_by(folder: Path, address: str) -> Path:
    """The file in a session's folder with the keys of the scheduler at an address."""
    return folder / f"{address.rpartition('/')[2].replace(':', '-')}.pem"


def find(address: object, env: Mapping[str, str] = os.environ) -> Any:
    """A client's Security for a scheduler of this session; None for any other."""
    if not isinstance(address, str) or not address.startswith("tls://") or not env.get(RUN):
        return None
    file = known_by(Path(env[RUN], FOLDER), address)
    return read(file) if file.is_file() else None
