"""Tests run beside each other, and each has for itself what it says that it needs.

`@pytest.mark.needs("hpc/alice")`: while this test runs, none does that needs the same, or all of `hpc`.
`@pytest.mark.shares("slurm")`: only who needs all of Slurm is kept away. Things are plain names; what follows
a slash is a part of what is before it. `throughout=True`: from the first test of the file to its last, for
what a fixture of the module holds. `@pytest.mark.alone`: nothing else runs; such tests come last.

A worker of pytest-xdist takes tests of one file that need the same. Locks on files keep the tests of workers
apart, and also those of another run beside this one.
"""

from __future__ import annotations

import fcntl
import json
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from support.needs import Needs, hold

ALONE = "what runs alone"
LONG = 3  # short tests take as long as a long one


def add_options(parser: pytest.Parser) -> None:
    """Those of this plugin."""
    parser.addoption("--shuffle", metavar="SEED", help="run files, and the tests in each, in another order")
    parser.addoption("--results", metavar="FILE", type=Path, help="write down what became of each suite")


def register(config: pytest.Config, locks: Path) -> None:
    """Keep tests apart that disturb each other; locks: the folder in which all runs of a facility do."""
    if config.getoption("numprocesses"):
        config.pluginmanager.register(Controller(config))
    else:
        config.pluginmanager.register(SideBySide(config, locks))
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Results(config, config.getoption("results")))


class Locks:
    """What this process holds: a file for each thing, so that other processes are kept out as well."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held = ExitStack()

    def take(self, needs: Needs) -> None:
        """Wait until nobody is disturbed. Nothing may be held before.

        Who waits holds nothing that others could use meanwhile: all is had at once, or one thing is waited
        for, and then the rest is tried again. So no two wait for each other; who needs much may wait long.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        while thing := self._try(needs):
            with self._file(thing) as file:
                fcntl.flock(file, _how(thing, needs))

    def _try(self, needs: Needs) -> str:
        """Take all, or nothing; the first thing that somebody else has, or "" when all is taken."""
        with ExitStack() as held:
            for thing in sorted(needs.own | needs.shared):
                try:
                    fcntl.flock(held.enter_context(self._file(thing)), _how(thing, needs) | fcntl.LOCK_NB)
                except BlockingIOError:
                    return thing
            self._held = held.pop_all()
        return ""

    def _file(self, thing: str) -> TextIO:
        return (self._folder / thing.replace("/", "+")).open("w")

    def release(self) -> None:
        """Leave all of it to others."""
        self._held.close()


def _how(thing: str, needs: Needs) -> int:
    return fcntl.LOCK_EX if thing in needs.own else fcntl.LOCK_SH


@dataclass(frozen=True)
class Unit:
    """Tests that one worker runs one after the other."""

    name: str
    items: list[pytest.Item]

    def scopes(self) -> dict[str, tuple[str, Needs]]:
        """By test: for what its things are had (a test, a file that keeps them throughout, or all that run
        alone), and which these are.
        """
        files: dict[Path, list[pytest.Item]] = {}
        for item in self.items:
            files.setdefault(item.path, []).append(item)
        scopes = {}
        for path, items in files.items():
            kept = any(mark.kwargs.get("throughout") for item in items for mark in item.iter_markers())
            for item in items:
                if self.name == ALONE:
                    scopes[item.nodeid] = (ALONE, Needs.of(self.items))
                elif kept:
                    scopes[item.nodeid] = (str(path), Needs.of(items))
                else:
                    scopes[item.nodeid] = (item.nodeid, Needs.of([item]))
        return scopes

    def rank(self, wanted: Mapping[str, int]) -> tuple[bool, int]:
        """Where it stands: first what most work waits for in a line, last what runs alone.

        wanted: how much work needs a thing for itself (work_of)
        """
        waits = [wanted[thing] for thing in Needs.of(self.items).own]
        return self.name == ALONE, -max(sum(map(work_of, self.items)), *waits, 0)


def work_of(item: pytest.Item) -> int:
    """How long a test takes, roughly, in short ones."""
    return LONG if item.get_closest_marker("long") else 1


def units_of(items: Sequence[pytest.Item]) -> list[Unit]:
    """The tests in their units, in the order in which they come.

    Those of a file that need the same are a unit, unless the file keeps its things throughout: who waits for
    alice does not keep a worker from what needs nobody.
    """
    found: dict[str, Unit] = {}
    throughout = {
        item.path for item in items for mark in item.iter_markers() if mark.kwargs.get("throughout")
    }
    for item in items:
        together = item.get_closest_marker("together")
        file, needs = item.nodeid.partition("::")[0], Needs.of([item])
        if item.get_closest_marker("alone"):
            name = ALONE
        elif together:
            name = str(together.args[0])
        elif item.path in throughout:
            name = file
        else:
            name = " ".join([file, *sorted(needs.own), *sorted(needs.shared)])
        found.setdefault(name, Unit(name, [])).items.append(item)
    return list(found.values())


class SideBySide:
    """The plugin where tests run: in a worker, or in a run without any. It keeps tests apart."""

    def __init__(self, config: pytest.Config, locks: Path) -> None:
        self._config = config
        self._locks = Locks(locks)
        self._held = ""
        self._scopes: dict[str, tuple[str, Needs]] = {}
        self._waited = 0.0
        self._others = ExitStack()
        self._run: TextIO | None = None  # a file that each worker of this run has locked, until it is done
        if plan := getattr(config, "workerinput", {}).get("plan"):
            file = Path(plan)
            self._run = self._others.enter_context(file.open())
            fcntl.flock(self._run, fcntl.LOCK_SH)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put the tests in their order, and note what each needs."""
        units = units_of(items)
        if seed := self._config.getoption("shuffle"):
            dice = random.Random(seed)  # noqa: S311 - no secret
            dice.shuffle(units)
            for unit in units:
                dice.shuffle(unit.items)
            units.sort(key=lambda unit: unit.name == ALONE)
        else:
            wanted = Counter[str]()
            for item in items:
                wanted.update(dict.fromkeys(Needs.of([item]).own, work_of(item)))
            units.sort(key=lambda unit: unit.rank(wanted))
        items[:] = [item for unit in units for item in unit.items]
        for unit in units:
            self._scopes |= unit.scopes()
        given = getattr(self._config, "workerinput", {})
        if given.get("workerid") == "gw0":
            plan = {}
            for unit in units:
                for item in unit.items:
                    needs = self._scopes[item.nodeid][1]
                    plan[item.nodeid] = (unit.name, sorted(needs.own), sorted(needs.shared))
            Path(given["plan"]).write_text(json.dumps(plan))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, Any, Any]:
        """Hold what a test needs from before its fixtures until after them."""
        scope, needs = self._scopes[item.nodeid]
        if scope != self._held:
            began = time.monotonic()
            if scope == ALONE and self._run:
                fcntl.flock(self._run, fcntl.LOCK_EX)
            self._locks.take(needs)
            self._held = scope
            hold(needs)
            self._waited += time.monotonic() - began
        try:
            return (yield)
        finally:
            if not nextitem or self._scopes[nextitem.nodeid][0] != scope:
                self._locks.release()
                self._held = ""
                hold(None)

    def pytest_sessionfinish(self) -> None:
        """Tell the controller for how long this worker waited for others, and let what runs alone begin."""
        self._others.close()
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput["waited"] = self._waited


class Units(LoadScopeScheduling):
    """Gives a worker the first unit that can begin beside what the others are at."""

    def __init__(self, config: pytest.Config, log: Any, plan: Path) -> None:
        super().__init__(config, log)
        self._plan = plan
        self._needs: dict[str, Needs] = {}
        self._unit_of: dict[str, str] = {}

    def schedule(self) -> None:
        """Begin, as soon as the workers have told which tests there are."""
        if not self._needs:
            for test, (unit, own, shared) in json.loads(self._plan.read_text() or "{}").items():
                self._needs[test] = Needs(frozenset(own), frozenset(shared))
                self._unit_of[test] = unit
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return self._unit_of[nodeid]

    def _reschedule(self, node: WorkerController) -> None:
        others = (other for other in self.nodes if other is not node and not other.shutting_down)
        if list(self.workqueue) == [ALONE] and any(others):
            node.shutdown()  # after what it has; the last worker runs what wants to be alone
            return
        super()._reschedule(node)

    def _assign_work_unit(self, node: WorkerController) -> None:
        others = [
            needs
            for other, units in self.assigned_work.items()
            for tests in units.values()
            if other is not node and (needs := self._next_of(tests))
        ]
        for name, tests in self.workqueue.items():
            needs = self._next_of(tests)
            if needs and not any(needs.disturb(other) for other in others):
                self.workqueue.move_to_end(name, last=False)
                break
        super()._assign_work_unit(node)

    def _next_of(self, tests: Mapping[str, bool]) -> Needs | None:
        """What the first test of a unit needs that is not over."""
        return next((self._needs[test] for test, over in tests.items() if not over), None)


class Controller:
    """The plugin where no test runs: it spreads them over the workers."""

    def __init__(self, config: pytest.Config) -> None:
        config.option.loadscopereorder = False
        self._folder = Path(tempfile.mkdtemp(prefix="benchtop-tests-"))
        self._plan = self._folder / "plan.json"
        self._plan.touch()
        self._waited = 0.0

    def pytest_configure_node(self, node: WorkerController) -> None:
        """Tell each worker where the plan is to be written."""
        node.workerinput["plan"] = str(self._plan)

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Units | None:
        """Ours for --dist=loadfile."""
        return Units(config, log, self._plan) if config.getoption("dist") == "loadfile" else None

    def pytest_testnodedown(self, node: WorkerController) -> None:
        """Add up for how long workers waited for each other."""
        self._waited += (getattr(node, "workeroutput", None) or {}).get("waited", 0.0)

    def pytest_sessionfinish(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what to look at when a run takes long."""
        terminalreporter.write_line(f"workers waited {self._waited:.0f} s for what others needed")


class Results:
    """Tells of a failure at once, and what became of each suite: by the folder of tests that it is."""

    def __init__(self, config: pytest.Config, file: Path | None) -> None:
        self._config = config
        self._file = file
        self._suites: dict[str, dict[str, float]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count it; a failure is a line right away, and all of it is told at the end."""
        parts = report.nodeid.split("/")
        suite = self._suites.setdefault(
            parts[1] if len(parts) > 2 else "", {"passed": 0, "failed": 0, "seconds": 0.0}
        )
        suite["seconds"] += report.duration
        suite["passed"] += report.when == "call" and report.passed
        suite["failed"] += report.failed
        if report.failed:
            said = str(getattr(getattr(report.longrepr, "reprcrash", None), "message", report.longrepr))
            terminal = self._config.pluginmanager.get_plugin("terminalreporter")
            if terminal:
                first = (said.splitlines() or [""])[0][:200]
                terminal.write(f"\nFAILED {report.nodeid} ({report.when}): {first}\n", red=True)

    def pytest_sessionfinish(self) -> None:
        """Write it down for `make test`."""
        if self._file:
            self._file.write_text(json.dumps(self._suites))
