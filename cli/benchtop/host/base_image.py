"""The base image: one Debian trixie that every image is built from.

Where a container registry answers, Debian's own slim image is pulled by the digest that
`images/base/Dockerfile` pins; where none does, mmdebstrap makes the same from the package
mirror in about 15 s. Either way it gets the name BENCHTOP_BASE: a user's own `debian` tags stay
theirs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

from benchtop.console import Problem, Step, log, step
from benchtop.host import apt
from benchtop.host.engine import is_root
from benchtop.settings import Settings
from benchtop.stack.compose import docker

SUITE = "trixie"
# A registry says what it has within a second or two; one that is silent for longer is not there.
ANSWERS_WITHIN = 8.0
PULLS_WITHIN = 300.0
# Left out as in Debian's slim image, so that both ways give the same: 45 MB that no service reads.
# Copyright files stay: licences ask for that.
LEFT_OUT = [
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
    "path-exclude=/usr/share/lintian/*",
]


def ensure(settings: Settings, *, renew: bool = False) -> None:
    """Make the base image if it is not there (or anew, with `renew`)."""
    if not renew and docker("image", "inspect", settings.base, check=False).returncode == 0:
        return
    with step(f"Making the base image {settings.base}") as current:
        if pull(pinned(settings.root), current):
            build(settings, current)
            current.outcome = "pulled by digest"
        else:
            bootstrap(settings, current)
            current.outcome = "made by mmdebstrap, as no registry answers"


def pinned(root: Path) -> str:
    """The image that the Dockerfile of the base pins by digest."""
    match = re.search(
        r"^ARG DEBIAN=(\S+@sha256:[0-9a-f]{64})$", (root / "images/base/Dockerfile").read_text(), re.M
    )
    if not match:
        raise Problem("images/base/Dockerfile has no line `ARG DEBIAN=<image>@sha256:<digest>`: restore it.")
    return match[1]


def pull(image: str, current: Step) -> bool:
    """Pull an image; False, soon, when no registry answers.

    A registry is there once it has described the image; the layers may then take their time.
    """
    current.now("asking a registry for Debian")
    process = subprocess.Popen(
        ["docker", "pull", image],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    limit = threading.Timer(ANSWERS_WITHIN, process.terminate)
    limit.start()
    output = []
    try:
        for line in process.stdout or ():
            output.append(line.strip())
            if "Pulling from" in line:
                limit.cancel()
                limit = threading.Timer(PULLS_WITHIN, process.terminate)
                limit.start()
            current.now(line.strip())
        code = process.wait()
    finally:
        limit.cancel()
        process.terminate()
    log.info("docker pull %s exited %d: %s", image, code, " / ".join(output[-3:]))
    return code == 0


def build(settings: Settings, current: Step) -> None:
    """Build BENCHTOP_BASE on the pulled image, which lacks the CA certificates."""
    current.now("adding CA certificates")
    docker("build", "--tag", settings.base, str(settings.root / "images/base"))


def bootstrap(settings: Settings, current: Step) -> None:
    """Make the image from the package mirror; raises Problem with what to do where that cannot be."""
    if not shutil.which("mmdebstrap"):
        if not (is_root() and shutil.which("apt-get")):
            raise Problem(
                "No container registry answers, and there is no mmdebstrap to make the base image with: get "
                "online, install mmdebstrap, or load an image of Debian trixie and name it in BENCHTOP_BASE."
            )
        current.now("installing mmdebstrap")
        apt.install("mmdebstrap")
    current.now("mmdebstrap")
    release = apt.release()
    sources = apt.for_suite(apt.in_force(), release.codename, SUITE) if release.id == "debian" else []
    with tempfile.TemporaryFile() as errors:
        maker = subprocess.Popen(
            mmdebstrap(sources), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        )
        # no ENV and no CMD: an imported image has none, and the images built on it set what they need
        importer = subprocess.Popen(
            ["docker", "import", "--message", "Debian trixie by mmdebstrap", "-", f"{settings.base}-new"],
            stdin=maker.stdout,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if maker.stdout:
            maker.stdout.close()  # so that mmdebstrap stops when the import does
        try:
            output, _ = importer.communicate()
            code = maker.wait()
        except BaseException:
            maker.terminate()
            importer.terminate()
            raise
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines()
    # a maker that died half-way leaves an archive that may still import: only a whole one gets the name
    if code == 0 and importer.returncode == 0:
        docker("tag", f"{settings.base}-new", settings.base)
        docker("rmi", f"{settings.base}-new")
        return
    docker("rmi", f"{settings.base}-new", check=False)
    log.error(
        "mmdebstrap exited %d: %s; import: %s", code, " / ".join(lines), output.decode(errors="replace")
    )
    raise Problem(
        "The base image could not be made: no container registry answers, and mmdebstrap failed. "
        "Check that the package mirror can be reached (`apt-get update`), then try again.",
        lines[-8:],
    )


def mmdebstrap(sources: list[apt.Source]) -> list[str]:
    """The words that write the base as a tar archive; no sources: mmdebstrap's own mirror."""
    words = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates"]
    words += [f"--dpkgopt={line}" for line in LEFT_OUT]
    # Debian's Java fails to install where this folder is left out with the manual pages in it
    words += ['--customize-hook=mkdir -p "$1/usr/share/man/man1"']
    words += ['--aptopt=Acquire::Languages "none"', SUITE, "-"]
    return words + [line for source in sources for line in apt.one_line(source)]
