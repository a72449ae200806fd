"""What of a job's environment a session keeps, and what jobs that start from it are not to inherit.

A batch system tells a job what it was given by variables, and takes many of the same names as wishes for the
next job: `sbatch` in a session asked for the session's memory, once more, in another unit, and was refused.
So what is a wish goes. What programs of the session need all the same, like the GPU that is theirs, stays,
and is named in BENCHTOP_OWN: the commands that start jobs forget it (images/node/slurm/session-command).

Nothing but the standard library.
"""

import sys
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path

from benchtop_lab.home.log import FOLDER

# By these a session knows its own job. No command of Slurm takes one of them for a wish but the number, by
# which srun would start a step of the session.
ABOUT_THE_JOB = frozenset({
    "SLURMD_NODENAME", "SLURM_CLUSTER_NAME", "SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JOBID",
    "SLURM_JOB_END_TIME", "SLURM_JOB_ID", "SLURM_JOB_PARTITION", "SLURM_JOB_START_TIME", "SLURM_JOB_UID",
    "SLURM_JOB_USER",
})  # fmt: skip
WISHES = ("SLURM_", "SLURMD_", "SBATCH_", "SALLOC_", "SRUN_", "PMI_", "PMIX_", "_CONDOR_ANCESTOR_")
# What the batch systems set for the programs of one job
DEVICES = frozenset(
    {"CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"}
)
THREADS = frozenset({
    "CUBACORES", "GOMAXPROCS", "JULIA_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS", "ROOT_MAX_THREADS",
    "TF_LOOP_PARALLEL_ITERATIONS", "TF_NUM_THREADS",
})  # fmt: skip
# … and what is the session's own
SESSION = ("BENCHTOP_", "JPY_", "JUPYTERHUB_", "SLURM", "_CONDOR_")
# Which of Slurm's accounts the session counts for: kernels are found by it
ACCOUNT = "BENCHTOP_ACCOUNT"
# In what the session runs, as the hub has it (chosen.py): "", NAME/VERSION, or a path; and where the area is
CHOSEN, AREA = "BENCHTOP_ENVIRONMENT", "BENCHTOP_SOFTWARE"
# The kernel that a notebook begins with, for the server's settings
KERNEL = "BENCHTOP_KERNEL"
OWN, JOB, BIN = "BENCHTOP_OWN", "BENCHTOP_JOB", "BENCHTOP_BIN"
# How programs reach the internet: lines NAME=VALUE, which `make up` wrote (cli/benchtop/host/egress.py)
WAY_OUT = Path("/etc/benchtop/egress/environment")


def lead_out(env: MutableMapping[str, str], file: Path = WAY_OUT) -> None:
    """Tell programs of the session how they reach the internet, as far as nothing else says otherwise."""
    with suppress(OSError):
        for line in file.read_text().splitlines():
            name, _, value = line.partition("=")
            env.setdefault(name, value)


def keep_to_itself(env: MutableMapping[str, str]) -> None:
    """Take out what would be a default of other jobs, and name the rest of what is this session's."""
    env[ACCOUNT] = env.get("SLURM_JOB_ACCOUNT", "")
    for name in [name for name in env if name.startswith(WISHES) and name not in ABOUT_THE_JOB]:
        del env[name]
    env[JOB] = env.get("SLURM_JOB_ID", "")
    env[BIN] = str(Path(sys.executable).parent)  # for terminals: lab/config/terminal.bash
    env[OWN] = ""
    # on this node; what points into them is of no use to another job
    folders = tuple(filter(None, (env.get(FOLDER), env.get("_CONDOR_SCRATCH_DIR"))))
    own = (
        name
        for name, value in env.items()
        if name in DEVICES | THREADS or name.startswith(SESSION) or value.startswith(folders)
    )
    env[OWN] = " ".join(sorted(own))
