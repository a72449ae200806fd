"""The software area: which environments there are, of those that somebody may see on this cluster.

An environment's version is a folder that is complete or not there at all, and `current` is a link to one of
them. So nothing is cached here: who asks again finds what was published meanwhile. An entry that cannot be
read is left out, and named in the log.

Nothing but the standard library.
"""

import json
import logging
from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

AREA = Path("/software")
CURRENT = "current"  # the link to the version that is offered
ABOUT = "environment.json"  # of a version, written by the build
LARGEST = 1 << 20  # bytes of such a file
KINDS = frozenset({"venv", "container"})

log = logging.getLogger("benchtop.software")


class BrokenError(ValueError):
    """An entry that cannot be used; the message says why, as the end of a sentence."""


@dataclass(frozen=True)
class Kernel:
    """A kernel of an environment, as the Launcher shows it."""

    name: str
    display_name: str
    language: str


@dataclass(frozen=True)
class Environment:
    """One version of an environment. groups: who sees it, nobody named means everybody

    session: can a whole session be started from it? folder: of this very version, never `current`
    """

    name: str
    version: str
    title: str
    description: str
    support: str
    groups: tuple[str, ...]
    clusters: tuple[str, ...]
    kind: str
    python: str
    kernels: tuple[Kernel, ...]
    session: bool
    folder: Path

    def seen_by(self, groups: Collection[str], cluster: str) -> bool:
        """May somebody of these groups use it on this cluster? An empty cluster stands for any."""
        here = not cluster or cluster in self.clusters
        return here and (not self.groups or not set(self.groups).isdisjoint(groups))

    @property
    def data(self) -> Path:
        """Jupyter's folder of data in it, which holds its kernels."""
        return self.folder / "share" / "jupyter"


def read(folder: Path) -> Environment:
    """What a version's folder says of itself. Raises BrokenError."""
    try:
        with (folder / ABOUT).open("rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise BrokenError(f"{ABOUT} cannot be read: {error.strerror}") from None
    if len(text) > LARGEST:
        raise BrokenError(f"{ABOUT} is too large")
    try:
        content = json.loads(text)
    except ValueError as error:
        raise BrokenError(f"{ABOUT} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise BrokenError(f"{ABOUT} is not a JSON object")
    return _environment(folder, content)


def _environment(folder: Path, content: dict[str, Any]) -> Environment:
    known: dict[str, Any] = {"folder": folder}
    for field in fields(Environment):
        if field.name in known:
            continue
        value = content.get(field.name)
        if field.type is bool:
            sound = isinstance(value, bool)
        elif field.type is str:
            sound = isinstance(value, str)
        else:
            sound = isinstance(value, list)
        if not sound:
            raise BrokenError(f"{ABOUT} has no proper “{field.name}”")
        known[field.name] = value
    for name in ("groups", "clusters"):
        if not all(isinstance(item, str) for item in known[name]):
            raise BrokenError(f"{ABOUT} has no proper “{name}”")
        known[name] = tuple(known[name])
    known["kernels"] = tuple(map(_kernel, known["kernels"]))
    if known["kind"] not in KINDS:
        raise BrokenError(f"{ABOUT} has an unknown “kind”")
    if known["name"] != folder.parent.name or known["version"] != folder.name:
        raise BrokenError(f"{ABOUT} says that it is {known['name']}/{known['version']}")
    return Environment(**known)


def _kernel(entry: object) -> Kernel:
    names = [field.name for field in fields(Kernel)]
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in names):
        raise BrokenError(f"{ABOUT} has no proper “kernels”")
    return Kernel(**{name: entry[name] for name in names})


def find(name: str, version: str = CURRENT, root: Path = AREA) -> Environment | None:
    """A version of an environment, the one that is offered by default; None where it cannot be used."""
    if "/" in name or "/" in version or name.startswith(".") or version.startswith("."):
        return None
    folder = root / name / version
    if not folder.is_dir():
        return None
    try:
        return read(folder.resolve())
    except (BrokenError, OSError) as error:
        log.warning("environment %s left out: %s", name, error)
        return None


def environments(root: Path = AREA, *, groups: Collection[str], cluster: str) -> list[Environment]:
    """Those that are offered, by name. groups: of the person; cluster: hpc or htc, or "" for either."""
    try:
        # what begins with a dot is the builder's own, and closed to people
        shown = [entry for entry in root.iterdir() if not entry.name.startswith(".")]
        names = sorted(entry.name for entry in shown if (entry / CURRENT).is_symlink())
    except OSError:  # no area here, or nobody may look: nothing is offered
        return []
    found = (find(name, root=root) for name in names)
    return [known for known in found if known and known.seen_by(groups, cluster)]
