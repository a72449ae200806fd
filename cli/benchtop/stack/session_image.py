"""Hand the image of sessions in containers to the facility's own engine, and its digest to the gateway.

It goes from the host's engine to the other one as a stream, without a registry, while the services start:
half a minute that nobody waits for. An engine that has the image is handed nothing.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from benchtop import topology
from benchtop.console import Problem, step
from benchtop.settings import Settings
from benchtop.stack import compose, images

PROFILE = "session"  # of the service that stands for the image in compose.yaml
NAME = "benchtop/session"  # as hubs know it; the tag is the beginning of the host's id of it
TOOL = "engine-image"  # images/engine


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
        with step("Handing the image of sessions to the container engine"):
            handing.result()

    return finish


def hand_over(settings: Settings) -> bool:
    """Make the engine have the image that was built last, and no other; whether there was something to do."""
    tag = f"{settings.project}/{PROFILE}"
    built = images.image_ids({tag: ""})[tag]
    if not built:
        raise Problem("The image of sessions in containers was not built: run `make up` again.")
    name = f"{NAME}:{built.removeprefix('sha256:')[:12]}"
    known = _read(settings)
    there = _tool(settings, "list").split()
    if known.get(name) in there:
        return False
    digest = _stream(settings, tag, name)
    _write(settings, name, digest)
    _tool(settings, "keep", digest)
    return True


def _stream(settings: Settings, tag: str, name: str) -> str:
    """Copy the image from engine to engine; its digest in the other one."""
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
            "The container engine did not take the image of sessions: see `make logs SERVICE=engine`, and "
            "that the disk is not full; then run `make up` again.",
            loading.stderr.decode(errors="replace").splitlines()[-8:],
        )
    return loading.stdout.decode().strip()


def _tool(settings: Settings, *words: str) -> str:
    done = compose.run(settings, "exec", "-T", "--user", topology.ENGINE, topology.ENGINE, TOOL, *words)
    return done.stdout.decode()


def _file(settings: Settings) -> Path:
    return settings.state / topology.ENGINE / "images.json"


def _read(settings: Settings) -> dict[str, str]:
    """Name → digest of the images that the gateway knows."""
    try:
        entries = json.loads(_file(settings).read_text())["images"]
        return {str(entry["name"]): str(entry["digest"]) for entry in entries}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write(settings: Settings, name: str, digest: str) -> None:
    path = _file(settings)
    new = path.with_name(".images.json.new")
    new.write_text(json.dumps({"images": [{"name": name, "digest": digest}]}, indent=1))
    new.chmod(0o644)  # the gateway is nobody's user here
    new.replace(path)


def prepare(settings: Settings) -> None:
    """Make the folder that the gateway mounts, or the engine would make it as root."""
    folder = _file(settings).parent
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder.chmod(0o755)
