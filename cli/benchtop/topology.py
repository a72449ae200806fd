"""Which clusters run here, which cells they have, and whose cell is whose.

A cell is one proxy, one hub and one database. A person belongs to one cell of each cluster by the first
hex digit of the MD5 of their name: Apache says so with the same table (apache/conf/shares.conf).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from benchtop.settings import MOST_CELLS, Settings

CLUSTERS = ("hpc", "htc")
# Number of cells → the digits of each. As even as sixteen digits allow.
SHARES = {
    1: ("0123456789abcdef",),
    2: ("01234567", "89abcdef"),
    3: ("01234", "56789", "abcdef"),
}


def every_cell(cluster: str) -> tuple[str, ...]:
    """All cells that a cluster can have here: compose.yaml names each."""
    return tuple(f"{cluster}-{number}" for number in range(1, MOST_CELLS + 1))


def cells(settings: Settings) -> tuple[str, ...]:
    """The cells that the settings ask for."""
    return tuple(cell for cluster in settings.clusters for cell in every_cell(cluster)[: settings.cells])


def cell_of(name: str, cluster: str, count: int) -> str:
    """The cell of a person, where the cluster has `count` of them."""
    digit = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[0]
    (number,) = (at for at, share in enumerate(SHARES[count], 1) if digit in share)
    return f"{cluster}-{number}"


def services_of(cell: str) -> tuple[str, str]:
    """The hub of a cell and its proxy, as Compose knows them."""
    return cell, f"{cell}-proxy"


def profiles(settings: Settings, *more: str) -> str:
    """What to give Compose as COMPOSE_PROFILES: the clusters, and the cells that are in service."""
    in_service = [cell for cell in cells(settings) if not notice_file(settings, cell).exists()]
    return ",".join([*settings.clusters, *in_service, *more])


def notice_file(settings: Settings, cell: str) -> Path:
    """Where the text for the people of a cell in maintenance is; Apache shows it."""
    return notices(settings) / cell


def notices(settings: Settings) -> Path:
    """The folder of those texts, which is mounted into Apache."""
    return settings.state / "notices"


def in_maintenance(settings: Settings) -> dict[str, str]:
    """Cell → what its people are told, for each that an admin has stopped."""
    found = {cell: notice_file(settings, cell) for cell in cells(settings)}
    return {cell: file.read_text().strip() for cell, file in found.items() if file.is_file()}
