"""A call that cannot be sent to another machine: which variable is to blame, and what to do."""

import pickle
import sys
import threading
from functools import partial
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from benchtop_batch import unsendable

LOCK = threading.Lock()
SETTINGS = {"name": "x", "lock": LOCK}


def dumps(thing: Any) -> object:
    """As cloudpickle does it: a function goes with what it uses, a module as its name, all else by pickle."""
    thing = getattr(thing, "func", thing)
    if isinstance(thing, ModuleType):
        return None
    if not isinstance(thing, FunctionType):
        return pickle.dumps(thing)
    for _, value in unsendable._variables(thing, thing):
        dumps(value)
    return None


def uses_a_lock(x: int) -> int:
    with LOCK:
        return x


def calls_it(x: int) -> int:
    return uses_a_lock(x)


def in_a_dict(x: int) -> object:
    return x, SETTINGS


def plain(x: int) -> int:
    return x + len(str(pickle))


def closure() -> Any:
    handle = threading.Lock()
    return lambda x: (x, handle)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (uses_a_lock, "“uses_a_lock” uses “LOCK”"),
        (calls_it, "“uses_a_lock” uses “LOCK”"),
        (in_a_dict, "“in_a_dict” uses “SETTINGS['lock']”"),
        (closure(), "“<lambda>” uses “handle”"),
        (partial(uses_a_lock, 1), "“uses_a_lock” uses “LOCK”"),
    ],
)
def test_the_variable_is_named_and_what_to_do(function: Any, words: str):
    said = unsendable.explain(function, dumps=dumps)
    assert words in said or words.replace("uses_a_lock” uses", "partial” uses") in said
    assert "it is of type _thread.lock" in said
    assert said.endswith(": leave it out, because workers share no memory with the notebook.")


def test_a_call_that_can_be_sent_is_not_complained_of():
    assert unsendable.explain(plain, [1], {"name": "x"}, dumps=lambda thing: None) == ""
    assert unsendable.explain(len, ["x"], dumps=dumps) == ""


def test_a_global_of_the_notebook_is_named_and_a_module_is_not():
    names = {"__name__": "__main__", "db": memoryview(b""), "pickle": pickle}
    exec("def f(x):\n    return pickle, db, x", names)  # noqa: S102 as a cell of a notebook
    said = unsendable.explain(names["f"], dumps=dumps)  # type: ignore[arg-type]
    assert said.startswith(
        "“f” uses “db”, which cannot be sent to another machine (it is of type memoryview)"
    )
    assert "make it inside the function, or give the function what it is made from" in said


def test_of_arguments_the_number_or_the_name_is_said_and_the_part():
    said = unsendable.explain(len, [1, [1, LOCK]], {"held": LOCK}, dumps=dumps)
    assert "Argument 2 ([1]) cannot be sent to another machine (it is of type _thread.lock): leave" in said
    assert " Argument “held” cannot be sent" in said


def test_a_default_is_looked_at():
    def function(x: int, lines: object = (line for line in "ab")) -> None: ...

    said = unsendable.explain(function, dumps=dumps)
    assert "“function” uses “lines”" in said
    assert said.endswith("make a list of it first.")


def test_an_open_file_is_to_be_opened_in_the_function(tmp_path: Path):
    with (tmp_path / "x").open("w") as file:
        said = unsendable.explain(len, [file], dumps=dumps)
    assert said.endswith("pass the file's path, and open it in the function.")


def test_what_is_to_blame_itself_is_said_so():
    class Odd:
        def __call__(self) -> None: ...

        def __reduce__(self) -> str:
            raise RuntimeError("never")

    assert unsendable.explain(Odd(), dumps=dumps) == "“Odd” cannot be sent to another machine: never."


def test_a_value_alone_is_explained_as_it_is_called():
    assert unsendable.explain_value([1, "x"], dumps=dumps) == ""
    assert unsendable.explain_value(LOCK, dumps=dumps).startswith("The value cannot be sent")
    assert unsendable.explain_value(LOCK, "Input 7", dumps=dumps).startswith("Input 7 cannot be sent")


def test_where_nothing_can_send_functions_nothing_is_said_of_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    assert unsendable.explain(uses_a_lock) == ""
    assert unsendable.explain_value(LOCK) == ""


def test_a_notebook_shows_the_sentence_alone():
    assert unsendable.UnsendableError("Why.")._render_traceback_() == ["UnsendableError: Why."]
