"""Who gets into a login node: whom the minter vouches for, for a minute, as themselves, for one program."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from support.as_person import as_person

CLUSTERS = {"hpc": ("alice", "carol"), "htc": ("alice", "bob")}  # → two of its people
# In a hub, with the hub's own keys: a certificate for `person` by the minter, shown as `as_whom` after `wait`
COME = """
import asyncio, pathlib, subprocess, sys, tempfile
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from benchtop_hub.access.minter import Minter, Refused, Unavailable
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

EACH = [
    pytest.param(cluster, marks=pytest.mark.needs(*(f"{cluster}/{person}" for person in people)))
    for cluster, people in CLUSTERS.items()
]

pytestmark = pytest.mark.parametrize("cluster", EACH)
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
    found = node.check_output("find /keys /keys-slurm -type f 2>/dev/null || true").splitlines()
    secret = [name for name in found if not name.endswith((".pub", "known_hosts", "-ca.pem"))]
    assert secret
    for name in secret:
        assert node.run(as_person("alice", "cat %s"), name).rc != 0, f"{name} can be read"
    log = json.dumps(node.run(as_person("alice", "cat /proc/1/environ /proc/7/environ")).stdout)
    assert "KEY" not in log


def test_one_person_sees_and_ends_nothing_of_another(come: Come, cluster: str):
    answer = come(CLUSTERS[cluster][1], "stop", "local-2001-1")
    assert answer.rc != 0
    assert "no such session" in answer.stdout + answer.stderr


# ---- what people share there ------------------------------------------------------------------

SHARED = {"/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue"}  # noqa: S108 sticky: nobody removes another's
WRITABLE = r"""
find / \( -path /proc -o -path /sys -o -path /home \) -prune -o \
  -type d -writable -printf '%m %U %p\n' 2>/dev/null
"""
FLOOD = """
import os, sys
record = b'{"pid": 1, "born": 1, "state": "FAILED", "reason": "", "mark": ""}'
for name in range(int(sys.argv[2])):
    with open(f"{sys.argv[1]}/{name}", "wb") as file:
        file.write(record)
"""
MANY = 5_000  # records: 130,000 made each look take longer than a hub waits
AT_MOST = 20  # of one person's are looked at (benchtop_lab/login_node/records.py)


@pytest.fixture
def folders(come: Come, cluster: str, service: Callable[[str], Host]) -> Iterator[tuple[str, str]]:
    """The folders of two people's records, made because they came."""
    node = service(f"{cluster}-login")
    made = []
    for person in CLUSTERS[cluster]:
        made.append("/run/sessions/" + node.check_output("id -u %s", person))
        if not node.file(made[-1]).exists:
            assert come(person, "list").rc == 0
    yield made[0], made[1]
    for person, folder in zip(CLUSTERS[cluster], made, strict=True):
        node.check_output(as_person(person, f"find {folder} -mindepth 1 -delete"))


def test_nobody_puts_anything_where_somebody_elses_records_are(
    cluster: str, folders: tuple[str, str], service: Callable[[str], Host]
):
    node = service(f"{cluster}-login")
    second = CLUSTERS[cluster][1]
    theirs, own = folders
    for folder, person in zip(folders, CLUSTERS[cluster], strict=True):
        assert node.check_output("stat -c '%%U %%a' %s", folder) == f"{person} 755"
    come_later = "/run/sessions/2999"
    for command in (
        f"mkdir {come_later}",
        f"ln -s /home/{second} {come_later}",
        f"touch {theirs}/1795968869",
        f"ln -s /home/{second} {theirs}/1795968869",
        f"mv {theirs} {theirs}.away",
        f"rmdir {theirs}",
    ):
        assert node.run(as_person(second, command)).rc != 0, command
    node.check_output(as_person(second, f"touch {own}/1795968869"))  # the control


def test_one_persons_records_by_the_thousand_leave_room_for_everybodys(
    come: Come, cluster: str, folders: tuple[str, str], service: Callable[[str], Host]
):
    node = service(f"{cluster}-login")
    first, second = CLUSTERS[cluster]
    theirs, own = folders
    for person, folder, count in ((first, theirs, 1), (second, own, MANY)):
        node.check_output(as_person(person, "/opt/lab/bin/python -c %s %s %s"), FLOOD, folder, str(count))
    answer = come(first, "list")
    assert answer.rc == 0, answer.stderr
    of_each = [line.split("-")[1] for line in answer.stdout.splitlines()]
    assert of_each.count(theirs.rpartition("/")[2]) == 1
    assert 0 < of_each.count(own.rpartition("/")[2]) <= AT_MOST


def test_what_people_share_on_the_node_is_sticky_and_nothing_more(
    cluster: str, folders: tuple[str, str], service: Callable[[str], Host]
):
    """A place where anybody may write is one where somebody can be waited for."""
    found = service(f"{cluster}-login").run(as_person(CLUSTERS[cluster][0], WRITABLE.strip())).stdout
    places = {path: (mode, uid) for mode, uid, path in (line.split(" ", 2) for line in found.splitlines())}
    assert set(places) == SHARED | {folders[0]}
    assert {places[path] for path in SHARED} == {("1777", "0")}


# Connects to the SSH server many times over and says nothing. Prints how many it was let hold.
SILENT = """
import select, socket, sys, time
held = []
for _ in range(int(sys.argv[2])):
    one = socket.create_connection((sys.argv[1], 22), timeout=5)
    held.append(one)
end = time.monotonic() + 3
while time.monotonic() < end:
    time.sleep(0.2)
cut = 0
for one in held:
    one.setblocking(False)
    try:
        if not one.recv(4).startswith(b"SSH-"):
            cut += 1
    except BlockingIOError:
        pass
print(len(held) - cut)
"""


def test_whoever_says_nothing_at_the_door_keeps_no_hub_out(
    come: Come, cluster: str, service: Callable[[str], Host]
):
    job = service({"hpc": "gpu-1", "htc": "condor-ep-1"}[cluster])
    words = [SILENT, f"{cluster}-login"]
    as_alice = as_person("alice", "/opt/lab/bin/python -c %s %s %s")
    with ThreadPoolExecutor(1) as pool:
        attack = pool.submit(job.check_output, as_alice, *words, "300")
        answers = [come(CLUSTERS[cluster][0], "list")]
        while not attack.done():
            answers.append(come(CLUSTERS[cluster][0], "list"))
    assert {answer.rc for answer in answers} == {0}, [answer.stderr for answer in answers]
    assert 0 < int(attack.result()) < 300
