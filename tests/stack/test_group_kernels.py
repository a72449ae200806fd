"""Kernels that a group or a Slurm account has for its members: theirs alone, with nothing to set up."""

import json
from collections.abc import Callable, Iterator

import pytest
import requests

from benchtop.settings import Settings
from support import sessions, software, traffic
from support.hub import Hub

pytestmark = [
    pytest.mark.needs("hpc/alice", "htc/alice", throughout=True),
    pytest.mark.shares("slurm", "condor", throughout=True),
]

KERNEL = {
    "display_name": "Tier 3", "language": "python",
    "argv": ["/opt/lab/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
}  # fmt: skip


@pytest.fixture
def of_the_account(settings: Settings) -> Iterator[None]:
    """A kernel of the account tier3, which the site has put there."""
    area = software.Area(settings)
    area.run(
        'mkdir -p "$1" && printf %s "$2" >"$1/kernel.json" && chmod -R a+rX /software/accounts',
        "/software/accounts/tier3/kernels/tier3",
        json.dumps(KERNEL),
    )
    yield
    area.remove("accounts")


def offered(
    settings: Settings, signed_in: Callable[[str], requests.Session], cluster: str, **asked: object
) -> tuple[Hub, dict[str, str]]:
    """Alice's session, and below which heading the Launcher shows each kernel there."""
    own = Hub(settings, signed_in("alice"), "alice", cluster)
    sessions.end(own)
    sessions.begin(own, where="batch", **asked)
    specs = own.jupyter("GET", "kernelspecs").json()["kernelspecs"]
    about = {name: one["spec"]["metadata"].get("benchtop", {}) for name, one in specs.items()}
    return own, {name: str(one.get("title", "")) for name, one in about.items()}


def test_a_members_session_has_the_kernels_of_group_and_account(
    settings: Settings, signed_in: Callable[[str], requests.Session], of_the_account: None
):
    own, kernels = offered(settings, signed_in, "hpc", partition="debug", account="tier3")
    try:
        assert kernels["usatlas"] == "US ATLAS"
        assert kernels["tier3"] == "Kernels of tier3"
        kernel = own.kernel("usatlas")
        assert traffic.run(own, kernel, "import os; print(os.environ['USATLAS_DATA'])") == (
            "/software/groups/usatlas/data"
        ), "its setup.sh has loaded the group's module"
    finally:
        sessions.end(own)


def test_another_account_or_cluster_has_those_of_the_group_alone(
    settings: Settings, signed_in: Callable[[str], requests.Session], of_the_account: None
):
    asked: dict[str, dict[str, object]] = {"hpc": {"partition": "debug", "account": "default"}, "htc": {}}
    for cluster, more in asked.items():
        own, kernels = offered(settings, signed_in, cluster, **more)
        sessions.end(own)
        assert "usatlas" in kernels
        assert "tier3" not in kernels
