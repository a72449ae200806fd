"""All jobs of a person: those in the queues, and those that ended not long ago."""

import fnmatch
import html
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, overload

from benchtop_batch import place, systems
from benchtop_batch.listing import condor, slurm
from benchtop_batch.listing.job import STATES, CannotCancelError, Job, cancel
from benchtop_batch.place import Cluster

DAY = 86400.0  # seconds
SHOWN = 20  # jobs that a notebook shows by itself
OLD = 60.0  # seconds until accounting is asked again while nothing happens
SOON = 10.0  # … and when a job came or went
USED = 20.0  # … until it is asked what running jobs use, which is a question to each node
FAILED = 120.0  # … after one that was not answered
NOBODY = "No batch system can be asked from here: no credential is there, or their commands are missing."
_SYSTEMS: dict[Cluster, ModuleType] = {"slurm": slurm, "condor": condor}


class Jobs(Sequence[Job]):
    """A person's jobs, those first that have not ended: a sequence. A notebook shows the first 20 as a table.

    found: the jobs
    missing: sentences on what could not be asked
    at: when it was asked, in POSIX seconds

    >>> late = Job("slurm", "12", "fit", "failed", "its time limit was reached")
    >>> found = Jobs([late, Job("condor", "7.0", "draw", "running")])
    >>> [job.number for job in found if job.active]
    ['7.0']
    >>> found[1].reason
    'its time limit was reached'
    """

    def __init__(self, found: Iterable[Job], missing: Sequence[str] = (), at: float = 0.0) -> None:
        self._found = sorted(
            found,
            key=lambda job: (not job.active, -(job.ended or job.submitted or 0), job.cluster, job.number),
        )
        self.missing = list(missing)
        self.at = at

    @overload
    def __getitem__(self, at: int) -> Job: ...
    @overload
    def __getitem__(self, at: slice) -> list[Job]: ...
    def __getitem__(self, at: int | slice) -> Job | list[Job]:
        """As of a list."""
        return self._found[at]

    def __len__(self) -> int:
        return len(self._found)

    def cancel(self) -> None:
        """Cancel all that have not ended, but no session. Raises CannotCancelError when some were not."""
        failed = []
        for cluster in _SYSTEMS:
            numbers = [
                job.number for job in self if job.cluster == cluster and job.active and not job.session
            ]
            try:
                cancel(cluster, numbers)
            except CannotCancelError as error:
                failed.append(str(error))
        if failed:
            raise CannotCancelError(" ".join(failed))

    def groups(self) -> list[list[Job]]:
        """Those of an array, or of one cluster of HTCondor's, together; the others each by itself."""
        found: dict[tuple[Cluster, str], list[Job]] = {}
        for job in self:
            found.setdefault((job.cluster, job.group), []).append(job)
        return list(found.values())

    def rows(self) -> list[dict[str, str]]:
        """What a notebook shows of each."""
        return [_row(job, self.at) for job in self]

    def frame(self) -> Any:  # noqa: ANN401 a pandas.DataFrame, where there is pandas
        """A pandas.DataFrame: amounts as numbers, times with their time zone.

        Raises ImportError where there is no pandas.
        """
        import pandas as pd  # noqa: PLC0415 not everywhere, and slow to load

        table = pd.DataFrame(
            [{**vars(job), "cpu": job.cpu(self.at)} for job in self],
            columns=[*Job.__dataclass_fields__, "cpu"],
        )
        for name in ("submitted", "started", "ended"):
            table[name] = pd.to_datetime(table[name].astype("float64"), unit="s", utc=True)
        return table

    def __repr__(self) -> str:
        rows = self.rows()[:SHOWN]
        lines = ["  ".join(row.values()) for row in rows] or ["No jobs."]
        return "\n".join([*lines, *self._more(), *self.missing])

    def _repr_html_(self) -> str:
        rows = self.rows()[:SHOWN]
        notes = "".join(f"<p>{html.escape(text)}</p>" for text in [*self._more(), *self.missing])
        if not rows:
            return f"<p>No jobs.</p>{notes}"
        head = "".join(f"<th>{name}</th>" for name in rows[0])
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(value)}</td>' for value in row.values())}</tr>" for row in rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"

    def _more(self) -> list[str]:
        return [f"… and {len(self) - SHOWN} more"] if len(self) > SHOWN else []


@dataclass
class _Known:
    """What is known of one batch system."""

    live: dict[str, Job] = field(default_factory=dict)
    records: list[Job] = field(default_factory=list)
    numbers: frozenset[str] = frozenset()  # in the queue, as the records were read
    read: float = float("-inf")  # when they were
    changed: float = float("-inf")  # when a job came or went
    trouble: str = ""  # why the records are old
    used: dict[str, tuple[float, int]] = field(default_factory=dict)
    used_at: float = float("-inf")
    use_due: float = float("-inf")


class Overview:
    """Asks both batch systems, each at the same time as the other, and keeps what is asked for less often.

    since: seconds back to which jobs that have ended are listed; 0 for none
    within: seconds that a batch system has for one answer
    """

    def __init__(
        self,
        since: float = DAY,
        within: float = systems.ASKING,
        env: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._since, self._within, self._env, self._clock = since, within, env, clock
        self._known: dict[Cluster, _Known] = {}

    def look(self) -> Jobs:
        """The jobs as they are now; of a batch system that does not answer, as they were when it did."""
        clusters = place.clusters(self._env)
        missing: dict[Cluster, str] = {}

        def ask(cluster: Cluster) -> None:
            try:
                self._ask(cluster)
            except systems.NoAnswerError as error:
                missing[cluster] = f"{systems.NAMES[cluster]} does not answer: {str(error)[: systems.SHOWN]}"

        threads = [threading.Thread(target=ask, args=(cluster,), daemon=True) for cluster in clusters]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        now = self._clock()
        jobs = [job for cluster in clusters for job in self._merged(cluster, now)]
        others = [name for cluster, name in systems.NAMES.items() if cluster not in clusters]
        why = [line for line in place.reason(self._env).splitlines() if line.startswith(tuple(others))]
        return Jobs(
            self._with_sessions(jobs),
            [*(missing[cluster] for cluster in clusters if cluster in missing), *(why if others else [])]
            or ([] if clusters else [NOBODY]),
            now,
        )

    def _ask(self, cluster: Cluster) -> None:
        known, system, now = self._known.setdefault(cluster, _Known()), _SYSTEMS[cluster], self._clock()
        known.live = {job.number: job for job in system.queue(self._env, self._within)}
        running = {job.number: job.raw for job in known.live.values() if job.state == "running"}
        if cluster == "slurm" and running and place.VOUCHER.exists() and now >= known.use_due:
            known.use_due, known.used_at = now + USED, now
            try:
                known.used = slurm.used(self._env, running, min(self._within, 5.0))
            except systems.NoAnswerError:  # a job has just ended, or a node does not answer
                known.used, known.use_due = {}, now + FAILED
        numbers = frozenset(known.live)
        if numbers != known.numbers:
            known.changed = now
        unsettled = numbers != known.numbers or (
            now - known.changed < OLD and any(self._gone(job, known) for job in known.records)
        )
        if self._since and now - known.read >= (SOON if unsettled else OLD):
            known.read = now
            try:
                known.records = system.records(self._env, now - self._since, self._within)
                known.numbers, known.trouble = numbers, ""
            except systems.NoAnswerError as error:
                known.trouble = str(error)
        if known.trouble:
            raise systems.NoAnswerError(known.trouble)

    @staticmethod
    def _gone(job: Job, known: _Known) -> bool:
        """Has it left the queue, and accounting has not heard of its end yet?"""
        return job.active and job.count == 1 and job.number not in known.live

    def _merged(self, cluster: Cluster, now: float) -> Iterator[Job]:
        known = self._known.get(cluster, _Known())
        written = {job.number: job for job in known.records}
        for job in known.live.values():
            record = written.get(job.number)
            cpu, memory = known.used.get(job.number, (job.cpu_time, job.memory_used))
            if job.number in known.used and cpu and (then := job.elapsed(known.used_at)):
                cpu *= (job.elapsed(now) or 0) / then  # as if it had gone on like this
            yield replace(
                job, log=job.log or (record.log if record else ""), cpu_time=cpu, memory_used=memory,
                memory=(record.memory if record else 0) or job.memory,
            )  # fmt: skip
        for job in known.records:
            if job.number in known.live or (job.ended or now) < now - self._since:
                continue
            if not job.active:
                yield job
            elif self._gone(job, known) and now - known.changed < OLD:
                yield replace(job, state="ending")

    def _with_sessions(self, jobs: Iterable[Job]) -> Iterator[Job]:
        own = place.own_job(self._env)
        names = place.settings("jobs").get("sessions", "").split()
        for job in jobs:
            if own and job.cluster == own[0] and own[1] in {job.number, job.raw} and job.active:
                yield replace(job, session="this")
            elif any(fnmatch.fnmatchcase(job.name, name) for name in names):
                yield replace(job, session="other")
            else:
                yield job


def jobs(since: float = DAY) -> Jobs:
    """Your jobs on every batch system that takes jobs from here, and those that ended not long ago.

    since: seconds back to which ended jobs are listed, a day by default; 0 for none

    Both systems are asked at the same time (squeue, sacct and sstat; condor_q and condor_history), and have
    20 seconds for an answer. Never raises for one that gives none: `missing` of the result says so.
    """
    return Overview(since).look()


def counts(jobs: Iterable[Job]) -> dict[str, int]:
    """How many are in which state, in the order of STATES."""
    found: Counter[str] = Counter()
    for job in jobs:
        found[job.state] += job.count
    return {state: found[state] for state in STATES if found[state]}


def _row(job: Job, now: float) -> dict[str, str]:
    cpu = job.cpu(now)
    memory = f"{job.memory >> 20} MB" if job.memory else ""
    if job.memory_used is not None:
        memory = f"{job.memory_used >> 20} of {memory or '?'}"
    since = datetime.fromtimestamp(job.since, UTC).astimezone().strftime("%d %b %H:%M") if job.since else ""
    state = f"{job.state} (this session)" if job.session == "this" else job.state
    return {
        "job": f"{systems.NAMES[job.cluster]} {job.number}",
        "name": job.name,
        "state": f"{state}, {job.count} tasks" if job.count > 1 else state,
        "since": since,
        "node": job.node,
        "CPU": "" if cpu is None else f"{cpu:.0%} of {job.cpus}",
        "memory": memory,
        "reason": job.reason,
        "log": job.log,
    }
