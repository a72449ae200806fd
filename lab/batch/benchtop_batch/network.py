"""The batch system that workers come from, and the address at which they reach this process; or a sentence.

Workers call back: an engine its controller, a worker its scheduler or interchange. A host has several
addresses, and which of them nodes reach is known by asking a node: what a connection to one leaves by is the
address to be called at. Where no node can be reached, none reaches this host either: better said at once than
after a minute of waiting.

Nothing but the standard library.
"""

import os
import re
import socket
import subprocess
from collections.abc import Mapping, Sequence

from benchtop_batch import place
from benchtop_batch.place import Cluster
from benchtop_batch.sentence import SentenceError
from benchtop_batch.systems import ASKING, NAMES

HUB = "the hub's page (File > Hub Control Panel)"
SPELLED: Mapping[Cluster, str] = {"slurm": "“slurm”", "condor": "“condor”"}
TRIED = 2  # nodes that are tried: some may be down
PATIENCE = 1.5  # seconds for a connection to a node
_found: dict[Cluster, str] = {}
_CONDOR_ADDRESS = re.compile(r"<(?P<host>\[[0-9a-fA-F:]+\]|[^:?>]+):(?P<port>\d+)")


class UnavailableError(SentenceError, RuntimeError):
    """Workers are not to be had from here; the message says why, and what to do."""


def choose(cluster: Cluster | None, spelled: Mapping[Cluster, str] = SPELLED) -> Cluster:
    """The batch system whose jobs can be workers: the one that is asked for, or the nearest.

    spelled: how each is asked for in the library that asks, for the sentence
    Raises UnavailableError.
    """
    if cluster is not None and cluster not in NAMES:
        raise UnavailableError(f"There is no batch system “{cluster}”: choose slurm or condor.")
    if os.environ.get(place.CONFINED):
        raise UnavailableError(
            "Your account's jobs reach nothing but the hub and the internet proxy, so workers in them could"
            f" not speak with this notebook. For more CPUs or memory, start another session from {HUB}."
        )
    there = place.clusters()
    if cluster is None and there:
        return there[0]
    if cluster in there:
        return cluster
    what = NAMES[cluster] if cluster else "a batch system"
    why = _reason(cluster) or (_no_credential() if place.in_session() else _no_command(cluster))
    also = f" From here you can use {NAMES[there[0]]}: {spelled[there[0]]}." if there else ""
    raise UnavailableError(f"No jobs can be sent to {what} from here. {why}{also}")


def _no_credential() -> str:
    support = os.environ.get("BENCHTOP_SUPPORT") or "the support"
    return (
        "This session has no credential for it, or its commands are not installed here."
        f" Start a session on a cluster from {HUB}, or ask {support}."
    )


def _no_command(cluster: Cluster | None) -> str:
    programs = [place.PROGRAMS[cluster]] if cluster else place.PROGRAMS.values()
    return f"Its commands are not installed here: {' or '.join(programs)} was not found."


def _reason(cluster: Cluster | None) -> str:
    """What is known of one batch system, in lines that begin with its name; or all that is known."""
    lines = place.reason().splitlines()
    if cluster is None or not any(line.startswith(f"{name}: ") for line in lines for name in NAMES.values()):
        return " ".join(lines)
    own = f"{NAMES[cluster]}: "
    return " ".join(line.removeprefix(own) for line in lines if line.startswith(own))


def address(cluster: Cluster) -> str:
    """Where workers reach this host. Raises UnavailableError."""
    if cluster not in _found:
        _found[cluster] = _address(cluster)
    return _found[cluster]


def _address(cluster: Cluster) -> str:
    nodes = _nodes(cluster)
    if not nodes:
        raise UnavailableError(
            f"{NAMES[cluster]} names no node that answers, so it cannot be known how workers would reach this"
            " session. Try again in a minute."
        )
    for hosts, port in nodes[:TRIED]:
        for host in hosts:
            try:
                with socket.create_connection((host, port), timeout=PATIENCE) as connection:
                    return str(connection.getsockname()[0])
            except OSError:
                continue
    raise UnavailableError(
        f"The nodes of {NAMES[cluster]} cannot reach this session on {socket.gethostname()}, and workers"
        f" have to: start a session on a node or a login node of {NAMES[cluster]}, and try again there."
        " Jobs that need no connection back, like those of HTMap, sbatch and condor_submit, can be sent"
        " from here."
    )


def _nodes(cluster: Cluster) -> Sequence[tuple[tuple[str, ...], int]]:
    """By which hosts each node may be reached, and its port; this host comes last.

    To itself, a host may speak by an address that others do not know.
    """
    words = {
        "slurm": ["sinfo", "--noheader", "--Node", "--responding", "--Format=NodeAddr:256,Port:8"],
        "condor": ["condor_status", "-startd", "-autoformat", "MyAddress", "Machine"],
    }[cluster]
    try:
        answer = subprocess.run(words, capture_output=True, text=True, timeout=ASKING, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    found = dict.fromkeys((of_slurm if cluster == "slurm" else of_condor)(answer))
    here = socket.gethostname().partition(".")[0]
    return sorted(found, key=lambda node: here in {host.partition(".")[0] for host in node[0]})


def of_slurm(answer: str) -> list[tuple[tuple[str, ...], int]]:
    r"""Nodes, of sinfo's lines HOST PORT.

    >>> of_slurm("node-1  6818\nnode-2  6818")
    [(('node-1',), 6818), (('node-2',), 6818)]
    """
    pairs = (line.split() for line in answer.splitlines())
    return [((pair[0],), int(pair[1])) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()]


def of_condor(answer: str) -> list[tuple[tuple[str, ...], int]]:
    """Nodes, of startds' lines <HOST:PORT?…> NAME. Outside of the pool's network, only the name helps."""
    found: list[tuple[tuple[str, ...], int]] = []
    for line in answer.splitlines():
        told, _, name = line.strip().partition(" ")
        if match := _CONDOR_ADDRESS.match(told):
            found.append(((match["host"].strip("[]"), name.strip()), int(match["port"])))
    return found
