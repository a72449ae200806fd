"""The program of each job: `main` with the words FOLDER CHUNK COUNT [TASK]; the folder: bundle.py.

It calls the function with its part of the inputs, and puts the results into files that have their names once
they are whole. What it has done it does not do again when the batch system starts it anew.

Each job waits for what is loaded here: neither pathlib nor what only a failure needs.
"""

from __future__ import annotations

import os
import pickle
import sys
import time

TYPE_CHECKING = False  # not typing's, which takes time to load
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, BinaryIO

NO_SPACE = 75  # exit code: no room for a result
FULL = {28, 122}  # ENOSPC, EDQUOT
SOON = 1.0  # seconds after which results are handed over, though there is more to do
LARGE = 1 << 20  # … or so many bytes of them
NUMBER = 8  # bytes of a number in a file
OWN = os.path.dirname(os.path.dirname(__file__))  # whose files are of no interest in a traceback


class Shared:
    """Stands in an input for an argument that has a file of its own."""

    def __init__(self, number: int) -> None:
        self.number = number


class Results:
    """The files with what became of inputs: what was written, then a list of it, then that list's length."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._file: BinaryIO | None = None
        self._began = 0.0
        self._list: list[tuple[int, str, int, int]] = []  # input, kind, offset, bytes

    def add(self, number: int, kind: str, write: Callable[[BinaryIO], object]) -> None:
        """One more, or nothing of it."""
        if self._file is None:
            self._file = open(os.path.join(self._folder, f".{number}"), "wb")
            self._began = time.monotonic()
        offset = self._file.tell()
        try:
            write(self._file)
        except BaseException:
            self._file.seek(offset)
            self._file.truncate()
            raise
        end = self._file.tell()
        self._list.append((number, kind, offset, end - offset))
        if end > LARGE or time.monotonic() - self._began > SOON:
            self.hand_over()

    def hand_over(self) -> None:
        """What there is, in one piece."""
        if self._file is None:
            return
        listed = pickle.dumps(self._list)
        self._file.write(listed + len(listed).to_bytes(NUMBER, "little"))
        self._file.close()
        new = self._file.name
        os.rename(new, os.path.join(self._folder, f"{self._list[0][0]}-{self._list[-1][0]}"))
        self._file, self._list = None, []

    def give_up(self) -> None:
        """Leave nothing half done behind, which would take space."""
        if self._file is not None:
            os.unlink(self._file.name)


class Calls:
    """The function and its inputs."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._shared: dict[int, Any] = {}
        self._function: Any = None

    def load(self) -> None:
        """The function, which all inputs have in common."""
        self._function = self._read("function")
        if sources := self._read("sources"):
            import linecache

            for name, text in sources.items():
                linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)

    def call(self, number: int) -> Any:
        """Call it with one of them."""
        args, kwargs = self._input(number)
        return self._function(
            *(self._whole(value) for value in args),
            **{name: self._whole(value) for name, value in kwargs.items()},
        )

    def _input(self, number: int) -> Any:
        with open(os.path.join(self._folder, "index"), "rb") as index:
            index.seek(number * NUMBER)
            start, end = (int.from_bytes(index.read(NUMBER), "little") for _ in range(2))
        with open(os.path.join(self._folder, "inputs"), "rb") as inputs:
            inputs.seek(start)
            return pickle.loads(inputs.read(end - start))

    def _whole(self, value: Any) -> Any:
        if not isinstance(value, Shared):
            return value
        if value.number not in self._shared:
            self._shared[value.number] = self._read(f"shared/{value.number}")
        return self._shared[value.number]

    def _read(self, name: str) -> Any:
        with open(os.path.join(self._folder, name), "rb") as file:
            return pickle.load(file)


def done(folder: str) -> set[int]:
    """The inputs of which there are results."""
    found: set[int] = set()
    for name in os.listdir(folder):
        first, _, last = name.partition("-")
        if first.isdecimal() and last.isdecimal():
            found.update(range(int(first), int(last) + 1))
    return found


def dump(value: Any, file: BinaryIO) -> None:
    """What a notebook has made is sent back by value, as it came."""
    by_value = sys.modules.get("cloudpickle")
    start = file.tell()
    try:
        (by_value or pickle).dump(value, file, protocol=5)
    except OSError:
        raise
    except Exception:
        if by_value:
            raise
        file.seek(start)
        file.truncate()
        import cloudpickle

        cloudpickle.dump(value, file, protocol=5)


def failure(error: BaseException) -> tuple[str, str, bytes]:
    """The error in a word, its traceback as text, and itself; b"" where that cannot be sent."""
    import io
    import traceback

    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename.startswith(OWN):
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace))
    word = "".join(traceback.format_exception_only(type(error), error)).strip()
    packed = io.BytesIO()
    try:
        dump(error.with_traceback(None), packed)
        pickle.loads(packed.getvalue())  # some can be written and not be read
    except Exception:
        return word, text, b""
    return word, text, packed.getvalue()


def run(folder: str, inputs: Iterable[int]) -> None:
    """Call the function with each, and put down what became of it."""
    results = Results(os.path.join(folder, "results"))
    calls = Calls(folder)
    broken: BaseException | None = None
    try:
        try:
            calls.load()
        except Exception as error:  # a module that is not there, for example
            broken = error
        for number in inputs:
            one(calls, number, results, broken)
        results.hand_over()
    except OSError:
        results.give_up()
        raise


def one(calls: Calls, number: int, results: Results, broken: BaseException | None) -> None:
    """What became of one input."""
    error = broken
    if error is None:
        try:
            value = calls.call(number)
        except SystemExit as left:
            error = RuntimeError(f"it called sys.exit({'' if left.code is None else left.code!r})")
            error.__traceback__ = left.__traceback__
        except BaseException as raised:
            error = raised
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if error is None:
        try:
            results.add(number, "value", lambda file: dump(value, file))
        except OSError:
            raise
        except Exception as unsent:
            error = TypeError(
                f"the result, of type {type(value).__name__}, cannot be sent back to the notebook: {unsent}"
            )
        else:
            return
    told = failure(error)
    results.add(number, "raised", lambda file: pickle.dump(told, file))


def main() -> None:
    """Exit code 0 when there is a result or an error of each input."""
    folder, chunk, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    task = sys.argv[4] if len(sys.argv) > 4 else os.environ.get("SLURM_ARRAY_TASK_ID", "0")
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # people read along
    sys.path[0] = ""  # the folder of this file is nobody's business
    with open(os.path.join(folder, "path")) as file:
        sys.path[1:1] = file.read().splitlines()
    try:
        with open(os.path.join(folder, "ids")) as file:
            place = file.read().split().index(task)
    except FileNotFoundError:
        place = int(task)
    inputs: Iterable[int] = range(place * chunk, min(count, (place + 1) * chunk))
    rank = int(os.environ.get("SLURM_PROCID", "0"))
    if rank:
        follow(folder, inputs)
        return
    started = os.path.join(folder, "started", str(place))
    try:
        again = os.path.exists(started)
        with open(started, "w") as file:
            file.write(os.uname().nodename)
    except OSError:  # no space: perhaps there is some by the time of the result
        again = False
    if again:
        before = done(os.path.join(folder, "results"))
        inputs = [number for number in inputs if number not in before]
    try:
        run(folder, inputs)
    except OSError as error:
        print(error, file=sys.stderr)
        if error.errno in FULL:
            sys.exit(NO_SPACE)
        raise


def follow(folder: str, inputs: Iterable[int]) -> None:
    """On each other node of the same job: the same call, of which only the first one's result counts."""
    calls = Calls(folder)
    calls.load()
    for number in inputs:
        calls.call(number)
