"""The configuration that is live: a copy of the checkout's files, which is what the services mount.

An editor saves into the checkout, and half of a change or a mistake in it must not reach anything that
reads its configuration whenever it likes: Slurm's and HTCondor's commands do so at each call, and a
service that falls over does when it comes back. `make apply` copies what it has checked.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchtop.config.part import Part
from benchtop.settings import Settings


def changed(settings: Settings, part: Part) -> list[str]:
    """The files of a part that are not live as they are in the checkout."""
    wanted, present = _files(settings.root, part), _files(former(settings, part), part)
    names = sorted(wanted.keys() | present.keys())
    return [name for name in names if not _same(wanted.get(name), present.get(name))]


def former(settings: Settings, part: Part) -> Path:
    """Where the files are that the services go by, also when a run was cut short after it had copied."""
    return _aside(settings) if part.name in unfinished(settings) else settings.live


def missing(settings: Settings, part: Part) -> bool:
    """Whether nothing of a part has ever been live."""
    return not any((settings.live / name).exists() for name in part.paths)


def adopt(settings: Settings, part: Part) -> None:
    """Make the live copy equal to the checkout."""
    _copy(settings.root, settings.live, part)


def keep(settings: Settings, part: Part) -> None:
    """Set the live copy aside, for `restore`."""
    _copy(settings.live, _aside(settings), part)


def restore(settings: Settings, part: Part) -> None:
    """Bring back what `keep` set aside."""
    _copy(_aside(settings), settings.live, part)


@contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Hold the lock of the live copy: of two who apply at once, the second finds it done."""
    settings.live.mkdir(parents=True, exist_ok=True)
    with (settings.live / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def unfinished(settings: Settings) -> set[str]:
    """The parts whose copy was changed by a run that did not live to see the services take it up."""
    file = _marker(settings)
    return set(json.loads(file.read_text())) if file.is_file() else set()


def begin(settings: Settings, part: Part) -> None:
    """Note that a part is being made live."""
    _marker(settings).write_text(json.dumps(sorted(unfinished(settings) | {part.name})))


def end(settings: Settings, part: Part) -> None:
    """Note that the services go by what is live."""
    left = unfinished(settings) - {part.name}
    _marker(settings).write_text(json.dumps(sorted(left)))


def _marker(settings: Settings) -> Path:
    settings.live.mkdir(parents=True, exist_ok=True)
    return settings.live / "unfinished.json"


def _aside(settings: Settings) -> Path:
    return settings.state / "live-before"


def _files(base: Path, part: Part) -> dict[str, Path]:
    """Name → file, without what editors and Python leave beside the files."""
    found = (file for name in part.paths for file in _below(base / name))
    return {str(file.relative_to(base)): file for file in found}


def _below(place: Path) -> Iterator[Path]:
    if place.is_dir():
        for entry in sorted(place.iterdir()):
            if entry.name[0] not in ".#" and entry.name[-1] != "~" and entry.name != "__pycache__":
                yield from _below(entry)
    elif place.is_file():
        yield place


def _same(one: Path | None, other: Path | None) -> bool:
    if one is None or other is None:
        return False
    executable = [bool(file.stat().st_mode & 0o100) for file in (one, other)]
    return executable[0] == executable[1] and one.read_bytes() == other.read_bytes()


def _copy(source: Path, target: Path, part: Part) -> None:
    """Make `target` hold the files of `source`; each is there whole, old or new, at every moment."""
    wanted, present = _files(source, part), _files(target, part)
    if part.folder:
        (target / part.folder).mkdir(parents=True, exist_ok=True)
    for name, file in wanted.items():
        copy = target / name
        if not _same(file, present.get(name)):
            copy.parent.mkdir(parents=True, exist_ok=True)
            half = copy.with_name(f".{copy.name}.part")
            shutil.copy2(file, half)
            half.replace(copy)
    for name in present.keys() - wanted.keys():
        (target / name).unlink()
