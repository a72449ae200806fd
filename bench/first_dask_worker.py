"""How long until the first Dask worker is there, on each batch system, beside the same by its own commands.

floor: a job of a worker's shape that runs nothing: on Slurm, `sbatch --wait`; on HTCondor, where condor_wait
       needs a log that the access point can write, condor_submit until a file is there that the job makes
first: in a new kernel, from the first import of Dask until the scheduler has its first worker

In turn, and all from within one session. What of it is what, the kernel says itself.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchtop.settings import Settings
from figures import Figure, Table
from session import in_new_kernel, session
from support.sessions import SMALL

BAR = 2.5  # seconds beyond the floor
CELL = 180  # seconds that one may take
NAMES = {"hpc": ("Slurm", "SLURMCluster"), "htc": ("HTCondor", "HTCondorCluster")}
FLOOR = {
    "hpc": """
import subprocess, time
words = ["sbatch", "--wait", "--partition=harvester", "--cpus-per-task=1", "--mem=640M", "--time=360"]
words += ["--output=/dev/null"]
began = time.monotonic()
subprocess.run([*words, "--wrap=true"], check=True, stdout=subprocess.DEVNULL)
print(time.monotonic() - began)
""",
    "htc": """
import pathlib, subprocess, tempfile, time
with tempfile.TemporaryDirectory(dir=pathlib.Path.home()) as folder:
    sign = pathlib.Path(folder, "sign")
    text = f'''executable = /usr/bin/touch
arguments = {sign}
transfer_executable = False
should_transfer_files = NO
initialdir = /tmp
request_cpus = 1
request_memory = 640
request_disk = 512MB
queue
'''
    file = pathlib.Path(folder, "submit")
    file.write_text(text)
    began = time.monotonic()
    subprocess.run(["condor_submit", str(file)], check=True, stdout=subprocess.DEVNULL)
    while not sign.exists():
        time.sleep(0.01)
    print(time.monotonic() - began)
""",
}
FIRST = """
import time
began = time.monotonic()
from dask_jobqueue import {name} as Cluster
from dask.distributed import Client
loaded = time.monotonic()
cluster = Cluster(n_workers=1)
client = Client(cluster)
there = time.monotonic()
client.wait_for_workers(1, timeout=120)
ready = time.monotonic()
import json
names = "load Dask", "start the scheduler", "wait for the worker"
print(json.dumps(dict(zip(names, (loaded - began, there - loaded, ready - there)))))
client.close()
cluster.close()
"""


def measure(settings: Settings, rounds: int) -> Iterator[Figure | Table]:
    """First workers, and where the time goes."""
    parts: dict[str, dict[str, float]] = {}
    for cluster in settings.clusters:
        title, name = NAMES[cluster]
        floors, firsts = list[float](), list[dict[str, float]]()
        with session(settings, cluster, {**SMALL[cluster], "runtime": 30}) as own:
            for number in range(1, rounds + 1):
                floors.append(float(in_new_kernel(own, FLOOR[cluster], CELL)))
                firsts.append(json.loads(in_new_kernel(own, FIRST.format(name=name), CELL)))
                took = sum(firsts[-1].values())
                print(
                    f"{title} {number}/{rounds}: floor {floors[-1]:.2f} s, first {took:.2f} s",
                    file=sys.stderr,
                )
        whole = [sum(one.values()) for one in firsts]
        yield Figure(
            f"{title}: first Dask worker, median", f"{median(whole):.2f} s", f"{median(floors):.2f} s"
        )
        yield Figure(
            f"{title}: the same, less the floor", f"{median(whole) - median(floors):+.2f} s", bar=f"≤ {BAR} s"
        )
        parts[title] = {part: median(one[part] for one in firsts) for part in firsts[0]}
    rows = [
        (part, *(f"{1000 * one[part]:.0f}" for one in parts.values())) for part in next(iter(parts.values()))
    ]
    load = Path("/proc/loadavg").read_text().split()[0]
    yield Table(
        f"The first Dask worker: ms of each part, median (load {load})", ("part", *parts), tuple(rows)
    )
