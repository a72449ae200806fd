"""The groups' own kernels and modules, from lab/groups/GROUP to /software/groups/GROUP."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from benchtop.people.marked import Mistake
from benchtop.settings import Settings
from benchtop.software import area, recipes

FOLDER = Path("lab/groups")  # of the checkout
PARTS = ("kernels", "modules")


def judge(settings: Settings, known: Iterable[str]) -> None:
    """Raise Invalid where a folder is no group's, or something in it is no kernel and no module."""
    top = settings.root / FOLDER
    mistakes: list[Mistake] = []
    groups = sorted(known)
    for folder in sorted(entry for entry in top.iterdir() if entry.name[0] != ".") if top.is_dir() else []:
        shown = str(FOLDER / folder.name)
        if folder.name not in groups:
            reason = f"there is no group “{folder.name}” in accounts/people.yaml ({', '.join(groups)})"
            mistakes.append(Mistake(shown, 1, reason))
        for part in sorted(entry for entry in folder.iterdir() if entry.name[0] != "."):
            if part.name not in PARTS:
                reason = f"is neither of {' and '.join(PARTS)}, which a group has"
                mistakes.append(Mistake(f"{shown}/{part.name}", 1, reason))
        for path in folder.rglob("*"):
            name = str(path.relative_to(settings.root))
            if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
                mistakes.append(Mistake(name, 1, "is a link that leads out of the group's folder"))
            elif path.name == "kernel.json":
                mistakes.extend(Mistake(name, line, reason) for line, reason in _kernel(path))
    if mistakes:
        raise recipes.Invalid(
            "There are mistakes in the groups' own kernels and modules. Nothing was built: fix them first.",
            [str(mistake) for mistake in sorted(mistakes)],
        )


def _kernel(file: Path) -> list[tuple[int, str]]:
    try:
        content = json.loads(file.read_text())
    except ValueError as error:
        return [(getattr(error, "lineno", 1), f"this is not JSON: {error}")]
    except OSError as error:
        return [(1, f"cannot be read: {error.strerror}")]
    argv = content.get("argv") if isinstance(content, dict) else None
    if not isinstance(argv, list) or not argv or not all(isinstance(word, str) for word in argv):
        return [(1, "has no list `argv`, the command that starts the kernel")]
    return []


def hand_in(settings: Settings) -> None:
    """Make /software/groups equal to lab/groups."""
    source, target = settings.root / FOLDER, area.handed_in(settings) / ".groups"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    area.run(settings, area.SERVICE, "groups")
