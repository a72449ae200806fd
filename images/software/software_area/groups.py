"""The groups' own kernels and modules: what a group's librarian keeps in lab/groups/GROUP."""

import shutil
from pathlib import Path

from software_area import AREA, RECIPES, build

FOLDERS = ("kernels", "modules")


def take_over() -> None:
    """Make /software/groups equal to what was handed in; each file is whole, old or new, at every moment."""
    source, target = RECIPES / ".groups", AREA / "groups"
    target.mkdir(exist_ok=True)
    wanted = {file.relative_to(source) for file in source.rglob("*") if file.is_file()}
    for name in sorted(wanted):
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        half = copy.with_name(f".{copy.name}.part")
        shutil.copy(source / name, half)
        half.replace(copy)
    for file in [
        path for path in target.rglob("*") if path.is_file() and path.relative_to(target) not in wanted
    ]:
        file.unlink()
    for folder in sorted((path for path in target.rglob("*") if path.is_dir()), reverse=True):
        _remove_empty(folder)
    build.readable(target)


def _remove_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()
