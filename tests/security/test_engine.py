"""The container engine: what a hub that was taken over gets of it, and what somebody in a container does."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

from benchtop.settings import Settings
from benchtop.stack import compose
from support.facility import logged
from support.wait import wait_until

pytestmark = pytest.mark.together("engine")  # one container for all of them, which no hub takes for a session

CELL, OWNER, UID = "hpc-1", "erin", "2005"
NAME = f"bt-{CELL}-{OWNER}-attacked"
PODMAN = "podman --url unix:///run/engine-api/api.sock"
OURS = f"{PODMAN} ps --all --quiet --filter name={NAME}"
END = """'"$@"; code=$?; echo; echo "ended $code"'"""  # a program's end and how it ended, in its own output
ASKED = 5
# What there is of a container by its names, in two halves each: no command line of this search has one in it
TRACES = """
for halves; do
  first="${halves%%,*}" rest="${halves#*,}"
  find /run/engine/netns -name "$first$rest" -printf "network\\n"
  find /run/engine/[!n]* /var/lib/engine -maxdepth 6 -name "$first$rest" -printf "file\\n"
  grep -qs "[$first]$rest" /proc/[0-9]*/cmdline && echo process
  grep -qs "$first$rest" /proc/[0-9]*/mountinfo && echo mount
done 2>/dev/null; true
"""
GONE = 15  # seconds after which nothing is left of a container that was removed

# A request of Docker's API, sent from a hub with its own certificate: METHOD TARGET BODY
ASK = """
import http.client, json, ssl, sys
method, target, body = sys.argv[1:]
tls = ssl.create_default_context(cafile="/keys/engine-ca.pem")
tls.load_cert_chain("/keys/engine.pem")
gateway = http.client.HTTPSConnection("engine-gateway", 8700, context=tls, timeout=60)
gateway.request(method, target, body=body.encode() or None)
answer = gateway.getresponse()
print(answer.status, answer.read().decode(errors="replace"))
"""
# Which of these HOST:PORT take a connection
REACH = """
import json, socket, sys
found = []
for place in sys.argv[1:]:
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
        found.append(place)
    except OSError:
        pass
print(json.dumps(found))
"""
# Asks for something outside, by the one way
ASK_OUTSIDE = """
import http.client
outside = http.client.HTTPConnection("egress", 3128, timeout=20)
outside.set_tunnel("of-a-container.invalid", 443)
try:
    outside.connect()
except OSError as error:
    print(error)
"""

Services = Callable[..., Host]


@dataclass(frozen=True)
class Attacker:
    """Somebody who has a hub."""

    hub: Host

    def ask(self, method: str, target: str, body: object = None) -> tuple[int, Any]:
        """Status and answer of the gateway."""
        text = "" if body is None else json.dumps(body)
        out = self.hub.check_output("python3 -c %s %s %s %s", ASK, method, target, text)
        status, _, answer = out.partition(" ")
        try:
            return int(status), json.loads(answer)
        except ValueError:
            return int(status), answer

    def create(self, body: object, name: str = NAME) -> tuple[int, Any]:
        """Ask for a container."""
        return self.ask("POST", f"/v1.41/containers/create?name={name}", body)


def wanted(owner: str = OWNER, cell: str = CELL, host: dict[str, Any] | None = None, **more: Any) -> Any:
    """A session that waits, and what is forged about it."""
    mark = f"{cell}:{owner}:{'0' * 32}"  # no hub has made it, so no hub takes it for a session of its own
    labels = {"benchtop.cell": cell, "benchtop.owner": owner, "benchtop.mark": mark}
    limits = {"Memory": 256 << 20, **(host or {})}
    return {
        "Image": "benchtop/session",
        "Cmd": ["sleep", "600"],
        "Labels": labels,
        "HostConfig": limits,
        **more,
    }


@pytest.fixture(scope="module")
def attacker(settings: Settings) -> Attacker:
    """At the hub of a cell, with all that it has."""
    return at(settings, CELL)


def at(settings: Settings, cell: str) -> Attacker:
    """At another one."""
    found = next(one for one in compose.containers(settings.project) if one.service == cell)
    return Attacker(testinfra.get_host(f"docker://{found.id}"))


@pytest.fixture(scope="module")
def number(attacker: Attacker) -> Iterator[str]:
    """A container that the hub was granted, and that runs: the control of all that is refused."""
    attacker.ask("DELETE", f"/containers/{NAME}?force=1")
    status, answer = attacker.create(wanted())
    assert status == 201, answer
    made = str(answer["Id"])
    assert attacker.ask("POST", f"/containers/{made}/start")[0] == 204
    yield made
    attacker.ask("DELETE", f"/containers/{made}?force=1")


@pytest.fixture
def inside(service: Services, number: str) -> Callable[..., str]:
    """Run something in that container as its owner would, by the operator's way in, which no hub has.

    Podman's client knows nothing of what was printed by a program that ends as it begins to read: so each one
    ends with a word, and is asked again where that is missing.
    """
    engine = service("engine", user="engine")

    def run(command: str, *words: str, fails: bool = False) -> str:
        line = f"{PODMAN} exec {number} sh -c {END} - {command}"
        for _ in range(ASKED):
            done = engine.run(line, *words)
            printed, ended, code = str(done.stdout).rpartition("ended ")
            if ended:
                break
        assert ended, done
        assert fails == (int(code) != 0), done
        return (printed + str(done.stderr)).strip()

    return run


# ---- from a hub ------------------------------------------------------------------------------------

FORGED = {
    "the machine's files": wanted(host={"Binds": ["/:/host"]}),
    "another home": wanted(host={"Binds": ["/home/alice:/home/alice:rw"]}),
    "the engine's socket": wanted(host={"Binds": ["/run/engine-api:/x"]}),
    "a mount by another name": wanted(host={"Mounts": [{"Type": "bind", "Source": "/", "Target": "/x"}]}),
    "a device": wanted(host={"Devices": [{"PathOnHost": "/dev/net/tun", "PathInContainer": "/dev/net/tun"}]}),
    "all rights": wanted(host={"Privileged": True}),
    "a capability": wanted(host={"CapAdd": ["SYS_ADMIN"]}),
    "no filter of system calls": wanted(host={"SecurityOpt": ["seccomp=unconfined"]}),
    "the engine's network": wanted(host={"NetworkMode": "host"}),
    "the engine's processes": wanted(host={"PidMode": "host"}),
    "root": wanted(User="0:0"),
    "somebody else's uid": wanted(User="2001:2000"),
    "another program to begin with": wanted(Entrypoint=["/bin/sh"]),
    "an image from elsewhere": wanted(Image="debian:latest"),
    "another cell": wanted(cell="hpc-2"),
    "a service as owner": wanted(owner="root"),
    "somebody of the other cluster": wanted(owner="bob"),
    "all memory": wanted(host={"Memory": 1 << 40}),
    "a field of another spelling": wanted(privileged=True),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_hub_is_granted_nothing_but_a_session(
    attacker: Attacker, number: str, settings: Settings, service: Services, what: str
):
    before = service("engine", user="engine").check_output(OURS)
    status, answer = attacker.create(FORGED[what], name=f"{NAME}-2")
    assert status in {400, 403, 404}, answer
    assert answer["message"]
    line = logged(settings, "engine-gateway", rf"refuse cell={CELL} .*create\?name={NAME}-2")
    assert answer["message"][:20] in line
    assert service("engine", user="engine").check_output(OURS) == before
    assert number[:12] in before  # the control: what is in order is there


NEVER = [
    ("POST", "/containers/{}/exec"),
    ("POST", "/containers/{}/attach?stdin=1"),
    ("POST", "/commit?container={}"),
    ("PUT", "/containers/{}/archive?path=/"),
    ("GET", "/containers/{}/export"),
    ("POST", "/containers/{}/rename?name=x"),
    ("POST", "/containers/{}/update"),
    ("POST", "/build"),
    ("POST", "/images/create?fromImage=debian"),
    ("POST", "/volumes/create"),
    ("GET", "/networks"),
    ("GET", "/events"),
    ("GET", "/v5.0.0/libpod/containers/json"),
    ("GET", "/containers/{}/%6ason"),
    ("GET", "//containers/{}/json"),
    ("GET", "/containers/x/../{}/json"),
]


@pytest.mark.parametrize(("method", "target"), NEVER, ids=[f"{one[0]} {one[1]}" for one in NEVER])
def test_no_other_call_is_answered(
    attacker: Attacker, number: str, settings: Settings, method: str, target: str
):
    status, answer = attacker.ask(method, target.format(number))
    assert status in {400, 403}, answer
    logged(settings, "engine-gateway", rf"refuse cell={CELL} call={method} ")
    assert attacker.ask("GET", f"/containers/{number}/json")[0] == 200


def test_a_hub_has_no_container_of_another_one(attacker: Attacker, number: str, settings: Settings):
    other = at(settings, "htc-1")
    for method, target in (("GET", "json"), ("POST", "stop"), ("POST", "kill"), ("GET", "logs?stdout=1")):
        for name in (number, number[:12], NAME):
            assert other.ask(method, f"/containers/{name}/{target}")[0] == 404
    assert other.ask("DELETE", f"/containers/{number}?force=1")[0] == 404
    assert other.ask("GET", "/containers/json?all=1") == (200, [])
    assert number in [one["Id"] for one in attacker.ask("GET", "/containers/json?all=1")[1]]
    assert attacker.ask("GET", f"/containers/{number}/json")[1]["State"]["Running"]


def test_no_hub_is_told_what_a_session_holds(attacker: Attacker, number: str):
    found = attacker.ask("GET", f"/containers/{number}/json")[1]
    assert "Env" not in found["Config"]
    assert "Mounts" not in found
    assert found["Config"]["User"] == f"{UID}:2000"


def test_the_engines_socket_is_in_no_other_container(settings: Settings):
    services = compose.config(settings, "*")["services"]
    holders = {
        name
        for name, one in services.items()
        if "engine-api" in {volume.get("source") for volume in one.get("volumes", [])}
    }
    assert holders == {"engine", "engine-gateway"}
    assert set(services["engine"]["networks"]) == {"containers", "schedulers-engine"}
    assert set(services["engine-gateway"]["networks"]) == {"engine-gateway"}


# ---- from inside -----------------------------------------------------------------------------------


def test_a_session_is_its_owner_and_has_no_right(inside: Callable[..., str]):
    assert inside("id -u") == UID
    assert inside("id -un") == OWNER
    assert "cluster-hpc" in inside(f"id -Gn {OWNER}")
    status = dict(
        line.split(":\t", 1) for line in inside("cat /proc/self/status").splitlines() if ":\t" in line
    )
    assert {status[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "Read-only" in inside("sh -c %s", "echo x > /proc/sys/kernel/core_pattern", fails=True)
    assert "Read-only" in inside("touch /usr/bin/x", fails=True)
    inside("touch /tmp/x")  # the control


def test_a_session_sees_nothing_of_anybody_else(inside: Callable[..., str]):
    assert inside("ls /home") == OWNER
    assert set(inside("sh -c %s", "stat -c %u /proc/[0-9]*").split()) == {UID}
    for secret in ("/keys", "/run/engine-api", "/run/engine", "/var/lib/engine", "/run/nslcd"):
        assert "No such file" in inside(f"ls {secret}", fails=True)
    inside("touch .of-a-container")
    assert inside(f"stat -c %u /home/{OWNER}/.of-a-container") == UID
    inside("rm .of-a-container")


def test_a_session_reaches_the_ways_back_and_out_the_batch_systems_and_nothing_else(
    inside: Callable[..., str], attacker: Attacker, number: str
):
    published = attacker.ask("GET", f"/containers/{number}/json")[1]["NetworkSettings"]["Ports"]["8888/tcp"]
    port = published[0]["HostPort"]
    never = [
        "engine-gateway:8700",
        "gpu-1:6821",
        "condor-ep-1:9618",
        "htc-login:22",
        "hpc-minter:8600",
        "keycloak:8080",
        "ldap:389",
        "postgres:5432",
        "hub:8081",
        f"{CELL}:8081",
        "hpc-login:22",
        "nslcd:389",
        "1.1.1.1:53",
        "169.254.169.254:80",
        f"engine:{port}",
        f"127.0.0.1:{port}",
        f"169.254.1.2:{port}",
        "172.17.0.1:22",
    ]
    open_ = ["apache:8444", "egress:3128", f"{CELL}-proxy:8000"]
    # but for a guest's: tests/security/test_credentials.py
    open_ += ["slurmctld:6817", "slurmdbd:6819", "condor-ap:9618", "condor-cm:9618"]
    found = json.loads(inside("/opt/lab/bin/python -c %s " + " ".join([*never, *open_]), REACH))
    assert set(found) == set(open_)


def test_what_a_session_asks_of_the_internet_is_logged_with_its_owner(
    inside: Callable[..., str], settings: Settings
):
    inside("/opt/lab/bin/python -c %s", ASK_OUTSIDE)
    line = logged(settings, "egress", r"to=of-a-container\.invalid:443 ")
    assert f" person={OWNER} node=engine " in line


def test_what_broke_out_of_a_session_is_nobody_but_its_owner(service: Services):
    """Whoever gets from a container into the engine's is the same uid there; here, an operator lets them."""
    engine = service("engine", user=f"{UID}:2000")
    for forbidden in (
        "cat /keys/egress.key",
        "ls /home/alice",
        "ls /run/engine-api",
        "ls /var/lib/engine",
        "kill -0 1",
        "sh -c 'echo x > /proc/sys/kernel/core_pattern'",
        "sh -c 'echo x > /etc/x'",
        "cat /proc/1/environ",
        "newuidmap $$ 0 2001 1",
    ):
        assert engine.run(forbidden).rc != 0, forbidden
    assert engine.run(f"ls /home/{OWNER}").rc == 0  # the control: it is that person


def test_nobody_is_root_in_the_engine(settings: Settings, number: str):
    found = next(one for one in compose.containers(settings.project) if one.service == "engine")
    table = compose.docker("top", found.id, "-eo", "uid,pid,comm").stdout.decode().splitlines()[1:]
    uids = {line.split()[0] for line in table}
    assert {"1423", UID} <= uids
    assert "0" not in uids


def test_nothing_is_left_of_a_container(attacker: Attacker, service: Services):
    """Neither a process nor a mount, a network or a volume: whatever else the engine runs meanwhile."""
    engine = service("engine", user="engine")
    name = f"{NAME}-3"
    status, answer = attacker.create(wanted(), name=name)
    assert status == 201, answer
    assert attacker.ask("POST", f"/containers/{name}/start")[0] == 204
    (found,) = json.loads(engine.check_output(f"{PODMAN} inspect {name}"))
    network, layer = (
        found["NetworkSettings"]["SandboxKey"],
        Path(found["GraphDriver"]["Data"]["UpperDir"]).parent,
    )
    halves = " ".join(f"{known[0]},{known[1:]}" for known in (found["Id"], Path(network).name, layer.name))

    def traces() -> set[str]:
        return set(engine.check_output(f"sh -c %s - {halves}", TRACES).split())

    assert traces() == {"file", "mount", "network", "process"}  # the control
    assert attacker.ask("DELETE", f"/containers/{name}?force=1")[0] == 204
    wait_until(lambda: not traces(), timeout=GONE, what="nothing to be left")
    assert engine.check_output("ls /var/lib/engine/.local/share/containers/storage/volumes") == ""


def test_one_persons_processes_leave_room_for_others(
    inside: Callable[..., str], attacker: Attacker, number: str
):
    """The kernel counts them by uid: a fork bomb ends at its own limit."""
    bomb = """
import os, signal
children = []
try:
    while True:
        child = os.fork()
        if not child:
            signal.pause()
        children.append(child)
except OSError:
    print(len(children))
for child in children:
    os.kill(child, 9)
"""
    assert 100 < int(inside("/opt/lab/bin/python -c %s", bomb)) < 512
    assert attacker.ask("GET", f"/containers/{number}/json")[1]["State"]["Running"]
