"""A worker's job, of each batch system."""

import os
import shlex
from pathlib import Path
from typing import Any

import dask.config
from dask_jobqueue.core import Job
from dask_jobqueue.htcondor import HTCondorJob as UpstreamHTCondorJob
from dask_jobqueue.slurm import SLURMJob as UpstreamSLURMJob

from benchtop_batch import jobs, place
from benchtop_batch.dask import worker

UPSTREAM_COMMAND = "distributed.cli.dask_worker"
# What Dask's nanny gives a worker before it begins: there is none here (it would cost the first worker a
# second, and what it does, the batch system does). A thread of Dask's own is a task's; those of libraries
# would be too many.
ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
ACCOUNT = "BENCHTOP_ACCOUNT"  # of the environment: which of Slurm's the session counts for


class NotTaken(RuntimeError):  # noqa: N818 what happened to a job
    """The batch system refused a worker's job; the message says why."""


class Worker(Job):
    """What both have in common.

    - With a nanny only where somebody asks for one, or for several processes a job.
    - Its program is worker.py, unless somebody has set another command.
    - A refusal is a sentence; upstream shows the whole of what the command printed and how it was called.
    """

    def __init__(
        self, *args: Any, nanny: bool | None = None, python: str | None = None, **kwargs: Any
    ) -> None:
        name = kwargs.get("config_name") or self.config_name
        several = (kwargs.get("processes") or dask.config.get(f"jobqueue.{name}.processes", 1) or 1) > 1
        python = python or dask.config.get(f"jobqueue.{name}.python", None) or place.python()
        super().__init__(*args, nanny=several if nanny is None else nanny, python=python, **kwargs)
        program = shlex.quote(worker.__file__)
        words = " ".join(f"{name}={value}" for name, value in ENVIRONMENT.items())
        self._command_template: str = self._command_template.replace(
            f"{python} -m {UPSTREAM_COMMAND} ", f"exec env {words} {python} {program} ", 1
        )

    async def _submit_job(self, script_filename: str) -> str:
        try:
            return str(await super()._submit_job(script_filename))
        except RuntimeError as refused:
            stderr = str(refused).rpartition("\nstderr:\n")[2]
            raise NotTaken(jobs.submit_error(self.batch, stderr)) from None
        except FileNotFoundError:
            raise NotTaken(
                f"{jobs.NAMES[self.batch]}'s commands are not installed here, so no worker can be started."
            ) from None

    @property
    def log(self) -> Path | None:
        """Where this job's messages are; None where they are kept nowhere, or it has no number yet."""
        if not self.log_directory or not self.job_id:
            return None
        return Path(self.log_directory, self.log_name.format(self.job_id))


class SLURMJob(Worker, UpstreamSLURMJob):
    """A worker in a job of Slurm, for the account that the session counts for."""

    batch, log_name = "slurm", "dask-worker-{}.err"

    def __init__(self, *args: Any, account: str | None = None, **kwargs: Any) -> None:
        name = kwargs.get("config_name") or self.config_name
        account = (
            account or dask.config.get(f"jobqueue.{name}.account", None) or os.environ.get(ACCOUNT) or None
        )
        super().__init__(*args, account=account, **kwargs)
        self.log_name = f"{self.job_name or 'worker'}-{{}}.err"
        # By their name jobs are found: this goes before a name among a person's directives
        own = f"--job-name={shlex.quote(self.job_name)}"
        self.submit_command: str = f"{UpstreamSLURMJob.submit_command} {own}"


class HTCondorJob(Worker, UpstreamHTCondorJob):
    """A worker in a job of HTCondor.

    - Nothing is transferred: nodes have the same home. The access point need not have it, so its own log is
    left out,
      and the job's folder is one that every machine has; the worker goes to the notebook's.
    - Messages are written on the node, not by way of the access point.
    """

    batch, log_name = "condor", "worker-{}.err"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("Log", "Stream_Output", "Stream_Error"):
            self.job_header_dict.pop(name, None)
        for name in [name for name in self.job_header_dict if name.lower() == "batch_name"]:
            del self.job_header_dict[name]
        self.job_header_dict["batch_name"] = (
            self.job_name
        )  # by which jobs are found; upstream's is the worker's
        own = {"should_transfer_files": "NO", "transfer_executable": False, "initialdir": "/tmp"}  # noqa: S108
        given = {name.lower() for name in self.job_header_dict}
        self.job_header_dict.update({name: value for name, value in own.items() if name.lower() not in given})
        self._command_template = f"cd {shlex.quote(str(Path.cwd()))} 2>/dev/null; {self._command_template}"
