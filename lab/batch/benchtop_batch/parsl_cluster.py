"""Parsl on the batch systems of a site: `parsl.load(benchtop_batch.parsl_config())`.

What upstream's classes leave to each person (address, interpreter, names of programs, how long to wait) is
filled in, and what would outlive the notebook is ended with it. How each differs from upstream's:
docs/reference/upstream.md.
"""

import math
import os
import secrets
import shlex
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost
from parsl.executors.high_throughput.executor import DEFAULT_LAUNCH_CMD
from parsl.jobs.states import JobState, JobStatus
from parsl.providers import CondorProvider, SlurmProvider
from parsl.serialize.errors import SerializationError

from benchtop_batch import environment, guardian, network, place, systems, unsendable
from benchtop_batch.place import Cluster

STRATEGY = 0.5  # seconds between two looks at what there is to do: a first task waits that long for its block
POLL = 5  # … at the queue; upstream's are 60
HEARTBEAT, SILENCE = 5, 30  # … between two signs of life, and after which a worker ends, or is taken for lost
IDLE = 60.0  # … after which a block without work is given back
TELL_AFTER = 5.0  # … that a block may wait before somebody is told why
MINUTES = 30  # that a job may run where the site says nothing
AGAIN = 3  # times that a task is given to another worker when its own was lost
_STATES = {"waiting": JobState.PENDING, "running": JobState.RUNNING, "held": JobState.FAILED}


def parsl_config(
    cluster: Cluster | None = None,
    *,
    blocks: int = 4,
    cpus: int = 1,
    memory: int = 1024,
    minutes: int | None = None,
    **settings: Any,  # noqa: ANN401 as parsl.Config takes them
) -> Config:
    """How Parsl runs its tasks as jobs of a batch system: hand it to parsl.load().

    cluster: "slurm" or "condor"; by default the one of this node
    blocks: at most so many jobs at a time; without work, none is left after a minute
    cpus: of a job, and as many tasks that it runs at a time
    memory: of a job, in MB
    minutes: the most that one job of Slurm runs, by default `minutes` of batch.ini, otherwise 30; another one
        takes its place while there is work
    settings: any of parsl.Config, as they are
    Raises UnavailableError with a sentence where no jobs can be sent from here, or workers could not reach
    it.
    """
    chosen = network.choose(cluster)
    here = network.address(chosen)
    try:
        place.remove_old("parsl")
        folder = place.with_room(place.scratch("parsl"))
    except OSError as error:
        raise network.UnavailableError(place.no_room(error)) from None
    name = f"parsl-{secrets.token_hex(4)}"
    provider = _PROVIDERS[chosen](
        Wanted(name, blocks, cpus, memory, minutes or _minutes(chosen), _worker_init())
    )
    python = place.python()
    executor = Executor(
        label="benchtop",
        provider=provider,
        address=here,
        encrypted=True,
        cores_per_worker=1,
        max_workers_per_node=cpus,
        heartbeat_period=HEARTBEAT,
        heartbeat_threshold=SILENCE,
        launch_cmd=_launch_command(python),
        interchange_launch_cmd=guardian.command(
            os.getpid(),
            chosen,
            name,
            [str(folder)],
            [python, "-m", "parsl.executors.high_throughput.interchange"],
        ),
    )
    return Config(
        **{
            "executors": [executor],
            "run_dir": str(folder),
            "strategy": "htex_auto_scale",
            "strategy_period": STRATEGY,
            "max_idletime": IDLE,
            "retries": AGAIN,
            "retry_handler": retry_cost,
            **settings,
        }
    )


@dataclass(frozen=True)
class Wanted:
    """What blocks ask for: parsl_config says of each what it is."""

    name: str
    blocks: int
    cpus: int
    memory: int
    minutes: int
    script: str


def retry_cost(problem: Exception, _task: object) -> float:
    """A task whose worker was lost is run again; one that failed by itself has failed."""
    return 1.0 if isinstance(problem, ManagerLost | WorkerLost) else math.inf


def _launch_command(python: str) -> str:
    """Upstream's, by this very interpreter: its script is on no node's PATH."""
    program = "process_worker_pool.py "
    assert DEFAULT_LAUNCH_CMD.startswith(program)  # noqa: S101 of a version that is pinned
    own = shlex.join([python, "-m", "benchtop_batch.parsl_worker"])
    return f"{own} {DEFAULT_LAUNCH_CMD.removeprefix(program)}"


def _worker_init() -> str:
    """What a worker's shell does first."""
    given = environment.of_jobs(os.environ)
    exports = [f"export {name}={shlex.quote(value)}" for name, value in given.items()]
    return "\n".join([f"cd {shlex.quote(str(environment.work_folder()))}", *exports])


def _minutes(cluster: Cluster) -> int:
    return int(place.settings(cluster).get("minutes", MINUTES))


class Executor(HighThroughputExecutor):  # type: ignore[misc]
    """Says which variable of a call cannot be sent, and leaves no keys behind."""

    def submit(
        self,
        func: Callable[..., object],
        resource_specification: dict[str, Any],
        *args: Any,  # noqa: ANN401 as upstream has it
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Send a call to a worker."""
        try:
            return super().submit(func, resource_specification, *args, **kwargs)
        except Exception as error:
            if why := unsendable.explain(func, args, kwargs):
                raise UnsendableError(why) from error
            raise

    def shutdown(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 as upstream has it
        """End the interchange. Its keys go with it; what it wrote down stays for a week."""
        super().shutdown(*args, **kwargs)
        if self.cert_dir:
            shutil.rmtree(self.cert_dir, ignore_errors=True)


class UnsendableError(SerializationError):  # type: ignore[misc]
    """A call that cannot be sent; its message says why and what to do."""

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class _Blocks:
    """What blocks on both batch systems have in common: they are found by name, and told of in words."""

    batch: Cluster
    name_in_queue: str
    # of the classes that this is mixed into
    resources: dict[str, dict[str, Any]]

    def begin(self, name: str) -> None:
        """Before anything is submitted."""
        self.name_in_queue = name
        self._told = ""
        self._waits_since: float | None = None

    @property
    def status_polling_interval(self) -> int:
        """Seconds between two looks at the queue."""
        return POLL

    def _status(self) -> None:
        """What became of the blocks. One that is not in the queue any more has ended."""
        try:
            found = {self.number(job): job for job in systems.listed(self.batch, self.name_in_queue)}
        except systems.NoAnswerError:
            return  # unknown is not gone
        live = 0
        for number, block in self.resources.items():
            if block["status"].terminal:
                continue
            live += 1
            job = found.get(number)
            files = {what: block.get(f"job_{what}") for what in ("stdout_path", "stderr_path")}
            if job is None:
                block["status"] = JobStatus(JobState.COMPLETED, **files)
            elif job.state == "held":
                sentence = f"A block (job {job.number}) was put on hold and is removed: {job.reason}."
                block["status"] = JobStatus(JobState.FAILED, message=sentence, **files)
                print(sentence, flush=True)
                self.cancel([number])  # type: ignore[attr-defined]
            else:
                block["status"] = JobStatus(_STATES[job.state], **files)
        self._tell(systems.waiting(self.batch, "block", list(found.values()), live))

    def _tell(self, words: str) -> None:
        """Say what is waited for, once it is worth it, and whenever it changes."""
        if not words:
            self._waits_since, self._told = None, ""
            return
        self._waits_since = self._waits_since or time.monotonic()
        if words != self._told and time.monotonic() - self._waits_since > TELL_AFTER:
            self._told = words
            print(words, flush=True)

    @staticmethod
    def number(job: systems.Job) -> str:
        """What Parsl knows a job by."""
        return job.number


class Slurm(_Blocks, SlurmProvider):  # type: ignore[misc]
    """Blocks as jobs of Slurm."""

    batch: Cluster = "slurm"

    def __init__(self, wanted: Wanted) -> None:
        self.begin(wanted.name)
        said = place.settings("slurm")
        # of two equal options the last one counts: this name is one for all
        options = [f"--job-name={wanted.name}", f"--cpus-per-task={wanted.cpus}", f"--mem={wanted.memory}M"]
        super().__init__(
            exclusive=False,
            partition=said.get("partition"),
            init_blocks=1,
            min_blocks=0,
            max_blocks=wanted.blocks,
            walltime=f"{wanted.minutes // 60:02}:{wanted.minutes % 60:02}:00",
            scheduler_options="\n".join(f"#SBATCH {option}" for option in options),
            worker_init=wanted.script,
        )


class Condor(_Blocks, CondorProvider):  # type: ignore[misc]
    """Blocks as jobs of HTCondor. They leave the queue when they end, but not before their processes."""

    batch: Cluster = "condor"

    def __init__(self, wanted: Wanted) -> None:
        self.begin(wanted.name)
        # of two equal lines the last one counts
        lines = [
            f"batch_name = {wanted.name}",
            "leave_in_queue = false",
            f"request_cpus = {wanted.cpus}",
            f"request_memory = {wanted.memory}",
        ]
        super().__init__(
            init_blocks=1,
            min_blocks=0,
            max_blocks=wanted.blocks,
            cmd_timeout=20,
            scheduler_options="\n".join(lines),
            worker_init=wanted.script,
        )

    def cancel(self, job_ids: Sequence[str]) -> list[bool]:
        """End blocks. Upstream's takes them from the queue before their processes have ended, which go on."""
        if not job_ids:
            return []
        self.execute_wait(f"condor_rm {shlex.join(job_ids)}")
        for number in job_ids:
            self.resources[number]["status"] = JobStatus(JobState.CANCELLED)
        return [True for _ in job_ids]


_PROVIDERS: dict[Cluster, Callable[..., Any]] = {"slurm": Slurm, "condor": Condor}
