"""What every kernel and IPython of a person has. What somebody sets in their own profile wins."""

import importlib.util

c = get_config()  # noqa: F821 IPython has it

if importlib.util.find_spec("benchtop_batch"):  # not in an environment that somebody made without it
    # %%slurm, %%condor and the tables. Not in `extensions`, which people set to their own.
    c.InteractiveShellApp.extra_extensions = ["benchtop_batch.magics"]
