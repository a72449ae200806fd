"""Cells of the running facility: whose servers they have, taking one out of service and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchtop import topology
from benchtop.console import Problem, log, say, step
from benchtop.settings import Settings
from benchtop.stack import compose, notices, services


@dataclass(frozen=True)
class Server:
    """A server that runs or is being started; `name` is empty for a person's usual one."""

    cell: str
    person: str
    name: str

    def __str__(self) -> str:
        return f"{self.person}/{self.name}" if self.name else self.person


@dataclass(frozen=True)
class Cell:
    """A cell with its people (those who have ever logged in) and their servers."""

    name: str
    people: int
    servers: tuple[Server, ...]


# What a hub knows survives it in its database: asked there, it also answers while the hub is down.
_QUESTION = r"""
\connect {cell}
SELECT '{cell}', 'people', count(*), '' FROM users;
SELECT '{cell}', 'server', users.name, spawners.name FROM spawners JOIN users ON users.id = user_id
  WHERE server_id IS NOT NULL ORDER BY 3, 4;
"""


def look(settings: Settings, names: Iterable[str]) -> list[Cell]:
    """What the cells `names` hold; raises Problem when their database cannot be asked."""
    names = list(names)
    asked = "".join(_QUESTION.format(cell=name) for name in names).encode()
    words = ("exec", "-T", "postgres", "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align")
    # a cell that never ran has no tables yet: that one question fails, the others are answered
    done = compose.run(settings, *words, "--field-separator=\t", input=asked, check=False, timeout=30)
    if done.returncode:
        raise Problem(
            "The hubs' database cannot be asked whose sessions run: see `make status`, and try again.",
            done.stderr.decode(errors="replace").splitlines()[-3:],
        )
    rows = [line.split("\t") for line in done.stdout.decode().splitlines() if line.count("\t") == 3]
    return [
        Cell(
            name,
            sum(int(count) for cell, kind, count, _ in rows if (cell, kind) == (name, "people")),
            tuple(
                Server(cell, who, what) for cell, kind, who, what in rows if (cell, kind) == (name, "server")
            ),
        )
        for name in names
    ]


def refuse_moves(settings: Settings) -> None:
    """Raise Problem where the settings would take running servers away from their owners.

    Another number of cells gives people another cell, whose hub knows nothing of their server; a cluster
    that is left out would be stopped with everything on it.
    """
    present = {one.service: one for one in compose.containers(settings.project)}
    before = [cell for name in topology.CLUSTERS for cell in topology.every_cell(name) if cell in present]
    wanted = settings.cell_names
    database = present.get("postgres")
    if not before or set(before) == set(wanted) or database is None or not database.well:
        return
    moves = []
    for server in (one for cell in look(settings, before) for one in cell.servers):
        cluster = server.cell.rpartition("-")[0]
        to = None
        if cluster in settings.clusters:
            to = topology.cell_of(server.person, cluster, settings.cells)
        if to != server.cell:
            moves.append(f"{server} ({server.cell} → {to or 'none'})")
    if moves:
        raise Problem(
            f"CLUSTERS={','.join(settings.clusters)} and CELLS={settings.cells} would give people another "
            "cell while their servers run, which they then could neither reach nor stop. Have these stopped "
            "first, or keep the former settings:",
            moves,
        )


def leave_out(settings: Settings) -> None:
    """Remove what the settings no longer ask for: cells beyond their number, a cluster."""
    kept = set(compose.config(settings, "test")["services"])
    kept |= {name for cell in settings.cell_names for name in topology.services_of(cell)}
    known = set(compose.config(settings, "*")["services"])
    surplus = sorted({one.service for one in compose.containers(settings.project)} & known - kept)
    if surplus:
        with step("Removing services that the settings exclude") as current:
            compose.run(settings, "--profile", "*", "rm", "--stop", "--force", *surplus)
            current.outcome = ", ".join(surplus)


def stop(settings: Settings, cell: str, message: str) -> None:
    """Take a cell out of service; its people read `message` until `start`, and their jobs keep running."""
    require_known(settings, cell)
    text = notices.checked_line(
        message, f'Give the message for the people of {cell}, for example MESSAGE="{cell} is back at 14:00"'
    )
    (held,) = look(settings, [cell])
    with step(f"Taking {cell} out of service") as current:
        notices.tell_cell(settings, cell, text)
        hub, proxy = topology.services_of(cell)
        compose.run(settings, "stop", proxy, hub)
        current.outcome = f"its {held.people} people read: {text}"
    log.info("cell stopped cell=%s servers=%d message=%r", cell, len(held.servers), text)
    if held.servers:
        say(f"Sessions that keep running, but cannot be reached: {', '.join(map(str, held.servers))}.")
    else:
        say("No sessions run there.")
    say(f"Back into service: make cell-start CELL={cell}")


def start(settings: Settings, cell: str) -> None:
    """Bring a cell back into service; the servers that outlived its absence are its again."""
    require_known(settings, cell)
    notices.notice_file(settings, cell).unlink(missing_ok=True)
    services.start(settings, only=topology.services_of(cell))
    log.info("cell started cell=%s", cell)


def require_known(settings: Settings, cell: str) -> None:
    """Raise Problem, with the cells that there are, for a name that is none of them."""
    names = settings.cell_names
    if cell not in names:
        what = f"Unknown cell {cell}" if cell else "Name a cell, for example CELL=hpc-1"
        raise Problem(f"{what}. Cells: {', '.join(names)}.")
