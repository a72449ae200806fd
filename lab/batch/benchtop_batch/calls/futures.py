"""What a call returns: futures, as concurrent.futures knows them."""

import concurrent.futures
import pickle
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from benchtop_batch.calls.failed import JobError
from benchtop_batch.calls.progress import Line
from benchtop_batch.calls.run import LARGE
from benchtop_batch.calls.watch import WATCH

if TYPE_CHECKING:
    from benchtop_batch.calls.job import Job

T = TypeVar("T")
SHOW_AFTER = 2.0  # seconds of waiting after which a notebook is shown how far it is
LOOK = 0.2  # … between two changes of what it is shown


class Stored:
    """A result where its job has put it; read when it is asked for, and kept if it is small."""

    __slots__ = ("_length", "_offset", "_path", "_value", "_weak")

    def __init__(self, path: Path, offset: int, length: int) -> None:
        self._path, self._offset, self._length = path, offset, length
        self._value: tuple[Any] | None = None
        self._weak: weakref.ref[Any] | None = None

    def load(self) -> Any:
        """The result. Raises JobError where its file is gone."""
        if self._value is not None:
            return self._value[0]
        if self._weak is not None and (value := self._weak()) is not None:
            return value
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                value = pickle.load(file)  # noqa: S301 the person's own
        except OSError as error:
            raise JobError(
                f"The result cannot be read any more: {error.strerror} ({self._path}). Results are kept in"
                " files for a week. Call the function again."
            ) from None
        if self._length <= LARGE:
            self._value = (value,)
        else:
            try:
                self._weak = weakref.ref(value)
            except TypeError:
                self._weak = None
        return value


class Future(concurrent.futures.Future[T]):
    """One call in a job: a concurrent.futures.Future, so that `as_completed` and `wait` of Python take it.

    - What the function raised has the traceback of its node as cause, and number, node and log as a note.
    - A result of more than 1 MB is read from its file each time that nobody else holds it.
    """

    def __init__(self, job: "Job", index: int) -> None:
        super().__init__()
        self._job, self._index = job, index

    @property
    def job(self) -> str:
        """The number of its job, as the batch system writes it."""
        return self._job.task_number(self._job.task_of(self._index))

    @property
    def log(self) -> Path:
        """The file with what its job prints."""
        return self._job.log(self._job.task_of(self._index))

    @property
    def node(self) -> str:
        """Where it runs or ran; "" when that is not known yet."""
        return self._job.started.get(self._job.task_of(self._index), "")

    def running(self) -> bool:
        """Has its job begun, and is there no result yet?"""
        return not self.done() and bool(self.node)

    def state(self) -> str:
        """One of "done", "failed", "cancelled", "running", "queued"."""
        if self.cancelled():
            return "cancelled"
        if self.done():
            return "failed" if self._exception is not None else "done"
        return "running" if self.node else "queued"

    def result(self, timeout: float | None = None) -> T:
        """What the function returned, once it has. A notebook that waits is shown how far it is.

        timeout: seconds, then TimeoutError is raised; None: as long as it takes
        Raises what the function raised, a JobError that says why there is no result, or Python's
        CancelledError.
        """
        if not self.done() and threading.current_thread() is threading.main_thread():
            wait(self._job, [self], timeout)
        value: Any = super().result(timeout)
        found: T = value.load() if isinstance(value, Stored) else value
        return found

    def cancel(self) -> bool:
        """Nobody wants the result any more: its job ends, also when it runs, unless others wait for it.

        False: it was done before.
        """
        if not super().cancel():
            return False
        if self._state == "CANCELLED":  # those that wait are told now
            self.set_running_or_notify_cancel()
        if self._job.forget(self._index):
            WATCH.look_now()
        return True

    def succeed(self, stored: tuple[Path, int, int] | None) -> None:
        """There is a result in a file."""
        self._settle(Stored(*stored) if stored else None, None)

    def fail(self, error: BaseException) -> None:
        """There is none."""
        self._settle(None, error)

    def _settle(self, value: Any, error: BaseException | None) -> None:
        try:
            if error is not None:
                self.set_exception(error)
            else:
                self.set_result(value)
        except concurrent.futures.InvalidStateError:
            pass  # cancelled meanwhile

    def __repr__(self) -> str:
        return (
            f"<Future of {self._job.facts.title}: {self._job} {self.state()}>"
            if self._job.facts.single
            else (f"<Future of {self._job.facts.title}, input {self._index}: job {self.job} {self.state()}>")
        )


class Futures(list[Future[T]], Generic[T]):
    """The calls of one map: a list of Future, in the order of its inputs."""

    def __init__(self, job: "Job", futures: Iterable[Future[T]]) -> None:
        super().__init__(futures)
        self._job = job

    @property
    def job(self) -> str:
        """The number of the array of jobs, or of the cluster."""
        return self._job.number

    def results(self, timeout: float | None = None) -> list[T]:
        """All results in order, once all are there; how far they are is shown meanwhile.

        timeout: seconds, then TimeoutError is raised; None: as long as it takes
        Raises what the first failed one raises; the others go on, and keep their results.
        """
        self.wait(timeout)
        for future in self:
            if future.done() and (future.cancelled() or future.exception()):
                future.result()
        return [future.result(0) for future in self]

    def wait(self, timeout: float | None = None) -> None:
        """Until all are done, or one has failed.

        timeout: seconds, then TimeoutError is raised; None: as long as it takes
        """
        wait(self._job, self, timeout)

    def as_completed(self, timeout: float | None = None) -> Iterator[Future[T]]:
        """Each as soon as it is done.

        timeout: seconds for all of them, then TimeoutError is raised; None: as long as it takes
        """
        return concurrent.futures.as_completed(list(self), timeout)  # type: ignore[return-value] # the same ones

    def cancel(self) -> None:
        """End all that are not done."""
        for future in self:
            future.cancel()

    def progress(self) -> str:
        """How far they are, in plain words."""
        return self._job.progress()

    def __repr__(self) -> str:
        return f"<{len(self)} calls of {self._job.facts.title}; {self.progress()}>"


def wait(job: "Job", futures: Iterable[Future[Any]], timeout: float | None) -> None:
    """Until all are done or one has failed; a notebook is shown how far they are. Raises TimeoutError."""
    futures = list(futures)
    began = time.monotonic()
    line: Line | None = None
    first = concurrent.futures.FIRST_EXCEPTION
    try:
        while True:
            waited = time.monotonic() - began
            left = LOOK if timeout is None else min(LOOK, max(0.0, timeout - waited))
            over, pending = concurrent.futures.wait(
                futures, SHOW_AFTER if line is None and timeout is None else left, first
            )
            if not pending or any(future.cancelled() or future.exception() for future in over):
                return
            if timeout is not None and time.monotonic() - began >= timeout:
                raise TimeoutError(f"{len(pending)} of {len(futures)} are not done after {timeout} seconds")
            if time.monotonic() - began >= SHOW_AFTER:
                line = line or Line()
                line.show(job.progress(), len(over), len(futures))
    finally:
        if line is not None:
            line.show(job.progress(), sum(future.done() for future in futures), len(futures), last=True)
