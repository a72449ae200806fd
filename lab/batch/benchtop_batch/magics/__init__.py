"""`%%slurm` and `%%condor` run a cell as a batch job; `%squeue` and others show what a batch system says.

An extension of IPython: `%load_ext benchtop_batch.magics` where it is not loaded by configuration. Loading it
loads none of its parts: each comes with the first use.

    cell.py     runs a cell as a job, and shows how it goes on
    line.py     the options of a cell's first line
    on_node.py  what runs it there
    tables.py   commands of the batch systems as tables
"""

TYPE_CHECKING = False  # not typing's, for which each kernel would wait
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

TABLES = ("squeue", "sinfo", "sacct", "sacctmgr", "condor_q", "condor_status", "condor_history")
_COMMON = """
    -c N, --cpus N        CPUs
    --mem 1G              memory
    --gpus 2, a100:1      GPUs
    --in x,y              variables of the notebook that the cell gets
    --out result          variables that the notebook gets back; of several tasks, lists of them
    --background NAME     do not wait: NAME is the future of the job
    --keep                go on when the kernel ends; benchtop_batch.collect(NUMBER) finds the job again
"""
_SLURM = """
    --time 10m            the most that it runs: 10m, 2h, 1-12:00:00
    --array 0-9           so many jobs; in each, `task` is its number
    --nodes 2             run it on each of them, by srun
    --partition --account --qos --constraint   as sbatch has them
"""
_CONDOR = """
    --disk 1G             space on the node's disk
    --requirements EXPR   what a machine has to have, in quotes
    --count 10            so many jobs; in each, `task` is its number, from 0
"""


def load_ipython_extension(shell: "Any") -> None:
    """What IPython calls."""
    for cluster, own in (("slurm", _SLURM), ("condor", _CONDOR)):
        shell.register_magic_function(_cell(cluster, own, shell), "cell", cluster)
    for name in TABLES:
        shell.register_magic_function(_table(name), "line", name)


def _cell(cluster: str, own: str, shell: "Any") -> "Callable[[str, str], None]":
    def magic(line: str, cell: str) -> None:
        from benchtop_batch.magics import cell as running

        running.run(cluster, line, cell, shell)  # type: ignore[arg-type] # one of the two

    what = "a Slurm job" if cluster == "slurm" else "a job of HTCondor"
    magic.__doc__ = f"Run the cell as {what}, in the notebook's environment.\n{_COMMON}{own[1:]}"
    return magic


def _table(name: str) -> "Callable[[str], Any]":
    def magic(line: str) -> "Any":
        from benchtop_batch.magics import tables

        return tables.table(name, line)

    magic.__doc__ = f"What `{name}` says, as a pandas table. It takes the command's own options."
    return magic
