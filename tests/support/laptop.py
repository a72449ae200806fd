"""The machine that the stack runs on, as a container could try to reach it."""

import contextlib
import fcntl
import json
import socket
import struct
import threading
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

from benchtop.settings import Settings
from benchtop.stack import compose

SIOCGIFADDR = 0x8915  # of netdevice(7)
ENGINES = ("lo", "br-", "veth", "docker")  # interfaces that are no address of the machine's own


@contextlib.contextmanager
def listening() -> Iterator[int]:
    """A port on which this machine listens on all of its addresses until the context ends."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("", 0), backlog=256))]
        port = int(sockets[0].getsockname()[1])
        with contextlib.suppress(OSError):  # no IPv6 here
            six = socket.create_server(("::", port), family=socket.AF_INET6, backlog=256)
            sockets.append(stack.enter_context(six))

        def answer(one: socket.socket) -> None:
            with contextlib.suppress(OSError):  # it was shut down
                while True:
                    one.accept()[0].close()

        for one in sockets:
            threading.Thread(target=answer, args=(one,), daemon=True).start()
        yield port
        for one in sockets:
            one.shutdown(socket.SHUT_RDWR)  # ends its accept()


def own_addresses() -> set[str]:
    """Its addresses, without those of the engine's networks; one of a link as a container writes it."""
    found = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            if not name.startswith(ENGINES):
                with contextlib.suppress(OSError):  # it has none
                    answer = fcntl.ioctl(asking, SIOCGIFADDR, struct.pack("256s", name.encode()))
                    found.add(socket.inet_ntoa(answer[20:24]))
    return found | {one for name, one in ipv6_addresses() if not name.startswith(ENGINES)}


def ipv6_addresses() -> Iterator[tuple[str, str]]:
    """(interface, address) of each; empty where there is no IPv6."""
    with contextlib.suppress(FileNotFoundError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            digits, *_, name = line.split()
            address = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
            yield name, f"{address}%eth0" if address.startswith("fe80") else address


def gateways(settings: Settings) -> dict[str, set[str]]:
    """The stack's networks → the addresses that the machine has there, or would have, also by IPv6."""
    label = f"label={compose.PROJECT_LABEL}={settings.project}"
    ids = compose.docker("network", "ls", "--quiet", "--filter", label).stdout.decode().split()
    found: dict[str, set[str]] = {}
    for one in json.loads(compose.docker("network", "inspect", *ids).stdout):
        # a network on which the engine takes no address may tell none (Docker 28)
        four = {plan.get("Gateway") or first(plan["Subnet"]) for plan in one["IPAM"]["Config"]}
        six = {address for name, address in ipv6_addresses() if name == f"br-{one['Id'][:12]}"}
        found[one["Labels"][compose.NETWORK_LABEL]] = {*four, *six}
    return found


def first(subnet: str) -> str:
    """The address that the engine takes in a network where it takes one."""
    return str(next(ip_network(subnet).hosts()))
