"""What is published: listed, made visible, removed."""

import json
import os
import shutil
from pathlib import Path

from software_area import (
    AREA,
    BUILDING,
    CACHE,
    ENVIRONMENT,
    RECIPE,
    RECIPES,
    Failure,
    read,
    replace,
    version_of,
)

MODULES = AREA / "modules"


def show() -> None:
    """Remove leftovers, and print each environment: current version, and each version's recipe's digest."""
    discard()
    found = {}
    for folder in sorted(AREA.iterdir()):
        versions = {
            entry.name: str(read(entry / RECIPE).get("digest", ""))
            for entry in sorted(folder.iterdir() if folder.is_dir() and folder.name[0] != "." else [])
            if not entry.is_symlink() and (entry / RECIPE).is_file()
        }
        if versions:
            current = folder / "current"
            found[folder.name] = {
                "current": str(current.readlink()) if current.is_symlink() else "",
                "versions": versions,
            }
    print(json.dumps(found))


def discard() -> None:
    """Remove what an interrupted or refused build left behind."""
    if BUILDING.is_dir():
        for entry in BUILDING.iterdir():
            shutil.rmtree(entry)
    BUILDING.mkdir(exist_ok=True)
    BUILDING.chmod(0o750)  # its owner, and the group of the one who tries it: no person
    CACHE.mkdir(exist_ok=True)
    CACHE.chmod(0o700)


def forget_downloads() -> None:
    """Remove the cache of packages: what is published keeps its files, which are linked."""
    shutil.rmtree(CACHE, ignore_errors=True)


def publish(name: str) -> None:
    """Make the version of a recipe current; before that, visible, if it was built and tried just now."""
    version = version_of(name)
    built, place = BUILDING / name / version, AREA / name / version
    if built.is_dir():
        place.parent.mkdir(exist_ok=True)
        built.rename(place)
    if not (place / ENVIRONMENT).is_file():
        raise Failure(f"{name} {version} is not there: nothing was built.")
    replace(MODULES / name / f"{version}.lua", (RECIPES / name / "module.lua").read_text())
    _point(place.parent / "current", version)
    _point(MODULES / name / "default", f"{version}.lua")  # which one Lmod loads when none is named


def _point(link: Path, target: str) -> None:
    """Make a link lead to `target`, the old one or the new one at every moment."""
    if link.is_symlink() and str(link.readlink()) == target:
        return
    half = link.with_name(f".{link.name}.part")
    half.unlink(missing_ok=True)
    half.symlink_to(target)
    half.replace(link)


def remove(what: str) -> None:
    """Remove an environment, or one version of it that is not current; sessions that run in it lose it."""
    name, _, version = what.partition("/")
    folder = AREA / name
    if not folder.is_dir() or (version and not (folder / version).is_dir()):
        raise Failure(f"There is no environment {what} on the software area.")
    if version and (folder / "current").is_symlink() and str((folder / "current").readlink()) == version:
        raise Failure(f"{what} is the current version: publish another one first, or remove all of {name}.")
    BUILDING.mkdir(exist_ok=True)
    aside = BUILDING / f"removed-{os.getpid()}"
    (MODULES / name / f"{version}.lua").unlink(missing_ok=True)
    if version:
        (folder / version).rename(aside)  # gone in one moment; the rest takes a while
    else:
        shutil.rmtree(MODULES / name, ignore_errors=True)
        folder.rename(aside)
    shutil.rmtree(aside)
