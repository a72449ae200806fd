"""The decorators `slurm` and `condor`, and `collect`."""

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, overload

from benchtop_batch.calls import bundle, job, options
from benchtop_batch.calls.bundle import Call
from benchtop_batch.calls.failed import OptionError
from benchtop_batch.calls.futures import Future, Futures
from benchtop_batch.calls.job import Facts
from benchtop_batch.calls.options import Options
from benchtop_batch.calls.watch import WATCH
from benchtop_batch.place import Cluster
from benchtop_batch.systems import NAMES

P = ParamSpec("P")
T = TypeVar("T")


class Function(Generic[P, T]):
    """A function whose calls are jobs. The plain one is its `__wrapped__`; in a job it is the plain one."""

    def __init__(self, function: Callable[P, T], cluster: Cluster, asked: Options, *, keep: bool) -> None:
        """Asked: as options.check returns it."""
        functools.update_wrapper(self, function)
        self.__wrapped__ = function
        self._cluster, self._keep = cluster, keep
        self._asked = asked

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call it in a job of its own.

        Raises benchtop_batch.NotSubmittedError, OptionError or UnsendableError with a sentence.
        """
        plain: Callable[..., T] = self.__wrapped__
        futures = submit(plain, [(args, kwargs)], self._cluster, self._asked, keep=self._keep)
        return futures[0]

    def map(self, *inputs: Iterable[Any], tasks: int | None = None, **common: Any) -> Futures[T]:
        """Call it with each of the inputs, as Python's map does, in one array of jobs or one cluster.

        common: keywords that all calls get
        tasks: jobs at most, by default what the site says, otherwise 100; each takes a part of the inputs
        Raises benchtop_batch.NotSubmittedError, OptionError or UnsendableError with a sentence.
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

    Raises benchtop_batch.NotSubmittedError, OptionError or UnsendableError with a sentence.
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
    """The future of a call, or the futures of a map, of an earlier kernel, by the number of its job.

    cluster: "slurm" or "condor", where both have a job of that number
    Raises LookupError with a sentence where nothing is known of it.
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
def slurm(function: Callable[P, T], /, *, keep: bool = ..., **asked: object) -> Function[P, T]: ...


@overload
def slurm(*, keep: bool = ..., **asked: object) -> Callable[[Callable[P, T]], Function[P, T]]: ...


def slurm(function: Any = None, /, *, keep: bool = False, **asked: object) -> Any:
    """Have calls of a function run as jobs of Slurm: `@slurm`, or with what a job asks for:

    cpus: 1 by default
    memory: "500M", "2G", or a number of MB
    time: the most that it runs: "10m", "2h", "1-12:00:00", or a number of minutes
    gpus: a number, or a type and a number: "a100:1"
    partition, account, qos: found by what else is asked for, where they are not given
    nodes: the function is called on each, by srun; the result is the first one's
    constraint: features of a node
    extra: a list of other options of sbatch
    keep: go on when the notebook's kernel ends, for `benchtop_batch.collect`
    Raises benchtop_batch.OptionError with a sentence.
    """
    return _decorator("slurm", function, keep, asked)


@overload
def condor(function: Callable[P, T], /, *, keep: bool = ..., **asked: object) -> Function[P, T]: ...


@overload
def condor(*, keep: bool = ..., **asked: object) -> Callable[[Callable[P, T]], Function[P, T]]: ...


def condor(function: Any = None, /, *, keep: bool = False, **asked: object) -> Any:
    """Have calls of a function run as jobs of HTCondor: `@condor`, or with what a job asks for:

    cpus: 1 by default
    memory: "500M", "2G", or a number of MB; 512 by default
    disk: the same
    gpus: a number, or a part of a type's name and a number: "a100:1"
    requirements: an expression of HTCondor
    extra: a list of other lines for condor_submit
    keep: go on when the notebook's kernel ends, for `benchtop_batch.collect`
    Raises benchtop_batch.OptionError with a sentence.
    """
    return _decorator("condor", function, keep, asked)
