"""A function that cannot be sent to another machine: which variable it is, and what to do."""

import pickle
import threading
from functools import partial
from types import FunctionType
from typing import Any

import pytest

from benchtop_batch import pickling

LOCK = threading.Lock()
SETTINGS = {"name": "x", "lock": LOCK}


def dumps(thing: Any) -> object:
    """As cloudpickle does it: a function goes with what it uses, and anything else by pickle."""
    thing = getattr(thing, "func", thing)
    if not isinstance(thing, FunctionType):
        return pickle.dumps(thing)
    for _, value in pickling._variables(thing, thing):
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
    said = pickling.cannot_send(function, dumps)
    assert words in said or words.replace("uses_a_lock” uses", "partial” uses") in said
    assert "it is of type _thread.lock" in said
    assert "inside the function" in said


def test_a_function_that_can_be_sent_is_not_complained_of():
    assert pickling.cannot_send(plain, lambda thing: None) == ""


def test_of_inputs_the_number_is_named_and_the_part():
    assert "Input 7 cannot" in pickling.cannot_send_argument(7, LOCK, pickle.dumps)
    assert "Input 0 ([1]) cannot" in pickling.cannot_send_argument(0, [1, LOCK], pickle.dumps)
    assert pickling.cannot_send_argument(0, [1, 2], pickle.dumps) == ""
