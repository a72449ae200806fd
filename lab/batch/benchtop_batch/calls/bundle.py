"""A job's folder, below the home: all that its tasks need, once, and all that comes back.

job.json     what it is (job.py)
run          the program of each task: the notebook's environment, then run.py
function     pickled; beside it path (where modules are imported from) and sources (the notebook's cells)
shared/N     arguments that several inputs have in common, or that are large
inputs       the inputs, pickled, one after the other; index: where each begins and the last one ends
ids          the numbers of the tasks, where they are not 0, 1, 2 …
started/N    that a task has begun, and on which node
results/A-B  what became of the inputs A to B
log/N.log    what a task printed
"""

import collections
import contextlib
import importlib
import inspect
import io
import linecache
import os
import pickle
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from benchtop_batch import environment, place, unsendable
from benchtop_batch.calls.failed import NotSubmittedError
from benchtop_batch.calls.run import LARGE, NUMBER, Shared
from benchtop_batch.maps import notebook

PREFIX = "call"
RECORD = "job.json"
KEPT_LONGER = (
    30 * 86400
)  # seconds that a job's folder is there at least, if the job was to outlive its notebook
Call = tuple[tuple[Any, ...], dict[str, Any]]
_SMALL = (int, float, complex, bool, type(None), bytes, str)
_PROGRAM = "from benchtop_batch.calls.run import main; main()"


def write(
    function: Callable[..., Any], calls: Sequence[Call], *, chunk: int, ids: Sequence[int] | None = None
) -> Path:
    """Make the folder; everything but what only a submitted job has.

    chunk: inputs that a task takes one after the other
    ids: the numbers of the tasks, otherwise 0, 1, 2 …
    Raises UnsendableError, or NotSubmittedError where there is no space; then nothing is left behind.
    """
    here, home = Path(sys.executable), Path.home()
    if not notebook.on_nodes(here, home, os.environ):
        raise NotSubmittedError(
            f"This kernel runs inside an image, and no node has its Python ({here}), so nothing was"
            " submitted. Use a notebook with another kernel, for example “Python 3”."
        )
    try:
        remove_old()
        folder = place.scratch(PREFIX)
    except OSError as error:
        raise NotSubmittedError(place.no_room(error)) from None
    try:
        place.with_room(folder)
        for name in ("shared", "started", "results", "log"):
            (folder / name).mkdir(mode=0o700)
        _pickle(folder, function, calls)
        (folder / "path").write_text("\n".join(notebook.own_path(sys.path, home)))
        if ids is not None:
            (folder / "ids").write_text(" ".join(map(str, ids)))
        words = [place.python(), "-c", _PROGRAM, str(folder), str(chunk), str(len(calls))]
        script = environment.script(environment.of_jobs(os.environ), words)
        (folder / "run").touch(mode=0o700)
        (folder / "run").write_text(f'{script.rstrip()} "$@"\n')
    except OSError as error:
        remove(folder)
        raise NotSubmittedError(place.no_room(error)) from None
    except BaseException:
        remove(folder)
        raise
    return folder


def remove(folder: Path) -> None:
    """All of it."""
    import shutil  # noqa: PLC0415 seldom

    shutil.rmtree(folder, ignore_errors=True)


def remove_old() -> None:
    """Remove the folders in which nothing has changed for a week."""
    for folder in (Path.home() / place.JOB_FILES).glob(f"{PREFIX}-*"):
        with contextlib.suppress(OSError):
            parts = (folder, folder / "results", folder / "started", folder / "log")
            age = time.time() - max(part.stat().st_mtime for part in parts)
            if age > place.KEPT and (
                age > KEPT_LONGER or '"keep": true' not in (folder / RECORD).read_text()
            ):
                remove(folder)


class Sender:
    """Pickles by value what a notebook has made. Raises NotSubmittedError where cloudpickle is missing."""

    def __init__(self) -> None:
        try:
            module = importlib.import_module("cloudpickle")
        except ImportError:
            raise NotSubmittedError(
                "This environment lacks the package cloudpickle, which sends functions to jobs:"
                " `pip install cloudpickle`, restart the kernel, and try again."
            ) from None
        self._table: Any = module.Pickler.dispatch_table
        own = {types.CodeType: self._code} if types.CodeType in self._table else {}
        table = collections.ChainMap(own, self._table)
        self._pickler = type("Pickler", (module.Pickler,), {"dispatch_table": table})

    def dump(self, value: object, file: BinaryIO) -> None:
        """Write it. Functions keep the names of their files, which cloudpickle takes away, for tracebacks."""
        self._pickler(file, protocol=5).dump(value)

    def dumps(self, value: object) -> bytes:
        """The same in memory."""
        with io.BytesIO() as file:
            self.dump(value, file)
            return file.getvalue()

    def _code(self, code: types.CodeType) -> tuple[Any, ...]:
        make, facts = self._table[types.CodeType](code)
        return make, tuple(
            shown_name(code.co_filename) if fact == "<dynamic-code>" else fact for fact in facts
        )


def shown_name(file: str) -> str:
    """What tracebacks call a file: In[3], of a notebook's cell."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    label = shell.compile.format_code_name(file) if shell else None
    return str(label[1]) if label else file


def _pickle(folder: Path, function: Callable[..., Any], calls: Sequence[Call]) -> None:
    sender = Sender()
    with _blamed(function), (folder / "function").open("xb") as file:
        sender.dump(function, file)
    with (folder / "sources").open("xb") as file:
        pickle.dump(dict(sources(function)), file)
    shared = _Shared(folder, sender, calls)
    with (folder / "inputs").open("xb") as inputs, (folder / "index").open("xb") as index:
        index.write((0).to_bytes(NUMBER, "little"))
        for number, call in enumerate(calls):
            with _blamed(function, number if len(calls) > 1 else None, call):
                inputs.write(shared.packed(call))
            index.write(inputs.tell().to_bytes(NUMBER, "little"))


class _Shared:
    """Arguments that get files of their own: the same object in several inputs, or a large one."""

    def __init__(self, folder: Path, sender: Sender, calls: Sequence[Call]) -> None:
        self._folder, self._sender = folder / "shared", sender
        seen = collections.Counter(
            id(value) for args, kwargs in calls for value in (*args, *kwargs.values())
            if not isinstance(value, _SMALL)
        )  # fmt: skip
        enough = max(2, len(calls) / 2)
        self._often = {value for value, times in seen.items() if times >= enough}
        self._numbers: dict[int, Shared] = {}

    def packed(self, call: Call) -> bytes:
        """A call as it stands among the inputs."""
        packed = self._sender.dumps(self._replaced(call, self._belongs_apart))
        if len(packed) > LARGE:
            packed = self._sender.dumps(
                self._replaced(
                    call, lambda value: self._belongs_apart(value) or len(self._sender.dumps(value)) > LARGE
                )
            )
        return packed

    def _belongs_apart(self, value: Any) -> bool:
        size = len(value) if isinstance(value, str | bytes) else getattr(value, "nbytes", 0)
        return id(value) in self._often or (isinstance(size, int) and size > LARGE)

    def _replaced(self, call: Call, apart: Callable[[object], bool]) -> Call:
        args, kwargs = call
        return (
            tuple(self._file(value) if apart(value) else value for value in args),
            {name: self._file(value) if apart(value) else value for name, value in kwargs.items()},
        )

    def _file(self, value: object) -> Shared:
        if id(value) not in self._numbers:
            number = len(self._numbers)
            with (self._folder / str(number)).open("xb") as file:
                self._sender.dump(value, file)
            self._numbers[id(value)] = Shared(number)
        return self._numbers[id(value)]


class _blamed:  # noqa: N801 used as a function
    """Says which variable keeps a call from being sent: a pickler names types alone."""

    def __init__(
        self, function: Callable[..., Any], number: int | None = None, call: Call = ((), {})
    ) -> None:
        self._function, self._number, self._call = function, number, call

    def __enter__(self) -> None:
        """Nothing before."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, OSError) or not isinstance(error, Exception):
            return
        why = unsendable.explain(self._function, *self._call) or f"The call cannot be sent: {error}."
        which = "" if self._number is None else f"Input {self._number}: "
        raise unsendable.UnsendableError(which + why) from error


def sources(function: Callable[..., Any]) -> Iterator[tuple[str, str]]:
    """The cells of the notebook from which a function and what it calls come: no node has them as files."""
    ahead: list[object] = [function]
    seen: set[int] = set()
    while ahead:
        one = inspect.unwrap(ahead.pop())  # type: ignore[arg-type] # whatever has an attribute of that name
        code = getattr(one, "__code__", None)
        if id(one) in seen or not isinstance(code, types.CodeType):
            continue
        seen.add(id(one))
        name = code.co_filename
        if (name.startswith(tempfile.gettempdir()) or not os.path.exists(name)) and linecache.getlines(name):  # noqa: PTH110
            yield shown_name(name), "".join(linecache.getlines(name))
        names = getattr(one, "__globals__", {})
        ahead += [names[other] for other in code.co_names if callable(names.get(other))]
