"""Where a container can be reached, and where its own connections may go.

The engine is on two networks: that of containers, where the gateway to the hubs, the proxies and the egress
proxy are, and that of the batch systems. A session can be reached by the first alone. Nor can it go anywhere
else when its owner's jobs are confined (accounts/people.yaml): its connections are bound to that network, by
the kernel and outside of the container (pasta's --outbound-if4).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from .verdicts import Unavailable

_ENTRY = re.compile(r"\* (\S+) ([0-9]+)")
_INTERFACE = re.compile(r"[a-z0-9]{1,15}")


@dataclass(frozen=True)
class Way:
    """Of one container. address: where it can be reached; interface: of a guest's, the only way out."""

    address: str
    interface: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        """For its pasta."""
        return ("--outbound-if4", self.interface) if self.interface else ()


@dataclass(frozen=True)
class Ways:
    """Read anew for each container.

    confined: the list that nodes have; network: what the engine says of the network of containers
    """

    confined: Path = Path("/var/lib/extrausers/confined")
    network: Path = Path("/run/engine-api/network")

    def of(self, uid: int) -> Way:
        """For a container of this person's. Raises Unavailable where nobody can tell."""
        try:
            interface, address = self.network.read_text().split()
            IPv4Address(address)
            entries = [_ENTRY.fullmatch(line) for line in self.confined.read_text().splitlines()]
        except (OSError, ValueError) as error:
            raise Unavailable(f"It cannot be known just now who may reach what: {error}.") from None
        if not _INTERFACE.fullmatch(interface):
            raise Unavailable("The container engine has not said which network is that of containers.")
        confined = any(entry is None or int(entry[2]) == uid for entry in entries)
        return Way(address, interface if confined else "")
