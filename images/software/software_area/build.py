"""Make one version of an environment in the building place, where nobody sees it."""

import errno
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections import deque
from pathlib import Path

from software_area import (
    BUILDING,
    CACHE,
    ENVIRONMENT,
    RECIPES,
    SOFTWARE,
    Failure,
    area,
    debian_python,
    read,
    version_of,
)

NODES_PYTHON = Path("/usr/bin/python3")
# Where Debian keeps the pip that it gives to new virtual environments
WHEELS = Path("/usr/share/python-wheels")
OWN_PACKAGES = Path("/usr/local/share/benchtop/site-packages")  # lab/config/site-packages
LINES = 12
_FULL = re.compile(r"No space left on device|os error 28|ENOSPC|Disk quota exceeded")
_AWAY = re.compile(
    r"dns error|error sending request|Connection refused|timed out|Could not resolve|network is unreachable"
    r"|Temporary failure|tunnel error|Failed to fetch|invalid peer certificate",
    re.IGNORECASE,
)


def build(name: str) -> None:
    """Make the version of a recipe from its lock file: each package by its hash, none compiled."""
    version = version_of(name)
    place = _begin(name, version)
    wanted = str(read(RECIPES / name / "files" / ENVIRONMENT)["python"])
    python = NODES_PYTHON
    if wanted != _version(python).rpartition(".")[0]:
        print(f"unpacking Python {wanted}", flush=True)
        python = debian_python.unpack(wanted, place / "python")
    print("making the environment", flush=True)
    run([str(python), "-m", "venv", "--without-pip", str(place)], "The environment could not be made")
    own = place / "bin/python"
    lock = RECIPES / name / "requirements.lock"
    print("installing packages", flush=True)
    _install(own, "--no-deps", "--require-hashes", "--requirement", str(lock))  # the lock names all
    if not re.search(r"^pip==", lock.read_text(), re.MULTILINE):  # for people's own packages
        _install(own, "--no-index", "--no-deps", *map(str, WHEELS.glob("pip-*.whl")))
    let_people_add(place)
    _finish(name, place, _version(own), session=None)


def let_people_add(place: Path) -> None:
    """Have an environment find packages that its user installs, in a folder for this environment alone.

    Python looks for a user's packages only in environments that take in those of the system, too.
    """
    config = place / "pyvenv.cfg"
    taken_in = "include-system-site-packages = "
    config.write_text(config.read_text().replace(f"{taken_in}false", f"{taken_in}true"))
    for packages in place.glob("lib/python3*/site-packages"):
        shutil.copytree(OWN_PACKAGES, packages, dirs_exist_ok=True)


def unpack(name: str) -> None:
    """Make the version of a recipe from the file system of a container, a tar archive on standard input."""
    version = version_of(name)
    place = _begin(name, version)
    rootfs = place / "rootfs"
    rootfs.mkdir()
    # Devices are for root alone to make, and whoever runs it has those of the node
    words = ["tar", "--extract", "--no-same-owner", "--delay-directory-restore", "--exclude=dev/*"]
    run(
        [*words, "--directory", str(rootfs)],
        "The container's files could not be unpacked",
        stdin=sys.stdin.fileno(),
    )
    for folder in (
        "home",
        "software",
        "tmp",
        "opt/lab",
        "etc/benchtop",
        "var/tmp",
        "dev",
        "proc",
        "sys",
        "run",
    ):
        (rootfs / folder).mkdir(parents=True, exist_ok=True)  # what is mounted there has a place
    facts = read(RECIPES / name / "facts.json")
    _finish(name, place, str(facts["python"]), session=bool(facts["session"]))


def _begin(name: str, version: str) -> Path:
    """The empty place of a version, by the path that it will have."""
    shutil.rmtree(BUILDING / name, ignore_errors=True)
    (BUILDING / name / version).mkdir(parents=True)
    return SOFTWARE / name / version


def _finish(name: str, place: Path, python: str, *, session: bool | None) -> None:
    """Put the recipe's own files in, complete what is known only now, and let everybody read all of it."""
    shutil.copytree(RECIPES / name / "files", place, dirs_exist_ok=True)
    environment = read(place / ENVIRONMENT)
    environment["python"] = python
    if session is not None:
        environment["session"] = session
    (place / ENVIRONMENT).write_text(json.dumps(environment, indent=1, ensure_ascii=False) + "\n")
    for script in (place / "bin").glob("*"):
        if not script.is_symlink() and str(BUILDING).encode() in script.read_bytes()[:4096]:
            raise Failure(f"{script} would look for itself in {BUILDING}, which no node has.")
    readable(place)


def readable(place: Path) -> None:
    """Let everybody read what is below `place`, and nobody else write: wheels come with odd modes."""
    for folder, folders, files in os.walk(place):
        for path in [Path(folder), *(Path(folder, name) for name in [*folders, *files])]:
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                continue
            runs = 0o111 if stat.S_ISDIR(mode) or mode & 0o111 else 0
            wanted = (stat.S_IMODE(mode) | 0o644 | runs) & 0o755
            if wanted != stat.S_IMODE(mode):
                path.chmod(wanted)


def _install(python: Path, *words: str) -> None:
    uv = [
        "uv",
        "pip",
        "install",
        "--python",
        str(python),
        "--no-build",
        "--compile-bytecode",
        "--link-mode",
        "hardlink",
    ]
    run(
        [*uv, "--no-progress", "--no-config", "--cache-dir", str(CACHE), *words],
        "Its packages could not be installed",
    )


def _version(python: Path) -> str:
    words = [str(python), "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def run(words: list[str], message: str, stdin: int = subprocess.DEVNULL) -> None:
    """Run a program, and show what it prints; raises Failure with its last lines, and what they mean."""
    process = subprocess.Popen(
        words, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    last: deque[str] = deque(maxlen=LINES)
    for line in process.stdout or ():
        if line.strip():
            last.append(line.rstrip())
            print(line.rstrip(), flush=True)
    if process.wait() == 0:
        return
    output = "\n".join(last)
    if _FULL.search(output):
        area.forget_downloads()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if _AWAY.search(output):
        message = f"{message}: the package index cannot be reached"
    raise Failure(f"{message}.", list(last))
