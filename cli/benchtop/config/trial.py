"""Have changed files judged by the program that is to read them, before anything that runs sees them.

It does so in a container of that program's own image, which has the checkout's files in the place of the
live ones and is thrown away.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchtop.config.part import Part
from benchtop.console import Problem
from benchtop.settings import Settings
from benchtop.stack import compose

_PATIENCE = 120  # seconds for one container; the slowest, a hub's, takes six


def run(
    settings: Settings, part: Part, service: str, words: list[str], *options: str, entrypoint: str = ""
) -> tuple[int, str]:
    """Exit code and output of a command in a container like that of `service`, with the checkout's files.

    It has the service's keys, to read, and no network, unless `options` (of `docker run`) give it one.
    """
    running = next((each for each in compose.containers(settings.project) if each.service == service), None)
    if running is None:
        raise Problem(f"{service} has no container, so {part.name} cannot be checked: `make up` first.")
    environment = compose.config(settings)["services"][service].get("environment") or {}
    given = [f"--env={name}={value}" for name, value in environment.items()]
    # a mount of ours takes the place of the one at the same path that comes with the volumes
    ours = f"{settings.root / part.folder}:{part.mount}:ro"
    mounts = ["--volumes-from", f"{running.id}:ro", "--volume", ours]
    alone = ["--network", "none", "--hostname", service, "--add-host", f"{service}:127.0.0.1"]
    first = ["--entrypoint", entrypoint] if entrypoint else []
    memory = ["--tmpfs", "/tmp:mode=1777"]  # noqa: S108 - in a container
    options = tuple(options) or tuple(alone)
    done = compose.docker(
        "run", "--rm", *given, *mounts, *memory, *options, *first, running.image, *words,
        check=False, timeout=_PATIENCE,
    )  # fmt: skip
    return done.returncode, (done.stderr + b"\n" + done.stdout).decode(errors="replace").strip()


def refusal(part: Part, lines: Iterable[str]) -> Problem:
    """What to raise for a part with mistakes: one line each, the last dozen of them."""
    shown = [line for line in lines if line][-12:]
    return Problem(f"Nothing was changed: there is a mistake in {part.name}.", shown)
