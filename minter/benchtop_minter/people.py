"""Who may be acted for, and who may ask: the rules that the minters and the engine's gateway share."""

import re
import ssl
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOWEST_UID = 1500  # below: root, daemons, the facility's own service users
PERSON = re.compile(r"[a-z][a-z0-9_-]{0,30}")  # as accounts/people.yaml allows; nothing else reaches NSS


class Refused(Exception):  # noqa: N818  # what it is, not that it is an error
    """A request that must not be granted; the message is safe to show to the caller."""


@dataclass(frozen=True)
class Person:
    """Somebody as the directory knows them."""

    name: str
    uid: int
    groups: frozenset[str]
    disabled: bool = False  # at the login; the directory may not know
    gid: int = 0  # of their primary group
    gids: tuple[int, ...] = ()  # of all their groups


Lookup = Callable[[str], Person | None]


def check_person(name: str, *, group: str, lookup: Lookup) -> Person:
    """The person of that name, if they may be acted for.

    group: the people of the cluster; lookup: name → person, or None
    Raises Refused with a sentence for the log and the caller.
    """
    person = lookup(name) if PERSON.fullmatch(name) else None
    # The directory may fold case; what is granted names exactly the person that was looked up.
    if person is None or person.name != name:
        raise Refused(f"The directory has no user {name!a:.40}.")
    if person.uid < LOWEST_UID:
        raise Refused(f"{name} is a system account, not a person.")
    if person.disabled:
        raise Refused(f"The login of {name} is disabled.")
    if group not in person.groups:
        raise Refused(f"{name} is not in the group {group}.")
    return person


def calling_cell(certificate: Mapping[str, Any], clusters: Collection[str]) -> tuple[str, str]:
    """The cell that a client certificate was made for, and its cluster. Raises Refused for any other.

    Its CA is the facility's own, for these cells; OpenSSL has checked that the certificate is a client's.
    """
    common = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    found = re.fullmatch(r"([a-z]+)-[1-9][0-9]*", common[0]) if len(common) == 1 else None
    if found and found[1] in clusters:
        return str(common[0]), str(found[1])
    served = " and ".join(sorted(clusters))
    raise Refused(f"Only the cells of {served} are served here; the certificate is of {common!a:.60}.")


def mutual_tls(keys: Path, authority: str, own: str = "server") -> ssl.SSLContext:
    """For a server in whose folder `keys` the CA of its callers is called `authority`, its certificate `own`.

    Only a client with a certificate by that CA gets past the handshake.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3  # both ends are ours
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(keys / authority)
    context.load_cert_chain(keys / f"{own}.pem", keys / f"{own}.key")
    return context
