"""Sessions as HTCondor jobs."""
