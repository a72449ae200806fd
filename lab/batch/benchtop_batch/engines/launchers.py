"""How IPyParallel starts its engines as jobs of Slurm and HTCondor, and a controller that they reach.

Registered by entry points under the names that IPyParallel has, "slurm" and "htcondor" (pyproject.toml), so
that `ipp.Cluster(engines="slurm")` is these. What is tuned is in the site's configuration
(/etc/ipython), which each person's own wins over. How each differs from upstream's class is named there:
docs/reference/upstream.md.
"""

import functools
import os
import shlex
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, ClassVar

from ipyparallel.client.client import Client
from ipyparallel.cluster.launcher import (
    HTCondorEngineSetLauncher,
    LauncherError,
    LocalControllerLauncher,
    SlurmEngineSetLauncher,
    ipengine_cmd_argv,
)
from ipyparallel.serialize import PrePickled
from traitlets import Integer, Unicode

from benchtop_batch import environment, guardian, network, place, systems, unsendable
from benchtop_batch.place import Cluster

SPELLED: dict[Cluster, str] = {"slurm": 'engines="slurm"', "condor": 'engines="htcondor"'}
SOON, LATER = 2.0, 10.0  # seconds between two looks at the queue: until all run, and then
TELL_AFTER = 5.0  # … that a job may wait before somebody is told why
SHOWN_LINES = 3  # of what an engine printed last
CONTROLLER = 45.0  # … that an engine waits for its controller, which starts while the job is queued


class UnavailableLauncherError(LauncherError):  # type: ignore[misc]
    """A cluster cannot be had; its message is a sentence for the person."""


class Controller(LocalControllerLauncher):  # type: ignore[misc]
    """Starts the controller beside the notebook.

    - It listens where engines of that batch system reach it; upstream's listens on loopback until told
      otherwise.
    - It ends with the notebook's kernel, however that ends; upstream's goes on, and its helpers with it.
    - Whatever makes engines impossible is said before anything is started.
    """

    folder: Path | None = None
    controller_args: list[str]  # of the class that this is of

    @property
    def engines(self) -> "type[_Engines] | None":
        """How its engines are started, when that is one of ours."""
        kind = getattr(self.parent, "engine_launcher_class", None)
        return kind if isinstance(kind, type) and issubclass(kind, _Engines) else None

    def find_args(self) -> list[str]:
        """The words by which it is started."""
        program: list[str] = super().find_args()
        if self.engines is None or self.folder is None:
            return program
        name, folder = job_name(self.cluster_id), str(self.folder)
        left = [folder, *self.connection_files.values(), getattr(self.parent, "cluster_file", "")]
        return guardian.command(
            os.getpid(), self.engines.batch, name, [path for path in left if path], program
        )

    def start(self) -> None:
        """Start it. Raises UnavailableLauncherError."""
        if self.engines is not None:
            own_words: list[str] = list(self.controller_args)
            try:
                here = network.address(network.choose(self.engines.batch, SPELLED))
                place.remove_old("ipengine")
                self.folder = place.with_room(place.scratch(job_name(self.cluster_id)))
            except network.UnavailableError as error:
                raise UnavailableLauncherError(str(error)) from None
            except OSError as error:
                raise UnavailableLauncherError(place.no_room(error)) from None
            if not any(word.startswith("--ip=") for word in own_words):
                own_words += [f"--ip={here}", f"--location={here}"]
            self.controller_args = own_words
            self.output_file = str(self.folder / "controller.log")
        super().start()

    def notify_stop(self, data: Any) -> Any:  # noqa: ANN401 as upstream has it
        """Its engines' files go with it."""
        stopped = super().notify_stop(data)
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        return stopped


def job_name(cluster_id: str) -> str:
    """What all jobs of a cluster are called in the queue."""
    return f"ipengine-{cluster_id}"


class _Engines:
    """What engines on both batch systems have in common."""

    batch: ClassVar[Cluster]

    # of the classes that this is mixed into
    log: Any
    parent: Any
    loop: Any
    n: int
    state: str
    job_id: str
    profile_dir: str
    cluster_id: str
    environment: dict[str, str]
    engine_cmd: list[str]
    engine_args: list[str]
    batch_file: str
    batch_template: str
    batch_template_file: str
    get_env: Callable[[], dict[str, str]]
    notify_start: Callable[[Any], Any]
    notify_stop: Callable[[Any], Any]
    connection_files: dict[str, str]

    def start(self, n: int = 1) -> str:
        """Submit n of them as jobs. Raises UnavailableLauncherError."""
        controller = getattr(self.parent, "controller", None)
        folder = getattr(controller, "folder", None)
        if folder is None:
            raise UnavailableLauncherError(
                "The controller was not started by the launcher of benchtop_batch, so engines could not reach"
                " it: leave controller=… out, and Cluster.controller_launcher_class of your own"
                " configuration."
            )
        self.n = n
        self.folder = Path(folder) / f"set-{self.engine_set_id}"  # type: ignore[attr-defined]
        try:
            self.folder.mkdir(mode=0o700)
            self.batch_file = str(self.folder / "engines")
            self.write_batch_script(n)
        except OSError as error:
            raise UnavailableLauncherError(place.no_room(error)) from None
        output = self._run_command(self.args)  # type: ignore[attr-defined]
        self.parse_job_id(output)  # type: ignore[attr-defined]
        self.notify_start(self.job_id)
        _ = self.loop  # made here: another thread has none of its own
        self._over = threading.Event()
        threading.Thread(target=self._watch, daemon=True, name=f"jobs of {self.name_in_queue}").start()
        return self.job_id

    @property
    def name_in_queue(self) -> str:
        """By which its jobs are found."""
        return job_name(self.cluster_id)

    def _run_command(self, command: Sequence[str], **_options: object) -> str:
        """What a command of the batch system prints. Upstream's drops what it says of an error."""
        try:
            with Popen(command, stdout=PIPE, stderr=PIPE, text=True) as running:
                stdout, stderr = running.communicate()
        except OSError as error:
            raise UnavailableLauncherError(f"{command[0]} cannot be started: {error.strerror}") from None
        if running.returncode:
            raise UnavailableLauncherError(systems.submit_error(self.batch, stderr or stdout))
        return stdout

    def engine_script(self) -> str:
        """The script of one engine: in a file of its own, because what it needs to know is nobody else's."""
        own = [sys.executable, "-m", "benchtop_batch.engines.engine"]
        words = own if self.engine_cmd == ipengine_cmd_argv else list(self.engine_cmd)
        words += [f"--file={self.connection_files['engine']}"]
        words += [f"--IPEngine.wait_for_url_file={CONTROLLER}", *self.engine_args]
        given = {**environment.of_jobs(os.environ), **self.get_env()}
        given.pop("IPP_CONNECTION_INFO", None)  # it waits for the file, which nobody else reads
        return environment.script(given, words)

    def write_batch_script(self, n: int = 1) -> None:
        """Write what is submitted, and the script that each job runs."""
        script = self.folder / "engine"
        script.touch(mode=0o700)
        script.write_text(self.engine_script())
        if self.batch_template or self.batch_template_file:  # somebody's own
            super().write_batch_script(n)  # type: ignore[misc]
        else:
            Path(self.batch_file).write_text(self.description(n))

    def description(self, n: int) -> str:
        """What is submitted."""
        raise NotImplementedError

    def stop(self) -> None:
        """End them, also those that still wait."""
        if getattr(self, "_over", None):
            self._over.set()
        try:
            systems.cancel(self.batch, self.name_in_queue)
        except systems.NoAnswerError as error:
            self.log.warning(
                f"The engines could not be ended now: {error}. They end by themselves in a minute."
            )
        self.notify_stop({"job_id": self.job_id})

    def signal(self, sig: object) -> None:
        """Not by the batch system: not each passes a signal on. Each engine has a helper that does."""
        raise LauncherError(f"Send a signal to engines by the client: rc.send_signal({sig})")

    def get_output(self, remove: bool = False) -> str:
        """What the engines printed last."""
        return "\n".join(self._last_lines())

    def _last_lines(self) -> list[str]:
        folder: Path | None = getattr(self, "folder", None)
        for file in sorted(folder.glob("*.log")) if folder else ():
            lines = file.read_text(errors="replace").splitlines()
            if lines:
                return lines[-SHOWN_LINES:]
        return []

    # ---- what becomes of them -------------------------------------------------------------------

    def _watch(self) -> None:
        """Tell what they wait for, that some have ended, and that none is left."""
        began, told, most, held = time.monotonic(), "", 0, set[str]()
        pause = SOON
        while not self._over.wait(pause):
            try:
                found = systems.listed(self.batch, self.name_in_queue)
            except systems.NoAnswerError as error:
                self.log.debug(str(error))
                continue
            for job in found:
                if job.state == "held" and job.number not in held:
                    held.add(job.number)
                    self.log.warning(
                        f"An engine (job {job.number}) was put on hold: {job.reason}. {self._others()}"
                    )
            live = [job for job in found if job.state != "held"]
            if len(live) < most and live:
                self.log.warning(f"An engine has ended: {most - len(live)} fewer. {self._others()}")
            most = len(live)
            if not live:
                self._ended(found)
                return
            words = systems.waiting(self.batch, "engine", live, self.n)
            if words != told and (not words or time.monotonic() - began > TELL_AFTER):
                told = words
                if words:
                    self.log.info(words)
            pause = SOON if words else LATER

    def _others(self) -> str:
        return "The others go on; what ran on it fails with EngineError."

    def _ended(self, found: Sequence[systems.Job]) -> None:
        """None is left that runs or will."""
        if self._over.is_set():
            return
        reason = next((job.reason for job in found if job.state == "held"), "")
        why = f"held: {reason}" if reason else " / ".join(self._last_lines()) or "they printed nothing"
        if found:  # held ones would stay in the queue
            try:
                systems.cancel(self.batch, self.name_in_queue)
            except systems.NoAnswerError as error:
                self.log.debug(str(error))
        stopped = {"exit_code": 1, "job_id": self.job_id, "why": f"all engines have ended ({why})"}
        self.loop.add_callback(lambda: self.notify_stop(stopped))

    def _log_output(self, stop_data: object = None) -> None:
        """Nothing more: what is worth showing is in `why`."""


class SlurmEngines(_Engines, SlurmEngineSetLauncher):  # type: ignore[misc]
    """Engines as one array of Slurm jobs: each starts as soon as there is room for it, on whichever node.

    Upstream's settings are kept: `queue`, `account`, `qos`, `timelimit` and `options`, more lines of #SBATCH.
    Configuration calls it `c.SlurmEngineSetLauncher`, whose settings it has.
    """

    batch: ClassVar[Cluster] = "slurm"

    cpus = Integer(1, config=True, help="CPUs of an engine")
    memory = Integer(512, config=True, help="Memory of an engine, in MB")

    def description(self, n: int) -> str:
        """The script that sbatch takes."""
        wanted = {
            "job-name": self.name_in_queue,
            "array": f"1-{n}",
            "ntasks": 1,
            "cpus-per-task": self.cpus,
            "mem": f"{self.memory}M",
            "output": self.folder / "%a.log",
            "chdir": environment.work_folder(),
            "partition": self.queue,
            "account": self.account,
            "qos": self.qos,
            "time": self.timelimit,
        }
        lines = [f"#SBATCH --{name}={value}" for name, value in wanted.items() if value]
        lines += [f"#SBATCH {line}" for line in self.options.splitlines()]
        return "\n".join(["#!/bin/sh", *lines, f"exec {shlex.quote(str(self.folder / 'engine'))}", ""])


class HTCondorEngines(_Engines, HTCondorEngineSetLauncher):  # type: ignore[misc]
    """Engines as jobs of HTCondor, in a shared home: upstream's template starts none there.

    Configuration calls it `c.HTCondorEngineSetLauncher`, whose settings it has.
    """

    batch: ClassVar[Cluster] = "condor"

    cpus = Integer(1, config=True, help="CPUs of an engine")
    memory = Integer(512, config=True, help="Memory of an engine, in MB")
    options = Unicode("", config=True, help="More lines for condor_submit")

    def description(self, n: int) -> str:
        """What condor_submit takes. No environment: whoever may look at the queue would read it."""
        wanted = {
            "universe": "vanilla",
            "executable": self.folder / "engine",
            "transfer_executable": "false",
            "should_transfer_files": "NO",
            "initialdir": environment.work_folder(),
            "output": self.folder / "$(Process).log",
            "error": self.folder / "$(Process).log",
            "request_cpus": self.cpus,
            "request_memory": self.memory,
            "batch_name": self.name_in_queue,
        }
        lines = [f"{name} = {value}" for name, value in wanted.items()]
        return "\n".join([*lines, *self.options.splitlines(), f"queue {n}", ""])


# ---- what upstream does not say -------------------------------------------------------------------


def _say_what_cannot_be_sent(send: Callable[..., Any]) -> Callable[..., Any]:
    """Add to the error of a call that cannot be pickled which of its variables is to blame."""

    @functools.wraps(send)
    def sending(
        client: object,
        socket: object,
        f: Callable[..., object],
        args: Any = None,  # noqa: ANN401 as upstream has it
        kwargs: Any = None,  # noqa: ANN401
        *more: Any,  # noqa: ANN401
        **named: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        try:
            return send(client, socket, f, args, kwargs, *more, **named)
        except Exception as error:
            if why := unsendable.explain(f, args or (), kwargs):
                error.add_note(why)
            raise

    return sending


Client.send_apply_request = _say_what_cannot_be_sent(Client.send_apply_request)


def _say_what_cannot_be_pickled(pickle: Callable[..., None]) -> Callable[..., None]:
    """The same for what most calls do first: pickle a function, or a value, once for all engines."""

    @functools.wraps(pickle)
    def pickling_once(self: object, obj: object) -> None:
        try:
            pickle(self, obj)
        except Exception as error:
            if why := unsendable.explain(obj) if callable(obj) else unsendable.explain_value(obj):
                error.add_note(why)
            raise

    return pickling_once


PrePickled.__init__ = _say_what_cannot_be_pickled(PrePickled.__init__)
