"""Dask on Slurm and HTCondor: the clusters of dask_jobqueue, with nothing to fill in.

    jobqueue.py   is called when dask_jobqueue is imported: the clusters that take its place
    clusters.py   a cluster: where it can be, its keys, what its workers wait for, what becomes of dead ones
    jobs.py       a worker's job
    worker.py     the program of such a job
    protect.py    is called when distributed is imported: who may speak to a scheduler, and where its pages
    are dashboard.py  the pages of a scheduler
    keys.py       its keys
    host.py       the program of a cluster that was started from JupyterLab's panel

What is a site's (partition, size of a worker) stands in its Dask configuration, below /etc/dask. What a
person sets in ~/.config/dask goes before it.
"""

from benchtop_batch import lazily

__getattr__, __dir__ = lazily(
    __name__, {"BatchCluster": "clusters", "HTCondorCluster": "clusters", "SLURMCluster": "clusters"}
)
