"""The decorators `slurm` and `condor`, and `collect`."""

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, overload

from benchtop_batch.calls import bundle, job, options
from benchtop_batch.calls.bundle import Call
from benchtop_batch.calls.failed import OptionError
from benchtop_batch.calls.futures import Future, Futures
from benchtop_batch.calls.job import Facts
from benchtop_batch.calls.options import CondorOptions, Options, SlurmOptions
from benchtop_batch.calls.watch import WATCH
from benchtop_batch.place import Cluster
from benchtop_batch.systems import NAMES

P = ParamSpec("P")
T = TypeVar("T")


class Function(Generic[P, T]):
    """A function whose calls are jobs: what `slurm` and `condor` make of one.

    The plain one is its `__wrapped__`; in a job it is the plain one.
    """

    def __init__(self, function: Callable[P, T], cluster: Cluster, asked: Options, *, keep: bool) -> None:
        """Asked: as options.check returns it."""
        functools.update_wrapper(self, function)
        self.__wrapped__ = function
        self._cluster, self._keep = cluster, keep
        self._asked = asked

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call it in a job of its own.

        args: of the function; kwargs: likewise
        Raises NotSubmittedError, OptionError or UnsendableError with a sentence; then nothing is left behind.
        """
        plain: Callable[..., T] = self.__wrapped__
        futures = submit(plain, [(args, kwargs)], self._cluster, self._asked, keep=self._keep)
        return futures[0]

    def map(self, *inputs: Iterable[Any], tasks: int | None = None, **common: Any) -> Futures[T]:
        """Call it with each of the inputs, as Python's map does, in one array of jobs or one cluster.

        inputs: several iterables are taken together, up to the end of the shortest
        tasks: jobs at most, each of which takes a part of the inputs; by default `tasks` of batch.ini,
            otherwise 100. Slurm takes no more than its MaxArraySize; of more than 200, HTCondor's queue has
            200 at a time
        common: keywords that all calls get; the same object is sent once
        Raises NotSubmittedError, OptionError or UnsendableError with a sentence; then nothing is left behind.

        What a batch system starts anew (its node was lost, it had to make room) goes on with the inputs
        that are not done. Calls in the same job get the same `common` objects: do not change them.
        """
        if not inputs:
            raise TypeError("map needs at least one iterable of inputs")
        calls: list[Call] = [(args, common) for args in zip(*inputs, strict=False)]
        most = job.tasks_at_most(self._cluster, None if tasks is None else options.positive(tasks))
        chunk = max(1, -(-len(calls) // most))
        return submit(
            self.__wrapped__, calls, self._cluster, self._asked, keep=self._keep, chunk=chunk, single=False
        )

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Callable[..., Any]]]:
        return _plain, (self.__wrapped__,)

    def __get__(self, instance: object, owner: object = None) -> Any:
        if instance is None:
            return self
        plain: Callable[..., T] = self.__wrapped__
        bound = functools.partial(plain, instance)
        functools.update_wrapper(bound, self.__wrapped__)
        return Function(bound, self._cluster, self._asked, keep=self._keep)

    def __repr__(self) -> str:
        return f"<{getattr(self, '__qualname__', self.__wrapped__)} in jobs of {NAMES[self._cluster]}>"


def _plain(function: Callable[P, T]) -> Callable[P, T]:
    return function


def submit(  # noqa: PLR0913 each is said to a batch system
    function: Callable[..., T],
    calls: list[Call],
    cluster: Cluster,
    asked: Options,
    *,
    keep: bool = False,
    chunk: int = 1,
    single: bool = True,
    ids: tuple[int, ...] | None = None,
    limit: int = 0,
    title: str = "",
) -> Futures[T]:
    """Have calls of a function run, all by one submission: asked is as options.check returns it.

    Raises NotSubmittedError, OptionError or UnsendableError with a sentence.
    """
    if not calls:
        return Futures(job.Job(Path(), Facts(cluster, "", "nothing", 0)), [])
    job.usable(cluster)
    asked = job.with_defaults(cluster, asked)
    name = getattr(function, "__name__", "") or type(function).__name__
    facts = Facts(
        cluster, WATCH.name(cluster, keep=keep), job.title(title or name), len(calls), chunk, single, ids,
        keep, asked, limit=limit,
    )  # fmt: skip
    return _watched(job.submit(bundle.write(function, calls, chunk=chunk, ids=ids), facts))


def _watched(begun: job.Job) -> Futures[Any]:
    begun.futures = [Future(begun, index) for index in range(begun.facts.count)]
    WATCH.add(begun)
    return Futures(begun, begun.futures)


def collect(number: int | str, cluster: Cluster | None = None) -> Any:
    """The Future of a call, or the Futures of a map, of an earlier kernel, by the number of its job.

    number: as `Future.job` says it, or that of one of its tasks
    cluster: "slurm" or "condor", where both have a job of that number
    Raises LookupError with a sentence where nothing is known of it: files of jobs are kept for a week.
    """
    futures = _watched(job.find(str(number), cluster))
    futures._job.look()
    return futures[0] if futures._job.facts.single else futures


def _decorator(cluster: Cluster, function: Any, keep: bool, asked: Mapping[str, object]) -> Any:
    wanted = options.check(cluster, asked)
    if function is None:
        return lambda given: Function(given, cluster, wanted, keep=keep)
    if not callable(function):
        raise OptionError(f'@{cluster} takes options by name, like @{cluster}(memory="1G"), or a function.')
    return Function(function, cluster, wanted, keep=keep)


@overload
def slurm(function: Callable[P, T], /) -> Function[P, T]: ...


@overload
def slurm(
    *, keep: bool = False, **asked: Unpack[SlurmOptions]
) -> Callable[[Callable[P, T]], Function[P, T]]: ...


def slurm(function: Any = None, /, *, keep: bool = False, **asked: Any) -> Any:
    """Have calls of a function run as jobs of Slurm: `@slurm`, or with what a job asks for.

    function: the one that is decorated; it travels by value, with what of the notebook it uses
    keep: do its jobs go on when the notebook's kernel ends, for `collect`?
    asked: options of a job, as SlurmOptions has them
    Raises OptionError with a sentence for an option or a value that there is none of.

    >>> @slurm(memory="1G", time="10m")
    ... def simulate(seed, energy=13):
    ...     return seed * energy
    >>> simulate
    <simulate in jobs of Slurm>
    >>> simulate.__wrapped__(2)  # here, and not in a job
    26
    >>> slurm(memroy="1G")
    Traceback (most recent call last):
    benchtop_batch.calls.failed.OptionError: Slurm jobs have no option “memroy”. Did you mean “memory”? ...
    """
    return _decorator("slurm", function, keep, asked)


@overload
def condor(function: Callable[P, T], /) -> Function[P, T]: ...


@overload
def condor(
    *, keep: bool = False, **asked: Unpack[CondorOptions]
) -> Callable[[Callable[P, T]], Function[P, T]]: ...


def condor(function: Any = None, /, *, keep: bool = False, **asked: Any) -> Any:
    """Have calls of a function run as jobs of HTCondor: `@condor`, or with what a job asks for.

    function: the one that is decorated; it travels by value, with what of the notebook it uses
    keep: do its jobs go on when the notebook's kernel ends, for `collect`?
    asked: options of a job, as CondorOptions has them
    Raises OptionError with a sentence for an option or a value that there is none of.

    >>> condor(memory="lots")
    Traceback (most recent call last):
    benchtop_batch.calls.failed.OptionError: memory: “lots” is no amount of memory or disk: write ...
    """
    return _decorator("condor", function, keep, asked)
