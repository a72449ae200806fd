"""Why a kernel cannot be started, as its owner reads it.

Nothing but the standard library.
"""

import os
import shutil
import signal
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

CONTAINER = "benchtop-container"  # the program whose first word is an image: images/node
KEPT, LONGEST = 12, 300  # lines that a kernel printed last, and characters of each
DOCTOR = "“benchtop-kernels doctor” in a terminal checks all your kernels"


class KernelFailedError(RuntimeError):
    """A kernel that could not be started; the message is for its owner."""


class LastLines:
    """What was printed last, of any amount."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=KEPT)
        self._rest = b""

    def add(self, data: bytes) -> None:
        """What was printed just now."""
        *lines, rest = (self._rest + data[-65536:]).split(b"\n")
        self._rest = rest[-LONGEST * 4 :]
        for line in lines[-KEPT:]:
            self._keep(line)

    def _keep(self, line: bytes) -> None:
        text = "".join(sign for sign in line.decode(errors="replace") if sign.isprintable() or sign == "\t")
        if text.strip():
            self._lines.append(text.rstrip()[:LONGEST])

    def text(self) -> str:
        """The lines, the newest at the end."""
        rest = LastLines()
        rest._lines.extend(self._lines)
        rest._keep(self._rest)
        return "\n".join(rest._lines)


def with_lines(sentence: str, lines: str) -> str:
    """A sentence, and below it what was printed last, if anything was."""
    return f"{sentence}\n\nIts last lines:\n{lines}" if lines else sentence


def shown(path: str | Path) -> str:
    """A path as its owner writes it."""
    home = os.path.expanduser("~")  # noqa: PTH111 no error without
    return f"~{str(path).removeprefix(home)}" if str(path).startswith(f"{home}/") else str(path)


def ending(returncode: int) -> str:
    """How a process ended, for the middle of a sentence: returncode as subprocess has it."""
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return f"signal {-returncode}, {(signal.strsignal(-returncode) or '').lower()}"
    except ValueError:
        return f"signal {-returncode}"


def missing(name: str, command: Sequence[str], env: Mapping[str, str]) -> str:
    """What of a kernel's command is not there, in sentences; "" for nothing.

    name: of the kernel, for people; env: that it is to be started with
    """
    program, here = command[0], socket.gethostname()
    if shutil.which(program, path=env.get("PATH")) is None:
        path = Path(program)
        if not path.is_absolute():
            return f"The kernel “{name}” cannot start: there is no program “{program}” on {here}."
        why = "may not be run" if path.is_file() else "does not exist"
        whose = (
            " The environment that it belonged to was removed or renamed." if why != "may not be run" else ""
        )
        return (
            f"The kernel “{name}” cannot start: {shown(path)} {why} on {here}.{whose} Choose another kernel."
        )
    if Path(program).name == CONTAINER:
        image = Path(command[1]) if len(command) > 1 else None
        if image is None or not image.exists():
            which = f"its image {shown(image)}" if image else "the image that its kernel.json should name"
            return (
                f"The kernel “{name}” cannot start: {which} does not exist on {here}. It was removed or "
                "renamed. Choose another kernel, or ask whoever looks after this image."
            )
    return ""


def setup_failed(name: str, setup: Path, returncode: int) -> str:
    """What is said of a setup.sh that did not come to a good end."""
    if returncode == 0:
        why = "it ended the shell (“exit”) before the kernel could start. Use “return” there instead"
    else:
        why = f"it ended with {ending(returncode)}"
    return (
        f"The kernel “{name}” was not started, because {shown(setup)} failed: {why}. "
        f"Mend it and choose the kernel again; {DOCTOR}."
    )


def setup_hangs(name: str, setup: Path, seconds: float) -> str:
    """What is said of one that did not come to an end at all."""
    return (
        f"The kernel “{name}” was not started, because {shown(setup)} did not come to an end within "
        f"{seconds:g} seconds. If it needs longer, say so in its kernel.json: "
        f'"metadata": {{"benchtop": {{"setup_seconds": 60}}}}. Otherwise mend it; {DOCTOR}.'
    )


def died_at_start(name: str, returncode: int, env: Mapping[str, str]) -> str:
    """What is said of a kernel that ended before it could take anything to compute."""
    libraries = env.get("LD_LIBRARY_PATH")
    hint = f" LD_LIBRARY_PATH is {libraries}, which often is why." if libraries else ""
    return (
        f"The kernel “{name}” ended while it was starting ({ending(returncode)}), and is not started again."
        f"{hint} Choose another kernel or mend this one; {DOCTOR}."
    )
