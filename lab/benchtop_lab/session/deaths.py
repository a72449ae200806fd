"""Why a kernel died, as a sentence: JupyterLab's own words are that it "appears to have died"."""

import signal
import time
from collections.abc import Mapping

TIMES = 3  # in a row, until a kernel is left dead: lab/config/jupyter/jupyter_server_config.py
MORE = "Start a session with more memory, or work on less data at a time."


def explain_death(returncode: int | None, *, used: int = 0, granted: int = 0) -> str:
    """What became of a kernel, as sentences.

    returncode: as subprocess has it; used: bytes that the session had in use when the kernel was ended for it
    """
    if used:
        in_use = f"({granted >> 20} MB; it had taken {used >> 20} MB)"
        return f"the session needed more memory than requested {in_use}. {MORE}"
    if returncode is None or returncode == 0:
        return "it ended by itself."
    if returncode > 0:
        return f"it ended with exit code {returncode}."
    number = -returncode
    if number == signal.SIGKILL:
        return f"it was killed (signal 9), most likely because there was not enough memory. {MORE}"
    try:
        name = signal.strsignal(number) or signal.Signals(number).name
    except ValueError:
        name = "unknown"
    return f"it crashed (signal {number}, {name.lower()})."


def explain_end(reason: str) -> str:
    """The sentences for a kernel that died again and again. reason: of the last time, from explain_death"""
    advice = "Choose Kernel > Restart Kernel once it is mended, or another kernel"
    return (
        f"The kernel died {TIMES} times in a row, and is not started again. The last time, {reason} {advice}."
    )


class Deaths:
    """What happened to kernels, by their id, for a while."""

    kept = 100

    def __init__(self) -> None:
        self._known: dict[str, dict[str, object]] = {}

    def note(self, kernel: str, reason: str, *, memory: bool, final: bool = False, lines: str = "") -> None:
        """One that died just now. final: it is not started again; lines: what it printed last"""
        self._known.pop(kernel, None)
        known = {"reason": reason, "memory": memory, "at": time.time(), "final": final, "lines": lines}
        self._known[kernel] = known
        while len(self._known) > self.kept:
            self._known.pop(next(iter(self._known)))

    def of(self, kernel: str) -> Mapping[str, object] | None:
        """The last one of this kernel."""
        return self._known.get(kernel)
