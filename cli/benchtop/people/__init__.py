"""The people: one list, checked as a whole, and what the directory, Slurm and Keycloak make of it."""
