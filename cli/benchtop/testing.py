"""Run the tests: what they need is installed on demand, and the facility is up before they ask for it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from benchtop import facility
from benchtop.config import apply
from benchtop.console import OUT, Problem, duration, step
from benchtop.host import engine
from benchtop.settings import Settings
from benchtop.stack import compose, images, services

CORES = max(2, os.cpu_count() or 2)


@dataclass(frozen=True)
class Run:
    """One run of pytest: suites whose tests run beside each other, as far as none disturbs another.

    facility: whether they need it; the others look at files alone
    """

    suites: tuple[str, ...]
    options: tuple[str, ...] = ()
    facility: bool = True


# A test of the facility waits half of the time: three for each core keep a machine busy. With more, each one
# takes longer, until some give up.
# (hypothesis takes half a second to import, and only unit tests use it.)
BESIDE = ("--dist=loadfile", "-p", "no:hypothesispytest")
RUNS = (
    Run(("lint",), facility=False),
    Run(("unit",), ("--numprocesses=auto",), facility=False),
    Run(("stack", "browser", "security"), (f"--numprocesses={3 * CORES}", *BESIDE)),
)
LONG = Run(
    ("faults", "long"), ("--numprocesses=2", *BESIDE)
)  # what breaks one cluster beside what breaks the other
CDP_PORT = 9222  # where the browser's debugging port is published, on loopback
NO_TESTS = 5  # pytest's exit code when it found nothing to run


def run(
    settings: Settings,
    wanted: list[str],
    keyword: str | None = None,
    shuffle: str | None = None,
    workers: int | None = None,
) -> int:
    """Run the suites `wanted` (by default all but the long one); 0 only when each of them is green.

    A suite that fails does not stop the next: the summary tells of all.
    keyword: only tests whose name has it; shuffle: a seed, for another order of files and tests;
    workers: how many tests run side by side, of suites whose tests do
    """
    known = [name for one in (*RUNS, LONG) for name in one.suites]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise Problem(f"There is no suite {unknown[0]}: choose among {', '.join(known)}.")
    wanted = wanted or [name for one in RUNS for name in one.suites]
    install(settings)
    began = time.monotonic()
    results: list[Result] = []
    options = [f"-k{keyword}"] if keyword else []
    options += [f"--shuffle={shuffle}"] if shuffle else []
    environment = {**os.environ, **compose.environment(settings), "BENCHTOP_ROOT": str(settings.root)}
    # the tools of the environment (ruff, hadolint …) come before those of the machine
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    ready = False
    for one in (*RUNS, LONG):
        suites = [name for name in one.suites if name in wanted]
        if suites and one.facility and not ready:
            prepare(settings, environment)
            ready = True
        if suites:
            OUT.rule(escape(", ".join(suites)), style="dim")
            spread = [f"--numprocesses={workers}"] if workers and one.options else []
            results += _pytest(settings, suites, [*one.options, *spread, *options], environment)
    OUT.rule("summary", style="dim")
    for result in results:
        mark = "[green]✓[/green]" if result.green else "[red]✗[/red]"
        OUT.print(f"{mark} {result.suite:<9} {result.summary}")
    red = [result.suite for result in results if not result.green]
    verdict = f"red: {', '.join(red)}" if red else "all green"
    OUT.print(f"[bold]{verdict}[/bold] after {duration(time.monotonic() - began)}")
    return 1 if red else 0


@dataclass(frozen=True)
class Result:
    """What became of a suite."""

    suite: str
    green: bool
    summary: str


def _pytest(
    settings: Settings, suites: list[str], options: list[str], environment: dict[str, str]
) -> list[Result]:
    """Run suites side by side. Where there is a keyword, none of its tests need be in a suite."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results.json"
        words = [sys.executable, "-m", "pytest", "-ra", "--durations=15", "--durations-min=15", *options]
        words += [f"--results={file}", *(f"tests/{name}" for name in suites)]
        code = subprocess.run(words, cwd=settings.root, env=environment, check=False).returncode
        counted = json.loads(file.read_text()) if file.is_file() else {}
    wall = duration(time.monotonic() - began)
    none = code == NO_TESTS and any(option.startswith("-k") for option in options)
    results = []
    for name in suites:
        counts = counted.get(name, {})
        failed, passed = int(counts.get("failed", 0)), int(counts.get("passed", 0))
        # a run that ended badly without a test that failed: nothing of it can be believed
        green = none or (not failed and (code == 0 or any(one["failed"] for one in counted.values())))
        summary = f"{failed} of {failed + passed} failed" if failed else f"{passed} tests"
        summary += f", {duration(counts.get('seconds', 0.0))}"
        if len(suites) > 1:
            summary += f" of work in the {wall} that all of these took side by side"
        results.append(Result(name, green, summary))
    return results


def prepare(settings: Settings, environment: dict[str, str]) -> None:
    """Bring the facility up, and the browser of the profile `test` beside it."""
    if not _all_well(settings) or apply.changes(settings):
        facility.up(settings)
    port = str(choose_port(settings))
    os.environ["BENCHTOP_CDP_PORT"] = environment["BENCHTOP_CDP_PORT"] = port
    images.build(settings, "test")
    services.start(settings, "test")


def choose_port(settings: Settings) -> int:
    """The port for the browser: the environment's, the one it has, 9222, or any free one."""
    chosen = os.environ.get("BENCHTOP_CDP_PORT", "")
    if chosen:
        return int(chosen)
    for one in compose.containers(settings.project):
        if one.service == "browser" and one.state == "running" and one.ports:
            return one.ports[0][1]
    for port in (CDP_PORT, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Problem("No port is free on 127.0.0.1 for the test's browser: set BENCHTOP_CDP_PORT.")


def install(settings: Settings) -> None:
    """Put the test's packages beside the tool's own, unless they are there already."""
    lock = settings.root / "tests" / "requirements.lock"
    stamp = Path(sys.prefix) / "benchtop-tests.stamp"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    with step("Installing what the tests need"):
        words = ["install", "--quiet", "--disable-pip-version-check", "--timeout", "15", "--retries", "1"]
        words += ["--require-hashes", "--requirement", str(lock)]
        done = subprocess.run(
            [sys.executable, "-m", "pip", *words],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise Problem(
                "The Python packages of the tests could not be installed: see that this machine reaches a "
                "Python package index, then run the same again.",
                done.stderr.strip().splitlines()[-5:],
            )
        stamp.write_text(wanted)


def _all_well(settings: Settings) -> bool:
    """Whether every service of the stack runs and does its job at this moment."""
    if not engine.look():
        return False
    well = {one.service for one in compose.containers(settings.project) if one.well}
    return (settings.state / "host-ca.pem").is_file() and set(compose.config(settings)["services"]) <= well
