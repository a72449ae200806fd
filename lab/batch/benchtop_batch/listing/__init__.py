"""A person's jobs on the batch systems that take any of theirs from here: `benchtop_batch.jobs()`.

    job.py       what is known of one, and how it is cancelled
    slurm.py     what Slurm says of them
    condor.py    what HTCondor says of them
    overview.py  both together, asked no more often than is needed

Nothing but the standard library; pandas where somebody asks for a table of it.
"""

from benchtop_batch.listing.job import STATES, CannotCancelError, Job, cancel
from benchtop_batch.listing.overview import Jobs, Overview, counts, jobs
from benchtop_batch.systems import NAMES

__all__ = ["NAMES", "STATES", "CannotCancelError", "Job", "Jobs", "Overview", "cancel", "counts", "jobs"]
