"""Parsl's pool of workers on a node, started sooner: `python -m benchtop_batch.parsl_worker …`.

Upstream's loads the same packages three times, one after the other: for the pool, for the process that holds
what its workers share, and for the workers. Here a second Python loads them while the first does, and all
others are copies of it (multiprocessing's forkserver). What runs is upstream's program, with its arguments.
"""

import multiprocessing
import runpy
from multiprocessing import forkserver

_PROGRAM = "parsl.executors.high_throughput.process_worker_pool"


def main() -> None:
    """Run the pool."""
    copies = multiprocessing.get_context("forkserver")
    copies.set_forkserver_preload([_PROGRAM])
    forkserver.ensure_running()
    import parsl.multiprocessing  # noqa: PLC0415 while the other loads it

    parsl.multiprocessing.SpawnContext = copies
    runpy.run_module(_PROGRAM, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
