"""A session on the login node: what the hub, who comes by SSH as the person, can have done there.

The certificate that the hub shows is good for this program alone, with one of these words:

    start     reads what is to be started as JSON from standard input, starts it, prints its number
    list      prints every session on this node, one a line: number|state|node|mark|reason
    stop N    ends a session of the person's own, or clears away what is left of one

Each session is looked after by a process of its own, which outlives the hub's connection. All that a
session starts is that process's offspring, also what cuts itself loose (a subreaper inherits orphans): so it
knows how much memory the session takes, and leaves nothing behind. What became of a session stands in a
record that everybody on the node may read and only its owner can change, as a queue would tell it: a file in
a folder of that person's own, which root makes when they first come (login-principals). So nobody can put
anything in the way of somebody else's records, and of each person a bounded number is looked at.

Nothing but the standard library: it runs for each question of the hub.
"""

import contextlib
import ctypes
import errno
import grp
import json
import os
import pwd
import re
import resource
import secrets
import signal
import socket
import stat
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

RECORDS = Path("/run/sessions")  # root's; a folder a person, by uid
LOOKED_AT = 20  # files of one person, whatever they are: nobody makes the list long for all
LEAVERS = Path("/run/leavers")  # a file for each person whose login is disabled
PROGRAM = (sys.executable, "-I", "-m", "benchtop_lab.session")
LOWEST_UID = 1500  # below: root and the services; never touched, whoever calls this
KEPT = ("pid", "born", "state", "reason", "mark")  # of a record, in its file
LONGEST_RECORD = 1000  # bytes; it is somebody else's text
# What reading such a text may raise: a number without an end and a list in a list in a list, too
_NO_RECORD = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError)
EVERY = 1.0  # seconds between looks at the memory
PRESENCE = 10.0  # seconds between looks at whether the person may still be here
GRACE = 10.0  # seconds to save work in, when told to end
STATES = ("RUNNING", "COMPLETED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY", "CANCELLED")
_SECOND = re.compile(r"\d{1,12}")  # the name of a record in its owner's folder
_MARK = re.compile(r"[a-z0-9:_-]{0,150}")  # by which a hub knows its own sessions
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)


class Refused(Exception):  # noqa: N818  # what it is, not that it is an error
    """Something that is not done; the message is for the person."""


# ---- processes ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Process:
    """One process, as /proc tells it."""

    pid: int
    parent: int
    born: int  # in the kernel's ticks: with the pid, it names one process for ever
    uid: int


def process(pid: int) -> Process | None:
    """The process of that number; None when there is none, or only what nobody has fetched yet."""
    try:
        uid = Path(f"/proc/{pid}").stat().st_uid
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if fields[0] == "Z" else Process(pid, int(fields[1]), int(fields[19]), uid)


def processes() -> dict[int, Process]:
    """All of this machine, by number."""
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return {number: found for number in numbers if (found := process(number))}


def offspring(of: int) -> list[int]:
    """All that descends from a process."""
    children: dict[int, list[int]] = {}
    for one in processes().values():
        children.setdefault(one.parent, []).append(one.pid)
    found, ahead = [], [of]
    while ahead:
        born = children.get(ahead.pop(), [])
        found += born
        ahead += born
    return found


def memory(pids: list[int]) -> int:
    """Megabytes that these take together; what they share is counted once."""
    total = 0
    for pid in pids:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        except (OSError, StopIteration, ValueError):
            with contextlib.suppress(OSError, IndexError, ValueError):  # it hides what it shares
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                total += pages * resource.getpagesize() // 1024
    return total // 1024


def kill(pids: list[int], number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to each that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


# ---- records --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """What is known of one session. Its name is UID-SECOND: its owner's folder, and its file there."""

    name: str
    pid: int = 0
    born: int = 0
    state: str = "RUNNING"
    reason: str = ""
    mark: str = ""

    @property
    def number(self) -> str:
        """By which the hub knows it."""
        return f"local-{self.name}"

    @property
    def uid(self) -> int:
        """Whose it is."""
        return int(self.name.partition("-")[0])

    @property
    def alive(self) -> bool:
        """Is it looked after? Then it runs, or is about to end."""
        found = process(self.pid)
        return bool(found and found.born == self.born and found.uid == self.uid)

    @property
    def second(self) -> str:
        """The name of its file."""
        return self.name.partition("-")[2]

    def write(self) -> None:
        """Keep it; a reader sees the old one or the new one."""
        content = json.dumps({name: getattr(self, name) for name in KEPT}).encode()
        with folder_of(self.uid) as folder:
            new = f".{secrets.token_hex(8)}"
            with _made(new, folder) as file:
                file.write(content)
            os.replace(new, self.second, src_dir_fd=folder, dst_dir_fd=folder)

    def remove(self) -> None:
        """Forget it."""
        with folder_of(self.uid) as folder, contextlib.suppress(FileNotFoundError):
            os.unlink(self.second, dir_fd=folder)


@contextlib.contextmanager
def folder_of(uid: int) -> Iterator[int]:
    """A handle of a person's folder, which is no link and theirs. Raises OSError."""
    handle = os.open(RECORDS / str(uid), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(handle).st_uid != uid:
            raise PermissionError(errno.EPERM, "somebody else's", str(RECORDS / str(uid)))
        yield handle
    finally:
        os.close(handle)


def _made(name: str, folder: int) -> BinaryIO:
    """A file that was not there before, for everybody to read."""
    flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY
    handle = os.open(name, flags, 0o600, dir_fd=folder)
    os.fchmod(handle, 0o644)
    return os.fdopen(handle, "wb")


def records() -> list[Record]:
    """Every record that is in its owner's hand, the oldest first; what somebody made up is left out."""
    uids = [int(entry.name) for entry in RECORDS.iterdir() if entry.name.isdecimal()]
    return sorted((record for uid in uids for record in records_of(uid, LOOKED_AT)), key=_age)


def own_records() -> list[Record]:
    """All of whoever runs this."""
    return sorted(records_of(os.getuid()), key=_age)


def clear_folder(kept: Collection[str]) -> None:
    """Remove from the folder of whoever runs this what is no record, and records that nobody came for."""
    with folder_of(os.getuid()) as folder, os.scandir(folder) as entries:
        for name in [entry.name for entry in entries if entry.name not in kept]:
            if not name.startswith("."):  # that is being written
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=folder)


def records_of(uid: int, most: int | None = None) -> list[Record]:
    """A person's records, of which `most` files are looked at, in no order."""
    found = []
    with contextlib.suppress(OSError), folder_of(uid) as folder, os.scandir(folder) as entries:
        for entry in islice(entries, most):
            with contextlib.suppress(OSError, *_NO_RECORD):
                found.append(_read(folder, uid, entry.name))
    return found


def _read(folder: int, uid: int, name: str) -> Record:
    if not _SECOND.fullmatch(name):
        raise ValueError("no record")
    # no link, and no pipe that nobody writes into: others make these files
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(handle)
        if about.st_uid != uid or not stat.S_ISREG(about.st_mode):
            raise ValueError("somebody else's, or no file")
        said = json.loads(file.read(LONGEST_RECORD))
    state = STATES[STATES.index(said["state"])]
    mark = str(said.get("mark", ""))
    if not _MARK.fullmatch(mark):
        raise ValueError("no mark")
    return Record(f"{uid}-{name}", int(said["pid"]), int(said["born"]), state, str(said["reason"]), mark)


def new_record(mark: str) -> Record:
    """A record of a name that none of this person's has had, held by this process. Raises OSError."""
    here = process(os.getpid())
    assert here  # noqa: S101 it is the one that asks
    second = int(time.time())
    with folder_of(os.getuid()) as folder:
        while True:
            try:
                _made(str(second), folder).close()
                break
            except FileExistsError:
                second += 1
    record = Record(f"{os.getuid()}-{second}", here.pid, here.born, mark=mark)
    record.write()
    return record


# ---- the process that looks after a session ---------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """What is to be started. Memory in MB, runtime and cpu in seconds."""

    env: Mapping[str, str]
    home: str
    log: str
    runtime: int
    memory: int
    cpu: int
    processes: int
    files: int
    group: str
    mark: str = ""

    @classmethod
    def read(cls, text: str) -> "Asked":
        """From the hub's JSON. Raises Refused."""
        try:
            asked = cls(**json.loads(text))
            numbers = (asked.runtime, asked.memory, asked.cpu, asked.processes, asked.files)
            if (
                all(type(number) is int and number > 0 for number in numbers)
                and all(isinstance(value, str) for value in asked.env.values())
                and _MARK.fullmatch(asked.mark)
            ):
                return asked
        except (ValueError, TypeError, AttributeError):
            pass
        raise Refused("The hub asked for something that is not understood.")


def limit(asked: Asked) -> None:
    """The kernel's own limits of each process of the session: it cannot raise them."""
    for what, most in (
        (resource.RLIMIT_CPU, asked.cpu),
        (resource.RLIMIT_NPROC, asked.processes),
        (resource.RLIMIT_NOFILE, asked.files),
        (resource.RLIMIT_CORE, 0),
        # One process that takes too much at once meets MemoryError, before anybody has looked: twice as
        # much, because stacks count that nobody uses
        (resource.RLIMIT_DATA, 2 * asked.memory << 20),
    ):
        _, hard = resource.getrlimit(what)
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        # a process that meets its hard limit of CPU time is killed without a word of why
        resource.setrlimit(what, (value, value + 5 if what == resource.RLIMIT_CPU else value))


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
        return "the directory does not know you any more"
    return (
        "" if wanted in os.getgrouplist(person.pw_name, person.pw_gid) else f"you are not in {group} any more"
    )


class Session:
    """One session, from its start until nothing of it is left."""

    def __init__(self, asked: Asked, record: Record) -> None:
        self.asked, self.record = asked, record
        self.ends_at = time.monotonic() + asked.runtime
        self.look_at = time.monotonic() + PRESENCE
        self.leader = self._start()

    def _start(self) -> int:
        asked = self.asked
        pid = os.fork()
        if pid:
            return pid
        try:
            os.setsid()
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            with contextlib.suppress(OSError):  # before sshd, should the whole node be out of memory
                Path("/proc/self/oom_score_adj").write_text("500")
            os.chdir(asked.home)
            log = os.open(asked.log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
            limit(asked)
            ends = str(int(time.time()) + asked.runtime)  # JupyterLab warns of it
            os.execve(PROGRAM[0], PROGRAM, {**asked.env, "BENCHTOP_ENDS": ends})  # noqa: S606 - a program, no shell
        except OSError as error:
            print(f"the session cannot start: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(127)

    def watch(self) -> tuple[str, str]:
        """Wait for the end: a state and a reason. What was still running then is not."""
        while True:
            heard = signal.sigtimedwait({signal.SIGCHLD, signal.SIGTERM}, EVERY)
            if heard and heard.si_signo == signal.SIGTERM:
                return self._told("CANCELLED", "it was stopped")
            status = self._reap()
            if status is not None:
                kill(offspring(os.getpid()))
                code = os.waitstatus_to_exitcode(status)
                return ("COMPLETED", "") if code == 0 else ("FAILED", _how(code, self.asked))
            used = memory(offspring(os.getpid()))
            if used > self.asked.memory:
                most = self.asked.memory
                return (
                    "OUT_OF_MEMORY",
                    f"it took {used} MB of memory, and may take {most} MB on the login node",
                )
            if time.monotonic() > self.ends_at:
                return self._told("TIMEOUT", f"its {self.asked.runtime // 60} minutes were over")
            if time.monotonic() > self.look_at:
                self.look_at = time.monotonic() + PRESENCE
                if why := present(self.asked.env.get("USER", ""), self.asked.group):
                    return self._told("CANCELLED", why)

    def _told(self, state: str, reason: str) -> tuple[str, str]:
        """Let it save its work first."""
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


def _how(code: int, asked: Asked) -> str:
    if code == -signal.SIGXCPU:
        return f"it took more than {asked.cpu // 60} minutes of CPU time"
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
        os.write(answer, f"no Your session cannot be noted on the login node: {error}.".encode())
        return
    earlier = [one for one in own_records() if one.name != record.name and one.alive]
    if any(_age(one) < _age(record) for one in earlier):
        record.remove()
        os.write(answer, b"no You have a session on the login node already: stop it first.")
        return
    clear_folder({record.second} | {one.second for one in own_records() if one.alive})
    os.write(answer, record.number.encode())
    os.close(answer)
    session = Session(asked, record)
    state, reason = session.watch()
    session.clear()
    if state == "FAILED":
        _tell(asked)
    if state == "CANCELLED":  # whoever did that knows
        record.remove()
    else:
        replace(record, state=state, reason=reason).write()


def _tell(asked: Asked) -> None:
    """The last words of a session that failed. A hub that did not wait for it any more does not want them."""
    from benchtop_lab import report  # noqa: PLC0415 it takes a while to load, and few sessions fail

    with contextlib.suppress(OSError, report.Unwanted, KeyError):
        report.last_words(asked.env, Path(asked.log))


def _age(record: Record) -> int:
    return int(record.second)


# ---- what the hub asks for ----------------------------------------------------------------------


def start(text: str) -> str:
    """Start a session; its number. Raises Refused."""
    asked = Asked.read(text)
    reading, writing = os.pipe()
    if not os.fork():
        try:
            os.close(reading)
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nothing, stream)
            look_after(asked, writing)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    if not said or said.startswith("no "):
        raise Refused(said[3:] or "The login node could not start anything.")
    return said


def listing() -> str:
    """Every session of the node, as squeue would list it."""
    lines = []
    for record in records():
        state, reason = record.state, record.reason
        if state == "RUNNING" and not record.alive:
            state, reason = "FAILED", "what looks after it was ended"
        clean = "".join(letter for letter in reason if letter.isprintable() and letter != "|")[:200]
        lines.append(f"{record.number}|{state}|{socket.gethostname()}|{record.mark}|{clean}\n")
    return "".join(lines)


def stop(number: str) -> None:
    """End a session of one's own. Raises Refused."""
    record = next((one for one in own_records() if one.number == number), None)
    if record is None:
        raise Refused("You have no such session on the login node.")
    if record.state == "RUNNING" and record.alive:
        kill([record.pid], signal.SIGTERM)
        return
    kill(leftovers(processes(), os.getuid(), {one.pid for one in own_records() if one.alive}))
    record.remove()


def leftovers(everybody: Mapping[int, Process], uid: int, kept: Collection[int]) -> list[int]:
    """What is left of a person's sessions whose keepers were ended: what hangs on nobody but init.

    Whoever descends from a keeper (`kept`), from sshd, or from a shell that an admin opened (which begins
    outside of this container) is spared. So is everything of an account that is no person's: in its name,
    everything on the machine hangs on init.
    """
    if uid < LOWEST_UID:
        return []

    def hangs_on_init(one: Process) -> bool:
        while one.parent > 1:
            above = everybody.get(one.parent)
            if one.pid in kept or above is None or above.uid != uid:
                return False
            one = above
        return one.parent == 1 and one.pid not in kept

    return [one.pid for one in everybody.values() if one.uid == uid and hangs_on_init(one)]


def main() -> NoReturn:
    """Do what the hub asked for."""
    words: Any = os.environ.get("SSH_ORIGINAL_COMMAND", "").split()
    try:
        match words:
            case ["start"]:
                print(start(sys.stdin.read()))
            case ["list"]:
                print(listing(), end="")
            case ["stop", number]:
                stop(number)
            case _:
                sys.exit("Here the hub starts, lists and stops sessions, and nothing else.")
    except Refused as refused:
        sys.exit(str(refused))
    sys.exit(0)


if __name__ == "__main__":
    main()
