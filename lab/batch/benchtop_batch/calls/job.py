"""One submission: a job, an array of jobs or a cluster of them, and what is known of each task."""

import contextlib
import json
import os
import pickle
import secrets
import shlex
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchtop_batch import environment, network, place, systems
from benchtop_batch.calls import bundle, failed, options, queues, run, site
from benchtop_batch.calls.failed import End, NotSubmittedError
from benchtop_batch.calls.options import Options
from benchtop_batch.calls.queues import Seen
from benchtop_batch.place import Cluster
from benchtop_batch.systems import NAMES, NoAnswerError

TASKS = 100  # that the calls of one map are shared out to, where the site says nothing
MATERIALIZED = 200  # jobs of one cluster that are in HTCondor's queue at a time
MEMORY = 512  # MB that a job asks for where nobody says
SHOWN = 40  # characters of a title
GRACE = 2.0  # seconds for a result to be seen here, after the queue says that its job has ended
REQUEUED = 5.0  # … that a task was known to run until a queue where it waits is believed
LOST = 2  # answers in a row that do not know a task until its end is looked up
FORGOTTEN = 120.0  # seconds until a task of which nothing at all is known any more is given up
_VAGUE = {"crashed", "cancelled"}  # ends of which accounting knows more than the queue


@dataclass(frozen=True)
class Facts:
    """What a job is, as its folder says for later.

    count: of inputs; chunk: inputs that a task takes; single: was it one call, and no map?
    ids: numbers of the tasks, where they are not 0, 1, 2 …
    """

    cluster: Cluster
    name: str
    title: str
    count: int
    chunk: int = 1
    single: bool = True
    ids: tuple[int, ...] | None = None
    keep: bool = False
    asked: Options = field(default_factory=dict)
    number: str = ""
    submitted: float = 0.0
    limit: int = 0  # of tasks that run at a time; 0: none

    @property
    def tasks(self) -> int:
        """How many the batch system has of it."""
        return -(-self.count // self.chunk)


class Job:
    """One that was submitted. Its futures are those of its inputs, in order."""

    def __init__(self, folder: Path, facts: Facts) -> None:
        self.folder, self.facts = folder, facts
        self.futures: list[Any] = []
        self.seen: dict[int, Seen] = {}
        self.started: dict[int, str] = {}  # task → node
        self.trouble = ""  # with the batch system, in its own words
        self.lock = threading.Lock()
        self.watched = 0.0  # since when this process looks at it, by time.monotonic
        self._since: dict[int, float] = {}  # task → when that was learned
        self._before: dict[int, int] = {}  # task that was put back into the queue → when it had begun
        self._left = set(range(facts.count))
        self._known: set[str] = set()
        self._missing: Counter[int] = Counter()
        self._suspect: dict[int, float] = {}  # task → since when it should have left a result
        self._cancelled: set[int] = set()  # tasks whose end is asked for
        self._to_cancel: set[int] = set()

    # ---- what it is ------------------------------------------------------------------------------------

    @property
    def number(self) -> str:
        """As its batch system writes it."""
        return self.facts.number

    @property
    def over(self) -> bool:
        """Has each input its result, or the reason why there is none?"""
        return not self._left and not self._to_cancel

    def task_of(self, index: int) -> int:
        """Which task takes an input."""
        return index // self.facts.chunk

    def inputs_of(self, task: int) -> range:
        """The inputs that a task takes."""
        return range(task * self.facts.chunk, min(self.facts.count, (task + 1) * self.facts.chunk))

    def task_number(self, task: int) -> str:
        """As the batch system writes it."""
        named = self.facts.ids[task] if self.facts.ids else task
        if self.facts.cluster == "condor":
            return f"{self.number}.{named}"
        return f"{self.number}_{named}" if is_array(self.facts) else self.number

    def log(self, task: int) -> Path:
        """Where what it prints is."""
        named = self.facts.ids[task] if self.facts.ids else task
        return self.folder / "log" / f"{named}.log"

    def __str__(self) -> str:
        return f"{NAMES[self.facts.cluster]} job {self.number}"

    # ---- its results -----------------------------------------------------------------------------------

    def look(self) -> bool:
        """Take what has come meanwhile; did anything?"""
        new = self._new_names("results")
        again = [str(task) for task, before in self._before.items() if self._began(task) != before]
        for name in (*self._new_names("started"), *again):
            with contextlib.suppress(OSError, ValueError):
                node = (self.folder / "started" / name).read_text().strip()
                if not node:  # being written
                    self._known.discard(f"started/{name}")
                    continue
                self.started[int(name)], self._since[int(name)] = node, time.monotonic()
                self._before.pop(int(name), None)
        for name in new:
            self._take(name)
        return bool(new)

    def _began(self, task: int) -> int:
        """When a task has begun last, as a file system writes it; 0: not known."""
        try:
            return (self.folder / "started" / str(task)).stat().st_mtime_ns
        except OSError:
            return 0

    def _new_names(self, part: str) -> list[str]:
        try:
            with os.scandir(
                self.folder / part
            ) as entries:  # opened anew: a file system may remember too long
                names = [entry.name for entry in entries if not entry.name.startswith(".")]
        except OSError:
            return []
        fresh = [name for name in names if f"{part}/{name}" not in self._known]
        self._known.update(f"{part}/{name}" for name in fresh)
        return fresh

    def _take(self, name: str) -> None:
        path = self.folder / "results" / name
        try:
            with path.open("rb") as file:
                file.seek(-run.NUMBER, os.SEEK_END)
                length = int.from_bytes(file.read(), "little")
                file.seek(-run.NUMBER - length, os.SEEK_END)
                listed = pickle.loads(file.read(length))  # noqa: S301 the person's own
                for index, kind, offset, size in listed:
                    if index not in self._left:
                        continue
                    if kind == "raised":
                        file.seek(offset)
                        self._finish(index, error=self._raised(index, pickle.loads(file.read(size))))  # noqa: S301
                    else:
                        self._finish(index, stored=(path, offset, size))
        except (OSError, EOFError, pickle.UnpicklingError):
            self._known.discard(f"results/{name}")  # not whole on this side yet

    def _raised(self, index: int, told: tuple[str, str, bytes]) -> BaseException:
        word, text, packed = told
        error: BaseException
        try:
            error = pickle.loads(packed) if packed else failed.RemoteError(word)  # noqa: S301
        except Exception:  # a class that is not here
            error = failed.RemoteError(word)
        error.__cause__ = failed.RemoteTraceback(text)
        task = self.task_of(index)
        node = self.started.get(task, "")
        which = f" (input {index})" if not self.facts.single else ""
        where = f" on {node}" if node else ""
        error.add_note(
            f"In {NAMES[self.facts.cluster]} job {self.task_number(task)}{which}{where};"
            f" its log: {self.log(task)}"
        )
        return error

    def _finish(
        self, index: int, *, stored: tuple[Path, int, int] | None = None, error: BaseException | None = None
    ) -> None:
        self._left.discard(index)
        future = self.futures[index]
        if error is not None:
            future.fail(error)
        else:
            future.succeed(stored)

    # ---- its end ---------------------------------------------------------------------------------------

    def judge(self, found: dict[str, Seen]) -> None:
        """Learn what the queue says, and give up what has ended without a result."""
        now = time.monotonic()
        for task in sorted({self.task_of(index) for index in self._left}):
            seen = found.get(self.task_number(task))
            if seen is not None:
                self.seen[task] = seen
                self._missing[task] = 0
                if seen.state == "running" and seen.node and task not in self.started:
                    self.started[task], self._since[task] = seen.node, now
                # put back into the queue, unless it has begun while the queue was asked
                if seen.state == "waiting" and task in self.started and now - self._since[task] > REQUEUED:
                    del self.started[task]
                    self._before[task] = self._began(task)
            else:
                self._missing[task] += 1
            if (seen and seen.end) or self._missing[task] >= LOST:
                self._suspect.setdefault(task, now)
            else:
                self._suspect.pop(task, None)
        due = [task for task, since in self._suspect.items() if now - since > GRACE]
        if due:
            self._give_up(due, now)

    def _give_up(self, due: list[int], now: float) -> None:
        self.look()
        left = {self.task_of(index) for index in list(self._left)}  # futures are cancelled meanwhile
        due = [task for task in due if task in left]
        for task in set(self._suspect) - left:
            del self._suspect[task]
        if not due:
            return
        try:
            known = queues.ended(self.facts.cluster, self.number)
        except NoAnswerError as error:
            self.trouble = str(error)
            known = {}
        held = []
        for task in due:
            end = self._end_of(task, known, now - self._suspect[task])
            if end is None:
                continue
            if end.kind in {"held", "memory"}:
                held.append(task)
            self._lost(task, end)
        if held:  # they would stay in the queue
            self.cancel(held)

    def _end_of(self, task: int, known: dict[str, End], waited: float) -> End | None:
        """How a task ended, of what queue and accounting say; None: not known yet."""
        told = None if self._missing[task] else self.seen[task].end
        if told and told.kind not in _VAGUE:
            return told
        if found := known.get(self.task_number(task)):
            return found
        if told and waited > 3 * GRACE:
            return told
        return End("unknown", "the batch system knows no more of it") if waited > FORGOTTEN else None

    def _lost(self, task: int, end: End) -> None:
        log = self.log(task)
        if end.kind == "crashed" and queues.MEMORY.search(failed.tail(log)):
            end = End("memory", node=end.node)
        memory = self.facts.asked.get("memory")
        node = end.node or self.started.get(task, "")
        error = failed.error(
            End(end.kind, end.words, node),
            self.task_number(task),
            self.facts.cluster,
            log,
            asked=f"{memory} MB" if memory else "",
            option=f'memory="{max(2 * (memory or MEMORY), 1024)}M"',
        )
        self._suspect.pop(task, None)
        for index in self.inputs_of(task):
            if index in self._left:
                self._finish(index, error=error)

    # ---- cancelling ------------------------------------------------------------------------------------

    def forget(self, index: int) -> bool:
        """An input's future was cancelled; is there now something to be told to the batch system?"""
        with self.lock:
            self._left.discard(index)
            task = self.task_of(index)
            if task in self._cancelled or any(other in self._left for other in self.inputs_of(task)):
                return False
            self._to_cancel.add(task)
            return True

    def cancel_forgotten(self) -> None:
        """Cancel the tasks that nobody waits for any more."""
        with self.lock:
            tasks = sorted(self._to_cancel)
        if tasks:
            self.cancel(tasks)

    def cancel(self, tasks: Sequence[int] | None = None) -> None:
        """End tasks, by default all. What the batch system does not take now is asked for again."""
        chosen = set(range(self.facts.tasks)) if tasks is None else set(tasks)
        with self.lock:
            self._to_cancel |= chosen
        all_of_it = len(self._cancelled | chosen) == self.facts.tasks
        numbers = [self.number] if all_of_it else [self.task_number(task) for task in sorted(chosen)]
        try:
            end(self.facts.cluster, numbers)
        except NoAnswerError as error:
            self.trouble = str(error)
            return
        with self.lock:
            self._to_cancel -= chosen
            self._cancelled |= chosen

    # ---- how far it is ---------------------------------------------------------------------------------

    def progress(self) -> str:
        """A line in plain words."""
        if self.facts.count == 1:
            return f"{self}: {self._one()}"
        states = Counter(future.state() for future in self.futures)
        said = [f"{states['done']} of {self.facts.count} done"]
        said += [f"{states[state]} {state}" for state in ("failed", "cancelled") if states[state]]
        open_tasks = {self.task_of(index) for index in list(self._left)}
        running = sum(task in self.started for task in open_tasks)
        if running:
            nodes = sorted({self.started[task] for task in open_tasks if task in self.started})
            jobs_ = "1 job" if running == 1 else f"{running} jobs"
            said.append(f"{jobs_} running on {', '.join(nodes[:4])}{' …' if len(nodes) > 4 else ''}")
        waiting = len(open_tasks) - running
        if waiting:
            reasons = Counter(
                seen.reason for task, seen in list(self.seen.items())
                if task in open_tasks and task not in self.started and seen.reason
            )  # fmt: skip
            why = f": {reasons.most_common(1)[0][0]}" if reasons else ""
            said.append(f"{waiting} queued{why}")
        return f"{self}: {', '.join(said)}"

    def _one(self) -> str:
        state = self.futures[0].state()
        if state == "done":
            return "done"
        if state in {"failed", "cancelled"}:
            return str(state)
        if 0 in self.started:
            return f"running on {self.started[0]}"
        reason = self.seen[0].reason if 0 in self.seen else ""
        return f"queued: {reason}" if reason else "queued"


def is_array(facts: Facts) -> bool:
    """Is it an array of Slurm's, and not one job?"""
    return not facts.single or facts.ids is not None


def end(cluster: Cluster, numbers: Sequence[str]) -> None:
    """Cancel jobs; some may have ended. Raises NoAnswerError."""
    program = "scancel" if cluster == "slurm" else "condor_rm"
    try:
        done = subprocess.run(
            [program, *numbers], capture_output=True, text=True, timeout=systems.ASKING, check=False,
            start_new_session=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise NoAnswerError(f"{program}: {error}") from None
    known = ("not found", "Couldn't find", "Invalid job id", "already", "have been marked", "No such")
    if done.returncode and done.stderr.strip() and not any(text in done.stderr for text in known):
        raise NoAnswerError(f"{program}: {done.stderr.strip()}")


# ---- submitting ----------------------------------------------------------------------------------------


def tasks_at_most(cluster: Cluster, asked: int | None = None) -> int:
    """How many tasks a map is shared out to."""
    most = asked or int(place.settings(cluster).get("tasks", TASKS))
    return min(most, site.largest_array()) if cluster == "slurm" and most > 1 else most


def with_defaults(cluster: Cluster, wanted: Options) -> Options:
    """What a job asks for, with what the site says for those that say nothing. Raises OptionError."""
    said = place.settings(cluster)
    if cluster == "condor":
        site.check_pool(wanted)
        return {"memory": int(said.get("memory", MEMORY)), **wanted}
    settled = site.settle(wanted)
    if settled is wanted:  # nothing was named that has to be where the job runs
        account = os.environ.get(site.ACCOUNT)
        defaults: Options = {"account": account} if account else {}
        if said.get("partition"):
            defaults["partition"] = said["partition"]
        if said.get("minutes") and "time" not in wanted:
            defaults["time"] = 60 * int(said["minutes"])
        settled = {**defaults, **wanted}
    return settled


def submit(folder: Path, facts: Facts) -> Job:
    """Have the batch system take it. Raises NotSubmittedError; then nothing is left behind."""
    try:
        if facts.cluster == "slurm":
            said = _run(slurm_words(folder, facts), facts, slurm_script(folder, facts))
            number = said.strip().partition(";")[0]
        else:
            (folder / "submit").write_text(condor_lines(folder, facts))
            said = _run(["condor_submit", "-terse", str(folder / "submit")], facts, "")
            number = said.split(".")[0].strip()
        _numbered(number, facts.cluster, said)
        facts = Facts(**{**asdict(facts), "number": number, "submitted": time.time()})
        new = folder / f".{bundle.RECORD}"
        new.write_text(json.dumps(asdict(facts)))
        new.rename(folder / bundle.RECORD)
    except OSError as error:
        bundle.remove(folder)
        raise NotSubmittedError(place.no_room(error)) from None
    except BaseException:
        bundle.remove(folder)
        raise
    return Job(folder, facts)


def _numbered(number: str, cluster: Cluster, said: str) -> None:
    if not number.isdecimal():
        raise NotSubmittedError(systems.submit_error(cluster, said))


def _run(words: Sequence[str], facts: Facts, script: str) -> str:
    """What the command says; an interrupt meanwhile ends the job that it may have made."""
    own = place.OWN in os.environ  # then the command itself knows what is not for jobs
    env = None if own else {
        name: value for name, value in os.environ.items()
        if not name.startswith("SLURM_") or name.startswith("SLURM_CONF") or name == "SLURM_JWT"
    }  # fmt: skip
    pipe = subprocess.PIPE
    try:
        running = subprocess.Popen(
            words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=env, start_new_session=True
        )
    except FileNotFoundError:
        raise NotSubmittedError(
            f"{NAMES[facts.cluster]}'s commands are not installed here: {words[0]} was not found."
        ) from None
    with running:
        try:
            stdout, stderr = running.communicate(script)
        except KeyboardInterrupt:
            running.wait()
            with contextlib.suppress(NoAnswerError):
                systems.cancel(facts.cluster, facts.name)
            raise
    if running.returncode:
        raise NotSubmittedError(refused(facts.cluster, stderr or stdout))
    return stdout


def refused(cluster: Cluster, said: str) -> str:
    """What a person is told when no job was taken."""
    told = systems.submit_error(cluster, said)
    if "MaxSubmitJob" in said or "MAX_JOBS_PER" in said or "maximum number" in said:
        told += ". You have as many jobs in the queue as you may: wait until some end, or cancel some."
    return told


def slurm_words(folder: Path, facts: Facts) -> list[str]:
    """The command line of sbatch."""
    words = ["sbatch", "--parsable", f"--job-name={facts.name}", f"--comment={facts.title}"]
    words += [f"--chdir={environment.work_folder()}", "--ntasks=1" if "nodes" not in facts.asked else ""]
    log = str(folder / "log").replace("%", "%%")
    if is_array(facts):
        ids = ",".join(map(str, facts.ids)) if facts.ids else f"0-{facts.tasks - 1}"
        words.append(f"--array={ids}" + (f"%{facts.limit}" if facts.limit else ""))
    words.append(f"--output={log}/{'%a' if is_array(facts) else '0'}.log")
    return [word for word in [*words, *options.of_slurm(facts.asked)] if word]


def slurm_script(folder: Path, facts: Facts) -> str:
    """What sbatch reads: the rest is in a file that nobody else reads."""
    program = shlex.quote(str(folder / "run"))
    if facts.asked.get("nodes", 1) > 1:
        mpi = place.settings("slurm").get("mpi", "")
        program = f"srun --kill-on-bad-exit=1 {f'--mpi={shlex.quote(mpi)} ' if mpi else ''}{program}"
    return f"#!/bin/sh\nexec {program}\n"


def condor_lines(folder: Path, facts: Facts) -> str:
    """What condor_submit takes. No environment: whoever may look at the queue would read it."""

    def plain(path: Path) -> str:
        return str(path).replace("$", "$(DOLLAR)")

    wanted = {
        "universe": "vanilla",
        "executable": plain(folder / "run"),
        "arguments": "$(Process)",
        "transfer_executable": "false",
        "should_transfer_files": "NO",
        "initialdir": plain(environment.work_folder()),
        "output": f"{plain(folder)}/log/$(Process).log",
        "error": f"{plain(folder)}/log/$(Process).log",
        "batch_name": facts.name,
        "description": facts.title,
    }
    lines = [f"{name} = {value}" for name, value in wanted.items()] + options.of_condor(facts.asked)
    if facts.tasks > MATERIALIZED or facts.limit:
        lines.append(f"max_materialize = {facts.limit or MATERIALIZED}")
    return "\n".join([*lines, f"queue {facts.tasks}", ""])


def title(text: str) -> str:
    """What the queue shows of a function's name: one short line of plain characters.

    >>> title("<lambda>")
    '_lambda_'
    """
    plain = "".join(character if character.isalnum() or character in "_.-" else "_" for character in text)
    return plain[:SHOWN] or "call"


# ---- found again ---------------------------------------------------------------------------------------


def find(number: str, cluster: Cluster | None = None) -> Job:
    """The job of this number, whoever submitted it. Raises LookupError with a sentence."""
    wanted = str(number).partition(".")[0].partition("_")[0]
    found = []
    for record in (Path.home() / place.JOB_FILES).glob(f"{bundle.PREFIX}-*/{bundle.RECORD}"):
        with contextlib.suppress(OSError, ValueError, TypeError):
            said = json.loads(record.read_text())
            if said["number"] == wanted and cluster in {None, said["cluster"]}:
                said["ids"] = tuple(said["ids"]) if said["ids"] is not None else None
                found.append(Job(record.parent, Facts(**said)))
    if len(found) == 1:
        return found[0]
    if found:
        raise LookupError(
            f'There is a job {wanted} of yours on both clusters: say collect({wanted}, cluster="slurm") or'
            ' cluster="condor".'
        )
    raise LookupError(
        f"Nothing is known of job {wanted}{f' of {NAMES[cluster]}' if cluster else ''}: it was not begun by"
        f" benchtop_batch, or its files were removed ({place.KEPT // 86400} days after it ended)."
    )


def new_name(kept: bool) -> str:
    """What jobs are called in the queue, so that those of one kernel are found together."""
    return f"{'kept' if kept else 'notebook'}-{secrets.token_hex(4)}"


def usable(cluster: Cluster) -> None:
    """Raises NotSubmittedError with a sentence where no jobs can be sent to it from here."""
    if os.environ.get(place.CONFINED):
        raise NotSubmittedError(
            "Your account's sessions reach nothing but the hub and the internet proxy, so this notebook"
            f" cannot send jobs. For more CPUs or memory, start another session from {network.HUB}."
        )
    try:
        network.choose(cluster)
    except network.UnavailableError as error:
        raise NotSubmittedError(str(error)) from None
