"""Sees to it that neither the jobs of a notebook nor the program behind them outlive the notebook.

A kernel that is killed runs none of its own clean-up, and what it had started goes on: a controller with its
helpers here, jobs in the queue and on nodes. So the program is started by this one, which waits for both; of
Dask, what is behind the jobs is the kernel itself, and this one waits for that alone.

- The kernel ends, however: the program is ended, jobs of the given name are cancelled, the files are removed.
- The program ends by itself: the jobs are of no use without it, and are cancelled.
- The kernel asks this one to end (SIGTERM from the kernel itself): the program is ended, and the kernel sees
  to the rest.
- Anybody else does, as at a session's end: the jobs are cancelled at once, the files go if the kernel does.

And should this program be killed, the kernel of Linux ends the other one.

Nothing but the standard library, and little of that: it runs as `python -I -S guardian.py`, before anything
else of a cluster starts, and a person waits for that.
"""

import argparse
import contextlib
import ctypes
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

LOOK = 1.0  # seconds between two looks at the kernel
ENDING = 5.0  # … that the program has to end by itself, or the kernel where the session ends
PATIENCE = 45.0  # … for which a batch system that does not answer is asked again
ASKING = 15.0  # … that it has for one answer
_PR_SET_PDEATHSIG = 1
_TOLD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def user() -> str:
    """The login name of whoever runs this."""
    return pwd.getpwuid(os.getuid()).pw_name


def cancelling(cluster: str, name: str) -> list[str]:
    """The command that ends all jobs of this name, waiting ones as well, and nobody else's."""
    if cluster == "slurm":
        return ["scancel", f"--user={user()}", f"--name={name}"]
    return ["condor_rm", "-constraint", f'JobBatchName == "{name}" && JobStatus != 3']


def remaining(cluster: str, name: str) -> list[str]:
    """The command that lists them; it prints nothing when there is none."""
    if cluster == "slurm":
        states = "--states=PENDING,RUNNING,SUSPENDED,CONFIGURING"
        return ["squeue", "--noheader", f"--user={user()}", f"--name={name}", states, "--format=%i"]
    return [
        "condor_q",
        "-constraint",
        f'JobBatchName == "{name}" && JobStatus != 3',
        "-autoformat",
        "ClusterId",
    ]


def cancel(cluster: str, name: str, patience: float = PATIENCE) -> bool:
    """Cancel all jobs of this name, also one that is submitted meanwhile; did that succeed?"""
    end = time.monotonic() + patience
    while True:
        try:
            subprocess.run(cancelling(cluster, name), capture_output=True, timeout=ASKING, check=False)
            left = subprocess.run(
                remaining(cluster, name), capture_output=True, timeout=ASKING, check=False, text=True
            )
            if left.returncode == 0 and not left.stdout.strip():
                return True
        except FileNotFoundError as error:  # no such batch system here
            print(f"guardian: {error}", file=sys.stderr, flush=True)
            return False
        except (OSError, subprocess.SubprocessError) as error:
            print(f"guardian: {error}", file=sys.stderr, flush=True)
        if time.monotonic() > end:
            print(f"guardian: jobs named {name} could not be cancelled", file=sys.stderr, flush=True)
            return False
        select.select([], [], [], LOOK)


def alive(kernel: int) -> bool:
    """Does a process still run? kernel: a handle of it"""
    return not select.select([kernel], [], [], 0)[0]


def alive_by_number(kernel: int) -> bool:
    """The same of a process that may be over; one that nobody has waited for is over."""
    try:
        with open(f"/proc/{kernel}/stat") as file:  # noqa: PTH123 no pathlib: it has to be quick
            return file.read().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def remove(path: str) -> None:
    """Remove a file or a folder; one that is not there is fine."""
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.unlink(path)  # noqa: PTH108


def end_group(program: "subprocess.Popen[bytes]") -> None:
    """End a program and all that it has started in its group."""
    if program.poll() is None:
        program.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(ENDING)
    with contextlib.suppress(ProcessLookupError):  # helpers outlive one that was killed
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()


def _follow(guardian: int) -> Callable[[], None]:
    """What the program does before it is one: ends with this process, and takes signals again."""
    libc = ctypes.CDLL(None)

    def follow() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if os.getppid() != guardian:
            os._exit(1)

    return follow


def run(command: Sequence[str], kernel: int, clean_up: Callable[[float], object]) -> int:
    """Run the program until it or the kernel ends; its exit code. Without one: until the kernel ends.

    kernel: the number of the process for which it runs
    clean_up: what is to be done when nobody else does; it is told how many seconds the kernel has to end
    """
    with contextlib.suppress(PermissionError):  # has one already
        os.setsid()  # JupyterLab kills the whole group of a kernel that died
    watched = (*_TOLD, signal.SIGCHLD)
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    try:
        handle = os.pidfd_open(kernel)
    except OSError:  # it has ended already
        clean_up(0)
        return 1
    program = None
    if command:  # preexec_fn is safe: there is one thread
        program = subprocess.Popen(command, process_group=0, preexec_fn=_follow(os.getpid()))  # noqa: PLW1509
    told = None  # by whom
    while told is None and (program is None or program.poll() is None) and alive(handle):
        got = signal.sigtimedwait(watched, LOOK)
        if got is not None and got.si_signo in _TOLD:
            told = got.si_pid
    if program is not None:
        end_group(program)
    if told != kernel:
        # Anybody else: the session ends, or somebody ends what they see. Then nobody cleans up but this.
        clean_up(0 if told is None else ENDING)
    code = program.returncode if program is not None else 0
    return code if code >= 0 else 128 - code


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(prog="guardian")
    parser.add_argument("--kernel", type=int, required=True, help="the process for which the program runs")
    parser.add_argument("--jobs", nargs=2, metavar=("CLUSTER", "NAME"), help="jobs that end with it")
    parser.add_argument(
        "--remove", action="append", default=[], help="a file or folder that goes when the kernel has"
    )
    parser.add_argument("command", nargs="*")
    return parser.parse_args(words)


def main() -> int:
    """The program's exit code."""
    given = arguments(sys.argv[1:])

    def clean_up(patience: float) -> None:
        if not alive_by_number(given.kernel):
            remove_all()  # keys, first of all: the batch system may take its time
        if given.jobs:
            cancel(*given.jobs)
        end = time.monotonic() + patience
        while alive_by_number(given.kernel) and time.monotonic() < end:
            time.sleep(LOOK / 10)
        if not alive_by_number(given.kernel):
            remove_all()

    def remove_all() -> None:
        for path in given.remove:
            remove(path)

    return run(given.command, given.kernel, clean_up)


def command(kernel: int, cluster: str, name: str, remove: Sequence[str], program: Sequence[str]) -> list[str]:
    """The words that run a program under this one's eyes, or none.

    remove: files and folders that go with the kernel
    """
    own = [sys.executable, "-I", "-S", __file__, f"--kernel={kernel}", "--jobs", cluster, name]
    return [*own, *(f"--remove={path}" for path in remove), "--", *program]


def begin(cluster: str, name: str, remove: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Have jobs of this name, and files, end with this process; ended by it, it leaves them alone."""
    quiet = subprocess.DEVNULL
    words = command(os.getpid(), cluster, name, remove, [])
    return subprocess.Popen(words, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)


if __name__ == "__main__":
    sys.exit(main())
