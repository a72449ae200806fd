"""The address at which workers of a batch system reach this process, or a sentence where they cannot.

Workers call back: an engine its controller, a worker its interchange. A host has several addresses, and
which of them nodes reach is known by asking a node: what a connection to one leaves by is the address to be
called at. Where no node can be reached, none reaches this host either: better said at once than after a
minute of waiting.

Nothing but the standard library.
"""

import os
import re
import socket
import subprocess
from collections.abc import Iterable

from benchtop_batch import place
from benchtop_batch.place import Cluster
from benchtop_batch.systems import ASKING, NAMES

CONFINED = "BENCHTOP_CONFINED"  # of the environment: set in sessions of people whose jobs reach nothing
TRIED = 2  # nodes that are tried: some may be down
PATIENCE = 1.5  # seconds for a connection to a node
_found: dict[Cluster, str] = {}
_CONDOR_ADDRESS = re.compile(r"<(?P<host>\[[0-9a-fA-F:]+\]|[^:?>]+):(?P<port>\d+)")


class UnavailableError(Exception):
    """Workers are not to be had from here; its message is a sentence for the person."""


def choose(cluster: Cluster | None) -> Cluster:
    """The batch system to use: the one that is asked for, or the nearest. Raises UnavailableError."""
    there = place.clusters()
    if cluster is None and there:
        return there[0]
    if cluster in there:
        return cluster
    if cluster is not None and cluster not in NAMES:
        raise UnavailableError(f"There is no batch system “{cluster}”: choose slurm or condor.")
    what = NAMES[cluster] if cluster else "a batch system"
    why = place.reason() or "This session has no credential for it, or its commands are not installed here."
    also = f" From here you can use {NAMES[there[0]]}: “{there[0]}”." if there else ""
    raise UnavailableError(f"No jobs can be sent to {what} from here. {why}{also}")


def address(cluster: Cluster) -> str:
    """Where workers reach this host. Raises UnavailableError."""
    if os.environ.get(CONFINED):
        raise UnavailableError(
            "Jobs of a guest's account reach nothing but the hub and the internet's proxy, so workers in them"
            " could not speak with this notebook. For more CPUs or memory, start another session from the"
            " hub's page (File > Hub Control Panel)."
        )
    if cluster not in _found:
        _found[cluster] = _address(cluster)
    if not _found[cluster]:
        del _found[cluster]
        raise UnavailableError(
            f"The nodes of {NAMES[cluster]} cannot reach this session on {socket.gethostname()}, and workers"
            f" have to: start a session on a node or a login node of {NAMES[cluster]}, and try again there."
            " Jobs that need no connection back, like those of HTMap, sbatch and condor_submit, can be sent"
            " from here."
        )
    return _found[cluster]


def _address(cluster: Cluster) -> str:
    for host, port in _nodes(cluster):
        try:
            with socket.create_connection((host, port), timeout=PATIENCE) as connection:
                return str(connection.getsockname()[0])
        except OSError:
            continue
    return ""


def _nodes(cluster: Cluster) -> Iterable[tuple[str, int]]:
    words = {
        "slurm": ["sinfo", "--noheader", "--Node", "--responding", "--Format=NodeAddr:256,Port:8"],
        "condor": ["condor_status", "-startd", "-autoformat", "MyAddress"],
    }[cluster]
    try:
        answer = subprocess.run(words, capture_output=True, text=True, timeout=ASKING, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return list(dict.fromkeys((of_slurm if cluster == "slurm" else of_condor)(answer)))[:TRIED]


def of_slurm(answer: str) -> list[tuple[str, int]]:
    """Nodes, of sinfo's lines HOST PORT."""
    pairs = (line.split() for line in answer.splitlines())
    return [(pair[0], int(pair[1])) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()]


def of_condor(answer: str) -> list[tuple[str, int]]:
    """Nodes, of the addresses that startds tell: <HOST:PORT?…>."""
    found = (_CONDOR_ADDRESS.match(line.strip()) for line in answer.splitlines())
    return [(match["host"].strip("[]"), int(match["port"])) for match in found if match]
