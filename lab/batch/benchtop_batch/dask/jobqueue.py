"""Called when `dask_jobqueue` is imported: our clusters in the place of its own, under its names.

`from dask_jobqueue import SLURMCluster` is what every course and every page on the web teaches.
"""

from collections.abc import Callable
from types import ModuleType


def mend(jobqueue: ModuleType, load: Callable[[], None]) -> None:
    """Put them there, in the package and in the modules that define upstream's."""
    load()
    from benchtop_batch.dask import clusters

    jobqueue.SLURMCluster = jobqueue.slurm.SLURMCluster = clusters.SLURMCluster  # type: ignore[attr-defined]
    jobqueue.HTCondorCluster = jobqueue.htcondor.HTCondorCluster = clusters.HTCondorCluster  # type: ignore[attr-defined]
