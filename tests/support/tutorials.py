"""The tutorials of lab/tutorials, and what must be true of each once all of its cells have run."""

from __future__ import annotations

import fnmatch
import json
import math
import random
import re
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchtop.people import roster
from benchtop.settings import Settings
from support import package_index, sessions
from support.batch import Batch
from support.hub import Hub
from support.notebooks import Shown, run_cells, run_notebook
from support.wait import wait_until

FOLDER = Path(__file__).parents[2] / "lab/tutorials"
SYSTEMS = {"hpc": "slurm", "htc": "condor"}
RECORDED = 30  # seconds until a job that has ended is in the accounting
GONE = 60  # … and in which nothing is left of a notebook that ended
ERRORS = 4  # how many of its own errors a fitted value may be away from the truth
ROUNDED = 0.05  # seconds by which a printed time may differ from the one that was computed with


@dataclass(frozen=True)
class Run:
    """A tutorial whose cells have all run in a person's session on a cluster, which is still there."""

    settings: Settings
    person: str
    cluster: str
    began: float  # by time.monotonic
    shown: list[Shown]

    @property
    def text(self) -> str:
        """What all cells have printed."""
        return "\n".join(cell.stdout for cell in self.shown)

    def found(self, pattern: str) -> tuple[str, ...]:
        """The groups of what a line of it has; the pattern has to match a whole line."""
        match = re.search(rf"^{pattern}$", self.text, re.MULTILINE)
        assert match, f"no line like {pattern} in:\n{self.text}"
        return match.groups()

    def has(self, *lines: str) -> None:
        """These are in what it has printed."""
        for line in lines:
            assert line in self.text, f"“{line}” is not in:\n{self.text}"

    def jobs(self, cluster: str, shows: str) -> list[str]:
        """Of each job that ended there since it began, what the accounting says: by sacct or an attribute."""
        seconds = math.ceil(time.monotonic() - self.began) + 1
        if cluster == "hpc":
            words = ["sacct", "--allocations", "--noheader", f"--starttime=now-{seconds}seconds"]
            words += ["--parsable2", f"--user={self.person}", f"--format={shows},State"]
            said = Batch(self.settings, "hpc").said(self.person, *words)
            ended = (line.rpartition("|") for line in said.splitlines())
            return [what for what, _, state in ended if state != "RUNNING"]
        recent = f'Owner == "{self.person}" && EnteredCurrentStatus > time() - {seconds}'
        words = ["condor_history", "-constraint", recent, "-autoformat", shows]
        return Batch(self.settings, "htc").said(self.person, *words).splitlines()

    def count(self, cluster: str, pattern: str) -> int:
        """How many jobs of such names have ended there."""
        names = self.jobs(cluster, "JobName" if cluster == "hpc" else "JobBatchName")
        return len(fnmatch.filter(names, pattern))


@dataclass(frozen=True)
class Tutorial:
    """A notebook, by whom and where it is executed, and what it must have printed and run by then."""

    name: str
    places: tuple[tuple[str, str], ...]  # each a cluster and a person, whose session there executes it
    printed: Callable[[Run], None]  # recomputes what the cells print
    ran: Callable[[Run], bool]  # has the accounting the jobs that it made?
    options: dict[str, object] = field(default_factory=dict)  # of the session, beside the least
    wants: Callable[[], object] = bool  # fails where the machine lacks something that it needs

    @property
    def file(self) -> Path:
        """The notebook."""
        return FOLDER / f"{self.name}.ipynb"


def execute(settings: Settings, own: Hub, tutorial: Tutorial) -> None:
    """A tutorial from top to bottom, in a session of its own; nothing is left of its jobs afterwards."""
    tutorial.wants()
    batches = [Batch(settings, known) for known in ("hpc", "htc")]
    with sessions.running(own, **tutorial.options):
        assert own.open().ok
        before = {job.number for batch in batches for job in batch.jobs(own.person)}
        began = time.monotonic()
        run = Run(settings, own.person, own.cluster, began, run_notebook(own, tutorial.file))
        print(f"{tutorial.name} on {own.cluster}: {time.monotonic() - began:.0f} s")
        keep(settings, tutorial, run)
        tutorial.printed(run)
        wait_until(lambda: tutorial.ran(run), timeout=RECORDED, what="its jobs in the accounting")

        def left() -> set[str]:
            return {job.number for batch in batches for job in batch.jobs(own.person)} - before

        wait_until(lambda: not left(), timeout=GONE, what="the end of the tutorial's jobs")
        assert run_cells(own, "python3", ["print('the session goes on')"])[0].stdout


def keep(settings: Settings, tutorial: Tutorial, run: Run) -> None:
    """Its pictures, for the documentation."""
    folder = settings.state / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    for picture in (drawn for cell in run.shown for drawn in cell.pictures):
        assert picture.startswith(b"\x89PNG")
        (folder / f"{tutorial.name}-{run.cluster}.png").write_bytes(picture)


def _recorded(here: Mapping[str, int] | None = None, **elsewhere: Mapping[str, int]) -> Callable[[Run], bool]:
    """Has the accounting so many jobs, by patterns of names: of the session's cluster, and of others?"""

    def ran(run: Run) -> bool:
        wanted = {run.cluster: here or {}, **elsewhere}
        return all(
            run.count(cluster, pattern) >= number
            for cluster, patterns in wanted.items()
            for pattern, number in patterns.items()
        )

    return ran


def primes(stop: int) -> int:
    """How many there are below."""
    composite = {multiple for n in range(2, math.isqrt(stop) + 1) for multiple in range(n * n, stop, n)}
    return stop - 2 - len(composite)


def _in_circle(seed: int, points: int) -> int:
    numbers = random.Random(seed)  # noqa: S311 the tutorials'
    return sum(numbers.random() ** 2 + numbers.random() ** 2 < 1 for _ in range(points))


# ---- 01 ------------------------------------------------------------------------------------------------


def _first_steps_printed(run: Run) -> None:
    about = roster.load(run.settings.live / "accounts/people.yaml").people[run.person]
    run.has(f"uid={about.uid}({run.person})")
    system, number, node = run.found(r"this session: (\w+) job (\S+) on (\S+)")
    assert system == SYSTEMS[run.cluster]
    session = {job.number: job.node for job in Batch(run.settings, run.cluster).jobs(run.person)}
    assert session[number.partition(".")[0]] == node, "it is the one in the queue"
    run.has(f"node: {node}", "Python: /opt/lab/bin/python")
    there = [SYSTEMS[cluster] for cluster in ("hpc", "htc") if cluster in about.clusters]
    run.has(f"jobs may go to: {', '.join(sorted(there, key=lambda known: known != system))}")
    _, where = run.found(r"job (\S+) ran on (\S+)")
    run.has(f"written on {where} True")


def _first_steps_ran(run: Run) -> bool:
    """The very job that the notebook names has ended well."""
    number, _ = run.found(r"job (\S+) ran on (\S+)")
    if run.cluster == "hpc":
        return f"{number}|COMPLETED" in run.jobs("hpc", "JobID,State")
    job = Batch(run.settings, "htc")
    asked = f"ClusterId == {number.partition('.')[0]}"
    return job.said(
        run.person, "condor_history", "-constraint", asked, "-autoformat", "ExitCode"
    ).split() == ["0"]


# ---- 02 ------------------------------------------------------------------------------------------------


def _gpus_printed(run: Run) -> None:
    assert re.search(r"^gpu-1 .*gpu:pascal:2", run.text, re.MULTILINE)
    assert re.search(r"^gpu-2 .*gpu:tesla:2", run.text, re.MULTILINE)
    device = run.found(r"the job had device ([01]) of (gpu-1)")[0]  # which one is free may be either
    run.has(
        f"GPU {device}: Tesla P100-PCIE-16GB",
        "this session has: no GPU",
        "2 devices of gpu-2: ['0', '1']",
        "There is no GPU type “pascall”. Did you mean “pascal”?",
        "No node has 9 GPUs of type tesla: at most 2.",
    )
    assert "never printed" not in run.text


def _gpus_ran(run: Run) -> bool:
    """Slurm has counted what was asked for."""
    counted = [jobs for jobs in run.jobs("hpc", "JobName,AllocTRES") if jobs.startswith("notebook-")]
    return all(
        sum(given in job for job in counted) == 1 for given in ("gres/gpu:pascal=1", "gres/gpu:tesla=2")
    )


# ---- 03 ------------------------------------------------------------------------------------------------


def _magics_printed(run: Run) -> None:
    (node,) = run.found(r"100 samples are on (\S+)")
    points = sum(_in_circle(seed, 1000) for seed in range(1000))
    run.has(
        f"mean {sum(range(1, 101)) / 100}, computed on {node}",
        f"total {sum(range(1, 101))}",
        f"cubes {[task**3 for task in range(4)]}",
        "answer 42",
        f"{points} of 1000000 points: pi is about {4 * points / 1_000_000:.4f}",
        "raised here: division by zero",
        "4 jobs did the map",
    )
    assert [cell.stdout for cell in run.shown].count("True") == 2


# ---- 04, 05, 06 ----------------------------------------------------------------------------------------


def _htmap_printed(run: Run) -> None:
    points = sum(_in_circle(seed, 200_000) for seed in range(12))
    run.has(
        f"{points} of 2400000 points: pi is about {points / 600_000:.4f}",
        str([number**3 for number in range(10)]),
        "COMPLETED = 12",
        "True",
        "3 6",
        "failed: ZeroDivisionError: integer division or modulo by zero",
        "['tutorial-pi']",
    )
    bars = [line for cell in run.shown for line in cell.texts]
    assert bars[-1].startswith("tutorial-pi: 12 of 12 done")


def _htmap_ran(run: Run) -> bool:
    """The map of 12 that the notebook has left, in the pool's history."""
    wanted = f'Owner == "{run.person}" && JobBatchName == "tutorial-pi" && ExitCode == 0'
    words = ["condor_history", "-limit", "12", "-constraint", wanted, "-autoformat", "ProcId"]
    found = Batch(run.settings, "htc").said(run.person, *words)
    return sorted(map(int, found.split())) == list(range(12))


def _dask_printed(run: Run) -> None:
    run.has(
        "2 workers",
        f"{primes(100_000)} primes below 100000",
        "True counted on the nodes of your cluster",
        f"{math.pi**2 / 6 - 1 / 20_000_000:.6f} is nearly pi squared over six",
        f"{sum(n * n for n in range(100))} is the sum of a hundred squares",
        f"{primes(1000)} primes below 1000",
        "True tls",
        "closed",
    )


def _engines_printed(run: Run) -> None:
    below = primes(40_000)
    run.has(
        f"IPyParallel: {below}",
        f"Parsl: {below}",
        f"Executor: {below}",
        "[40001, 40001]",
        "raised: ValueError",
    )


# ---- 07 ------------------------------------------------------------------------------------------------


def _own_environment_printed(run: Run) -> None:
    own = f"/home/{run.person}/environments/tutorial"
    run.has(
        "installed: iniconfig",
        "✓ tutorial: works",
        f"the environment's Python is in {own}",
        f"its package is in {own}/lib/",
        "this notebook's Python is in /opt/lab",
        f"the job's Python is in {own} iniconfig",
    )


# ---- 08 ------------------------------------------------------------------------------------------------


def _names_of(name: str, cell: str) -> dict[str, Any]:
    """What the cell of code of a tutorial defines that holds these words."""
    cells = json.loads((FOLDER / f"{name}.ipynb").read_text())["cells"]
    (source,) = [
        text for one in cells if cell in (text := "".join(one["source"])) and one["cell_type"] == "code"
    ]
    names: dict[str, Any] = {"random": random, "struct": struct}
    exec(source, names)  # noqa: S102 our own
    return names


def _root_printed(run: Run) -> None:
    detector = _names_of("08-root-from-raw-to-fit", "def write_run")
    file = run.settings.state / "tutorial.raw"
    raw = b""
    for number in (1, 2, 3):
        detector["write_run"](file, number)
        raw += file.read_bytes()
    file.unlink()
    cuts, masses = [0, 0, 0], []
    for _, flags, count_1, eta_1, phi_1, count_2, eta_2, phi_2 in struct.iter_unpack("<IHHhhHhh", raw):
        passed = [flags & 1, (flags & 2 > 0) != (flags & 4 > 0), min(count_1, count_2) > 980]
        for cut in range(3):
            cuts[cut] += all(passed[: cut + 1])
        if all(passed):
            angles = math.cosh((eta_1 - eta_2) / 1e4) - math.cos((phi_1 - phi_2) / 1e4)
            masses.append(math.sqrt(2 * count_1 * count_2 * angles) / 980)
    triggered, opposite, both = cuts
    run.has(f"{len(raw)} bytes of raw data", "30000 events", f"{triggered} triggered", "removed: True")
    run.has(f"{opposite} of opposite charge", f"{both} both above 1 GeV", "status 0,")
    beside = sum(2.6 <= mass < 2.9 or 3.3 <= mass < 3.6 for mass in masses)
    inside = sum(2.9 <= mass < 3.3 for mass in masses)
    truth = {
        "pairs": inside - beside * 0.4 / 0.6,
        "mass": detector["MASS"],
        "resolution": detector["RESOLUTION"],
    }
    for name, true in truth.items():
        value, error = map(float, run.found(rf"{name}: (\S+) ± ([^\s,]+)(?:, true .*)?"))
        assert 0 < error < 0.05 * true, name
        assert abs(value - true) < ERRORS * error, name


# ---- 09 ------------------------------------------------------------------------------------------------


def _covered(seed: int, experiments: int) -> int:
    """As the tutorial counts them, but with the rate found by halving where it can be."""
    rate, window, decays = 1 / 2.2, 5.0, 200
    numbers, count = random.Random(seed), 0  # noqa: S311 the tutorial's
    inside = 1 - math.exp(-rate * window)
    for _ in range(experiments):
        mean = sum(-math.log(1 - numbers.random() * inside) for _ in range(decays)) / rate / decays
        low, high = 1e-6, 10.0
        for _ in range(60):
            middle = (low + high) / 2
            falls = 1 / middle - window / math.expm1(middle * window) > mean
            low, high = (middle, high) if falls else (low, middle)
        grown = math.exp(low * window)
        information = 1 / low**2 - window**2 * grown / (grown - 1) ** 2
        count += abs(low - rate) < 1 / math.sqrt(decays * information)
    return count


def _speed_up_printed(run: Run) -> None:
    run.has(f"first call: {_covered(0, 16_000)} of 16000")
    count, total, percent = run.found(r"covered: (\d+) of (\d+), (\S+) %")
    assert int(total) == 24 * 16_000
    assert f"{100 * int(count) / int(total):.2f}" == percent
    assert abs(float(percent) - 68.27) < 1, "as the theory has it, for many decays"
    (alone,) = run.found(r"in the notebook: (\S+) s")
    speed_up = json.loads(re.sub(r"(\d+):", r'"\1":', run.found(r"speed-up: (\{.*\})")[0]))
    assert list(speed_up) == ["1", "2", "4", "8"]
    for jobs, gained in speed_up.items():
        seconds, same = run.found(rf"{jobs} jobs: (\S+) s, with \S+ s of CPU; same results: (\w+)")
        assert same == "True"
        low = (float(alone) - ROUNDED) / (float(seconds) + ROUNDED)
        high = (float(alone) + ROUNDED) / (float(seconds) - ROUNDED)
        assert low - 0.01 <= gained <= high + 0.01, jobs
    run.has("the whole pool: True", "24 jobs, on ")
    assert sum(len(cell.pictures) for cell in run.shown) == 1


BOTH = (("hpc", "carol"), ("htc", "bob"))
FIRST = [
    Tutorial("01-first-steps", BOTH, _first_steps_printed, _first_steps_ran),
    Tutorial("02-gpus", (("hpc", "alice"),), _gpus_printed, _gpus_ran),
    Tutorial(
        "03-magics-and-decorators",
        (("hpc", "alice"),),
        _magics_printed,
        _recorded(hpc={"notebook-*": 10}, htc={"notebook-*": 2}),
    ),
]
FURTHER = [
    Tutorial("04-htmap", (("htc", "bob"), ("hpc", "alice")), _htmap_printed, _htmap_ran),
    Tutorial("05-dask", BOTH, _dask_printed, _recorded({"dask-worker-*": 2})),
    Tutorial("06-ipyparallel-and-parsl", BOTH, _engines_printed, _recorded({"ipengine-*": 2, "parsl-*": 1})),
    Tutorial(
        "07-an-environment-and-a-kernel-of-ones-own",
        BOTH,
        _own_environment_printed,
        _recorded({"notebook-*": 1}),
        wants=package_index.address,
    ),
    Tutorial(
        "08-root-from-raw-to-fit",
        BOTH,
        _root_printed,
        _recorded({"notebook-*": 3}),
        options={"memory": 1500},
    ),
    Tutorial("09-from-one-core-to-the-whole-pool", BOTH, _speed_up_printed, _recorded({"notebook-*": 39})),
]
