"""Runs the hub of `make dev`, and starts it anew for changed code. It is in no image: no site needs it.

Its words are the command of the hub, as its image has it; HEALTH_CHECK is how Compose asks after it. At
SIGHUP the changed code is looked at in a process of its own: as long as something is wrong, the former
hub goes on. The slow part of a start is the import of JupyterHub: it is done once, here, and each hub is
a fork.
"""

import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

PRELOADED = ("jupyterhub.app", "jupyterhub.handlers", "jupyterhub.apihandlers", "batchspawner", "psycopg")
HEALTH_CHECK = os.environ["HEALTH_CHECK"].split()
SIGNALS = {signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD}
STOPS_WITHIN, STARTS_WITHIN = 30, 120  # seconds; both take less than one on an idle machine


def main(command: list[str]) -> None:
    """Keep a hub running until SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # first: a save may come at any moment
    for name in PRELOADED:
        import_module(name)
    hub = replaced(None, command)
    while True:
        match signal.sigwait(SIGNALS):
            case signal.SIGHUP:
                hub = replaced(hub, command)
            case signal.SIGTERM:
                stop(hub)
                return
        if hub and ended(hub):
            tell("the hub ended: see above why. It starts again when you save a file.")
            hub = None


def replaced(hub: int | None, command: list[str]) -> int | None:
    """The hub that runs from now on: a new one, or the former where the code is not right."""
    began = time.monotonic()
    code, busy = outcome(forked(check))
    if code != 0:
        tell(f"{'the hub goes on with the code that it has' if hub else 'no hub runs'}: mend this and save.")
        return hub
    stop(hub)
    new = forked(lambda: serve(command))
    while not ended(new):
        if is_ready():
            took = f"{time.monotonic() - began:.1f} s, {busy + processor_time(new):.1f} of them at work"
            tell(f"the hub runs the code of the checkout ({took}).")
            return new
        if time.monotonic() - began > STARTS_WITHIN:
            tell(f"the hub is not ready after {STARTS_WITHIN} s: its log says why.")
            return new
        time.sleep(0.05)
    tell("the hub ended at its start: see above why. It starts again when you save a file.")
    return None


def is_ready() -> bool:
    """Whether the hub does its job. Its health check, a process, is asked once somebody listens."""
    try:
        socket.create_connection(("hub", 8081), timeout=1).close()
    except OSError:
        return False
    return subprocess.run(HEALTH_CHECK, capture_output=True, check=False).returncode == 0


def check() -> None:
    """Import every module, then judge configuration and templates as `make apply` does."""
    package = import_module("benchtop_hub")
    for module in pkgutil.walk_packages(package.__path__, "benchtop_hub."):
        import_module(module.name)
    sys.exit(import_module("benchtop_hub.check").main())


def serve(command: list[str]) -> None:
    """Be the hub."""
    _, _, module, *arguments = command  # python -m MODULE …
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def forked(work: Callable[[], None]) -> int:
    """Do something in a process and a group of its own, with its traceback on the log where it fails."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setpgid(0, 0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def outcome(child: int) -> tuple[int, float]:
    """Wait for a process; its exit code, and the processor time that it took in seconds."""
    _, code, used = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(code), used.ru_utime + used.ru_stime


def processor_time(process: int) -> float:
    """Seconds that a process that runs has taken so far: proc_pid_stat(5)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ended(child: int) -> bool:
    """Whether a process is over."""
    try:
        return os.waitpid(child, os.WNOHANG)[0] == child
    except ChildProcessError:
        return True


def stop(hub: int | None) -> None:
    """End a hub as a restart of its container does; what it started ends with it."""
    if not hub:
        return
    os.kill(hub, signal.SIGTERM)
    end = time.monotonic() + STOPS_WITHIN
    while not ended(hub):
        if time.monotonic() > end:
            os.killpg(hub, signal.SIGKILL)
        time.sleep(0.02)


def tell(line: str) -> None:
    """A line on the log, which `make dev` shows."""
    print(f"[make dev] {line}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
