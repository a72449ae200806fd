"""Tests that disturb each other never run at the same time, and the others do."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support import needs as of_tests
from support.needs import Needs
from support.side_by_side import Locks

SUPPORT = Path(__file__).parents[2]
CONFTEST = """
from pathlib import Path
from support import side_by_side

def pytest_addoption(parser):
    side_by_side.add_options(parser)

def pytest_configure(config):
    side_by_side.register(config, Path("locks").absolute())
"""
# Each test tells when it began and when it ended.
MODULE = """
import pathlib, pytest, time

@pytest.fixture
def told(request):
    begun = time.time()
    yield
    with pathlib.Path("told").open("a") as file:
        file.write(f"{{request.node.name}} {{begun}} {{time.time()}}\\n")

{tests}
"""


def needs(own: str = "", shared: str = "") -> Needs:
    return Needs(frozenset(own.split()), frozenset(shared.split()))


@pytest.mark.parametrize(
    ("one", "other", "disturb"),
    [
        (needs("a"), needs("a"), True),
        (needs("a"), needs("", "a"), True),
        (needs("", "a"), needs("", "a"), False),
        (needs("a"), needs("b"), False),
        (needs("hpc/alice", "hpc"), needs("hpc"), True),
        (needs("hpc/alice", "hpc"), needs("hpc/bob", "hpc"), False),
    ],
)
def test_who_has_a_thing_for_itself_is_disturbed_by_everybody_else_with_it(
    one: Needs, other: Needs, disturb: bool
):
    assert one.disturb(other) is other.disturb(one) is disturb


def test_what_is_shared_is_had_at_once_and_what_is_not_is_waited_for(tmp_path: Path):
    first, second, third = (Locks(tmp_path) for _ in range(3))
    first.take(needs("", "slurm"))
    second.take(needs("", "slurm"))
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(third.take, needs("slurm"))
        time.sleep(0.1)
        assert not waits.done()
        first.release()
        second.release()
        waits.result(timeout=5)


def test_who_waits_for_one_thing_keeps_nobody_from_another(tmp_path: Path):
    first, second, third = (Locks(tmp_path) for _ in range(3))
    first.take(needs("hpc/bob"))
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(second.take, needs("hpc/alice", "hpc/bob"))
        time.sleep(0.1)
        third.take(needs("hpc/alice"))
        first.release()
        time.sleep(0.1)
        assert not waits.done()
        third.release()
        waits.result(timeout=5)


def run(folder: Path, *options: str, **modules: list[str]) -> tuple[int, dict[str, tuple[float, float]]]:
    """A run of small modules, of tests with marks before their names: its exit code, and when each ran."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "tests").mkdir()
    for name, tests in modules.items():
        lines = []
        for test in tests:
            *marks, its_name = test.split()
            lines += [f"@pytest.mark.{mark}" for mark in marks]
            lines += [f"def test_{its_name}(told):", f"    time.sleep(0.3); assert 'bad' not in '{its_name}'"]
        suite = folder / "tests" / "suite"
        suite.mkdir(exist_ok=True)
        (suite / f"test_{name}.py").write_text(MODULE.format(tests="\n".join(lines)))
    words = [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-p", "no:cacheprovider", *options]
    path = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, check=False)
    assert done.returncode in {0, 1}, done.stdout.decode() + done.stderr.decode()
    told = [line.split() for line in (folder / "told").read_text().splitlines()]
    return done.returncode, {name: (float(begin), float(end)) for name, begin, end in told}


SPREAD = ("--numprocesses=3", "--dist=loadfile")


def overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def test_files_run_beside_each_other_but_for_what_one_has_for_itself(tmp_path: Path):
    alices = "needs('hpc/alice')"
    _, ran = run(
        tmp_path, *SPREAD, a=[f"{alices} a1", f"{alices} a2"], b=[f"{alices} b1", f"{alices} b2"],
        c=["c1", "c2", "c3", "c4"], d=["alone d1"],
    )  # fmt: skip
    assert len(ran) == 9
    for one in ("test_a1", "test_a2"):
        assert not any(overlap(ran[one], ran[other]) for other in ("test_b1", "test_b2"))
    firsts = [ran[f"test_{name}"] for name in ("a1", "a2", "b1", "b2")]
    assert any(overlap(ran[f"test_c{number}"], one) for number in (1, 2, 3, 4) for one in firsts)
    assert ran["test_d1"][0] >= max(end for name, (_, end) in ran.items() if name != "test_d1")


def test_a_thing_that_a_file_keeps_throughout_is_nobody_elses_between_its_tests(tmp_path: Path):
    _, ran = run(
        tmp_path, *SPREAD, a=["needs('x',throughout=True) a1", "a2"], b=["needs('x') b1", "needs('x') b2"]
    )
    whole = (ran["test_a1"][0], ran["test_a2"][1])
    assert not overlap(whole, ran["test_b1"])
    assert not overlap(whole, ran["test_b2"])


def test_a_seed_gives_the_same_order_again_and_another_than_without(tmp_path: Path):
    orders = []
    for number, options in enumerate(((), ("--shuffle=7",), ("--shuffle=7",))):
        folder = tmp_path / str(number)
        folder.mkdir()
        _, ran = run(folder, *options, a=["a1", "a2", "a3"], b=["b1", "b2", "alone b3"])
        orders.append(sorted(ran, key=lambda name: ran[name][0]))
    assert orders[0] != orders[1] == orders[2]
    assert orders[1][-1] == "test_b3", "alone comes last in any order"


def test_what_became_of_each_suite_is_written_down(tmp_path: Path):
    code, _ = run(tmp_path, *SPREAD, "--results=results.json", a=["good1"], b=["bad1", "good2"])
    told = json.loads((tmp_path / "results.json").read_text())
    assert code == 1
    assert {name: told["suite"][name] for name in ("passed", "failed")} == {"passed": 2, "failed": 1}
    assert told["suite"]["seconds"] >= 3 * 0.3


def test_who_starts_what_the_test_has_not_asked_for_is_told(monkeypatch):
    monkeypatch.setattr(of_tests, "_held", Needs(frozenset({"hpc/alice", "htc"}), frozenset({"hpc"})))
    of_tests.check_held("hpc/alice")
    of_tests.check_held("htc/bob")
    for thing in ("hpc/carol", "hpc"):
        with pytest.raises(AssertionError, match=f"needs\\('{thing}'\\)"):
            of_tests.check_held(thing)
    monkeypatch.setattr(of_tests, "_held", None)
    of_tests.check_held("hpc/carol")
