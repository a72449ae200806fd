"""IPyParallel on the batch systems of a site, with nothing typed: `ipp.Cluster(engines="slurm")`."""
