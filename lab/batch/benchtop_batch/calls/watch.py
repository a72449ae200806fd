"""Looks at all jobs of this process, in one thread that is there while there are any.

Results are files, which cost little to look for; the queue is asked seldom. And beside it is the guardian of
each batch system, which ends the jobs when this process is gone, however that came.
"""

import atexit
import os
import subprocess
import threading
import time
from contextlib import suppress

from benchtop_batch import guardian
from benchtop_batch.calls import job as jobs_
from benchtop_batch.calls import queues
from benchtop_batch.calls.job import Job
from benchtop_batch.place import Cluster
from benchtop_batch.systems import NoAnswerError

LOOK = (
    (10.0, 0.05),
    (60.0, 0.2),
    (float("inf"), 0.5),
)  # seconds after the call, or after its collection, up to which so many pass between two looks for results
SHARE = 10  # a look takes at most the tenth part of the time
ASK = ((10.0, 2.0), (120.0, 5.0), (float("inf"), 15.0))  # … between two questions to the queue
LONGEST = 1.0  # … between two looks on a file system that is slow
FIRST = 1.0  # … until the first one


class Watch:
    """One for this process."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._jobs: list[Job] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._guardians: dict[str, subprocess.Popen[bytes]] = {}
        self._names: dict[tuple[Cluster, bool], str] = {}
        self._asked: dict[tuple[Cluster, str], float] = {}

    def forked(self) -> None:
        """In a child of this process: the jobs are its parent's."""
        self._begin()

    def name(self, cluster: Cluster, *, keep: bool) -> str:
        """What a job of this process is to be called. From now on those that end with it do so."""
        with self._lock:
            name = self._names.setdefault((cluster, keep), jobs_.new_name(keep))
            if not keep:
                self._guard(cluster, name)
            return name

    def _guard(self, cluster: Cluster, name: str) -> None:
        """Have a guardian, also when somebody has ended it."""
        process = self._guardians.get(name)
        if process is not None and process.poll() is None:
            return
        self._guardians[name] = guardian.begin(cluster, name, [])

    def add(self, job: Job) -> None:
        """Look at this one as well, until it is over."""
        job.watched = time.monotonic()
        with self._lock:
            self._jobs.append(job)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="jobs of this notebook", daemon=True)
                self._thread.start()
        self._wake.set()

    def look_now(self) -> None:
        """Something is to be done."""
        self._wake.set()

    def _run(self) -> None:
        while True:
            began = time.monotonic()
            with self._lock:
                if self._thread is not threading.current_thread():  # begun anew: the jobs are another's
                    return
                self._jobs = [job for job in self._jobs if not job.over]
                watched = list(self._jobs)
                if not watched:
                    self._thread = None
                    return
            for job in watched:
                job.look()
                job.cancel_forgotten()
            self._ask(watched)
            age = min(time.monotonic() - job.watched for job in watched)
            pause = max(_by_age(LOOK, age), SHARE * (time.monotonic() - began))
            self._wake.wait(min(pause, LONGEST))
            self._wake.clear()

    def _ask(self, watched: list[Job]) -> None:
        """What the queue says, where it is time; jobs of one name are asked for together."""
        now = time.monotonic()
        for cluster, name in {(job.facts.cluster, job.facts.name) for job in watched}:
            of_it = [job for job in watched if (job.facts.cluster, job.facts.name) == (cluster, name)]
            age = min(time.monotonic() - job.watched for job in of_it)
            pause = _by_age(ASK, age)
            if age < FIRST or now - self._asked.get((cluster, name), -pause) < pause:
                continue
            self._asked[cluster, name] = now
            if not of_it[0].facts.keep and name in self._guardians:
                with suppress(OSError):
                    self._guard(cluster, name)
            try:
                found = queues.listed(cluster, name)
            except NoAnswerError as error:
                for job in of_it:
                    job.trouble = str(error)
                continue  # unknown is not gone
            for job in of_it:
                job.trouble = ""
                job.judge(found)

    def leave(self) -> None:
        """When this process ends as it should: the guardians see to the rest."""
        for process in self._guardians.values():
            process.returncode = 0  # it outlives this process; subprocess would warn of it


def _by_age(table: tuple[tuple[float, float], ...], age: float) -> float:
    return next(pause for until, pause in table if age < until)


WATCH = Watch()
os.register_at_fork(after_in_child=WATCH.forked)
atexit.register(WATCH.leave)
