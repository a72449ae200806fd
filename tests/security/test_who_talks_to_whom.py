"""Every port on which anything listens, tried from every container, against the documentation's table.

And what is no container's: the laptop itself, on every address that it has.
"""

import json
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from subprocess import PIPE, Popen, run
from typing import Any

import pytest

from benchtop.settings import Settings
from benchtop.stack import compose
from support import laptop

pytestmark = pytest.mark.alone  # other tests have something listen for a while

PAGE = Path(__file__).parents[2] / "docs/explanation/trust-boundaries.md"
ROW = re.compile(r"^\| ([\w-]+) \| (\d+|any) \| ([\w, -]+) \|", re.MULTILINE)
USUAL_PORT = "8443"  # BENCHTOP_PORT, where nobody has set it
TESTS_ONLY = {"browser"}
EVERYWHERE = str(IPv4Address(0))
MASQUERADED = "outside"  # who is on it has a way to the whole world
WAYS_OUT = {
    "front",
    MASQUERADED,
}  # of the published port, and of the proxy: who is on them reaches the laptop
METADATA = "169.254.169.254"  # where a cloud's machines learn their own secrets, without a login
SSH = 22  # of login nodes
IPV6_LOOPBACK = "0" * 24 + "01000000"

# Reads lines "ADDRESS PORT", prints those that take a connection; not all at once: some services have no room
TRY = """
tried=0
while read -r address port; do
  (timeout 3 bash -c "exec 3<>/dev/tcp/$address/$port" 2>/dev/null && echo "$address $port") &
  ((++tried % 40)) || wait
done
wait
"""
# Holds a connection to each until its input ends, and says so after an empty line.
HOLD = """
while read -r address port && [ "$address" ]; do
  exec {door}<>/dev/tcp/$address/$port && echo "$address $port"
done
echo held
cat > /dev/null
"""


@dataclass(frozen=True)
class Door:
    """A port of a service, and the networks on which it is open; port "any" is what is not listed singly."""

    service: str
    port: str
    networks: frozenset[str]


def documented(settings: Settings) -> Iterator[Door]:
    """The rows of the table, one a cell where a row is about all of them."""
    for service, usual, networks in ROW.findall(PAGE.read_text()):
        port = str(settings.port) if usual == USUAL_PORT else usual
        numbers = range(1, settings.cells + 1) if "-N" in service else [0]
        for number in numbers:
            name, where = (text.replace("-N", f"-{number}") for text in (service, networks))
            yield Door(name, port, frozenset(where.split(", ")))


@dataclass(frozen=True)
class Seen:
    """A running container: its id, its address on each network, and what listens where in it."""

    id: str
    addresses: Mapping[str, str]
    listening: frozenset[tuple[str, int]]


def listening(id_: str, addresses: Mapping[str, str]) -> frozenset[tuple[str, int]]:
    """(address, port) of every socket in a container that is not for itself alone."""
    table = compose.docker("exec", id_, "cat", "/proc/net/tcp", "/proc/net/tcp6").stdout.decode()
    found = set()
    for line in table.splitlines():
        words = line.split()
        if len(words) < 4 or words[3] != "0A":
            continue
        digits, port = words[1].split(":")
        # the last four bytes, in the machine's order: IPv4, or IPv4 in IPv6
        address = ip_address(bytes.fromhex(digits[-8:])[::-1])
        if not address.is_loopback and digits != IPV6_LOOPBACK:
            found |= {(one, int(port, 16)) for one in addresses.values() if str(address) in (EVERYWHERE, one)}
    return frozenset(found)


@pytest.fixture(scope="module")
def containers(settings: Settings) -> dict[str, Seen]:
    """Every running service."""
    ids = [one.id for one in compose.containers(settings.project) if one.state == "running"]
    seen: list[dict[str, Any]] = json.loads(compose.docker("inspect", *ids).stdout)
    found = {}
    for one in seen:
        networks = one["NetworkSettings"]["Networks"]
        addresses = {name.partition("_")[2]: network["IPAddress"] for name, network in networks.items()}
        name = one["Config"]["Labels"][compose.SERVICE_LABEL]
        found[name] = Seen(one["Id"], addresses, listening(one["Id"], addresses))
    assert set(compose.config(settings)["services"]) - {"volumes"} <= set(found)
    return found


@pytest.fixture(scope="module")
def reached(containers: dict[str, Seen], settings: Settings) -> dict[str, set[tuple[str, int]]]:
    """What each service could connect to."""
    found = try_all(containers, {door for one in containers.values() for door in one.listening})
    networks = laptop.gateways(settings)
    laptops = set().union(*(networks[network] for network in networks if network != MASQUERADED))
    for name, one in containers.items():
        if MASQUERADED in one.addresses:
            near = {
                address
                for other in containers.values()
                for network, address in other.addresses.items()
                if network in one.addresses
            }
            far = {(address, port) for address, port in found[name] if address not in near}
            control = {(address, port) for address, port in found[name] - far if port == SSH}
            seen = arrived(containers, one, far | control, laptops)
            assert control
            assert seen >= control, "what it does reach is seen there"
            found[name] = found[name] - far | seen
    return found


def arrived(
    containers: Mapping[str, Seen], source: Seen, doors: set[tuple[str, int]], laptops: set[str]
) -> set[tuple[str, int]]:
    """Which of these (address, port) a service with a way to the whole world really reaches.

    Somewhere out there may be something that takes connections to every address. So whoever has the address
    here must see the connection, from this service or from an address of nobody's.
    """
    lines = "".join(f"{address} {port}\n" for address, port in sorted(doors)).encode()
    words = ["docker", "exec", "--interactive", source.id, "bash", "-c", HOLD]
    with Popen(words, stdin=PIPE, stdout=PIPE) as holding:
        assert holding.stdin
        assert holding.stdout
        holding.stdin.write(lines + b"\n")
        holding.stdin.flush()
        opened = [line for line in iter(holding.stdout.readline, b"held\n") if line]
        assert len(opened) == len(doors), "they were open a moment ago"
        known = {address for one in containers.values() for address in one.addresses.values()}
        known = known - set(source.addresses.values()) | laptops | {"127.0.0.1"}
        seen = set()
        for one in containers.values():
            own = {(address, port) for address, port in doors if address in one.addresses.values()}
            seen |= {(address, port) for address, port, peer in connections(one) if peer not in known} & own
        holding.stdin.close()
    return seen


def connections(one: Seen) -> set[tuple[str, int, str]]:
    """(own address, own port, the other's address) of every connection of a container."""
    table = compose.docker("exec", one.id, "cat", "/proc/net/tcp", "/proc/net/tcp6").stdout.decode()
    rows = [words for words in map(str.split, table.splitlines()) if len(words) > 3 and words[3] == "01"]
    return {(*written(words[1]), written(words[2])[0]) for words in rows}


def written(text: str) -> tuple[str, int]:
    """An address and a port of the kernel's table, as people write them."""
    digits, port = text.split(":")
    return str(ip_address(bytes.fromhex(digits[-8:])[::-1])), int(port, 16)


def try_all(
    containers: Mapping[str, Seen], doors: Iterable[tuple[str, int]], at_once: int = 4
) -> dict[str, set[tuple[str, int]]]:
    """What each service can connect to, of these (address, port); so many services try at once."""
    lines = "".join(f"{address} {port}\n" for address, port in sorted(doors)).encode()

    def attempt(one: Seen) -> set[tuple[str, int]]:
        words = ["docker", "exec", "--interactive", one.id, "bash", "-c", TRY]
        opened = run(words, input=lines, capture_output=True, check=True).stdout.decode().splitlines()
        return {(address, int(port)) for address, port in map(str.split, opened)}

    with ThreadPoolExecutor(at_once) as pool:
        return dict(zip(containers, pool.map(attempt, containers.values()), strict=True))


def door_of(service: str, port: int, doors: list[Door]) -> Door | None:
    """The row about a port."""
    return next((door for door in doors if door.service == service and door.port in (str(port), "any")), None)


def test_every_port_that_anything_listens_on_is_in_the_table(containers: dict[str, Seen], settings: Settings):
    doors = list(documented(settings))
    unknown = {
        f"{name}:{port}"
        for name, one in containers.items()
        for _, port in one.listening
        if name not in TESTS_ONLY and door_of(name, port, doors) is None
    }
    assert unknown == set()


def test_every_row_of_the_table_is_about_a_port_that_is_there(
    containers: dict[str, Seen], settings: Settings
):
    listens = {(name, port) for name, one in containers.items() for _, port in one.listening}
    running = [door for door in documented(settings) if door.service in containers]
    assert len(running) > 20
    for door in running:
        assert any(name == door.service and door.port in (str(port), "any") for name, port in listens), door


def test_a_port_is_reached_from_the_networks_of_its_row_and_from_nowhere_else(
    containers: dict[str, Seen], reached: dict[str, set[tuple[str, int]]], settings: Settings
):
    doors = list(documented(settings))
    wrong = []
    for target, one in containers.items():
        for port in {port for _, port in one.listening if target not in TESTS_ONLY}:
            door = door_of(target, port, doors)
            assert door
            may = {name for name, other in containers.items() if door.networks & set(other.addresses)}
            can = {
                name
                for name in containers
                if any((address, port) in reached[name] for address in one.addresses.values())
            }
            wrong += [f"{name} reaches {target}:{port}" for name in can - may - {target}]
            wrong += [f"{name} does not reach {target}:{port}" for name in may - can - {target}]
    assert wrong == []


def test_no_hub_can_be_reached_from_where_jobs_run(
    reached: dict[str, set[tuple[str, int]]], containers: dict[str, Seen], settings: Settings
):
    """The line of the table that matters most, said by itself, with what a job does reach as its control."""
    nodes = [name for name in containers if name.startswith(("gpu-", "cpu-", "condor-ep-"))]
    assert nodes
    hubs = {address for cell in settings.cell_names for address in containers[cell].addresses.values()}
    for node in nodes:
        assert not {(address, port) for address, port in reached[node] if address in hubs}, node
        assert any(port == 8444 for _, port in reached[node]), node


# ---- the laptop itself -------------------------------------------------------------------------


@pytest.fixture
def laptops_port() -> Iterator[int]:
    """A port on which this machine listens on all of its addresses, as a person's database might."""
    with laptop.listening() as port:
        yield port


def test_no_container_reaches_what_the_laptop_listens_on(
    containers: dict[str, Seen], laptops_port: int, settings: Settings
):
    """By the address of any network, by the laptop's own, or by IPv6. Who is on a way out does."""
    by_network = laptop.gateways(settings)
    addresses = laptop.own_addresses().union(*by_network.values()) | {METADATA}
    with socket.create_connection(("127.0.0.1", laptops_port), timeout=3):
        pass  # it listens
    # most of them wait three seconds for an address that nobody has
    reaches = try_all(containers, {(address, laptops_port) for address in addresses}, at_once=16)
    outside = {name: WAYS_OUT & set(one.addresses) for name, one in containers.items()}
    outside = {name: networks for name, networks in outside.items() if networks}
    assert outside.keys() - TESTS_ONLY == {"apache", "egress"}
    assert {name: found for name, found in reaches.items() if found and name not in outside} == {}
    for name, networks in outside.items():
        assert {address for address, _ in reaches[name]} >= {
            address for network in networks for address in by_network[network] if "." in address
        }, name


def test_no_container_has_a_way_to_anything_but_its_networks(containers: dict[str, Seen]):
    """No default route, none to link-local addresses, and no IPv6: what listens there cannot matter."""
    for name, one in containers.items():
        routes, addresses = (
            compose.docker("exec", one.id, "cat", f"/proc/net/{file}", check=False).stdout.decode()
            for file in ("route", "if_inet6")
        )
        assert {line.split()[-1] for line in addresses.splitlines()} <= {"lo"}, name
        lines = routes.splitlines()[1:]
        ways_on = [words for words in map(str.split, lines) if int(words[2], 16)]
        assert bool(ways_on) == bool(WAYS_OUT & set(one.addresses)), name
        assert len(lines) - len(ways_on) == len(one.addresses), name
