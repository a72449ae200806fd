"""Runs a cell in its job."""

import ast
import inspect
import linecache
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def run_cell(  # noqa: PLR0913, PLR0917 each is of the cell
    source: str,
    name: str,
    variables: Mapping[str, Any],
    outputs: Sequence[str],
    task: int | None,
    shell: bool,
) -> Any:
    """The variables that the notebook wants back: one as it is, several by their names.

    source: the cell, as Python; name: what tracebacks call it
    task: the number of this job among several, which the cell knows as `task`
    shell: does it use IPython's own syntax, like !ls?
    """
    space = sys.modules["__main__"].__dict__
    space.update(variables)
    if task is not None:
        space["task"] = task
    text = f"\n{source}"  # its first line is the magic itself, so that lines have the notebook's numbers
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    if shell:
        _begin_shell(space)
    tree = ast.parse(text, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    _execute(compile(tree, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), space)
    if isinstance(last, ast.Expr):
        value = _execute(
            compile(ast.Expression(last.value), name, "eval", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), space
        )
        if value is not None and not source.rstrip().endswith(";"):
            print(repr(value))
    for wanted in outputs:
        if wanted not in space:
            raise NameError(f"the cell has not set “{wanted}”, which --out names")
    if len(outputs) == 1:
        return space[outputs[0]]
    return {wanted: space[wanted] for wanted in outputs} if outputs else None


def _execute(code: Any, space: dict[str, Any]) -> Any:
    value = eval(code, space)  # noqa: S307 the person's own cell
    if code.co_flags & inspect.CO_COROUTINE:
        import asyncio

        value = asyncio.run(value)
    return value


def _begin_shell(space: dict[str, Any]) -> None:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    InteractiveShell.instance(
        user_ns=space,
        config=Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}}),
    )
