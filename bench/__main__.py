"""Measure the facility that is up, each figure beside its bar, its aim and its floor.

Prints a table; `--write` puts it into docs/benchmarks.md. Each module here is one measurement.
"""

import argparse
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cell_in_browser
import environments
import first_dask_worker
import first_results
import footprint
import form
import hub_kill
import kernels
import logins
import magics
import map_of_jobs
import pool
import round_trip
import software
import starts
import starts_at_once
from benchtop.settings import Settings
from figures import Figure, Table
from session import session

ROOT = Path(__file__).parents[1]
HEAD = """\
# Benchmarks

Measured by `make bench` at {commit} with {cores} cores, {rounds} rounds where a figure has rounds.
A *floor* is what the same takes with nothing of ours in the way, measured in the same run; the *bar* is
what must hold, the *aim* what we would like. What each figure is exactly: the modules in `bench/`.

| what | bar | aim | measured | floor |
|---|---|---|---|---|
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--write", action="store_true", help="also write docs/benchmarks.md")
    options = parser.parse_args()
    settings = Settings.load(Path(os.environ.get("BENCHTOP_ROOT", ROOT)))
    figures: list[Figure] = []
    tables: list[Table] = []
    for one in measurements(settings, options.rounds):
        if isinstance(one, Figure):
            figures.append(one)
            print(one.describe(), flush=True)
        else:
            tables.append(one)
            print(one.text(), flush=True)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    head = HEAD.format(commit=commit.stdout.strip(), cores=os.cpu_count(), rounds=options.rounds)
    if options.write:
        lines = "\n".join(figure.describe() for figure in figures)
        page = "\n\n".join([head + lines, *(table.text() for table in tables)])
        (ROOT / "docs" / "benchmarks.md").write_text(f"{page}\n")


def measurements(settings: Settings, rounds: int) -> Iterator[Figure | Table]:
    """All that concern the clusters that run here; what must find nobody at work first."""
    yield from footprint.measure(settings)
    yield from starts.measure(settings, rounds)
    yield from environments.measure(settings, rounds)
    if "hpc" in settings.clusters:
        yield from form.measure(settings, rounds)
    first = settings.clusters[0]
    with session(settings, first, starts.COURSES[first].options) as own:
        yield from round_trip.measure(settings, own)
        yield from cell_in_browser.measure(settings, own)
        yield from kernels.measure(settings, own)
        yield from hub_kill.measure(settings, own)
    if "htc" in settings.clusters:
        yield from pool.measure(settings, rounds)
        with session(settings, "htc", starts.COURSES["htc"].options) as own:
            yield from map_of_jobs.measure(own, rounds)
    yield from first_dask_worker.measure(settings, rounds)
    yield from first_results.measure(settings)
    yield from magics.measure(settings)
    yield from starts_at_once.measure(settings)
    yield from logins.measure(settings)
    yield from software.measure(settings)


if __name__ == "__main__":
    main()
