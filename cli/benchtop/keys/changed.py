"""Key volumes whose content changed, until the services that read them have taken that up."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchtop.console import step
from benchtop.settings import Settings
from benchtop.stack import compose


def note(settings: Settings, volumes: set[str]) -> None:
    """Remember volumes whose keys changed until their readers have taken that up, this time or the next."""
    if volumes:
        _file(settings).write_text(json.dumps(sorted(volumes | _read(settings))))


def take_up(settings: Settings, running: set[str]) -> None:
    """Restart those services of `running` whose keys changed under them, as a renewed certificate's do.

    Before the others start: a database must know the role of a new cell before that cell asks for it.
    """
    changed = _read(settings)
    parsed = compose.config(settings)["services"]
    readers = {name for name in running & set(parsed) if changed & set(_volumes(parsed[name]))}
    stale = sorted(readers - {"volumes"})
    if stale:
        with step("Restarting what reads changed keys") as current:
            compose.run(settings, "restart", "--no-deps", *stale)
            current.outcome = ", ".join(stale)
    _file(settings).unlink(missing_ok=True)


def _file(settings: Settings) -> Path:
    return settings.state / "changed-keys.json"


def _read(settings: Settings) -> set[str]:
    path = _file(settings)
    return set(json.loads(path.read_text())) if path.is_file() else set()


def _volumes(service: dict[str, Any]) -> Iterable[str]:
    return (entry["source"] for entry in service.get("volumes", []) if entry.get("source"))
