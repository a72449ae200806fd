"""Runs a cell as a job, and shows how it goes on: what it waits for, what it prints, how it ends."""

import codecs
import concurrent.futures
import contextlib
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, TypeVar

from benchtop_batch import unsendable
from benchtop_batch.calls import function
from benchtop_batch.calls.failed import JobError, NotSubmittedError, OptionError, RemoteTraceback
from benchtop_batch.calls.futures import Future, Futures
from benchtop_batch.calls.job import Job
from benchtop_batch.calls.progress import Line
from benchtop_batch.magics import line as lines
from benchtop_batch.magics import on_node
from benchtop_batch.magics.line import Request
from benchtop_batch.place import Cluster
from benchtop_batch.unsendable import UnsendableError

E = TypeVar("E", bound=BaseException)
LOOK = 0.1  # seconds between two looks at what it prints
AT_ONCE = 1 << 20  # bytes that are shown of a log at a time, and once the job is over


def run(cluster: Cluster, line: str, cell: str, shell: Any) -> None:
    """What the magics do. Raises what the cell raised, or JobError; a notebook shows a sentence or the
    job's own traceback.
    """
    try:
        request = lines.parse(cluster, line)
        lines.check_variables(request.inputs, shell.user_ns)
        variables = {name: shell.user_ns[name] for name in request.inputs}
        futures = submit(cluster, request, cell, variables, shell)
    except (OptionError, NotSubmittedError, UnsendableError) as error:
        raise shown(error, [f"{type(error).__name__}: {error}"]) from None
    if request.background:
        single = request.ids is None
        shell.user_ns[request.background] = futures[0] if single else futures
        wait = "result()" if single else "results()"
        print(f"{futures._job} is submitted. {request.background}.{wait} waits for it.")
        return
    follow(futures)
    if request.outputs:
        results = [future.result() for future in futures]
        for name in request.outputs:  # one comes as it is: on_node.py
            values = results if len(request.outputs) == 1 else [result[name] for result in results]
            shell.user_ns[name] = values if request.ids is not None else values[0]


def submit(
    cluster: Cluster, request: Request, cell: str, variables: Mapping[str, Any], shell: Any
) -> Futures[Any]:
    """The cell as a job, or as one of each task."""
    source = shell.transform_cell(cell)
    own_syntax = "get_ipython()" in source and "get_ipython()" not in cell
    name = f"In[{shell.execution_count}]"
    tasks: tuple[int | None, ...] = request.ids or (None,)
    try:
        return function.submit(
            on_node.run_cell,
            [((source, name, variables, request.outputs, task, own_syntax), {}) for task in tasks],
            cluster,
            request.asked,
            keep=request.keep,
            single=request.ids is None,
            ids=request.ids,
            limit=request.limit,
            title=f"cell_{shell.execution_count}",
        )
    except UnsendableError:
        for variable, value in variables.items():
            if why := unsendable.explain_value(value, f"“{variable}”"):
                raise UnsendableError(why) from None
        raise


def follow(futures: Futures[Any]) -> None:
    """Until all are done. Raises what the first failed one raises; an interrupt ends the job."""
    job, line = futures._job, Line()
    printed = Printed(job, numbered=not job.facts.single)
    began = time.monotonic()
    try:
        while True:
            done, pending = concurrent.futures.wait(list(futures), LOOK)
            printed.show()
            if not pending:
                break
            trouble = f" ({job.trouble})" if job.trouble else ""
            line.show(job.progress() + trouble, len(done), len(futures))
    except KeyboardInterrupt as stop:
        futures.cancel()
        job.cancel()
        trouble = f" when its batch system answers ({job.trouble})" if job.trouble else ""
        line.show(f"{job}: cancelled{trouble}", last=True)
        raise shown(stop, [f"KeyboardInterrupt: {job} is cancelled{trouble}."]) from None
    line.show(ended(job, futures, time.monotonic() - began), len(futures), len(futures), last=True)
    for future in futures:
        if error := future.exception():
            raise as_shown(error) from error.__cause__


def ended(job: Job, futures: Futures[Any], seconds: float) -> str:
    """The last word on a job."""
    failed = sum(future.exception() is not None for future in futures)
    nodes = sorted(set(job.started.values()))
    where = f" on {', '.join(nodes[:4])}{' …' if len(nodes) > 4 else ''}" if nodes else ""
    if not failed:
        return f"{job}: done in {seconds:.1f} s{where}"
    if job.facts.single:
        return f"{job}: failed after {seconds:.1f} s{where}"
    return (
        f"{job}: {failed} of {len(futures)} tasks failed{where}; the others' results: collect({job.number})"
    )


def as_shown(error: BaseException) -> BaseException:
    """The same, which a notebook shows with the job's own traceback, or as a sentence."""
    if isinstance(error, JobError):
        return shown(error, [f"{type(error).__name__}: {error}"])
    if isinstance(error.__cause__, RemoteTraceback):
        return shown(error, [error.__cause__.text.rstrip(), *getattr(error, "__notes__", ())])
    return error


def shown(error: E, text: list[str]) -> E:
    """The same, of which a notebook shows this text, and not where in this package it was raised."""
    with contextlib.suppress(AttributeError):  # of a class without a place for it
        error._render_traceback_ = lambda: "\n".join(text).splitlines()  # type: ignore[attr-defined] # IPython's
    return error


class Printed:
    """What a job has printed, as it comes. numbered: each line begins with the number of its task"""

    def __init__(self, job: Job, *, numbered: bool) -> None:
        self._job, self._numbered = job, numbered
        self._offsets: dict[int, int] = {}
        self._rest: dict[int, str] = {}
        self._over: set[int] = set()
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {task: decoder("replace") for task in range(job.facts.tasks)}

    def show(self) -> None:
        """What is new."""
        for task, decoder in self._decoders.items():
            future: Future[Any] = self._job.futures[task]
            if task in self._over or not (task in self._job.started or future.done()):
                continue
            finished = future.done()
            raw = self._read(task)
            new = decoder.decode(raw, finished)
            if finished and len(raw) == AT_ONCE and self._read(task):
                new += f"\n… and more, in {self._job.log(task)}\n"
            if self._numbered:
                new = self._complete(task, new, finished)
            if new:
                sys.stdout.write(new)
                sys.stdout.flush()
            if finished:
                self._over.add(task)

    def _read(self, task: int) -> bytes:
        try:
            with self._job.log(task).open("rb") as log:
                if log.seek(0, os.SEEK_END) < self._offsets.get(task, 0):  # it was started anew
                    self._offsets[task] = 0
                log.seek(self._offsets.get(task, 0))
                new = log.read(AT_ONCE)
        except OSError:
            return b""
        self._offsets[task] = self._offsets.get(task, 0) + len(new)
        return new

    def _complete(self, task: int, new: str, finished: bool) -> str:
        """Whole lines, with the number of the task before each."""
        text = self._rest.pop(task, "") + new
        whole, newline, rest = text.rpartition("\n")
        if finished and rest:
            whole, newline, rest = text, "\n", ""
        self._rest[task] = rest
        named = self._job.facts.ids[task] if self._job.facts.ids else task
        return "".join(f"[{named}] {line}\n" for line in whole.split("\n")) if newline else ""
