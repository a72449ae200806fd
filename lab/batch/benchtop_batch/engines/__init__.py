"""IPyParallel on the batch systems of a facility, with nothing typed: `ipp.Cluster(engines="slurm")`."""
