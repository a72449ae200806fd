"""What a session's job was given is no default of jobs that start from it."""

import subprocess
import sys
from pathlib import Path

from benchtop_lab.session import environment

SLURM = {
    "SLURM_JOB_ID": "7", "SLURM_MEM_PER_NODE": "1024", "SLURM_CPUS_PER_TASK": "2", "SLURM_NTASKS": "1",
    "SLURM_JOB_QOS": "normal", "SBATCH_EXPORT": "NONE", "SALLOC_PARTITION": "debug", "SLURM_CONF": "/etc/x",
    "CUDA_VISIBLE_DEVICES": "0", "JUPYTERHUB_API_TOKEN": "secret", "PATH": "/bin", "HOME": "/home/alice",
}  # fmt: skip


def test_what_slurm_would_take_for_a_wish_goes_and_the_number_of_the_job_stays():
    env = dict(SLURM)
    environment.keep_to_itself(env)
    left = {name for name in env if name.startswith(("SLURM", "SBATCH", "SALLOC"))}
    assert left == {"SLURM_JOB_ID", "SLURM_CONF"}
    assert env["CUDA_VISIBLE_DEVICES"] == "0", "the kernel has its GPU"


def test_what_is_the_sessions_own_is_named_and_what_is_the_persons_is_not():
    env = dict(SLURM)
    environment.keep_to_itself(env)
    own = set(env[environment.OWN].split())
    assert {"CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID", "JUPYTERHUB_API_TOKEN", "BENCHTOP_OWN"} <= own
    assert own.isdisjoint({"PATH", "HOME"})


def test_on_htcondor_the_slot_and_the_threads_stay_and_are_named():
    env = {"_CONDOR_SLOT": "slot1", "_CONDOR_ANCESTOR_17": "x", "OMP_NUM_THREADS": "2"}
    environment.keep_to_itself(env)
    assert "_CONDOR_ANCESTOR_17" not in env
    assert {"_CONDOR_SLOT", "OMP_NUM_THREADS"} <= set(env[environment.OWN].split())


def test_what_points_into_the_sessions_folder_on_the_node_is_its_own():
    env = {"BENCHTOP_RUN": "/tmp/benchtop.x", "JUPYTER_RUNTIME_DIR": "/tmp/benchtop.x/jupyter", "A": "/tmp/b"}  # noqa: S108
    environment.keep_to_itself(env)
    own = set(env[environment.OWN].split())
    assert "JUPYTER_RUNTIME_DIR" in own
    assert "A" not in own


def test_nothing_leaves_a_core_file():
    program = (
        "import resource; from benchtop_lab.session import limits; limits.no_core_files();"
        "print(resource.getrlimit(resource.RLIMIT_CORE))"
    )
    lab = str(Path(environment.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": lab}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "(0, 0)"


def test_programs_are_told_the_way_out_as_far_as_nothing_else_is_said(tmp_path):
    file = tmp_path / "environment"
    file.write_text("http_proxy=http://egress:3128\nPIP_INDEX_URL=https://a.example/simple?a=b\n")
    env = {"http_proxy": "http://own.example:1"}
    environment.lead_out(env, file)
    assert env == {"http_proxy": "http://own.example:1", "PIP_INDEX_URL": "https://a.example/simple?a=b"}
    environment.lead_out(env, tmp_path / "none")
