"""Which variable of a call cannot be sent."""

import threading
from pathlib import Path

from benchtop_batch import unsendable


def outer(value: object):
    def inner(x: int) -> tuple[int, object]:
        return x, value

    return inner


def test_a_call_that_can_be_sent_is_not_complained_about():
    assert unsendable.explain(outer(3), [1], {"name": "x"}) == ""
    assert unsendable.explain(len, ["x"]) == ""


def test_the_variable_of_a_closure_is_named_with_what_to_do():
    told = unsendable.explain(outer(threading.Lock()), [1])
    assert told.startswith("The call of “inner” cannot be sent to a worker. Its variable “value” is a lock,")
    assert told.endswith("leave it out: workers share no memory with the notebook.")


def test_an_open_file_is_to_be_opened_in_the_function(tmp_path: Path):
    with (tmp_path / "x").open("w") as file:
        told = unsendable.explain(outer(3), [1, file])
    assert "Its argument number “2” is a TextIOWrapper" in told
    assert "pass the file's path, and open it in the function" in told


def test_named_arguments_and_defaults_are_looked_at():
    def function(x: int, lines: object = (line for line in "ab")) -> None: ...

    assert "The default of its argument “lines” is a generator" in unsendable.explain(function, [1])
    assert "Its argument “lock” is a lock" in unsendable.explain(outer(3), [], {"lock": threading.Lock()})


def test_a_global_of_the_notebook_is_named_and_one_of_a_module_is_not():
    names = {"__name__": "__main__", "lock": threading.Lock()}
    exec("def f(x):\n    return lock, x", names)  # noqa: S102 as a cell of a notebook
    function = names["f"]
    assert callable(function)
    assert "The notebook's variable “lock” is a lock" in unsendable.explain(function, [1])


def test_what_is_to_blame_itself_is_said_so():
    class Odd:
        def __call__(self) -> None: ...

        def __reduce__(self) -> str:
            raise RuntimeError("never")

    assert (
        unsendable.explain(Odd())
        == "The call of “Odd” cannot be sent to a worker. It cannot be sent (never)."
    )


def test_a_value_alone_is_explained_as_well():
    assert unsendable.explain_value([1, "x"]) == ""
    told = unsendable.explain_value(threading.Lock())
    assert told.startswith("A lock cannot be sent to a worker (")
