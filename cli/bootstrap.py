"""Run the host tool in the checkout's own virtual environment, making that first when it is needed.

Called by the Makefile with the machine's python3, whichever that is: this file keeps to the
standard library, and to syntax that an old Python understands, so that it can say what is wrong.
The environment is made anew when it is missing or broken, and brought up to date when
requirements.lock has changed; its stamp is written last, so an interrupted run starts over.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

NEED = (3, 11)
CLI = Path(__file__).resolve().parent
ROOT = CLI.parent
VENV = ROOT / ".venv"
PYTHON = str(VENV / "bin" / "python")
LOCK = CLI / "requirements.lock"
STAMP = VENV / "benchtop.stamp"
LOG = ROOT / ".benchtop" / "log" / "venv.log"
# A package index that is silent for this long is not there: a person waits for the answer
PIP = ["-m", "pip", "--disable-pip-version-check", "--timeout", "15", "--retries", "1"]


def stop(message: str) -> None:
    """End with a sentence for the person at the keyboard."""
    sys.stderr.write(message + "\n")
    sys.exit(1)


def newer_python() -> None:
    """Become a newer Python where python3 is too old and another one is installed; else say so."""
    for minor in range(20, NEED[1] - 1, -1):
        other = shutil.which(f"python3.{minor}")
        if other:
            os.execv(other, [other, *sys.argv])  # noqa: S606 - no shell is wanted
    have = ".".join(map(str, sys.version_info[:2]))
    stop(f"Benchtop needs Python 3.11 or newer, and python3 is {have}: install one, then run this again.")


def fingerprint() -> str:
    """What the environment is made from: the lock's content."""
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()


def ready() -> bool:
    """Whether the environment is whole and made from the lock as it is now."""
    return STAMP.is_file() and STAMP.read_text() == fingerprint() and os.access(PYTHON, os.X_OK)


def make() -> None:
    """Make or mend the environment; ends with a sentence when that cannot be."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with (ROOT / ".benchtop" / "venv.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # two makes at once: the second finds it done
        if ready():
            return
        print("Making the tool's Python environment in .venv …", flush=True)
        # a pip that answers is the proof that an earlier run did not end half-way
        if not works([PYTHON, "-m", "pip", "--version"]):
            if not works([sys.executable, "-c", "import venv, ensurepip"]):
                install_venv()
            if not works([sys.executable, "-m", "venv", "--clear", str(VENV)]):
                stop("Python could not make an environment in .venv: see .benchtop/log/venv.log.")
        if not works([PYTHON, *PIP, "install", "--quiet", "--require-hashes", "--requirement", str(LOCK)]):
            stop(
                "The Python packages of the tool could not be installed: see that this machine reaches "
                "a Python package index (details in .benchtop/log/venv.log), then run the same again."
            )
        STAMP.write_text(fingerprint())


def install_venv() -> None:
    """Debian and Ubuntu ship Python without venv: install it as root, else say what to do."""
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    if not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")):
        stop(f"This Python lacks its venv module: install it (Debian, Ubuntu: `sudo apt install {package}`).")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    works(["apt-get", "update", "-qq"])
    if not works(["apt-get", "install", "-qqy", "--no-install-recommends", package]):
        stop(f"apt could not install {package}: see that the package mirror can be reached, then try again.")


def works(words: "list[str]") -> bool:
    """Run a command quietly, its words kept in the log; whether it succeeded."""
    try:
        with LOG.open("ab") as file:
            return subprocess.call(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file) == 0
    except OSError:
        return False


def main() -> None:
    """Make the environment if need be, and become the tool in it."""
    if sys.version_info[:2] < NEED:
        newer_python()
    if not ready():
        make()
    path = os.pathsep.join(filter(None, [str(CLI), os.environ.get("PYTHONPATH", "")]))
    environment = dict(os.environ, PYTHONPATH=path, BENCHTOP_ROOT=str(ROOT))
    os.execve(PYTHON, [PYTHON, "-m", "benchtop", *sys.argv[1:]], environment)  # noqa: S606 - likewise


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        stop(f"The checkout cannot be written to ({error}): make room or take the right, then try again.")
