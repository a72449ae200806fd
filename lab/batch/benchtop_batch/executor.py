"""`benchtop_batch.Executor`: the interface of concurrent.futures, with jobs of a batch system as workers.

Dask does the work, by the clusters of benchtop_batch.dask; why Dask and no other:
docs/explanation/scale-out.md. Added is what its own executor for this interface leaves out of what Python
promises:

- Two equal calls are two calls; upstream's runs a function of equal arguments once, and answers twice.
- Every keyword goes to the function; upstream's takes `key`, `workers`, `retries` and others for itself.
- shutdown(wait=False) lets go on what has begun, and shutdown(cancel_futures=True) takes back what has not.
- A call that cannot be sent names the variable to blame, before it is sent.
"""

import concurrent.futures
import functools
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ParamSpec, Self, TypeVar

from benchtop_batch import network, unsendable
from benchtop_batch.place import Cluster

P = ParamSpec("P")
T = TypeVar("T")


class Executor(concurrent.futures.Executor):
    """Runs calls in jobs of a batch system, as ProcessPoolExecutor runs them on this machine.

    cluster: "slurm" or "condor"; by default the one of this node
    workers: how many, each a job; they are there until shutdown(), or until the notebook ends
    settings: of the Dask cluster, for example memory="2GiB", queue="long"; by default what Dask's
        configuration says, otherwise one CPU and 1 GiB
    Raises UnavailableError with a sentence where no jobs can be sent from here, or workers could not reach
    it.
    """

    def __init__(self, cluster: Cluster | None = None, workers: int = 4, **settings: Any) -> None:  # noqa: ANN401 Dask's
        if workers < 1:
            raise ValueError("workers must be 1 or more")
        chosen = network.choose(cluster)
        from distributed import Client  # noqa: PLC0415 it takes a second to load

        from benchtop_batch.dask import clusters  # noqa: PLC0415

        self.cluster = clusters.KINDS[chosen](n_workers=workers, **settings)
        try:
            self.client = Client(self.cluster, set_as_default=False)
            self._pool = self.client.get_executor(pure=False)
        except BaseException:
            self.cluster.close()
            raise
        self._pending: weakref.WeakSet[concurrent.futures.Future[Any]] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._closed = False

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> "concurrent.futures.Future[T]":
        """Have a worker call the function: its result, or its exception with the worker's traceback.

        fn: the function; args: what it is called with; kwargs: likewise
        Raises UnsendableError for what cannot be sent, and RuntimeError after shutdown().
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if why := unsendable.explain(fn, args, kwargs):
                raise unsendable.UnsendableError(why)
            future: concurrent.futures.Future[T] = self._pool.submit(_call, _Call(fn, args, kwargs))
            self._pending.add(future)
        return future

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[T]:
        """Their results in order, as Python's map.

        fn: the function; iterables: what it is called with
        timeout: seconds for all of them, then TimeoutError is raised; None: as long as it takes
        chunksize: so many calls are sent to a worker together
        """
        if chunksize < 1:
            raise ValueError("chunksize must be 1 or more")
        if chunksize == 1:
            return super().map(fn, *iterables, timeout=timeout)
        calls = list(zip(*iterables, strict=False))
        chunks = [calls[start : start + chunksize] for start in range(0, len(calls), chunksize)]
        results = super().map(functools.partial(_each, fn), chunks, timeout=timeout)
        return (result for chunk in results for result in chunk)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers, once all calls have ended.

        wait: until they have; cancel_futures: take back the calls that have not begun
        """
        with self._lock:
            first, self._closed = not self._closed, True
        pending = [future for future in list(self._pending) if not future.done()]
        if cancel_futures:
            for future in pending:
                future.cancel()
        if not first:
            return
        if wait:
            concurrent.futures.wait(pending)
            self._end()
        else:
            threading.Thread(target=self._end_later, args=(pending,), daemon=True).start()

    def _end_later(self, pending: list["concurrent.futures.Future[Any]"]) -> None:
        concurrent.futures.wait(pending)
        self._end()

    def _end(self) -> None:
        self.client.close()
        self.cluster.close()

    def __enter__(self) -> Self:
        return self

    def __repr__(self) -> str:
        return f"<Executor of {self.cluster!r}>"


class _Call:
    """One call, as something that Dask does not look into: some tuples and keywords it takes for its own."""

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.fn, self.args, self.kwargs = fn, args, kwargs


def _call(call: _Call) -> Any:  # noqa: ANN401 whatever the function returns
    return call.fn(*call.args, **call.kwargs)


def _each(fn: Callable[..., T], calls: list[tuple[Any, ...]]) -> list[T]:
    return [fn(*call) for call in calls]
