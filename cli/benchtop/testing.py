"""Run the tests: what they need is installed on demand, and the facility is up before they ask for it."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.markup import escape

from benchtop import facility
from benchtop.config import apply
from benchtop.console import OUT, Problem, duration, step
from benchtop.host import engine
from benchtop.settings import Settings
from benchtop.stack import compose, images, services

SUITES = ("lint", "unit", "stack", "browser", "security")
LONG = ("faults",)
# These look at files alone; every other suite needs the facility.
WITHOUT_STACK = {"lint", "unit"}
# The tests of these share nothing, and take what the machine has.
ON_EVERY_CORE = {"unit"}
# Tests of these wait most of the time: those that start sessions run beside those that do not, and then what
# needs the facility for itself. (pytest-xdist's groups would do, but with pytest 9.2 it does not see them.)
SIDE_BY_SIDE = {"security"}
LANES = (("sessions and not alone", "not sessions and not alone"), ("alone",))
CDP_PORT = 9222  # where the browser's debugging port is published, on loopback
NO_TESTS = 5  # pytest's exit code when it found nothing to run


def run(settings: Settings, wanted: list[str], keyword: str | None = None) -> int:
    """Run the suites `wanted` (all by default) in order; 0 only when each of them is green.

    A suite that fails does not stop the next: the summary tells of all.
    """
    unknown = [name for name in wanted if name not in SUITES + LONG]
    if unknown:
        raise Problem(f"There is no suite {unknown[0]}: choose among {', '.join(SUITES + LONG)}.")
    suites = [name for name in wanted or SUITES if _has_tests(settings.root / "tests" / name)]
    missing = [name for name in wanted if name not in suites]
    if missing:
        raise Problem(f"There are no {missing[0]} tests yet.")
    install(settings)
    began = time.monotonic()
    results: list[tuple[str, bool, float]] = []
    environment = {**os.environ, **compose.environment(settings), "BENCHTOP_ROOT": str(settings.root)}
    # the tools of the environment (ruff, hadolint …) come before those of the machine
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    ready = False
    for name in suites:
        if name not in WITHOUT_STACK and not ready:
            prepare(settings, environment)
            ready = True
        OUT.rule(escape(name), style="dim")
        start = time.monotonic()
        results.append((name, _pytest(settings, name, keyword, environment), time.monotonic() - start))
    OUT.rule("summary", style="dim")
    for name, green, seconds in results:
        mark = "[green]✓[/green]" if green else "[red]✗[/red]"
        OUT.print(f"{mark} {name:<9} {duration(seconds)}")
    red = [name for name, green, _ in results if not green]
    verdict = f"red: {', '.join(red)}" if red else "all green"
    OUT.print(f"[bold]{verdict}[/bold] after {duration(time.monotonic() - began)}")
    return 1 if red else 0


def _pytest(settings: Settings, suite: str, keyword: str | None, environment: dict[str, str]) -> bool:
    """Whether all tests of a suite are green; with a keyword, there may be none."""
    slow = ["--durations=10", "--durations-min=20"]  # what a run spends its minutes on
    words = [sys.executable, "-m", "pytest", "-ra", *slow, f"tests/{suite}"]
    words += ["--numprocesses=auto"] if suite in ON_EVERY_CORE else []
    words += ["-k", keyword] if keyword else []

    def run_lane(lane: str, hidden: bool) -> subprocess.CompletedProcess[bytes]:
        more = ["-m", lane] if lane else []
        stdout, stderr = (subprocess.PIPE, subprocess.STDOUT) if hidden else (None, None)
        return subprocess.run(
            [*words, *more], cwd=settings.root, env=environment, check=False, stdout=stdout, stderr=stderr
        )

    codes = set()
    for lanes in LANES if suite in SIDE_BY_SIDE else (("",),):
        with ThreadPoolExecutor() as pool:
            # the first is shown as it goes, each of the others when it is over
            for done in pool.map(run_lane, lanes, [lane != lanes[0] for lane in lanes]):
                codes.add(done.returncode)
                sys.stdout.buffer.write(done.stdout or b"")
                sys.stdout.flush()
    return codes <= ({0, NO_TESTS} if keyword else {0})


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


def _has_tests(folder: Path) -> bool:
    return any(folder.rglob("test_*.py"))
