"""Hand the images of sessions in containers to the facility's own engine, and their digests to the gateway.

The first is built from what nodes have; BENCHTOP_ENGINE_IMAGES names others, of this machine's engine. Each
goes from one engine to the other as a stream, without a registry, while the services start: half a minute
that nobody waits for. An engine that has them is handed nothing.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchtop import topology
from benchtop.console import Problem, step
from benchtop.settings import Settings
from benchtop.stack import compose, images

PROFILE = "session"  # of the service that stands for the image in compose.yaml
NAME = "benchtop/session"  # as hubs know it; the tag is the beginning of the host's id of it
TOOL = "engine-image"  # images/engine


@dataclass(frozen=True)
class Handed:
    """An image that the engine has: as hubs name it, its digest there, and its id on this machine."""

    name: str
    digest: str
    built: str


def profiles(settings: Settings) -> tuple[str, ...]:
    """What has to be built besides the services that run."""
    return (PROFILE,) if settings.engine else ()


def begin(settings: Settings) -> Callable[[], None]:
    """Start to hand it over, beside whatever else is done; what is returned waits for the end.

    Raises nothing; what is returned raises Problem.
    """
    if not settings.engine:
        return lambda: None
    pool = ThreadPoolExecutor(1)
    handing: Future[bool] = pool.submit(hand_over, settings)
    pool.shutdown(wait=False)

    def finish() -> None:
        if handing.done() and not handing.exception() and not handing.result():
            return
        with step("Handing the images of sessions to the container engine"):
            handing.result()

    return finish


def hand_over(settings: Settings) -> bool:
    """Make the engine have these images as this machine has them, and no others; whether it had not."""
    own = f"{settings.project}/{PROFILE}"
    built = images.image_ids(dict.fromkeys([own, *settings.engine_images], ""))
    for tag, number in built.items():
        if not number:
            raise Problem(
                f"This machine has no image {tag} for sessions in containers: build it with "
                f"`docker build --tag {tag} …`, then run `make up` again."
            )
    names = {tag: tag for tag in built}
    names[own] = f"{NAME}:{built[own].removeprefix('sha256:')[:12]}"
    known, there = _read(settings), _tool(settings, "list").split()
    kept = {(one.name, one.built): one.digest for one in known if one.digest in there}
    wanted = [(name, built[tag]) for tag, name in names.items()]
    if wanted == list(kept):
        return False
    handed = [
        Handed(name, kept.get((name, built[tag])) or _stream(settings, tag, name), built[tag])
        for tag, name in names.items()
    ]
    _write(settings, handed)
    _tool(settings, "keep", *(one.digest for one in handed))
    return True


def _stream(settings: Settings, tag: str, name: str) -> str:
    """Copy an image from engine to engine; its digest in the other one."""
    words = compose.command(
        settings, "exec", "-T", "--user", topology.ENGINE, topology.ENGINE, TOOL, "load", name
    )
    with subprocess.Popen(
        ["docker", "save", tag], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as saving:
        loading = subprocess.run(
            words, stdin=saving.stdout, capture_output=True, check=False, cwd=settings.root,
            env=compose.environment(settings),
        )  # fmt: skip
        if saving.stdout:
            saving.stdout.close()
    if loading.returncode or saving.returncode:
        raise Problem(
            f"The container engine did not take the image {tag}: see `make logs SERVICE=engine`, and "
            "that the disk is not full; then run `make up` again.",
            loading.stderr.decode(errors="replace").splitlines()[-8:],
        )
    return loading.stdout.decode().strip()


def _tool(settings: Settings, *words: str) -> str:
    done = compose.run(settings, "exec", "-T", "--user", topology.ENGINE, topology.ENGINE, TOOL, *words)
    return done.stdout.decode()


def _file(settings: Settings) -> Path:
    return settings.state / topology.ENGINE / "images.json"


def _read(settings: Settings) -> list[Handed]:
    """The images that the gateway knows."""
    try:
        entries = json.loads(_file(settings).read_text())["images"]
        return [Handed(str(one["name"]), str(one["digest"]), str(one["built"])) for one in entries]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _write(settings: Settings, entries: list[Handed]) -> None:
    path = _file(settings)
    new = path.with_name(".images.json.new")
    new.write_text(json.dumps({"images": [asdict(one) for one in entries]}, indent=1))
    new.chmod(0o644)  # the gateway is nobody's user here
    new.replace(path)


def prepare(settings: Settings) -> None:
    """Make the folder that the gateway mounts, or the engine would make it as root."""
    folder = _file(settings).parent
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder.chmod(0o755)
