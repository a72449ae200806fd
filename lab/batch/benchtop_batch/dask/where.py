"""Whether workers can be had from here, and how they reach this process.

Workers connect to the scheduler, which is in the notebook's process, and to each other. Jobs are taken from
more places than there is a way back to. So that is looked at first: otherwise workers would start, find
nobody, and end.

Nothing but the standard library.
"""

import os
import socket
from collections.abc import Callable, Mapping, Sequence

from benchtop_batch import place

# Dask's name of a batch system → ours, and how people call it
SYSTEMS: Mapping[str, tuple[place.Cluster, str]] = {
    "slurm": ("slurm", "Slurm"),
    "htcondor": ("condor", "HTCondor"),
}
HUB = "the hub's page (File > Hub Control Panel)"


class Unavailable(RuntimeError):  # noqa: N818 what it is, not that it is an error
    """No cluster can be had; the message says why and what to do."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the sentence, because nothing of the rest is the reader's."""
        return [f"Unavailable: {self}"]


def check_place(system: str, env: Mapping[str, str] = os.environ) -> None:
    """Raise Unavailable where this batch system takes no jobs from here. system: as Dask calls it"""
    own, title = SYSTEMS[system]
    if env.get("BENCHTOP_CONFINED"):
        raise Unavailable(
            "Your account's jobs reach nothing but the hub and the internet proxy, so Dask workers could not "
            f"speak with this notebook. For more CPUs or memory, start another session from {HUB}."
        )
    there = place.clusters(env)
    if own in there:
        return
    others = [shown for name, (found, shown) in SYSTEMS.items() if found in there and name != system]
    instead = f" {others[0]} does: use {cluster_class(others[0])}() instead." if others else ""
    support = env.get("BENCHTOP_SUPPORT") or "the support"
    why = _of(title, place.reason(env)) or (
        "This session has no credential for it, or its commands are not installed here. "
        f"Start a session on a cluster from {HUB}, or ask {support}."
    )
    raise Unavailable(f"{title} takes no jobs from this session. {why}{instead}")


def _of(title: str, reasons: str) -> str:
    """What is said of one batch system, in lines that begin with its name; or all that is said."""
    lines = reasons.splitlines()
    own = [line.removeprefix(f"{title}: ") for line in lines if line.startswith(f"{title}: ")]
    named = any(line.startswith(f"{name}: ") for line in lines for _, name in SYSTEMS.values())
    return " ".join(own) if named else " ".join(lines)


def cluster_class(title: str) -> str:
    """The name in dask_jobqueue of a batch system's cluster."""
    return {"Slurm": "SLURMCluster", "HTCondor": "HTCondorCluster"}[title]


def resolve(name: str) -> str:
    """The address of a machine. Raises OSError."""
    return socket.gethostbyname(name)


def own_address(towards: str) -> str:
    """The address that a machine at another one sees of this one; nothing is sent. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.connect((towards, 9))
        address: str = line.getsockname()[0]
    return address


def way_back(
    system: str,
    beside: str,
    workers: Sequence[str],
    *,
    resolved: Callable[[str], str] = resolve,
    address: Callable[[str], str] = own_address,
) -> str:
    """The address by which workers reach this process; "" where nothing is said of the network.

    beside: a machine of the network that workers are on; workers: machines where they run
    Raises Unavailable where no way leads from there to here.
    """
    if not beside:
        return ""
    here = socket.gethostname().partition(".")[0]
    try:
        found = address(resolved(beside))
        for name in workers:
            if name != here:
                resolved(name)
                break
    except OSError:
        title = SYSTEMS[system][1]
        raise Unavailable(
            f"Workers on {title} could not reach this notebook: it runs on {here}, and no way leads there "
            f"from {title}'s nodes. Start a session on the cluster that has {title}, as a job or on its "
            f"login node, from {HUB}."
        ) from None
    return found
