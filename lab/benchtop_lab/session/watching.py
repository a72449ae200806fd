"""The server's kernels, watched: what memory they take, and why one died."""

import sys
from collections.abc import Mapping
from typing import Any

from jupyter_client.restarter import KernelRestarter
from jupyter_server.serverapp import ServerApp

from benchtop_lab.session.deaths import Deaths, explain_death, explain_end
from benchtop_lab.session.memory import Watch


def process_of(manager: Any) -> Any:  # noqa: ANN401 jupyter_client's, or another provisioner's
    """The process of a kernel, as subprocess has it; None where it is not this node's."""
    return getattr(getattr(manager, "provisioner", None), "process", None)


class Watched:
    """What is known of this server's kernels and of its memory."""

    def __init__(self, server: ServerApp, env: Mapping[str, str]) -> None:
        self.deaths = Deaths()
        self._server = server
        granted = int(env.get("BENCHTOP_MEMORY") or 0) << 20
        # The batch systems count what processes share for each of them, unless a site says otherwise
        once = env.get("BENCHTOP_MEMORY_SHARED") == "once"
        self.watch = Watch(granted, self.kernels, self.say, once) if granted else None

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
        if self.watch:
            self.watch.start()
        upstream = KernelRestarter._fire_callbacks

        def _fire_callbacks(restarter: KernelRestarter, event: Any) -> None:  # noqa: ANN401 as upstream has it
            self.note(restarter, final=event == "dead")
            upstream(restarter, event)

        setattr(KernelRestarter, "_fire_callbacks", _fire_callbacks)  # noqa: B010 a method, says mypy

    def note(self, restarter: Any, *, final: bool) -> None:  # noqa: ANN401 of any kernel
        """Keep why a kernel is dead. final: it is left so; otherwise it is started again in a moment"""
        manager = restarter.kernel_manager
        process = process_of(manager)
        watch = self.watch
        used = watch.ended.get(process.pid, 0) if watch and process else 0
        code = process.poll() if process else None
        reason = explain_death(code, used=used, granted=watch.granted if watch else 0)
        if final:
            reason = getattr(restarter, "failure", "") or explain_end(reason)
        self.say(f"kernel {manager.kernel_id} died: {reason}")
        lines = getattr(manager.provisioner, "last_lines", "")
        self.deaths.note(manager.kernel_id, reason, memory=bool(used), final=final, lines=lines)

    def memory(self) -> dict[str, int] | None:
        """Bytes in use, and what was asked for; None where nobody knows."""
        return {"used": self.watch.used, "granted": self.watch.granted} if self.watch else None
