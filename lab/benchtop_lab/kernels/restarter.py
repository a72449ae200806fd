"""When a kernel that died is started again, and when not."""

from typing import Any

from jupyter_client.ioloop.restarter import AsyncIOLoopKernelRestarter

from benchtop_lab.kernels import failures


class Restarter(AsyncIOLoopKernelRestarter):  # type: ignore[misc]
    """Jupyter's, which stops at once where another start would fail as well.

    - A kernel that fails before it has answered once is not started again: upstream tries five times, because
      somebody else may have taken its port. Here kernels have sockets of their own.
    - A start that fails is the end: upstream tries for ever, and says nothing.
    """

    failure = ""  # why it is left dead, in sentences, if that is known

    async def poll(self) -> None:
        """Look whether it lives."""
        manager = self.kernel_manager
        if manager.shutting_down:
            return
        try:
            if not await manager.is_alive() and (why := _failed_at_start(manager)):
                self.failure = why
                self._restarting, self._restart_count = True, self.restart_limit
            await super().poll()
        except failures.KernelFailedError as failed:
            self.failure = str(failed)
            self._fire_callbacks("dead")
            self.stop()


def _failed_at_start(manager: Any) -> str:  # noqa: ANN401 jupyter_server's
    """Sentences on a kernel that failed before it answered; "" on any other."""
    process = getattr(manager.provisioner, "process", None)
    code = process.poll() if process else None
    if not code or code < 0 or getattr(manager, "execution_state", "") != "starting":
        return ""
    env = getattr(manager.provisioner, "env", {})
    return failures.died_at_start(manager.kernel_spec.display_name, code, env)
