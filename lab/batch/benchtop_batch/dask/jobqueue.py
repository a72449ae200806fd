"""Called when `dask_jobqueue` is imported: our clusters in the place of its own, under its names.

`from dask_jobqueue import SLURMCluster` is what every course and every page on the web teaches.
"""

from collections.abc import Callable
from types import ModuleType


def mend(jobqueue: ModuleType, load: Callable[[], None]) -> None:
    """Put them there, unless it is their own module that imports the package, and does so at its end."""
    load()
    from importlib import import_module

    clusters = import_module("benchtop_batch.dask.clusters")
    if hasattr(clusters, "HTCondorCluster"):
        take_place(jobqueue, clusters)


def take_place(jobqueue: ModuleType, clusters: ModuleType) -> None:
    """In the package, and in the modules that define upstream's."""
    jobqueue.SLURMCluster = jobqueue.slurm.SLURMCluster = clusters.SLURMCluster  # type: ignore[attr-defined]
    jobqueue.HTCondorCluster = jobqueue.htcondor.HTCondorCluster = clusters.HTCondorCluster  # type: ignore[attr-defined]
