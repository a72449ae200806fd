"""How kernels are started here: as jupyter_client does, with a person's setup.sh before, and watched.

A provisioner is what jupyter_client has for this, so a kernel.json stays what it is everywhere: whoever
brings one has to name no program of ours, and beside a `setup.sh` it is started as this person wants it. A
kernel that cannot start fails the question by which it was to be started, with a sentence and its last lines;
upstream, it is started six times within twenty seconds, and its owner reads that it "appears to have died".
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner
from tornado.web import HTTPError
from traitlets import Float, Int

from benchtop_lab.home import own
from benchtop_lab.kernels import failures
from benchtop_lab.kernels.failures import KernelFailedError, LastLines

NAME = "benchtop"
RUN = Path(__file__).with_name("run.bash")
CLOSELY = 0.01  # seconds between two looks at a kernel that starts
SOCKETS = 5  # that a kernel opens before it takes anything
PYTHONS = frozenset(
    {"python", f"python{sys.version_info[0]}", f"python{sys.version_info[0]}.{sys.version_info[1]}"}
)


class StartFailedError(HTTPError, KernelFailedError):
    """One that Jupyter's server passes on as it is: of others, it answers "Unhandled error"."""

    def __init__(self, text: str) -> None:
        super().__init__(500, text, reason="The kernel did not start")
        self.text = _Plain(text)

    def __str__(self) -> str:
        return self.text


class _Plain(str):
    """Text that stays readable where the server writes `repr` of it, after somebody chose another kernel."""

    __slots__ = ()
    __repr__ = str.__str__


class Provisioner(LocalProvisioner):  # type: ignore[misc]
    """Starts a kernel on this node, after its setup.sh. Its stderr goes to the session's log as well."""

    setup_seconds = Float(
        8.0, config=True, help="Seconds that a setup.sh has, unless its kernel.json says more."
    )
    start_seconds = Float(8.0, config=True, help="Seconds for which a start is watched closely.")
    copy_to = Int(2, config=True, help="The handle to which a kernel's stderr is copied; -1: to none.")

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 as upstream has it
        super().__init__(**kwargs)
        self.lines = LastLines()
        self.env: dict[str, str] = {}  # that the kernel was started with
        self._reading = -1

    @property
    def last_lines(self) -> str:
        """What the kernel printed last, by itself: a cell's output is not in it."""
        self._read()
        return self.lines.text()

    @property
    def setup(self) -> Path | None:
        """The kernel's setup.sh, if it has one."""
        path = Path(self.kernel_spec.resource_dir, "setup.sh")
        return path if path.is_file() else None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:  # noqa: ANN401 as upstream has it
        """Start it. Raises KernelFailedError with what its owner has to know."""
        name, setup = self.kernel_spec.display_name, self.setup
        env = self.env = kwargs["env"]
        own.prepare_kernel(env, Path.home())
        ready, handles = -1, tuple[int, ...]()
        if setup:
            if (
                self.kernel_spec.argv[0] in PYTHONS
            ):  # upstream's is JupyterLab's own; setup.sh chooses another one
                cmd = [self.kernel_spec.argv[0], *cmd[1:]]
            ready, written = os.pipe()
            os.set_blocking(ready, False)
            handles = (written,)
            cmd = ["/bin/bash", str(RUN), str(written), str(setup), *cmd]
        elif why := failures.missing(name, cmd, env):
            raise StartFailedError(why)
        self.lines = LastLines()
        self._stop_reading()
        self._reading, stderr = os.pipe()
        os.set_blocking(self._reading, False)
        try:
            connection = await super().launch_kernel(cmd, stderr=stderr, pass_fds=handles, **kwargs)
        except OSError as error:  # an interpreter that its first line names, for example
            raise StartFailedError(f"The kernel “{name}” cannot start: {error}.") from None
        finally:
            for handle in (stderr, *handles):
                os.close(handle)
        asyncio.get_running_loop().add_reader(self._reading, self._read)
        try:
            if setup:
                await self._wait_for_setup(name, setup, ready)
            if setup or not Path(self.kernel_spec.resource_dir).is_relative_to(sys.prefix):
                # The facility's own kernel is not waited for: it is known to start, and has to be quick
                await self._wait_for_start(name, env)
        except KernelFailedError:
            await self._give_up()
            raise
        finally:
            if ready >= 0:
                os.close(ready)
        return connection

    async def _wait_for_setup(self, name: str, setup: Path, ready: int) -> None:
        about = self.kernel_spec.metadata.get("benchtop")
        wanted = about.get("setup_seconds") if isinstance(about, dict) else None
        seconds = float(wanted) if isinstance(wanted, int | float) else self.setup_seconds
        end = time.monotonic() + seconds
        while True:
            code = self.process.poll()  # before the look, which sees what was written until then
            if _written(ready):
                return
            if code is not None:
                raise StartFailedError(self._with_lines(failures.setup_failed(name, setup, code)))
            if time.monotonic() > end:
                raise StartFailedError(self._with_lines(failures.setup_hangs(name, setup, seconds)))
            await asyncio.sleep(CLOSELY)

    async def _wait_for_start(self, name: str, env: dict[str, str]) -> None:
        """Until its sockets are there. One that takes its time is left alone: it may be large."""
        end = time.monotonic() + self.start_seconds
        while not self._has_sockets() and time.monotonic() < end:
            code = self.process.poll()
            if code is not None:
                raise StartFailedError(self._with_lines(failures.died_at_start(name, code, env)))
            await asyncio.sleep(CLOSELY)

    def _has_sockets(self) -> bool:
        manager = self.parent
        if manager.transport != "ipc":
            return True  # cannot be seen without connecting
        return sum(Path(f"{manager.ip}-{port}").exists() for port in manager.ports) >= SOCKETS

    def _with_lines(self, sentence: str) -> str:
        return failures.with_lines(sentence, self.last_lines)

    async def _give_up(self) -> None:
        """Nothing is left of the attempt."""
        with contextlib.suppress(OSError):
            os.killpg(self.pgid, signal.SIGKILL)
        await self.wait()
        self._stop_reading()

    def _read(self) -> None:
        """Take what was printed: keep the last of it, and pass it on to the session's log."""
        while self._reading >= 0:
            try:
                data = os.read(self._reading, 65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._stop_reading()
                return
            self.lines.add(data)
            if self.copy_to >= 0:
                with contextlib.suppress(OSError):  # a home that is full
                    os.write(self.copy_to, data)

    def _stop_reading(self) -> None:
        if self._reading >= 0:
            with contextlib.suppress(RuntimeError):  # no loop runs any more
                asyncio.get_running_loop().remove_reader(self._reading)
            os.close(self._reading)
            self._reading = -1

    async def cleanup(self, restart: bool = False) -> None:
        """Nothing is read any more of a kernel that is over."""
        self._read()
        self._stop_reading()
        await super().cleanup(restart=restart)


def _written(handle: int) -> bool:
    try:
        return bool(os.read(handle, 16))
    except BlockingIOError:
        return False


def install() -> None:
    """Make it known by its name in whatever Python this is: an entry point would have to be installed."""
    value = f"{Provisioner.__module__}:{Provisioner.__qualname__}"
    KernelProvisionerFactory.provisioners[NAME] = EntryPoint(NAME, value, KernelProvisionerFactory.GROUP_NAME)
