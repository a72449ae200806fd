"""Sessions as Slurm jobs."""
