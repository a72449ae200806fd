"""Slurm as a person meets it: every command is given from a hub, with that person's own token."""

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from benchtop.people import lists
from benchtop.people.roster import People
from benchtop.settings import Settings
from benchtop.stack import compose
from support.as_person import become
from support.wait import wait_until

pytestmark = [pytest.mark.shares("slurm"), pytest.mark.long]

TOKEN = """
import http.client, json, ssl, sys
tls = ssl.create_default_context(cafile="/keys/minter-ca.pem")
tls.load_cert_chain("/keys/minter.pem")
minter = http.client.HTTPSConnection("hpc-minter", 8600, context=tls, timeout=10)
minter.request("POST", "/token", body=json.dumps({"person": sys.argv[1], "lifetime": 600}))
print(json.loads(minter.getresponse().read())["token"])
"""
SLEEP = "#!/bin/sh\nexec sleep 600\n"
STARTS = 5  # seconds within which a job must run on a node that is free
BUSY = 30  # … and be over on a machine that is busy with other tests

Services = Callable[[str], Host]


@dataclass
class Someone:
    """A person who uses Slurm through a hub."""

    name: str
    hub: Host
    token: str
    jobs: list[str] = field(default_factory=list)

    def run(self, command: str, *arguments: str) -> CommandResult:
        """One command of Slurm as this person."""
        return self.hub.run("env SLURM_JWT=%s " + command, self.token, *arguments)

    def sbatch(self, options: str, script: str = SLEEP) -> CommandResult:
        """Submit a script; whatever becomes of it is cancelled after the test."""
        home = f"/home/{self.name}"
        sbatch = f"sbatch --parsable --no-requeue --chdir={home} --output={home}/slurm-test.%%j {options}"
        done = self.hub.run("printf %s %s | env SLURM_JWT=%s " + sbatch, "%s", script, self.token)
        if done.rc == 0:
            self.jobs.append(done.stdout.strip())
        return done

    def submit(self, options: str, script: str = SLEEP) -> str:
        """Submit a script that must be taken; its job."""
        done = self.sbatch(options, script)
        assert done.rc == 0, done.stderr
        return done.stdout.strip()

    def state(self, job: str) -> str:
        """The state of a job, "" when Slurm's controller has forgotten it."""
        shown = self.run("scontrol --oneliner show job %s", job)
        found = re.search(r"JobState=(\S+)", shown.stdout)
        return found[1] if found else ""

    def becomes(self, job: str, state: str, timeout: float = STARTS) -> None:
        """Wait for a job to get into a state."""
        wait_until(
            lambda: self.state(job) == state,
            timeout=timeout,
            what=f"job {job} to be {state}: it is {self.state(job)}",
        )


Person = Callable[[str], Someone]
Output = Callable[[Someone, str], str]


@pytest.fixture
def person(service: Services) -> Iterator[Person]:
    """Someone at a hub: `person("alice")`; their jobs end with the test."""
    known: dict[str, Someone] = {}
    for name in ("slurmctld", "hpc-minter", "gpu-1"):
        service(name)  # for their logs, should the test fail

    def someone(name: str) -> Someone:
        if name not in known:
            hub = service("hpc-1")
            known[name] = Someone(name, hub, hub.check_output("python3 -c %s %s", TOKEN, name))
        return known[name]

    yield someone
    for one in known.values():
        if one.jobs:
            one.run(f"scancel {' '.join(one.jobs)}")
            wait_until(
                lambda one=one: not one.run(f"squeue --noheader --jobs={','.join(one.jobs)}").stdout.strip(),  # type: ignore[misc]
                timeout=30,
                what=f"the jobs of {one.name} to end",
            )


@pytest.fixture
def output(service: Services) -> Callable[[Someone, str], str]:
    """What an ended job wrote."""

    def read(who: Someone, job: str) -> str:
        who.becomes(job, "COMPLETED", timeout=BUSY)
        return service("cpu-1").check_output("cat %s", f"/home/{who.name}/slurm-test.{job}")

    return read


def up_since(host: Host) -> float:
    """When the container was started; 0 while it is not up."""
    shown = host.run("stat -c %.9Y /proc/1")
    return float(shown.stdout) if shown.rc == 0 else 0


# ---- the job itself ---------------------------------------------------------------------------


@pytest.mark.needs("hpc/dave")
def test_a_job_runs_as_its_owner_on_a_node_with_the_gpu_that_it_asked_for(person: Person, output: Output):
    script = "#!/bin/sh\nid -un; hostname; pwd; echo $CUDA_VISIBLE_DEVICES; echo $SLURM_JOB_GPUS\n"
    job = person("dave").submit("--partition=debug --gres=gpu:pascal:1", script)
    *where, device, of_the_job = output(person("dave"), job).split()
    assert where == ["dave", "gpu-1", "/home/dave"]
    assert device == of_the_job
    assert device in {"0", "1"}  # whichever nobody else has


@pytest.mark.needs("hpc/alice")
def test_two_gpus_at_once_are_two_different_ones(person: Person, output: Output):
    script = "#!/bin/sh\necho $CUDA_VISIBLE_DEVICES; nvidia-smi -L | grep -c ^GPU\n"
    options = "--partition=usatlas --account=tier3 --qos=usatlas --gres=gpu:tesla:2"
    assert output(person("alice"), person("alice").submit(options, script)).split() == ["0,1", "2"]


@pytest.mark.needs("slurm")
def test_a_job_starts_within_two_seconds(person: Person):
    """A person waits for their session. Measured: 0.15 to 1.0 s, as slurmctld looks once a second."""
    alice = person("alice")
    start = time.monotonic()
    alice.becomes(alice.submit("--partition=debug"), "RUNNING", timeout=10)
    assert (
        time.monotonic() - start < 2 + 3 * 0.5
    )  # three calls into a container cost up to half a second each


@pytest.mark.needs("hpc/dave")
def test_twenty_jobs_in_a_row_all_run(person: Person):
    dave = person("dave")
    jobs = [dave.submit("--partition=harvester --mem=10", "#!/bin/sh\ntrue\n") for _ in range(20)]
    for job in jobs:
        dave.becomes(job, "COMPLETED", timeout=30)


@pytest.mark.parametrize("export", ["--export=NONE", "--export=GREETING=hello", "--get-user-env"])
@pytest.mark.needs("hpc/dave")
def test_a_job_that_brings_no_environment_does_not_end_the_node(
    person: Person, output: Output, service: Services, export: str
):
    """Without GetEnvTimeout=0 slurmd 24.11 exits on each of these."""
    script = "#!/bin/sh\nunset SLURM_JWT\necho $GREETING; id -un\n"
    before = up_since(service("gpu-1"))
    job = person("dave").submit(f"--partition=debug --nodelist=gpu-1 {export}", script)
    assert output(person("dave"), job).split()[-1] == "dave"
    assert up_since(service("gpu-1")) == before


@pytest.mark.needs("hpc/dave")
def test_a_job_that_brings_no_environment_gets_its_owners(person: Person, output: Output):
    script = '#!/bin/sh\necho "$HOME $USER $SHELL"\n'
    job = person("dave").submit("--partition=debug --export=NONE", script)
    assert output(person("dave"), job).split() == ["/home/dave", "dave", "/bin/bash"]


@pytest.mark.needs("hpc/dave")
def test_commands_inside_a_job_need_no_token(person: Person, output: Output):
    script = "#!/bin/sh\nunset SLURM_JWT\nsqueue --noheader --jobs=$SLURM_JOB_ID --format=%u\n"
    assert output(person("dave"), person("dave").submit("--partition=debug", script)).split() == ["dave"]


@pytest.mark.needs("hpc/dave")
def test_a_job_cannot_read_the_key_of_the_cluster(person: Person, output: Output, service: Services):
    script = "#!/bin/sh\ncat /keys/slurm.key >/dev/null 2>&1 && echo read || echo refused\n"
    job = person("dave").submit("--partition=debug --nodelist=gpu-1", script)
    assert output(person("dave"), job).split() == ["refused"]
    assert service("gpu-1").run("test -s /keys/slurm.key").rc == 0  # it is there, for slurmd


@pytest.mark.needs("hpc/dave")
def test_a_job_that_takes_more_memory_than_it_asked_for_is_ended(person: Person, service: Services):
    dave = person("dave")
    hog = (
        "import time; hog = bytes(1) * (400 << 20); hog = hog.replace(bytes(1), bytes([1])); time.sleep(600)"
    )
    job = dave.submit("--partition=debug --mem=100M", f"#!/bin/sh\nexec /usr/bin/python3 -c '{hog}'\n")
    ended = ("OUT_OF_MEMORY", "CANCELLED", "FAILED")
    wait_until(lambda: dave.state(job) in ended, timeout=40, what=f"job {job} to be ended")
    assert "exceeded memory limit" in service("cpu-1").check_output("cat %s", f"/home/dave/slurm-test.{job}")


# ---- its end ----------------------------------------------------------------------------------


@pytest.mark.needs("hpc/dave")
def test_a_cancelled_job_and_all_that_it_started_are_gone(
    person: Person, service: Services, settings: Settings
):
    dave, node = person("dave"), service("gpu-1")
    # the last two cut themselves loose: Slurm does not find them, the epilog does
    script = "#!/bin/sh\nsleep 771 &\nsetsid -f sleep 772\n(setsid sleep 773 &)\nexec sleep 774\n"
    job = dave.submit("--partition=debug --nodelist=gpu-1", script)
    sleeping = "pgrep --count --uid dave --full 'sleep 77[1-4]'"
    wait_until(
        lambda: node.run(sleeping).stdout.strip() == "4", timeout=STARTS, what="four processes of the job"
    )
    compose.run(settings, "exec", "--detach", "gpu-1", *become("dave"), "sleep", "775")
    dave.run("scancel %s", job)
    wait_until(
        lambda: node.run(sleeping).stdout.strip() == "0", timeout=5, what="the job's processes to be gone"
    )
    dave.becomes(job, "CANCELLED")
    assert node.run("pkill --uid dave --full 'sleep 775'").rc == 0, "what an admin let in is no job's"


@pytest.mark.needs("hpc/dave")
def test_the_end_of_a_job_leaves_the_owners_other_job_alone(person: Person, service: Services):
    dave, node = person("dave"), service("gpu-1")
    stays = dave.submit("--partition=debug --nodelist=gpu-1", "#!/bin/sh\nexec sleep 781\n")
    ends = dave.submit("--partition=debug --nodelist=gpu-1", "#!/bin/sh\nexec sleep 782\n")
    dave.becomes(stays, "RUNNING")
    dave.becomes(ends, "RUNNING")
    dave.run("scancel %s", ends)
    wait_until(
        lambda: node.run("pgrep --uid dave --full 'sleep 782'").rc == 1,
        timeout=5,
        what="the cancelled job to be gone",
    )
    dave.becomes(ends, "CANCELLED")
    assert (dave.state(stays), node.run("pgrep --uid dave --full 'sleep 781'").rc) == ("RUNNING", 0)


# ---- who may do what --------------------------------------------------------------------------


@dataclass(frozen=True)
class Offer:
    """A job that somebody asks for, and the word of Slurm's refusal ("" when it must be taken)."""

    who: str
    options: str
    refusal: str = ""


def offers(*all_of_them: Offer) -> list[Any]:
    """As parameters, each with the person whose jobs it is about."""
    return [pytest.param(one, marks=pytest.mark.needs(f"hpc/{one.who}")) for one in all_of_them]


NO_ACCOUNT, NO_QOS, NO_TIME = "Invalid account", "Invalid qos", "time limit is invalid"


@pytest.mark.parametrize(
    "offer",
    offers(
        # carol has no GPU, however she asks; without one she is welcome
        Offer("carol", "--partition=debug --gres=gpu:pascal:1", "AssocMaxGRESPerJob"),
        Offer("carol", "--partition=debug --gres=gpu:1", "AssocMaxGRESPerJob"),
        Offer("carol", "--partition=debug --gpus=1", "AssocMaxGRESPerJob"),
        Offer("carol", "--partition=scavenger --qos=scavenger --gpus-per-node=tesla:1", "AssocMaxGRESPerJob"),
        Offer("carol", "--partition=debug"),
        # debug: half an hour, one pascal a person
        Offer("alice", "--partition=debug --gres=gpu:pascal:2", "QOSMaxGRESPerUser"),
        Offer("alice", "--partition=debug --gres=gpu:tesla:1", "not available"),
        Offer("alice", "--partition=debug --time=31", NO_TIME),
        Offer("alice", "--partition=debug --qos=usatlas --account=tier3", NO_QOS),
        Offer("alice", "--partition=debug --gres=gpu:pascal:1 --time=30 --qos=interactive"),
        # harvester: a day, no GPU, no hurry
        Offer("alice", "--partition=harvester --gres=gpu:1", "not available"),
        Offer("alice", "--partition=harvester --qos=interactive", NO_QOS),
        Offer("alice", "--partition=harvester --time=24:01:00", NO_TIME),
        Offer("dave", "--partition=harvester --time=24:00:00"),
        # scavenger: only as what makes room
        Offer("alice", "--partition=scavenger", NO_QOS),
        Offer("alice", "--partition=scavenger --qos=scavenger --time=6:01:00", NO_TIME),
        Offer("dave", "--partition=scavenger --qos=scavenger --gres=gpu:tesla:2"),
        # usatlas: the group's
        Offer("dave", "--partition=usatlas --qos=interactive", NO_ACCOUNT),
        Offer("dave", "--partition=usatlas --account=tier3 --qos=usatlas", NO_ACCOUNT),
        Offer("alice", "--partition=usatlas --account=default --qos=interactive", NO_ACCOUNT),
        Offer("alice", "--partition=usatlas --account=tier3 --qos=scavenger", NO_QOS),
        Offer("alice", "--partition=usatlas --account=tier3 --qos=usatlas --time=721", NO_TIME),
        Offer("alice", "--partition=usatlas --account=tier3 --qos=usatlas --time=720 --gres=gpu:tesla:1"),
        # interactive is small
        Offer("alice", "--partition=debug --qos=interactive --cpus-per-task=5", "QOSMaxCpuPerUser"),
        Offer("alice", "--partition=debug --qos=interactive --cpus-per-task=4"),
    ),
    ids=lambda offer: f"{offer.who} {offer.options}",
)
def test_what_slurm_grants_is_what_was_promised(person: Person, offer: Offer):
    done = person(offer.who).sbatch(offer.options)
    if offer.refusal:
        assert (done.rc, offer.refusal in done.stderr) == (1, True), done.stderr
    else:
        assert done.rc == 0, done.stderr


@pytest.mark.needs("slurm")
def test_a_second_gpu_of_the_same_person_in_debug_waits(person: Person):
    alice, dave = person("alice"), person("dave")
    first = alice.submit("--partition=debug --gres=gpu:pascal:1")
    alice.becomes(first, "RUNNING")
    second = alice.submit("--partition=debug --gres=gpu:pascal:1")
    others = dave.submit("--partition=debug --gres=gpu:pascal:1")
    dave.becomes(others, "RUNNING")
    assert alice.state(second) == "PENDING"


@pytest.mark.needs("slurm")
def test_a_scavenger_makes_room_and_waits_in_the_queue_again(person: Person):
    dave, alice = person("dave"), person("alice")
    scavenger = dave.submit(
        "--partition=scavenger --qos=scavenger --requeue --nodelist=gpu-1 --gres=gpu:pascal:2"
    )
    dave.becomes(scavenger, "RUNNING")
    session = alice.submit("--partition=debug --qos=interactive --gres=gpu:pascal:1")
    alice.becomes(session, "RUNNING", timeout=20)
    dave.becomes(scavenger, "PENDING", timeout=20)


@pytest.mark.needs("slurm")
def test_a_cluster_full_of_scavengers_starts_an_interactive_session_at_once(person: Person):
    dave, alice = person("dave"), person("alice")
    options = "--partition=scavenger --qos=scavenger --requeue --cpus-per-task=8"
    scavengers = [dave.submit(f"{options} --nodelist={node}") for node in ("cpu-1", "gpu-1", "gpu-2")]
    for job in scavengers:
        dave.becomes(job, "RUNNING")
    session = alice.submit("--partition=debug --qos=interactive --cpus-per-task=4")
    alice.becomes(session, "RUNNING", timeout=20)
    wait_until(
        lambda: [dave.state(job) for job in scavengers].count("RUNNING") == 2,
        timeout=20,
        what="one of them to have made room, and no more",
    )


@pytest.mark.needs("slurm")
def test_interactive_sessions_of_one_person_hold_four_cpus_together(person: Person):
    alice, dave = person("alice"), person("dave")
    interactive = "--partition=debug --qos=interactive"
    first = alice.submit(f"{interactive} --cpus-per-task=4")
    alice.becomes(first, "RUNNING")
    second = alice.submit(f"{interactive} --cpus-per-task=1")
    wait_until(
        lambda: "Reason=QOSMaxCpuPerUserLimit" in alice.run("scontrol show job %s", second).stdout,
        timeout=STARTS,
        what="it to wait for alice's own",
    )
    others = dave.submit(f"{interactive} --cpus-per-task=4")  # the control: it is hers, not the QOS's
    dave.becomes(others, "RUNNING")
    assert alice.state(second) == "PENDING"


@pytest.mark.needs("slurm")
def test_nobody_makes_room_for_a_scavenger(person: Person):
    alice, dave = person("alice"), person("dave")
    batch = alice.submit("--partition=usatlas --account=tier3 --qos=usatlas --gres=gpu:tesla:2")
    alice.becomes(batch, "RUNNING")
    scavenger = dave.submit("--partition=scavenger --qos=scavenger --nodelist=gpu-2 --gres=gpu:tesla:1")
    wait_until(
        lambda: "Reason=Resources" in dave.run("scontrol show job %s", scavenger).stdout,
        timeout=STARTS,
        what="it to wait",
    )
    assert (alice.state(batch), dave.state(scavenger)) == ("RUNNING", "PENDING")


@pytest.mark.needs("hpc/alice", "hpc/dave")
def test_nobody_cancels_the_job_of_another_person(person: Person):
    dave, alice = person("dave"), person("alice")
    job = dave.submit("--partition=debug")
    assert "Access/permission denied" in alice.run("scancel %s", job).stderr
    assert dave.state(job) in ("PENDING", "RUNNING")
    assert dave.run("scancel %s", job).rc == 0


@pytest.mark.needs("hpc/dave")
def test_the_admin_does(person: Person):
    dave, erin = person("dave"), person("erin")
    job = dave.submit("--partition=debug")
    dave.becomes(job, "RUNNING")
    assert erin.run("scancel %s", job).rc == 0
    dave.becomes(job, "CANCELLED", timeout=15)


@pytest.mark.parametrize("name", ["alice", "erin"])
@pytest.mark.parametrize(
    "command", ["scontrol reconfigure", "scontrol shutdown", "scontrol token username=root"]
)
def test_nobody_steers_slurm_by_a_persons_token(person: Person, name: str, command: str):
    """Not even the admin's: hubs can get one. Inside slurmctld, its own user does."""
    assert person(name).run(command).rc != 0
    assert person(name).run("scontrol ping").rc == 0


@pytest.mark.needs("hpc/dave")
def test_a_token_that_the_minter_did_not_sign_is_worth_nothing(person: Person):
    dave = person("dave")
    head, claims, signature = dave.token.split(".")
    forged = Someone("dave", dave.hub, ".".join([head, claims, signature[::-1]]))
    assert forged.sbatch("--partition=debug").rc != 0
    assert dave.sbatch("--partition=debug").rc == 0


def test_without_a_token_a_hub_can_do_nothing(person: Person):
    assert person("alice").hub.run("squeue").rc != 0
    assert person("alice").run("squeue").rc == 0


# ---- emulated GPUs ----------------------------------------------------------------------------


@pytest.mark.needs("hpc/dave")
def test_nvidia_smi_says_first_that_it_is_emulated(person: Person, output: Output):
    script = "#!/bin/sh\nnvidia-smi\n"
    shown = output(
        person("dave"), person("dave").submit("--partition=debug --gres=gpu:pascal:1", script)
    ).splitlines()
    assert shown[0].startswith("Emulated")
    assert sum("P100" in line for line in shown) == 1


@pytest.mark.needs("hpc/dave")
def test_nvidia_smi_answers_programs(person: Person, output: Output):
    asked = "--query-gpu=index,name,memory.total --format=csv,noheader,nounits"
    script = f"#!/bin/sh\necho $SLURM_JOB_GPUS; nvidia-smi {asked} 2>/dev/null\n"
    shown = output(person("dave"), person("dave").submit("--partition=debug --gres=gpu:pascal:1", script))
    device, answer = shown.splitlines()
    assert answer == f"{device}, Tesla P100-PCIE-16GB, 16384"


@pytest.mark.parametrize("node", ["gpu-1", "cpu-1"])
@pytest.mark.needs("hpc/dave")
def test_nvidia_smi_finds_no_device_that_a_job_was_not_given(person: Person, output: Output, node: str):
    script = "#!/bin/sh\nnvidia-smi; echo $?\n"
    shown = output(
        person("dave"), person("dave").submit(f"--partition=debug --nodelist={node}", script)
    ).splitlines()
    assert shown[1:] == ["No devices were found", "6"]


@pytest.mark.parametrize(
    "wrong", ["--frobnicate", "--query-gpu=index", "--query-gpu=colour --format=csv", "-q"]
)
def test_nvidia_smi_refuses_what_it_does_not_know_with_a_sentence(service: Services, wrong: str):
    done = service("gpu-1").run(f"nvidia-smi {wrong}")
    assert (done.rc, "Traceback" in done.stderr, "nvidia-smi --help" in done.stderr) == (2, False, True)


# ---- the daemons ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["slurmctld", "slurmdbd", "mariadb"])
def test_only_slurmd_is_root(service: Services, name: str):
    host = service(name)
    assert int(host.check_output("id -u")) >= 1416
    assert "CapEff:\t0000000000000000" in host.file("/proc/1/status").content_string
    assert service("gpu-1").check_output("id -u") == "0"  # the control


def test_slurmd_has_only_the_capabilities_that_it_needs(service: Services):
    """CHOWN, DAC_OVERRIDE, KILL, SETGID, SETUID, SYS_PTRACE: compose.yaml says what for."""
    status = service("gpu-1").file("/proc/1/status").content_string
    assert re.search(r"CapEff:\t0*800e3$", status, re.M)
    assert "NoNewPrivs:\t1" in status


def test_every_node_takes_jobs(person: Person):
    shown = person("alice").run("sinfo --noheader --Node --format='%%N %%t %%c %%m %%G'").stdout.split("\n")
    nodes = {tuple(line.split()[:1] + line.split()[2:]) for line in shown if line}
    assert nodes == {
        ("cpu-1", "8", "4096", "(null)"),
        ("gpu-1", "8", "4096", "gpu:pascal:2"),
        ("gpu-2", "8", "4096", "gpu:tesla:2"),
    }
    assert not re.search(r" (down|drain|inval|unk)", "\n".join(shown))


@pytest.mark.needs("slurm", "services")
def test_a_running_job_outlives_the_controller(person: Person, service: Services):
    alice, controller = person("alice"), service("slurmctld")
    job = alice.submit("--partition=debug")
    alice.becomes(job, "RUNNING")
    # slurmctld writes what it knows within 5 s of a change, and forgets the rest when it is killed
    saved = lambda: float(controller.check_output("stat -c %.9Y /var/lib/slurm/slurmctld/job_state"))  # noqa: E731
    before = float(controller.check_output("date +%s.%N"))
    alice.run("scontrol update job %s comment=kept", job)
    wait_until(lambda: saved() > before, timeout=15, what="the controller to save its state")

    started = up_since(controller)
    controller.run("kill -KILL $(cat /run/slurmctld/slurmctld.pid)")
    wait_until(
        lambda: up_since(service("slurmctld")) > started, timeout=15, what="slurmctld to be started again"
    )
    wait_until(
        lambda: alice.state(job) == "RUNNING", timeout=30, what="the controller to come back with the job"
    )
    assert "Restarts=0" in alice.run("scontrol show job %s", job).stdout
    alice.becomes(alice.submit("--partition=debug"), "RUNNING", timeout=30)


@pytest.mark.needs("slurm", "services")
def test_a_node_that_was_away_takes_jobs_again_by_itself(person: Person, service: Services):
    alice, node = person("alice"), service("gpu-2")
    started = up_since(node)
    node.run("kill -KILL $(cat /run/slurmd.pid)")
    wait_until(lambda: up_since(node) > started, timeout=15, what="gpu-2 to be started again")
    job = alice.submit("--partition=usatlas --account=tier3 --qos=usatlas --nodelist=gpu-2")
    alice.becomes(job, "RUNNING", timeout=60)


def addresses(service: Services, nodes: Sequence[str]) -> dict[str, str]:
    """Where slurmctld finds the nodes."""
    controller = service("slurmctld")
    return {node: controller.check_output("getent hosts %s", node).split()[0] for node in nodes}


@pytest.mark.needs("slurm", "services")
def test_jobs_find_their_nodes_when_two_have_swapped_their_addresses(
    person: Person, output: Output, service: Services, settings: Settings
):
    """As after an engine's restart: slurmctld must not send one node's jobs to the other."""
    nodes = ("gpu-1", "gpu-2")
    address = addresses(service, nodes)
    compose.run(settings, "stop", "--timeout", "1", *nodes)
    for node in sorted(nodes, key=lambda node: tuple(map(int, address[node].split("."))), reverse=True):
        compose.run(settings, "start", node)  # the first to start takes the lowest address
    wait_until(lambda: all(up_since(service(node)) for node in nodes), timeout=30, what="both nodes to be up")
    assert addresses(service, nodes) != address
    alice = person("alice")
    for node in nodes:
        options = f"--partition=usatlas --account=tier3 --qos=usatlas --nodelist={node}"
        job = alice.submit(options, "#!/bin/sh\nhostname\n")
        alice.becomes(job, "COMPLETED", timeout=30)
        assert output(alice, job).strip() == node


@pytest.mark.needs("slurm", "services")
def test_a_node_that_dies_takes_its_jobs_with_it(person: Person, service: Services):
    """Slurm waits 20 s before it believes that a job which started is not there."""
    alice, node = person("alice"), service("gpu-2")
    job = alice.submit("--partition=usatlas --account=tier3 --qos=usatlas --nodelist=gpu-2")
    alice.becomes(job, "RUNNING")
    running = re.compile(r"RunTime=00:00:(2[2-9]|[3-5]\d)")
    wait_until(
        lambda: running.search(alice.run("scontrol show job %s", job).stdout),
        timeout=30,
        what="the job to be old",
    )
    node.run("kill -KILL $(cat /run/slurmd.pid)")
    alice.becomes(job, "NODE_FAIL", timeout=20)


# ---- people -----------------------------------------------------------------------------------


@pytest.fixture
def apply(settings: Settings) -> Callable[[bytes], tuple[int, str]]:
    """Hand a list to apply-people in slurmctld; its exit code and what it printed."""

    def run(source: bytes) -> tuple[int, str]:
        done = compose.run(settings, "exec", "-T", "slurmctld", "apply-people", input=source, check=False)
        return done.returncode, (done.stdout + done.stderr).decode()

    return run


@pytest.mark.needs("people")
def test_people_who_are_right_stay_as_they_are(apply, everybody: People):
    assert apply(lists.accounting(everybody)) == (0, "nothing to change\n")


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("people", 0, "uid"), 1, "must be a number from 1500 on"),
        (("people", 0, "uid"), 2999, "in the directory, but 2999 in the list"),
        (("people", 0, "name"), "nosuchperson", "is not in the directory"),
        (("people", 0, "name"), "root; rm -rf /", "is not in the directory"),
        (("people", 0, "accounts"), ["gold"], "names the account gold, which is not in the list"),
        (("accounts", 0, "qos"), ["nosuch"], "names the QOS nosuch"),
        (("accounts", 0, "name"), "other", "names the account default, which is not in the list"),
        (("qos",), [], "which is not in the list"),
        (("qos",), "all of them", "not the list that `make apply` sends"),
    ],
)
@pytest.mark.needs("people")
def test_a_wrong_list_is_refused_with_a_sentence_and_changes_nothing(
    apply, everybody: People, path, value, sentence: str
):
    right = lists.accounting(everybody)
    wrong = json.loads(right)
    spot = wrong
    for step in path[:-1]:
        spot = spot[step]
    spot[path[-1]] = value
    code, said = apply(json.dumps(wrong).encode())
    assert (code, sentence in said, "Traceback" in said) == (1, True, False), said
    assert apply(right) == (0, "nothing to change\n")


@pytest.mark.needs("people")
@pytest.mark.needs("hpc/dave")
def test_rights_follow_the_list_and_come_back(apply, everybody: People, person: Person):
    """Takes dave's account away while he has a job, and an account and a QOS come and go with him."""
    dave, right = person("dave"), lists.accounting(everybody)
    job = dave.submit("--partition=debug")
    dave.becomes(job, "RUNNING")
    less = json.loads(right)
    less["people"] = [one for one in less["people"] if one["name"] != "dave"]
    other = json.loads(right)
    other["qos"].append({"name": "night", "priority": 5, "max_wall": 60, "max_jobs_per_user": 1})
    other["accounts"].append({"name": "guests", "description": "Guests, for a night", "qos": ["night"]})
    next(one for one in other["people"] if one["name"] == "dave")["accounts"] = ["guests"]
    try:
        assert "dave: removed" in apply(json.dumps(less).encode())[1]
        assert dave.state(job) in ("CANCELLED", "COMPLETING", "")
        assert "Invalid account" in dave.sbatch("--partition=debug").stderr
        assert "dave: may use account guests" in apply(json.dumps(other).encode())[1]
        assert apply(json.dumps(other).encode()) == (0, "nothing to change\n")
    finally:
        code, said = apply(right)
    assert (code, "account guests: removed" in said, "QOS night: removed" in said) == (0, True, True), said
    assert apply(right) == (0, "nothing to change\n")
    assert dave.sbatch("--partition=debug").rc == 0


@pytest.mark.shares("checkout")
def test_the_configuration_is_what_is_mounted(service: Services):
    """An editor that replaces a file must not leave the container with the old one: folders are mounted."""
    shown = Path(__file__).parents[2] / "slurm" / "slurm.conf"
    assert service("gpu-1").file("/etc/slurm/slurm.conf").content_string == shown.read_text()
