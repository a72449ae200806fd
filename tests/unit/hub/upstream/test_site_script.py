"""Batch scripts as sites publish them, written anew: each does here what it does with batchspawner."""

import asyncio
import subprocess

import pytest
from jupyterhub.spawner import SpawnException

from benchtop_hub.backends import commands
from benchtop_hub.backends.condor import description, form
from benchtop_hub.errors import ForPerson
from standins import SECRET, OnCondor, OnSlurm, Pool, reported, start
from standins import session as made

# A whole script, with directives, modules and a step of its own
WHOLE = """\
#!/bin/bash -l
#SBATCH --job-name=site-lab
#SBATCH --constraint=avx2
#SBATCH --output={homedir}/lab.log
#SBATCH --partition={partition} --mem={memory} --time={runtime} --cpus-per-task={nprocs}
#SBATCH --export={keepvars}
#SBATCH {options}

unset XDG_RUNTIME_DIR
module load jupyter
export SITE_HOME={homedir} SITE_USER={username}
{prologue}
srun --quiet {cmd}
{epilogue}
"""
CONDITIONS = """\
#!/bin/bash
#SBATCH --partition={{ partition }}
{% if reservation %}#SBATCH --reservation={{ reservation }}
{% endif %}
{%- if gres %}#SBATCH --gres={{ gres }}
{% endif %}
{%- if partition == "debug" %}export SHORT=yes{% endif %}
{{ prologue }}
{{ srun }} {{ cmd }}
{{ epilogue }}
"""
HTCONDOR = """\
Universe = vanilla
Executable = /bin/bash
Arguments = "-c 'exec {cmd}'"
+Project = "physics"
+RunAs = "{username}"
Requirements = (HasAvx =?= True)
Request_Memory = {memory}
PeriodicRemove = (JobStatus == 1 && NumJobStarts > 3)
Environment = "SITE=yes"
Transfer_Input_Files = /etc/motd
{options}
Queue
"""
# Commands that a job of theirs has and this machine does not
STUBS = """\
module() { echo "module $*"; }
srun() { while [[ $1 == -* ]]; do shift; done; echo srun; "$@"; }
"""


# The Python of a job
PYTHON = """#!/bin/bash
[ "$3" != benchtop_lab.session ] || printenv SITE_USER SHORT A
"""


@pytest.fixture
def run(session, slurm, tmp_path):
    """`run(script, **site)`: what the job of a session prints, by bash itself, and what sbatch was sent."""
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o700)
    session.lab_python = str(python)

    def job(script="", **site):
        for name, value in {**({"batch_script": script} if script else {}), **site}.items():
            setattr(session, name, value)
        start(session, reported)
        first, _, rest = slurm.sent.partition("\n")
        done = subprocess.run(
            ["bash"], input=f"{first}\n{STUBS}{rest}", capture_output=True, text=True, check=False,
            env={"PATH": commands.PATH, "SLURM_JWT": "secret", "SLURM_JOB_END_TIME": "1", "A": "a"},
        )  # fmt: skip
        return done.stdout.splitlines(), slurm.sent

    return job


AROUND = {"req_prologue": "echo before", "req_epilogue": "echo after"}


def test_a_whole_script_of_a_site_runs_as_it_stands(run):
    printed, sent = run(WHOLE, req_options="--exclusive", **AROUND)
    assert printed == ["module load jupyter", "before", "srun", "alice", "a", "after"]
    head, _, rest = sent.partition("unset SLURM_JWT\n")
    assert "#SBATCH --exclusive\n" in head, "directives come before the first command: sbatch reads no others"
    assert "#SBATCH --partition=debug --mem=1024M --time=30 --cpus-per-task=1\n" in head
    assert "#SBATCH --output=/home/alice/lab.log\n" in head
    assert "#SBATCH" not in rest


def test_names_of_the_environment_are_there_and_none_of_their_values(run, session):
    session.req_keepvars_extra = "SITE_LICENSE=x"
    _, sent = run(WHOLE)
    (line,) = (line for line in sent.splitlines() if line.startswith("#SBATCH --export="))
    names = line.partition("=")[2].split(",")
    assert {"JUPYTERHUB_API_TOKEN", "HOME", "SITE_LICENSE=x"} <= set(names)
    assert SECRET not in sent


def test_one_is_read_from_a_file_by_a_class_of_the_site(tmp_path, slurm, keys, answers):
    file = tmp_path / "job.sh"
    file.write_text("#!/bin/sh\n# of a file\n{cmd}\n")

    class FromFile(OnSlurm):
        @property
        def batch_script(self):
            return file.read_text()

    start(made(FromFile, slurm, keys=keys), reported)
    assert "# of a file\n" in slurm.sent
    file.write_text("#!/bin/sh\n# of a file that was changed\n{cmd}\n")
    start(made(FromFile, slurm, keys=keys), reported)
    assert "that was changed" in slurm.sent, "the next session has it"


@pytest.mark.parametrize(
    ("asked", "there", "away"),
    [
        ({}, [], ["--gres", "--reservation"]),
        ({"gpu": "pascal:1"}, ["#SBATCH --gres=gpu:pascal:1\n"], ["--reservation"]),
    ],
)
def test_conditions_go_by_what_was_granted(run, session, asked, there, away):
    session.user_options = asked
    printed, sent = run(CONDITIONS)
    assert printed == ["yes", "a"]
    assert all(line in sent for line in there)
    assert not any(word in sent.partition("benchtop_lab")[0] for word in away)


def test_the_facilitys_own_has_what_a_site_adds(run):
    printed, sent = run(req_options="--exclusive", req_srun="srun -n1", **AROUND)
    assert printed == ["before", "srun", "a", "after"]
    assert sent.splitlines()[3] == "#SBATCH --exclusive"


def test_the_facilitys_own_is_plain_without(run):
    printed, sent = run()
    assert printed == ["a"]
    assert "#SBATCH" not in sent
    assert "srun" not in sent


def test_options_of_the_command_line_say_what_was_granted_whatever_the_script_does(run, slurm):
    run("#!/bin/sh\n#SBATCH --partition=other --time=99999\n{cmd}\n")
    command = next(words for words in slurm.ran if words[0] == "sbatch")
    assert {"--partition=debug", "--time=30", "--export=ALL"} <= set(command)


def test_variables_that_a_site_keeps_are_exported(run, session, slurm):
    run(req_keepvars_extra="SITE_LICENSE=x,OTHER=y")
    command = next(words for words in slurm.ran if words[0] == "sbatch")
    assert "--export=ALL,SITE_LICENSE=x,OTHER=y" in command


def test_a_setting_that_a_site_adds_is_a_placeholder(slurm, keys, answers):
    class Ours(OnSlurm):
        req_site = OnSlurm.req_options.__class__("east").tag(config=True)

    session = made(Ours, slurm, keys=keys, batch_script="#!/bin/sh\n# {site}\n{cmd}\n")
    start(session, reported)
    assert "# east\n" in slurm.sent


def test_when_it_would_start_is_asked_for_the_sites_own_script(session, slurm):
    session.batch_script = "#!/bin/sh\n#SBATCH --constraint=avx2\n{cmd}\n"
    asyncio.run(session.estimate({}))
    assert "--constraint=avx2" in slurm.sent


WRONG = {
    "none": "",
    "no shell": "#!/usr/bin/python3\n# {cmd}\n",
    "no such placeholder": "#!/bin/sh\n{memroy} {cmd}\n",
    "no name": "#!/bin/sh\n{} {cmd}\n",
    "no such part": "#!/bin/sh\n{memory.x} {cmd}\n",
    "half a condition": "#!/bin/sh\n{% if gres %}\n{{ cmd }}\n",
}


@pytest.mark.parametrize("script", WRONG.values(), ids=WRONG.keys())
def test_who_meets_a_script_that_is_wrong_is_told_whom_to_tell(session, slurm, caplog, script):
    """`make apply` refuses it; it may have been changed without, or be a site's own class that reads it."""
    session.batch_script = script
    sentence = f"A setting of the facility is wrong, so no session can start. Contact {session.support}."
    with pytest.raises(SpawnException) as told:
        start(session)
    assert told.value.message == sentence
    assert "configuration wrong user=alice cell=hpc-1: batch_script: " in caplog.text
    with pytest.raises(ForPerson) as asked:
        asyncio.run(session.estimate({}))
    assert (asked.value.status_code, asked.value.jupyterhub_message) == (500, sentence)
    assert slurm.ran == []


def test_a_file_that_is_not_there_is_told_alike(slurm, keys, answers):
    session = made(OnSlurm, slurm, keys=keys, jobs="/nowhere")
    with pytest.raises(SpawnException, match="A setting of the facility is wrong"):
        start(session)


@pytest.mark.parametrize("site", [{"req_memory": "much"}, {"req_gres": "shard:1"}])
def test_a_default_that_cannot_be_read_is_told_alike_on_the_form_and_by_the_api(session, slurm, caplog, site):
    ((name, value),) = site.items()
    setattr(session, name, value)
    for ask in (session.get_options_form, lambda: session.options_from_form({}), session.start):
        with pytest.raises(ForPerson, match="unknown") as told:
            asyncio.run(ask())
        assert told.value.jupyterhub_message.startswith("A setting of the facility is wrong")
    assert f"configuration wrong user=alice cell=hpc-1: {name}: " in caplog.text
    assert slurm.ran == []


# ---- HTCondor's ------------------------------------------------------------------------------------


def described(**site):
    """What condor_submit reads, by name, the last of each."""
    session = made(OnCondor, Pool(), **site)
    granted = form.Granted("jupyter", 2, 1024, 512, 60)
    text = description.describe(granted, session.launch({}), cell="htc-1", folder="/tmp/x")  # noqa: S108
    pairs = (line.partition("=") for line in text.replace("\\\n", "").splitlines() if "=" in line)
    return text, {name.strip().lower(): value.strip() for name, _, value in pairs}


def test_a_submit_description_of_a_site_keeps_what_is_its_own():
    text, said = described(batch_script=HTCONDOR, req_options="accounting_group = site")
    assert said["+project"] == '"physics"'
    assert said["+runas"] == '"alice"'
    assert said["environment"] == '"HOME=/nonexistent SITE=yes"'
    assert said["accounting_group"] == "site"
    assert text.lower().count("\nqueue") == 1
    assert text.rstrip().endswith("queue")


def test_what_was_granted_wins_and_conditions_are_combined():
    _, said = described(batch_script=HTCONDOR)
    assert said["request_memory"] == "1024M"
    assert said["requirements"].startswith("((HasAvx =?= True)) && (NumShadowStarts")
    assert said["transfer_input_files"] == "/etc/motd, /tmp/x/session"
    assert said["my.benchtopcell"] == '"htc-1"'
