"""Build the images, showing what is being built; skip the build when nothing went into it anew."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from benchtop.console import Problem, Step, log, step
from benchtop.settings import Settings
from benchtop.stack import compose

# Where a host keeps the CA certificates that it trusts, in the order in which people override it
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")
CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


def build(settings: Settings, *profiles: str, force: bool = False, only: tuple[str, ...] = ()) -> None:
    """Build every image of the stack (and of `profiles`) whose ingredients have changed.

    only: the images of these services

    Raises Problem with the end of the failing step and where the whole log is.
    """
    write_host_ca(settings)
    parsed = compose.config(settings, *profiles)
    services = one_service_an_image(parsed)
    if only:
        services = {image: service for image, service in services.items() if service in only}
    state = settings.state / "built.json"
    wanted = {**ingredients(settings, parsed), "images": image_ids(services)}
    known = _read(state)
    if not force and all(wanted["images"].values()) and _covers(known, wanted):
        return
    what = f"the image of {only[0]}" if len(only) == 1 else f"{len(services)} images"
    with step(f"Building {what}") as current:
        _build(settings, profiles, [*services.values()], current)
    # images of a profile that this build left out stay known: the next full build need not make them anew
    images = (
        {**known.get("images", {}), **image_ids(services)}
        if known.get("files") == wanted["files"]
        else image_ids(services)
    )
    state.write_text(json.dumps({**wanted, "images": images}, indent=1))


def _covers(known: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether the last build had the same ingredients and its images are still there."""
    if any(known.get(key) != wanted[key] for key in ("files", "base")):
        return False
    return all(
        known.get("images", {}).get(name) == found
        and known.get("recipes", {}).get(name) == wanted["recipes"][name]
        for name, found in wanted["images"].items()
    )


def one_service_an_image(parsed: dict[str, Any]) -> dict[str, str]:
    """Image → the first service that builds it: three nodes of one image are built once."""
    found: dict[str, str] = {}
    for name, service in parsed["services"].items():
        if service.get("build") is not None:
            found.setdefault(service.get("image") or f"{parsed['name']}-{name}", name)
    return found


def ingredients(settings: Settings, parsed: dict[str, Any]) -> dict[str, Any]:
    """What decides how the images come out: the files of the context, each recipe, the base."""
    recipes = {
        image: parsed["services"][service]["build"] for image, service in one_service_an_image(parsed).items()
    }
    return {
        "files": digest(settings.root),
        "recipes": json.loads(json.dumps(recipes)),
        "base": image_ids({settings.base: ""})[settings.base],
    }


def digest(root: Path) -> str:
    """One hash over the files of the build context: their names, modes and contents."""
    total = hashlib.sha256()
    for path in context_files(root):
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        total.update(f"{path.relative_to(root)}\0{path.lstat().st_mode:o}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def context_files(root: Path) -> Iterator[Path]:
    """The files of the build context in a fixed order.

    Of .dockerignore's language this reads what ours uses: `*`, paths from the root, `**/NAME`, and `!` before
    a folder that is taken in again. The last line that fits a path decides.
    """
    ignore = root / ".dockerignore"
    lines = [line.strip().rstrip("/") for line in ignore.read_text().splitlines()] if ignore.is_file() else []
    patterns = [(line.removeprefix("!"), line[0] == "!") for line in lines if line and line[0] != "#"]

    def fits(pattern: str, path: Path) -> bool:
        if pattern.startswith("**/"):
            return path.name == pattern[3:]
        name = str(path.relative_to(root))
        return pattern in {"*", name} or name.startswith(f"{pattern}/")

    def kept(path: Path) -> bool:
        decisions = [taken for pattern, taken in patterns if fits(pattern, path)]
        return not decisions or decisions[-1]

    for folder, folders, files in os.walk(root):
        here = Path(folder)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = sorted(name for name in folders if kept(here / name) and name not in links)
        yield from (here / name for name in sorted([*files, *links]) if kept(here / name))


def image_ids(images: dict[str, str]) -> dict[str, str]:
    """Image → its id, empty where it does not exist."""
    seen = json.loads(compose.docker("image", "inspect", *images, check=False).stdout or b"[]")
    found = {tag: str(one["Id"]) for one in seen for tag in one["RepoTags"] or []}
    return {image: found.get(image) or found.get(f"{image}:latest") or "" for image in images}


def write_host_ca(settings: Settings) -> None:
    """Copy the CA bundle that this host trusts to where compose.yaml's build secret expects it.

    On a machine behind a proxy that inspects TLS, that proxy's CA is in it.
    """
    import certifi  # noqa: PLC0415 - the last resort, asked only where the system has no bundle

    candidates = [os.environ.get(name, "") for name in CA_VARIABLES]
    source = next(
        path for path in [*candidates, *CA_BUNDLES, certifi.where()] if path and Path(path).is_file()
    )
    target = settings.state / "host-ca.pem"
    content = Path(source).read_bytes()
    target.parent.mkdir(exist_ok=True)
    if not target.is_file() or target.read_bytes() != content:
        target.write_bytes(content)


def _build(settings: Settings, profiles: tuple[str, ...], services: list[str], current: Step) -> None:
    """Build the images of `services`: the whole output in a log file, the present step on the terminal."""
    folder = settings.state / "log"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "build.log"
    progress = Progress()
    process = subprocess.Popen(
        compose.command(settings, "--progress", "plain", "build", *services),
        cwd=settings.root,
        env=compose.environment(settings, *profiles),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        with file.open("w") as out:
            _follow(process, progress, out, current)
        code = process.wait()
    finally:
        process.terminate()
    if code:
        log.error("the build failed, see %s", file)
        what, output = progress.failure()
        raise Problem(
            f"The build failed at {what}. The whole log is in {_near(file, settings.root)}; if it could "
            "not download something, see that this machine reaches the package registries; "
            "then run `make up` again.",
            output,
        )
    current.outcome = f"{progress.done} steps, {progress.cached} of them from the cache"


def _follow(process: subprocess.Popen[str], progress: Progress, out: TextIO, current: Step) -> None:
    shown = 0.0
    for line in process.stdout or ():
        out.write(line)
        progress.read(line.rstrip("\n"))
        if time.monotonic() - shown > 0.2:
            shown = time.monotonic()
            current.now(progress.now())


class Progress:
    """What BuildKit's plain progress says, line by line.

    Lines look like `#12 [hub build 3/5] RUN …`, `#12 4.321 output`, `#12 DONE 3.2s`, `#12 CACHED`.
    """

    def __init__(self) -> None:
        self.done = 0
        self.cached = 0
        self._steps: dict[str, str] = {}
        self._running: dict[str, str] = {}
        self._output: dict[str, deque[str]] = {}
        self._failed = ""
        self._tail: deque[str] = deque(maxlen=12)

    def read(self, line: str) -> None:
        """Take one line in."""
        if line.strip():
            self._tail.append(line)
        match = re.match(r"#(\d+) (.*)", line)
        if not match:
            return
        number, text = match.groups()
        if text.startswith("[") or text == "...":  # a step's title, repeated after lines of another one
            if number not in self._steps and " internal]" not in text and text != "...":
                self._steps[number] = self._running[number] = text
        elif text == "CACHED" or text.startswith("DONE"):
            if self._running.pop(number, None):
                self.done += 1
                self.cached += text == "CACHED"
        elif text.startswith(("ERROR", "CANCELED")):
            self._running.pop(number, None)
            if text.startswith("ERROR"):
                self._failed = self._failed or number
        else:
            output = re.sub(r"^\d+\.\d+ ", "", text)
            self._output.setdefault(number, deque(maxlen=12)).append(output)

    def now(self) -> str:
        """The steps that run at this moment, the two newest of them."""
        return " | ".join(_short(text, 60) for text in list(self._running.values())[-2:])

    def failure(self) -> tuple[str, list[str]]:
        """The step that failed and its last lines of output."""
        if self._failed:
            step = _short(self._steps.get(self._failed, "an unnamed step"), 90)
            return step, list(self._output.get(self._failed, []))
        return "its start", list(self._tail)


def _read(state: Path) -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.loads(state.read_text())
    except (OSError, ValueError):
        return {}
    return known


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _near(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
