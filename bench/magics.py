"""How long a cell or a map takes as batch jobs, beside the same by the batch system's own commands.

floor: one trivial job, submitted from the same session and waited for as the batch system offers it:
       `sbatch --wait`, condor_submit with condor_wait; for the map, as many trivial jobs as it is shared
       out to, in one array or one cluster
cell:  an empty cell of %%slurm or %%condor, the second one of its kernel
map:   1,000 trivial inputs, from the call until all results are there

In turn, in one session on a node of each cluster. And once, in a kernel alone: how much longer its start
takes for the magics, and what 10,000 inputs take of the notebook's time and memory.
"""

from collections.abc import Iterator
from statistics import median

from benchtop.settings import Settings
from figures import Figure
from first_results import JOB, WAIT, seconds
from session import in_new_kernel, session
from starts import COURSES
from support.hub import Hub
from support.scale_out import SYSTEMS

ROUNDS = 3
PATIENCE = 600  # seconds that a cell may take
TASKS = 100  # that a map is shared out to
CELL = "get_ipython().run_cell_magic({system!r}, {options!r}, 'pass')"
DECORATED = "import benchtop_batch\ndouble = benchtop_batch.{system}(lambda x: 2 * x)\ndouble(1).result()"
MAP = "assert double.map(range(1000)).results() == list(range(0, 2000, 2))"
MANY = {
    "slurm": "subprocess.run(['sbatch', '--wait', '--output=/dev/null', '--mem=512',"
    f" '--array=0-{TASKS - 1}', '--wrap=true'], check=True, capture_output=True)",
    "condor": WAIT["condor"],
}
OPTIONS = {"slurm": "--mem 64M", "condor": "--mem 64M"}
IMPORT = """
import subprocess, sys
words = [sys.executable, "-X", "importtime", "-c", "import benchtop_batch.magics"]
def once():
    said = subprocess.run(words, capture_output=True, text=True).stderr.splitlines()
    return int(next(line for line in said if line.endswith("benchtop_batch.magics")).split("|")[1])
print("took", min(once() for _ in range(5)) / 1e6)
"""
LARGE = """
import time
def memory():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
import benchtop_batch, cloudpickle
nothing = benchtop_batch.{system}(lambda x: x)
before, began = memory(), time.perf_counter()
futures = nothing.map(range(10_000))
called = time.perf_counter() - began
assert futures.results() == list(range(10_000))
print("took", called, memory() - before)
"""


def measure(settings: Settings) -> Iterator[Figure]:
    """On each cluster that runs here."""
    for cluster in settings.clusters:
        with session(settings, cluster, {**COURSES[cluster].options, "runtime": 30}) as own:
            yield from of_session(own)


def of_session(own: Hub) -> Iterator[Figure]:
    """Of a session that is open."""
    system = SYSTEMS[own.cluster]
    job = JOB if system == "condor" else ""
    cell = CELL.format(system=system, options=OPTIONS[system])
    many = job.replace("queue\\n", f"queue {TASKS}\\n")
    floors, cells, arrays, maps = [], [], [], []
    for _ in range(ROUNDS):
        floors.append(seconds(own, job, WAIT[system], ""))
        cells.append(seconds(own, cell, cell, ""))
        arrays.append(seconds(own, many, MANY[system], ""))
        maps.append(seconds(own, DECORATED.format(system=system), MAP, ""))
    name = f"%%{system}"
    yield Figure(
        f"{own.cluster}: empty cell of {name}",
        f"{median(cells):.1f} s",
        floor=f"{median(floors):.1f} s",
        bar="≤ floor + 0.3 s",
    )
    yield Figure(
        f"{own.cluster}: map of 1,000 inputs",
        f"{median(maps):.1f} s (floor x {median(maps) / median(arrays):.2f})",
        floor=f"{median(arrays):.1f} s",
        bar="≤ floor x 1.3",
    )
    called, megabytes = told(own, LARGE.format(system=system))
    yield Figure(
        f"{own.cluster}: map of 10,000 inputs: the call, and the notebook's memory",
        f"{called:.1f} s, {megabytes:.0f} MB",
        bar="≤ 300 MB",
    )
    (imported,) = told(own, IMPORT)
    yield Figure(
        f"{own.cluster}: what the magics add to a kernel's start", f"{1000 * imported:.0f} ms", bar="≤ 50 ms"
    )


def told(own: Hub, code: str) -> list[float]:
    """The numbers that a cell prints last, in a kernel of its own."""
    shown = in_new_kernel(own, code, PATIENCE)
    return [float(word) for word in shown.rpartition("took ")[2].split()]
