"""The examples in benchtop_batch's docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "lab/batch/benchtop_batch"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
WITH_EXAMPLES = sorted(file for file in PACKAGE.rglob("*.py") if ">>> " in file.read_text())


@pytest.mark.parametrize("file", WITH_EXAMPLES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_what_an_example_shows_is_what_comes(file: Path):
    words = file.relative_to(PACKAGE.parent).with_suffix("").parts
    module = importlib.import_module(".".join(words[:-1] if words[-1] == "__init__" else words))
    runner, said = doctest.DocTestRunner(optionflags=FLAGS), []
    for test in doctest.DocTestFinder().find(module):
        runner.run(test, out=said.append)
    failed, tried = runner.summarize(verbose=False)[:2]
    assert not failed, "".join(said)
    assert tried == file.read_text().count(">>> ")


def test_there_are_examples_of_what_people_write_and_read():
    names = {str(file.relative_to(PACKAGE)) for file in WITH_EXAMPLES}
    assert {
        "calls/function.py",
        "calls/options.py",
        "listing/job.py",
        "magics/line.py",
        "systems.py",
    } <= names
