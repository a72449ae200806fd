"""The software area as the host's tool sees it: what is handed in, what the build container does and says."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from benchtop.console import Problem, Step, log
from benchtop.settings import Settings
from benchtop.software import index, module
from benchtop.software.recipes import LOCK, Recipe
from benchtop.stack import compose

SERVICE, TRIAL = "software", "software-trial"  # of compose.yaml: who builds, and who tries what was built
VOLUME = "software"
_FULL = 28  # exit code of the build container when no space is left
_LINES = 15  # of a failure, shown below its sentence


@dataclass(frozen=True)
class Published:
    """What is there of one environment: the current version, and the digest of each version's recipe."""

    current: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


class Full(Problem):
    """No space was left on the area."""


def handed_in(settings: Settings) -> Path:
    """The folder that the build container reads: what was judged, not what somebody is editing."""
    return settings.state / "software"


def hand_in(settings: Settings, recipe: Recipe) -> None:
    """Put what a build needs of a recipe where the build container reads it."""
    folder = handed_in(settings) / recipe.name
    shutil.rmtree(folder, ignore_errors=True)
    kernels = folder / "files/share/jupyter/kernels"
    for kernel in recipe.kernels:
        place = kernels / kernel.name
        place.mkdir(parents=True)
        _write(place / "kernel.json", recipe.kernel_json(kernel))
        if logo := recipe.logo(kernel):
            shutil.copy(logo, place / "logo-svg.svg")
    trials = {kernel.name: recipe.trial(kernel) for kernel in recipe.kernels}
    _write(folder / "files/environment.json", recipe.environment_json(settings.support))
    _write(folder / "files/recipe.json", {"digest": recipe.digest, "trials": trials})
    (folder / LOCK).write_text(recipe.lock)
    (folder / "module.lua").write_text(module.text(recipe))


def _write(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def look(settings: Settings) -> dict[str, Published]:
    """What is published now."""
    seen = json.loads(run(settings, SERVICE, "list")[-1])
    return {name: Published(entry["current"], entry["versions"]) for name, entry in seen.items()}


def run(
    settings: Settings,
    service: str,
    *words: str,
    current: Step | None = None,
    online: bool = False,
    stdin: IO[str] | IO[bytes] | int | None = subprocess.DEVNULL,
) -> list[str]:
    """Run a verb in a build container of its own; the last lines that it printed.

    online: with this host's package index, proxies and folders of packages
    Raises Full, or Problem with what the container said.
    """
    found = index.of_host() if online else index.Index({}, "", ())
    # without their values: an index's address may hold a password, which no list of processes shows
    options = [word for name in found.variables for word in ("--env", name)]
    options += [word for folder in found.folders for word in ("--volume", f"{folder}:{folder}:ro")]
    command = ["--progress", "quiet", "run", "--rm", "--no-deps", "--no-TTY", *options, service, *words]
    file = settings.state / "log/software.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    printed: deque[str] = deque(maxlen=_LINES)
    with (
        file.open("a") as out,
        subprocess.Popen(
            compose.command(settings, *command),
            cwd=settings.root,
            env={**compose.environment(settings, "software"), **found.variables},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if current is None else subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                out.write(line)
                printed.append(line.rstrip())
                if current:
                    current.now(line.strip())
            errors = process.stderr.read().splitlines() if process.stderr else []
            out.writelines(f"{line}\n" for line in errors)
            code = process.wait()
        finally:
            process.terminate()
    if code == 0:
        return list(printed)
    lines = [line for line in [*printed, *errors] if line.strip()]
    log.error("%s %s exited %d: %s", service, " ".join(words), code, " / ".join(lines))
    if code == _FULL:
        raise Full("No space is left on the software area.", lines[-1:])
    raise _failure(lines)


def _failure(lines: list[str]) -> Problem:
    """The container's own sentence, which it prints before the lines that explain it."""
    for at, line in enumerate(lines):
        if line.startswith(_MARK):
            return Problem(line.removeprefix(_MARK), lines[at + 1 :])
    return Problem("The build container failed.", lines)


_MARK = "failed: "  # before the sentence of a failure


# ---- what is remembered of it, so that `make up` and `make status` need no container ---------------


def _memory(settings: Settings) -> Path:
    return settings.state / "software.json"


def _made(settings: Settings) -> str:
    """When the volume was made; another one, or none, holds nothing of what is remembered."""
    words = ("volume", "inspect", "--format", "{{.CreatedAt}}", f"{settings.project}_{VOLUME}")
    return compose.docker(*words, check=False).stdout.decode().strip()


def remember(settings: Settings, there: Mapping[str, Published]) -> None:
    """Note what is published."""
    known = {
        name: {"version": one.current, "digest": one.versions.get(one.current, "")}
        for name, one in there.items()
    }
    _write(_memory(settings), {"volume": _made(settings), "published": known})


def remembered(settings: Settings) -> dict[str, dict[str, str]]:
    """Environment → its current version and the digest of that, as of the last run of this tool."""
    try:
        known = json.loads(_memory(settings).read_text())
        published: dict[str, dict[str, str]] = known["published"]
    except (OSError, ValueError, KeyError):
        return {}
    return published if known.get("volume") == _made(settings) and known["volume"] else {}


def remembers(settings: Settings, wanted: Mapping[str, str]) -> bool:
    """Whether each environment is published as its recipe, of that digest, wants it."""
    known = remembered(settings)
    return all(known.get(name, {}).get("digest") == digest for name, digest in wanted.items())
