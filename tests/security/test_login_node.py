"""Who gets into a login node: whom the minter vouches for, for a minute, as themselves, for one program."""

import json
from collections.abc import Callable

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

CLUSTERS = {"hpc": ("alice", "carol"), "htc": ("alice", "bob")}  # → two of its people
# In a hub, with the hub's own keys: a certificate for `person` by the minter, shown as `as_whom` after `wait`
COME = """
import asyncio, pathlib, subprocess, sys, tempfile
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from benchtop_hub.minter import Minter, Refused, Unavailable
cluster, person, as_whom, life, wait, *command = sys.argv[1:]
key = Ed25519PrivateKey.generate()
public = key.public_key().public_bytes(s.Encoding.OpenSSH, s.PublicFormat.OpenSSH).decode()
async def ask():
    minter = Minter(f"https://{cluster}-minter:8600", pathlib.Path("/keys"))
    return (await minter._post("/ssh", {"person": person, "lifetime": int(life), "key": public}))[0]
with tempfile.TemporaryDirectory() as folder:
    own = pathlib.Path(folder, "key")
    own.touch(mode=0o600)
    own.write_bytes(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.OpenSSH, s.NoEncryption()))
    if person:
        try:
            pathlib.Path(folder, "key-cert.pub").write_text(asyncio.run(ask()))
        except (Refused, Unavailable) as refused:
            sys.exit(f"minter: {refused}")
    known = "-oUserKnownHostsFile=/keys/known_hosts"
    ssh = ["ssh", "-F", "none", "-oBatchMode=yes", known, "-oIdentitiesOnly=yes", "-i", str(own)]
    subprocess.run(["sleep", wait], check=True)
    sys.exit(subprocess.run([*ssh, f"{as_whom}@{cluster}-login", *command]).returncode)
"""

pytestmark = pytest.mark.parametrize("cluster", CLUSTERS)
Come = Callable[..., CommandResult]


@pytest.fixture
def come(cluster: str, service: Callable[[str], Host]) -> Come:
    """Go to the login node by SSH as the cluster's first hub would."""

    def once(person: str, *command: str, as_whom: str = "", life: int = 60, wait: int = 0) -> CommandResult:
        words = [cluster, person, as_whom or person, str(life), str(wait), *command]
        run = "/opt/hub/bin/python3 -c %s" + " %s" * len(words)
        return service(f"{cluster}-1").run(run, COME, *words)

    return once


def refused(answer: CommandResult) -> None:
    """Sshd lets nobody in; a key that it also tries without its certificate is one try too many."""
    assert answer.rc != 0
    assert "Permission denied" in answer.stderr or "Too many authentication failures" in answer.stderr


def test_a_certificate_opens_the_one_program(come: Come, cluster: str):
    """The control beside the refusals."""
    answer = come(CLUSTERS[cluster][0], "list")
    assert answer.rc == 0, answer.stderr


@pytest.mark.parametrize("command", ["id", "bash", "list; id", "$(id)", "stop 1; id", "--help", ""])
def test_it_opens_no_other(come: Come, cluster: str, command: str):
    answer = come(CLUSTERS[cluster][0], *filter(None, [command]))
    assert answer.rc != 0
    assert "uid=" not in answer.stdout + answer.stderr


def test_it_is_good_for_no_other_name(come: Come, cluster: str):
    first, second = CLUSTERS[cluster]
    for whom in (second, "root", "slurm", "nobody"):
        answer = come(first, "list", as_whom=whom)
        refused(answer)


def test_there_is_none_for_whoever_is_not_of_the_cluster(come: Come, cluster: str):
    for who in ("root", "frank", "mallory"):
        answer = come(who, "list")
        assert answer.rc != 0
        assert "minter: " in answer.stderr


def test_without_one_nobody_gets_in(come: Come, cluster: str):
    for whom in (*CLUSTERS[cluster], "root"):
        answer = come("", "list", as_whom=whom)
        assert answer.rc != 0
        assert "Permission denied (publickey)" in answer.stderr


def test_when_its_time_is_over_it_opens_nothing(come: Come, cluster: str):
    refused(come(CLUSTERS[cluster][0], "list", life=1, wait=3))


def test_nobody_gets_one_for_longer_than_a_minute(come: Come, cluster: str):
    answer = come(CLUSTERS[cluster][0], "list", life=61)
    assert answer.rc != 0
    assert "minter: " in answer.stderr


def test_no_key_of_the_node_can_be_read_by_its_people(cluster: str, service: Callable[[str], Host]):
    node = service(f"{cluster}-login")
    as_alice = "setpriv --reuid alice --regid people --init-groups --no-new-privs "
    found = node.check_output("find /keys /keys-slurm -type f 2>/dev/null || true").splitlines()
    secret = [name for name in found if not name.endswith((".pub", "known_hosts", "-ca.pem"))]
    assert secret
    for name in secret:
        assert node.run(as_alice + "cat %s", name).rc != 0, f"{name} can be read"
    log = json.dumps(node.run(as_alice + "cat /proc/1/environ /proc/7/environ").stdout)
    assert "KEY" not in log


def test_one_person_sees_and_ends_nothing_of_another(come: Come, cluster: str):
    answer = come(CLUSTERS[cluster][1], "stop", "local-2001-1")
    assert answer.rc != 0
    assert "no such session" in answer.stdout + answer.stderr
