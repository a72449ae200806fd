"""The process that looks after one session, from its start until nothing of it is left.

It outlives the hub's connection. All that a session starts is this process's offspring, also what cuts
itself loose (a subreaper inherits orphans): so it knows how much memory the session takes, and leaves nothing
behind.
"""

import contextlib
import ctypes
import grp
import os
import pwd
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchtop_lab.home.log import FOLDER, new_folder, open_log
from benchtop_lab.login_node.processes import kill, memory, offspring
from benchtop_lab.login_node.records import age, clear_folder, new_record, own_records
from benchtop_lab.login_node.request import Asked, set_limits

LEAVERS = Path("/run/leavers")  # a file for each person whose login is disabled
PROGRAM = (sys.executable, "-I", "-m", "benchtop_lab.session")
EVERY = 1.0  # seconds between looks at the memory
PRESENCE = 10.0  # seconds between looks at whether the person may still be here
GRACE = 10.0  # seconds to save work in, when told to end
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)


def present(name: str, group: str) -> str:
    """Why somebody may not be here any more; "" while they may, and while nobody can tell."""
    if (LEAVERS / name).exists():
        return "your login is disabled"
    try:
        wanted = grp.getgrnam(group).gr_gid
    except KeyError:  # the directory is away: nobody goes because a service restarts
        return ""
    try:
        person = pwd.getpwuid(os.getuid())
    except KeyError:
        return "the directory no longer knows you"
    member = wanted in os.getgrouplist(person.pw_name, person.pw_gid)
    return "" if member else f"you are no longer in the group {group}"


class Session:
    """One session, from its start until nothing of it is left."""

    def __init__(self, asked: Asked, place: str = "on the login node") -> None:
        """Begin. place: whose limits are meant, in a sentence"""
        self.asked, self.place = asked, place
        self.ends_at = time.monotonic() + asked.runtime
        self.look_at = time.monotonic() + PRESENCE
        self.folder, self.status = "", 0  # by which it ended, as a shell has it
        self.stopped = False  # was it told to end?
        with contextlib.suppress(OSError):
            self.folder = new_folder()
        log = open_log(asked.log, self.folder)
        self.log = Path(f"/proc/self/fd/{log}").readlink()
        self.leader = self._start(log)
        os.close(log)

    @property
    def env(self) -> dict[str, str]:
        """Of the session."""
        return {**self.asked.env, FOLDER: self.folder}

    def _start(self, log: int) -> int:
        asked = self.asked
        pid = os.fork()
        if pid:
            return pid
        try:
            os.setsid()
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            with contextlib.suppress(OSError):  # before sshd, should the whole node be out of memory
                Path("/proc/self/oom_score_adj").write_text("500")
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.chdir("/")
            with contextlib.suppress(OSError):  # the session itself says what is wrong with it
                os.chdir(asked.home)
            set_limits(asked)
            ends = str(int(time.time()) + asked.runtime)  # JupyterLab warns of it
            os.execve(PROGRAM[0], PROGRAM, {**self.env, "BENCHTOP_ENDS": ends})  # noqa: S606 - a program, no shell
        except OSError as error:
            print(f"the session cannot start: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(127)

    def see_out(self) -> tuple[str, str]:
        """Stay until nothing is left of it, and the hub has its last words: a state and a reason."""
        state, reason = self.watch()
        self.clear()
        if state == "FAILED":
            self.tell()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        return state, reason

    def watch(self) -> tuple[str, str]:
        """Wait for the end: a state and a reason. What was still running then is not."""
        over = False
        while True:
            heard = signal.sigtimedwait({signal.SIGCHLD, signal.SIGTERM}, EVERY)
            if heard and heard.si_signo == signal.SIGTERM:
                self.stopped = True
                return self._let_end("CANCELLED", "it was stopped")
            status = self._reap()
            if status is not None:
                kill(offspring(os.getpid()))
                code = os.waitstatus_to_exitcode(status)
                self.status = code if code >= 0 else 128 - code
                return ("COMPLETED", "") if code == 0 else ("FAILED", _how(code, self.asked))
            used = memory(offspring(os.getpid()))
            # It ends the kernel that took it by itself (session/memory.py), and has until the next look.
            # Whoever takes the whole node meanwhile is put out by node-guard.
            was_over, over = over, used > self.asked.memory
            if over and was_over:
                limit = f"the limit {self.place} is {self.asked.memory} MB"
                return "OUT_OF_MEMORY", f"it used {used} MB of memory; {limit}"
            if time.monotonic() > self.ends_at:
                minutes = self.asked.runtime // 60
                return self._let_end("TIMEOUT", f"its time limit of {minutes} minutes was reached")
            if time.monotonic() > self.look_at:
                self.look_at = time.monotonic() + PRESENCE
                if why := present(self.asked.env.get("USER", ""), self.asked.group):
                    return self._let_end("CANCELLED", why)

    def _let_end(self, state: str, reason: str) -> tuple[str, str]:
        """Give it GRACE seconds to save its work and end; state and reason come back as given."""
        kill([self.leader], signal.SIGTERM)
        end = time.monotonic() + GRACE
        while self._reap() is None and time.monotonic() < end:
            signal.sigtimedwait({signal.SIGCHLD}, 0.2)
        return state, reason

    def _reap(self) -> int | None:
        """Take note of who ended; the status of the session's own process, if it is among them."""
        status = None
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self.leader:
                    status = ended[1]
        return status

    def clear(self) -> None:
        """Kill until nothing is left; a process may fork between list and kill."""
        while left := offspring(os.getpid()):
            kill(left)
            signal.sigtimedwait({signal.SIGCHLD}, 0.05)
            self._reap()

    def tell(self) -> None:
        """The last words of a session that failed. A hub that no longer waited for it does not want them."""
        from benchtop_lab import report  # noqa: PLC0415 it takes a while to load, and few sessions fail

        with contextlib.suppress(OSError, report.Unwanted, KeyError):
            report.last_words(self.env, self.log, self.status)


def _how(code: int, asked: Asked) -> str:
    if code == -signal.SIGXCPU:
        return f"it used more than {asked.cpu // 60} minutes of CPU time"
    return f"JupyterLab stopped by itself ({f'signal {-code}' if code < 0 else f'exit code {code}'})"


def look_after(asked: Asked, answer: int) -> None:
    """The process itself. Answers with the number, or with a sentence after "no ", before it goes on."""
    os.setsid()
    if ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0):
        raise OSError("this kernel lets nobody inherit orphans")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
    try:
        record = new_record(asked.mark)
    except OSError as error:
        os.write(answer, f"no Your session cannot be recorded on the login node: {error}.".encode())
        return
    living = [other for other in own_records() if other.name != record.name and other.alive]
    if any(age(other) < age(record) for other in living):
        record.remove()
        os.write(answer, b"no You already have a session on the login node. Stop it first.")
        return
    clear_folder({record.second} | {kept.second for kept in own_records() if kept.alive})
    os.write(answer, record.number.encode())
    os.close(answer)
    state, reason = Session(asked).see_out()
    if state == "CANCELLED":  # whoever did that knows
        record.remove()
    else:
        replace(record, state=state, reason=reason).write()
