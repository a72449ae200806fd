"""In what a session runs: the facility's JupyterLab, an environment, or a virtual environment of one's own.

The job begins with the facility's own Python, whatever was chosen: somebody is there to say it when the
choice is gone or broken. Then it becomes the Python of the environment, perhaps inside its image, which finds
this package in PACKAGE, and our settings and our part of JupyterLab's page in SETTINGS. Nothing of ours is
installed into an environment, so one that was built long ago goes with the hub of today.

An environment without JupyterLab gives the facility's one the kernel that it begins with.

Nothing but the standard library, and nothing is imported unless something was chosen: a plain session's start
would wait for it.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, MutableMapping
from importlib import metadata
from pathlib import Path
from typing import NoReturn

from benchtop_lab import report, software
from benchtop_lab.home import own, room
from benchtop_lab.home.log import FOLDER, new_folder
from benchtop_lab.session.environment import AREA, CHOSEN, KERNEL

PACKAGE = Path("/opt/lab/benchtop")  # holds this package alone
SETTINGS = Path("/opt/lab/benchtop-jupyter")  # etc: of the server; share: of JupyterLab's page
CONTAINER = "/usr/local/bin/benchtop-container"
IMAGE = "BENCHTOP_IMAGE"  # …: which the session is inside of
# In an image, read-only; and what stands for CONTAINER there
SHOWN_INSIDE = ("/opt/lab:/opt/lab", "/etc/benchtop:/etc/benchtop", f"{SETTINGS}/inside-image:{CONTAINER}")
PATIENCE = 30.0  # seconds for a Python of somebody's own, on a file system that may be slow
OLDEST = (3, 11)  # Python that can run this package
NEEDED = ("jupyterlab", "jupyterhub", "jupyter_server")  # of a session
OWN_KERNEL = "own-environment"
_BECOME = """\
import sys
sys.path.insert(0, {package!r})
del sys.argv[0]
from benchtop_lab.session.entered import main
main({settings!r})
"""
_ASK = f"""\
import json, sys
from importlib import metadata
def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
names = {(*NEEDED, "ipykernel")!r}
print(json.dumps([list(sys.version_info[:2]), {{name: version(name) for name in names}}]))
"""


class Unusable(Exception):  # noqa: N818  # what it is, not that it is an error
    """What was chosen cannot run a session; the message says why, as the end of a sentence."""


def enter(env: MutableMapping[str, str], words: list[str]) -> str:
    """Become what was chosen: then this does not return. Else this process is to run the session.

    words: JupyterLab's arguments. Returns why nothing of it can be, as the end of a sentence; "" when it can.
    """
    chosen = env.get(CHOSEN, "")
    if not chosen or room.unusable(Path(env["HOME"])):  # of a home, the session itself says it
        return ""
    try:
        if chosen.startswith("/"):
            _enter_own(Path(chosen), env, words)
        else:
            _enter_published(chosen, env, words)
    except Unusable as unusable:
        return str(unusable)
    return ""


def _enter_published(chosen: str, env: MutableMapping[str, str], words: list[str]) -> None:
    name, _, version = chosen.partition("/")
    area = Path(env.get(AREA) or software.AREA)
    advice = f"Choose another one, or ask {env.get('BENCHTOP_SUPPORT', 'the support')}"
    environment = software.find(name, version, root=area)
    if environment is None:
        folder = area / name / version
        what = "broken" if folder.is_dir() else "no longer in the software area"
        raise Unusable(f"its environment {chosen} is {what} ({folder} on {socket.gethostname()}). {advice}")
    if environment.kernels:
        env[KERNEL] = environment.kernels[0].name
    if not environment.session or _numbers(environment.python) < OLDEST:
        return
    if environment.kind == "container":
        image, python = environment.folder / "rootfs", "python3"
        broken = not image.is_dir()
        command = [CONTAINER, str(image), python]
        bound = [*filter(None, [env.get("APPTAINER_BIND")]), *(f"{path}:ro" for path in SHOWN_INSIDE)]
        env["APPTAINER_BIND"], env[IMAGE] = ",".join(bound), str(image)
    else:
        image = environment.folder / "bin/python"
        broken = not os.access(image, os.X_OK)
        command = [str(image)]
        env["PATH"] = f"{image.parent}:{env.get('PATH', '')}"
    if broken:
        raise Unusable(f"its environment {chosen} is broken: {image} is missing. {advice}")
    _become(command, f"its environment {chosen} did not start JupyterLab. {advice}", env, words)


def _enter_own(path: Path, env: MutableMapping[str, str], words: list[str]) -> None:
    shown, python = own.shown(path, Path(env["HOME"])), path / "bin/python"
    if not path.is_dir():
        raise Unusable(f"the virtual environment {shown} does not exist. Choose another one")
    if not os.access(python, os.X_OK):
        raise Unusable(
            f"{shown} is not a virtual environment that works here: its bin/python cannot be run. "
            f"Make it anew, for example: python3 -m venv --clear {shown}"
        )
    oldest, there = _ask(python, shown, env)
    if oldest >= OLDEST and all(_fits(name, there[name]) for name in NEEDED):
        env["PATH"] = f"{python.parent}:{env.get('PATH', '')}"
        _become([str(python)], f"the virtual environment {shown} did not start JupyterLab", env, words)
    if not there["ipykernel"]:
        raise Unusable(
            f"the virtual environment {shown} has no kernel for notebooks. "
            f"Install one in a terminal of another session: {shown}/bin/pip install ipykernel"
        )
    _offer_kernel(python, shown, env)


def _ask(python: Path, shown: str, env: Mapping[str, str]) -> tuple[tuple[int, ...], Mapping[str, str]]:
    """Its version, and those of the packages that matter; "" for none."""
    secrets = ("JUPYTERHUB_", "JPY_", "BENCHTOP_")
    given = {name: value for name, value in env.items() if not name.startswith(secrets)}
    try:
        asked = subprocess.run(
            [str(python), "-I", "-c", _ASK], env=given, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, errors="replace", timeout=PATIENCE, check=False,
        )  # fmt: skip
        version, there = json.loads(asked.stdout)
    except subprocess.TimeoutExpired:
        raise Unusable(f"the Python of {shown} does not answer within {PATIENCE:.0f} seconds") from None
    except OSError as error:
        raise Unusable(f"the Python of {shown} cannot be run: {error.strerror}") from None
    except ValueError:
        last = (asked.stderr.strip().splitlines() or [f"it ended with {asked.returncode}"])[-1]
        raise Unusable(f"the Python of {shown} does not work: {last}") from None
    return tuple(version), there


def _numbers(version: str) -> tuple[int, ...]:
    """Of "3.13.5": 3 and 13."""
    return tuple(int(number) for number in version.split(".")[:2] if number.isdecimal())


def _fits(name: str, version: str) -> bool:
    """Does our package know this one? By its first number, as the hub goes by it."""
    return bool(version) and version.partition(".")[0] == metadata.version(name).partition(".")[0]


def _offer_kernel(python: Path, shown: str, env: MutableMapping[str, str]) -> None:
    """Make it the kernel that notebooks of the facility's JupyterLab begin with, for this session."""
    try:
        env.setdefault(FOLDER, "")
        env[FOLDER] = env[FOLDER] or new_folder()
        data = Path(env[FOLDER], "data-of-environment")
        folder = data / "kernels" / OWN_KERNEL
        folder.mkdir(parents=True, exist_ok=True)
        about = {"source": "own", "environment": shown, "title": shown}
        spec = {
            "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": f"Python of {shown}", "language": "python", "metadata": {"benchtop": about},
        }  # fmt: skip
        (folder / "kernel.json").write_text(json.dumps(spec))
    except OSError as error:
        raise Unusable(f"the node {socket.gethostname()} has no room: {error.strerror}") from None
    env["JUPYTER_PATH"] = ":".join(filter(None, (str(data), env.get("JUPYTER_PATH"))))
    env[KERNEL] = OWN_KERNEL


def _become(command: list[str], failure: str, env: MutableMapping[str, str], words: list[str]) -> NoReturn:
    """The same job, by another Python. failure: what is said if JupyterLab does not come up there"""
    env.setdefault(FOLDER, "")
    report.note_why(failure, env)
    program = _BECOME.format(package=str(PACKAGE), settings=str(SETTINGS))
    arguments = [*command, "-I", "-c", program, "benchtop_lab.session", *words]
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(command[0], arguments, dict(env))  # noqa: S606 - a program, no shell
    except OSError as error:
        raise Unusable(f"{failure.partition('. ')[0]}: {error.strerror}") from None
