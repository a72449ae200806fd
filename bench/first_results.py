"""How soon a first result comes from a batch system, by IPyParallel, Parsl and the executor.

floor: one trivial job, submitted from the same session and waited for as the batch system offers it: `sbatch
       --wait`, and condor_submit with condor_wait
each:  from the line that starts the cluster until a function's result is there, in a new kernel that has
       imported the library before

In turn, in one session on a node of each cluster; the machine's load over the last minute stands beside.
"""

import os
from collections.abc import Iterator
from statistics import median

from benchtop.settings import Settings
from figures import Figure
from session import in_new_kernel, session
from starts import COURSES
from support.hub import Hub
from support.scale_out import ENGINES, SYSTEMS

ROUNDS = 3
CELL = 300  # seconds that one may take
TIMED = """
import os, subprocess, tempfile, time
{imports}
began = time.perf_counter()
{code}
print("took", time.perf_counter() - began)
{after}
"""
WAIT = {
    "slurm": "subprocess.run(['sbatch', '--wait', '--output=/dev/null', '--mem=64', '--wrap=true'],"
    " check=True, capture_output=True)",
    "condor": "subprocess.run('condor_submit job && condor_wait log', shell=True, cwd=folder,"
    " check=True, capture_output=True)",
}
JOB = r"""
folder = tempfile.mkdtemp(dir=os.path.expanduser("~"))
open(f"{folder}/job", "w").write("executable = /bin/true\ntransfer_executable = false\n"
    "should_transfer_files = NO\nrequest_memory = 64\nlog = log\nqueue\n")
"""
COURSE = {
    "IPyParallel": (
        "import ipyparallel as ipp",
        "cluster = ipp.Cluster(engines='{engines}', n=1, log_level=40)\n"
        "client = cluster.start_and_connect_sync()\n"
        "assert client[0].apply_sync(lambda: 42) == 42",
        "client.close(); cluster.stop_cluster_sync()",
    ),
    "Parsl": (
        "import benchtop_batch, parsl, benchtop_batch.parsl_cluster\nanswer = parsl.python_app(lambda: 42)",
        "parsl.load(benchtop_batch.parsl_config())\nassert answer().result() == 42",
        "parsl.dfk().cleanup(); parsl.clear()",
    ),
    "Executor": (
        "import benchtop_batch, distributed, dask_jobqueue; benchtop_batch.Executor",
        "executor = benchtop_batch.Executor(workers=1)\nassert executor.submit(lambda: 42).result() == 42",
        "executor.shutdown()",
    ),
}
BARS = {"IPyParallel": "≤ floor + 4 s", "Parsl": "≤ floor + 4 s", "Executor": ""}


def measure(settings: Settings) -> Iterator[Figure]:
    """On each cluster that runs here."""
    for cluster in settings.clusters:
        with session(settings, cluster, {**COURSES[cluster].options, "runtime": 30}) as own:
            yield from first_results(own)


def first_results(own: Hub) -> list[Figure]:
    """Of a session that is open."""
    system = SYSTEMS[own.cluster]
    loads, floors = [], []
    taken: dict[str, list[float]] = {name: [] for name in COURSE}
    for _ in range(ROUNDS):
        floors.append(seconds(own, JOB if system == "condor" else "", WAIT[system], ""))
        for name, (imports, code, after) in COURSE.items():
            taken[name].append(seconds(own, imports, code.replace("{engines}", ENGINES[system]), after))
        loads.append(os.getloadavg()[0])
    floor = median(floors)
    return [
        Figure(
            f"{own.cluster}: first result by {name}",
            f"{median(known):.1f} s (floor + {median(known) - floor:.1f} s; load {median(loads):.0f})",
            floor=f"{floor:.1f} s",
            bar=BARS[name],
        )
        for name, known in taken.items()
    ]


def seconds(own: Hub, imports: str, code: str, after: str) -> float:
    """How long the middle one took, in a kernel of its own."""
    shown = in_new_kernel(own, TIMED.format(imports=imports, code=code, after=after), CELL)
    return float(shown.rpartition("took ")[2].split()[0])
