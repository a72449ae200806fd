"""The clusters that there can be, their cells, and whose cell is whose.

A cell is one proxy, one hub and one database. A person belongs to one cell of each cluster by the first
hex digit of the MD5 of their name: Apache says so with the same table (apache/conf/shares.conf).
"""

from __future__ import annotations

import hashlib

SLURM, CONDOR = "hpc", "htc"  # the cluster of each scheduler
SCHEDULERS = {SLURM: "Slurm", CONDOR: "HTCondor"}
CLUSTERS = tuple(SCHEDULERS)
ENGINE = "engine"  # where sessions run in containers, of both clusters' people
MOST_CELLS = 3  # as many as compose.yaml has of a cluster's cells
# Number of cells → the digits of each. As even as sixteen digits allow.
SHARES = {
    1: ("0123456789abcdef",),
    2: ("01234567", "89abcdef"),
    3: ("01234", "56789", "abcdef"),
}


def every_cell(cluster: str) -> tuple[str, ...]:
    """All cells that a cluster can have here: compose.yaml names each."""
    return tuple(f"{cluster}-{number}" for number in range(1, MOST_CELLS + 1))


def cell_of(name: str, cluster: str, count: int) -> str:
    """The cell of a person, where the cluster has `count` of them."""
    digit = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[0]
    (number,) = (at for at, share in enumerate(SHARES[count], 1) if digit in share)
    return f"{cluster}-{number}"


def services_of(cell: str) -> tuple[str, str]:
    """The hub of a cell and its proxy, as Compose knows them."""
    return cell, f"{cell}-proxy"
