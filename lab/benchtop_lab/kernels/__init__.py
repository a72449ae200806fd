"""Kernels: where a person's are found, how each is started, and what is said of one that cannot be."""
