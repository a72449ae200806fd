"""`SLURMCluster()` and `HTCondorCluster()`: upstream's, with nothing to fill in, for their owner alone."""

import asyncio
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

import dask.config
import distributed
from dask_jobqueue.core import JobQueueCluster
from dask_jobqueue.htcondor import HTCondorCluster as UpstreamHTCondorCluster
from dask_jobqueue.slurm import SLURMCluster as UpstreamSLURMCluster
from distributed.core import Status
from distributed.scheduler import Scheduler as UpstreamScheduler

from benchtop_batch import guardian, network, place, systems
from benchtop_batch.dask import jobqueue, keys, protect
from benchtop_batch.dask.jobs import HTCondorJob, NotTaken, SLURMJob
from benchtop_batch.network import UnavailableError

protect.settle(distributed)  # in a Python of somebody's own, nobody else has

SPELLED: dict[place.Cluster, str] = {"slurm": "SLURMCluster()", "condor": "HTCondorCluster()"}
LOOK = 1.0  # seconds between two looks at the workers
ASK = 5.0  # … between two questions to the batch system, while a worker is missing
PATIENCE = 10.0  # … until it is said what workers wait for
ENDING = 0.5  # … that a guardian may take to end
LIVED = 60.0  # … of a worker that was no failure, however it ended
TIMES = 3  # failures in a row, until no more workers are started
SHOWN = 300  # characters of a log's last line
ASKED = {"cores": 1, "memory": "1GiB", "disk": "1GiB"}  # of a worker's job, where nobody says


class Scheduler(UpstreamScheduler):
    """Draws its pages when somebody looks at them: dashboard.py."""

    benchtop_draws_lazily = True


class Cluster(JobQueueCluster):
    """What both have in common.

    n_workers: to begin with, each a job
    security: keys of somebody's own
    scheduler_options: as of distributed.Scheduler, for example its address
    scheduler_cls: another kind of it
    kwargs: of dask_jobqueue's own cluster: cores (1), memory ("1GiB"), disk ("1GiB", HTCondor), queue,
        account, walltime ("00:30:00", Slurm) and others, where neither the call nor Dask's configuration
        says otherwise
    Raises UnavailableError with a sentence where no jobs can be sent from here, or workers could not reach
    it.

    - TLS with keys of its own, unless somebody gives a `security`: upstream takes none from its
      configuration, and would have everybody on the network use it.
    - The scheduler listens on the network that workers are on, and only there.
    - Logs and keys are in a folder of the cluster's own, out of the way.
    - Its jobs have a name of their own, by which they are found: what they would be called, and some letters.
    - Jobs and keys go when the notebook has, however it went: guardian.py.
    - A worker that died is replaced, until it does so again and again: upstream forgets it.
    - A job that is held, refused, or waits is told of in the notebook: upstream waits for ever without a
      word.
    """

    batch: place.Cluster

    def __init__(
        self,
        n_workers: int = 0,
        *,
        security: Any = None,
        scheduler_options: dict[str, Any] | None = None,
        scheduler_cls: type = Scheduler,
        **kwargs: Any,
    ) -> None:
        name = kwargs.get("config_name") or self.job_cls.config_name
        network.choose(self.batch, SPELLED)
        if scheduler_options is None:
            scheduler_options = dask.config.get(f"jobqueue.{name}.scheduler-options", {})
        interface = kwargs.get("interface") or dask.config.get(f"jobqueue.{name}.interface", None)
        if not interface and not {"host", "interface"} & scheduler_options.keys():
            scheduler_options = {**scheduler_options, "host": network.address(self.batch)}
        if scheduler_cls is Scheduler:
            scheduler_options = {"dashboard": False, **scheduler_options}
        wanted = kwargs.get("job_name") or dask.config.get(f"jobqueue.{name}.name", None) or "dask-worker"
        self.name_in_queue = f"{re.sub('[^A-Za-z0-9_.-]', '-', wanted)}-{secrets.token_hex(4)}"
        kwargs["job_name"] = self.name_in_queue
        for option, value in ASKED.items():
            told = f"jobqueue.{name}.{option}"
            if kwargs.get(option) is None and dask.config.get(told, value) is None:
                kwargs[option] = value
        self._own = security is None or security is True
        self._folder = self._new_folder()
        self._keys = self._folder / keys.NAME
        self._guardian: subprocess.Popen[bytes] | None = None
        if not kwargs.get("log_directory") and not dask.config.get(f"jobqueue.{name}.log-directory", None):
            kwargs["log_directory"] = str(self._folder)
        self.trouble = ""  # what is wrong, or what workers wait for: a sentence
        self._said = ""
        self._refused = False  # did the batch system not take a job?
        self._failures = 0  # in a row
        self._gave_up = False
        self._joined: dict[str, float] = {}  # worker's name → when it came to the scheduler
        self._asked = 0.0
        self._missing_since = 0.0
        self._tending: asyncio.Task[None] | None = None
        try:
            self._guard()
            if self._own:
                security = keys.make()
                self._write_keys(security)
            super().__init__(
                n_workers=n_workers,
                security=security,
                scheduler_options=scheduler_options,
                scheduler_cls=scheduler_cls,
                **kwargs,
            )
        except BaseException:
            self._clear_away(with_logs=True)
            raise
        if n_workers and not self.asynchronous:
            self._raise_refusal()

    def _raise_refusal(self) -> None:
        """Whoever asks for workers with the cluster, and waits for them next, would wait for ever."""
        self.sync(self._correct_state)
        if self._refused and not self.workers:
            why = self.trouble
            self.close()
            raise UnavailableError(why)

    def _new_folder(self) -> Path:
        try:
            place.remove_old("dask")
            return place.with_room(place.scratch("dask"))
        except OSError as error:
            raise UnavailableError(place.no_room(error)) from None

    def _write_keys(self, security: Any) -> None:
        try:
            keys.write(self._keys, security)
        except OSError as error:
            raise UnavailableError(place.no_room(error)) from None

    def _get_worker_security(self, security: Any) -> Any:
        return keys.in_file(security, self._keys) if self._own else super()._get_worker_security(security)

    def _guard(self) -> None:
        """Have its jobs and keys end with this process: by a program that somebody may have ended."""
        if self._guardian is None or self._guardian.poll() is not None:
            self._guardian = guardian.begin(self.batch, self.name_in_queue, [str(self._keys)])

    def _clear_away(self, *, with_logs: bool) -> None:
        if self._guardian is not None:
            self._guardian.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._guardian.wait(ENDING)
        self._keys.unlink(missing_ok=True)
        if with_logs:
            shutil.rmtree(self._folder, ignore_errors=True)
        else:
            with suppress(OSError):
                self._folder.rmdir()

    # ---- the life of a cluster ----------------------------------------------------------------

    async def _start(self) -> None:
        await super()._start()
        if self._own:
            self._announce()
        if self._tending is None:
            self._tending = asyncio.ensure_future(self._tend())

    def _announce(self) -> None:
        """Let the notebooks of this session find the keys."""
        with suppress(OSError):
            if folder := keys.session_folder():
                known = keys.known_by(folder, self.scheduler_address)
                known.unlink(missing_ok=True)
                keys.write(known, self.security)
                self._known = known

    async def _close(self) -> None:
        if self.status == Status.closed:
            return
        if self._tending:
            self._tending.cancel()
            self._tending = None
        await super()._close()
        if known := getattr(self, "_known", None):
            known.unlink(missing_ok=True)
        self._clear_away(with_logs=not self._failures)

    async def _correct_state_internal(self) -> None:
        try:
            await super()._correct_state_internal()
        except NotTaken as refused:
            self._refused = True
            self._say(str(refused))
            self._take_back_refused()

    def _take_back_refused(self) -> None:
        """Ask for no more workers than were taken: each would be refused again, at each look."""
        for name in [name for name, job in self.workers.items() if job.job_id is None]:
            self.workers.pop(name).status = Status.failed
            self.worker_spec.pop(name, None)

    # ---- looking after workers ----------------------------------------------------------------

    async def _tend(self) -> None:
        while self.status in {Status.running, Status.starting}:
            await asyncio.sleep(LOOK)
            with suppress(Exception):  # of one look; the next comes
                await self._look()

    def _present(self) -> set[str]:
        """The names of jobs whose workers the scheduler has."""
        present = {str(worker.name) for worker in self.scheduler.workers.values()}
        return {
            name
            for name, spec in self.worker_spec.items()
            if all(f"{name}{suffix}" in present for suffix in spec.get("group", ("",)))
        }

    async def _look(self) -> None:
        self._guard()
        now, present = time.monotonic(), self._present()
        for name in present:
            self._joined.setdefault(name, now)
        if any(now - self._joined[name] > LIVED for name in present):
            self._failures = 0
        missing = {name: job for name, job in self.workers.items() if name not in present and job.job_id}
        if not missing:
            self._missing_since = 0.0
            if not self._gave_up and not self._refused:
                self.trouble = ""
        else:
            self._missing_since = self._missing_since or now
            if now - self._missing_since > LOOK and now - self._asked > ASK:
                self._asked = now
                await self._ask(missing, now)
        if set(self.worker_spec) - set(
            self.workers
        ):  # upstream takes a lost worker's job away, and starts no other
            await self._correct_state()

    async def _ask(self, missing: dict[str, Any], now: float) -> None:
        """What the batch system says of jobs whose workers are not there."""
        listed = await asyncio.to_thread(systems.listed, self.batch, self.name_in_queue, over=True)
        known = {job.number: job for job in listed}
        found = {
            name: known.get(str(job.job_id), systems.Job(str(job.job_id), "over"))
            for name, job in missing.items()
        }
        waiting = systems.waiting(self.batch, "worker", list(found.values()), len(self.worker_spec))
        if waiting and now - self._missing_since > PATIENCE:
            self._say(waiting)
        elif not waiting and not self._gave_up and not self._refused:
            self.trouble = ""
        for name, job in found.items():
            # one that has just come to the scheduler, or was taken away meanwhile, is no failure
            if job.state in {"held", "over"} and name in self.workers and name not in self._present():
                await self._lost(name, job, now)

    async def _lost(self, name: str, job: systems.Job, now: float) -> None:
        """Replace a worker whose job is over or held, unless that happens again and again."""
        ended = self.workers.pop(name)
        await ended.close()
        lived = now - self._joined.pop(name) if name in self._joined else 0.0
        self._failures = 1 if lived > LIVED else self._failures + 1
        if self._failures < TIMES:
            return
        self._gave_up = True
        for waiting in set(self.worker_spec) - set(self.workers):
            self.worker_spec.pop(waiting)
        self._say(self._describe_failures(job, ended))

    def _describe_failures(self, job: systems.Job, ended: Any) -> str:
        title = systems.NAMES[self.batch]
        how = "was put on hold" if job.state == "held" else "ended"
        why = f" ({job.reason})" if job.reason else ""
        log, last = ended.log, ""
        if log is not None:
            with suppress(OSError, IndexError):
                last = f" It says: {log.read_text(errors='replace').strip().splitlines()[-1][:SHOWN]}"
        said = f" Its messages are in {log}.{last}" if log is not None else ""
        return (
            f"Workers on {title} failed {self._failures} times in a row, so no more are started; "
            f"the last job {how}{why}.{said} Call cluster.scale() to try again."
        )

    def scale(self, *args: Any, **kwargs: Any) -> Any:
        """Upstream's; what failed before is tried again."""
        self._gave_up = self._refused = False
        self._failures = 0
        self._said = self.trouble = ""
        return super().scale(*args, **kwargs)

    def _say(self, sentence: str) -> None:
        """Show it in the notebook: below the cell that made the cluster, and as a part of the cluster."""
        self.trouble = sentence
        if sentence != self._said:
            self._said = sentence
            print(sentence, file=sys.stderr, flush=True)

    def __repr__(self) -> str:
        shown = super().__repr__()
        return f"{shown}\n{self.trouble}" if self.trouble else shown

    def _repr_html_(self, cluster_status: str | None = None) -> str:
        if self.trouble:
            cluster_status = f"{cluster_status or ''}<p><strong>{escape(self.trouble)}</strong></p>"
        shown: str = super()._repr_html_(cluster_status=cluster_status)
        return shown


class SLURMCluster(Cluster, UpstreamSLURMCluster):
    """Workers in jobs of Slurm."""

    __doc__ = UpstreamSLURMCluster.__doc__
    job_cls, batch = SLURMJob, "slurm"


class HTCondorCluster(Cluster, UpstreamHTCondorCluster):
    """Workers in jobs of HTCondor."""

    __doc__ = UpstreamHTCondorCluster.__doc__
    job_cls, batch = HTCondorJob, "condor"


KINDS: dict[place.Cluster, type[Cluster]] = {"slurm": SLURMCluster, "condor": HTCondorCluster}


def BatchCluster(*args: Any, **kwargs: Any) -> Cluster | Awaitable[Cluster]:  # noqa: N802 stands for a class
    """A cluster on this node's own batch system, or else on the other one if that takes jobs from here.

    args: of SLURMCluster or HTCondorCluster; kwargs: likewise
    Raises UnavailableError with a sentence where none does.
    """
    return KINDS[network.choose(None)](*args, **kwargs)


jobqueue.take_place(sys.modules["dask_jobqueue"], sys.modules[__name__])
