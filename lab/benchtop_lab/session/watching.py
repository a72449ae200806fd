"""The server's kernels, watched: what memory they take, and why one died."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from jupyter_client.restarter import KernelRestarter
from jupyter_server.serverapp import ServerApp

from benchtop_lab.session.deaths import Deaths, explain_death, explain_end
from benchtop_lab.session.memory import command, resident


def process_of(manager: Any) -> Any:  # noqa: ANN401 jupyter_client's, or another provisioner's
    """The process of a kernel, as subprocess has it; None where it is not this node's."""
    return getattr(getattr(manager, "provisioner", None), "process", None)


class Watched:
    """What is known of this server's kernels and of its memory.

    granted: bytes that the session asked for, 0 where nobody knows; used: those in use
    """

    def __init__(self, server: ServerApp, env: Mapping[str, str]) -> None:
        self.deaths = Deaths()
        self.granted = int(env.get("BENCHTOP_MEMORY") or 0) << 20
        self.used = resident(os.getpid())
        # The batch systems count what processes share for each of them, unless a site says otherwise
        self._shared_once = env.get("BENCHTOP_MEMORY_SHARED") == "once"
        self._server = server
        self._ended: dict[int, int] = {}  # for want of memory: process → bytes in use then

    def say(self, line: str) -> None:
        """Into the session's log."""
        print(line, file=sys.stderr, flush=True)

    def kernels(self) -> Mapping[int, str]:
        """Which process is which kernel."""
        manager: Any = self._server.kernel_manager
        found = {}
        for kernel in list(manager.list_kernel_ids()):
            try:
                process = process_of(manager.get_kernel(kernel))
            except KeyError:  # gone in this moment
                continue
            if process is not None:
                found[process.pid] = kernel
        return found

    def start(self) -> None:
        """From now on."""
        if self.granted:
            threading.Thread(target=self._watch_memory, name="memory", daemon=True).start()
        upstream = KernelRestarter._fire_callbacks

        def _fire_callbacks(restarter: KernelRestarter, event: Any) -> None:  # noqa: ANN401 as upstream has it
            self.note(restarter, final=event == "dead")
            upstream(restarter, event)

        setattr(KernelRestarter, "_fire_callbacks", _fire_callbacks)  # noqa: B010 a method, says mypy

    def _watch_memory(self) -> None:
        """Keep the program that looks after the memory running, and listen to it."""
        pause = threading.Event()  # nobody sets it
        words = command(self.granted, shared_once=self._shared_once)
        while True:
            pause.wait(1.0)  # a session's start does not wait for it, and what fails does not fill the log
            with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
                for line in program.stdout or ():
                    self.hear(json.loads(line))
            self.say(f"memory: what looks after it ended with {program.returncode}, and is started again")

    def hear(self, seen: Mapping[str, Any]) -> None:
        """Of the memory: memory.py, Watch.tell."""
        self.used = seen["used"]
        ended = seen.get("ended", ())
        if ended:
            self._ended.update(dict.fromkeys(ended, self.used))
            kernels = self.kernels()
            known = next((f"the kernel {kernels[pid]}" for pid in ended if pid in kernels), None)
            in_use = f"{self.used >> 20} MB of {self.granted >> 20} MB"
            self.say(f"memory: {in_use} in use: {known or f'the process {ended[0]}'} was ended")

    def note(self, restarter: Any, *, final: bool) -> None:  # noqa: ANN401 of any kernel
        """Keep why a kernel is dead. final: it is left so; otherwise it is started again in a moment"""
        manager = restarter.kernel_manager
        process = process_of(manager)
        used = self._ended.get(process.pid, 0) if process else 0
        code = process.poll() if process else None
        reason = explain_death(code, used=used, granted=self.granted)
        if final:
            reason = getattr(restarter, "failure", "") or explain_end(reason)
        self.say(f"kernel {manager.kernel_id} died: {reason}")
        lines = getattr(manager.provisioner, "last_lines", "")
        self.deaths.note(manager.kernel_id, reason, memory=bool(used), final=final, lines=lines)

    def memory(self) -> dict[str, int] | None:
        """Bytes in use, and what was asked for; None where nobody knows."""
        return {"used": self.used, "granted": self.granted} if self.granted else None
