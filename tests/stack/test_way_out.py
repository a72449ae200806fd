"""Programs find the way out by their environment, wherever a person runs them."""

from collections.abc import Callable

import pytest
from testinfra.host import Host

from benchtop.settings import Settings
from support.batch import Batch
from support.wait import wait_until

pytestmark = pytest.mark.shares("slurm", "condor")

ENDS = 60  # seconds for a small job on a busy machine
PROXY = "https_proxy=http://egress:3128"
JOB = """universe = vanilla
executable = /bin/sh
transfer_executable = false
should_transfer_files = YES
arguments = "-c 'env > /home/dave/way-out.env'"
initialdir = /tmp
output = /dev/null
error = /dev/null
queue
"""


def finds_it(environment: str) -> bool:
    """Are these the variables of a program that finds the proxy, and trusts what this machine trusts?"""
    lines = environment.splitlines()
    return PROXY in lines and "SSL_CERT_FILE=/etc/benchtop/egress/ca.pem" in lines


@pytest.mark.parametrize("node", ["gpu-1", "hpc-login", "condor-ep-1", "htc-login"])
def test_a_login_shell_finds_it(node: str, settings: Settings):
    cluster = {"g": "hpc", "h": "hpc", "c": "htc"}[node[0]]
    shown = Batch(settings, cluster).said("dave", "bash", "--login", "-c", "env", on=node)
    assert finds_it(shown)


def test_and_keeps_what_somebody_has_set(settings: Settings):
    ask = ["env", "PIP_CERT=mine", "bash", "--login", "-c", "env"]
    assert "PIP_CERT=mine\n" in Batch(settings, "hpc").said("dave", *ask, on="cpu-1")


@pytest.mark.needs("hpc/dave")
def test_a_job_of_slurms_finds_it(settings: Settings):
    submit = "bash --login -c 'srun --partition=debug --mem=64M --time=1 env'"
    assert finds_it(Batch(settings, "hpc").said("dave", "sh", "-c", submit, on="hpc-login"))


@pytest.mark.needs("htc/dave")
def test_a_job_of_htcondors_finds_it_which_inherits_nothing(settings: Settings):
    batch, file, node = Batch(settings, "htc"), "/home/dave/way-out.env", "condor-ep-1"
    batch.run("dave", "rm", "-f", file, on=node)
    submit = 'cd "$(mktemp -d)" && printf %s "$1" > job && condor_submit -spool -terse job'
    batch.run("dave", "sh", "-c", submit, "sh", JOB)
    read = ("sh", "-c", f"cat {file} 2>/dev/null || true")
    try:
        shown = wait_until(lambda: batch.said("dave", *read, on=node), timeout=ENDS, what="its environment")
        assert finds_it(shown)
    finally:
        batch.clear("dave")
        batch.run("dave", "rm", "-f", file, on=node)


@pytest.mark.parametrize("node", ["gpu-1", "hpc-login", "condor-ep-1", "htc-login"])
def test_the_certificates_that_programs_trust_are_there_and_can_be_read(
    node: str, service: Callable[[str], Host]
):
    file = service(node).file("/etc/benchtop/egress/ca.pem")
    assert file.mode & 0o004
    assert file.content_string.count("BEGIN CERTIFICATE") > 50
