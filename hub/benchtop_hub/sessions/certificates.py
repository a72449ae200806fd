"""By what a session proves that it is the one which this hub has started.

Whoever has an account on a node may listen on the port of a session that has ended, and would be given its
owner's requests, cookies included. So each start gets a name that nobody else has, with a key and a
certificate for it from a CA that only this hub can use. JupyterLab answers by TLS alone; the hub and its
proxy (images/proxy/sessions.mjs) check the name on each connection.

The name is in the session's address, `https://NODE.NAME:PORT`: in JupyterHub's database, in the proxy's
routes, and in whatever JupyterHub itself asks a session. No DNS knows it: to connect, all but NODE is left
out. JupyterHub's internal_ssl takes files on the node, which batchspawner does not put there (#192).
"""

import secrets
import socket
import ssl
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import aiohttp
from aiohttp.abc import ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DOMAIN = "session"  # the CA may vouch for nothing else: cli/benchtop/keys/secrets.py
VARIABLE = "BENCHTOP_TLS"  # of the session's environment: base64 of certificate and key, as PEM
BACKDATE = timedelta(hours=1)  # a node's clock may be a little behind
SPARE = timedelta(days=30)  # beyond the runtime: in the queue, suspended, or given more time by an operator


def new_name() -> str:
    """A name for one session."""
    return f"{secrets.token_hex(16)}.{DOMAIN}"


def host(node: str, name: str) -> str:
    """The host in a session's address. A certificate's wildcard stands for one label, so NODE has no dots."""
    return f"{node.replace('.', '--')}.{name}"


def node_of(host: str) -> str:
    """Where to connect to for a host of an address; the same for all that is no session's."""
    node, _, name = host.partition(".")
    return node.replace("--", ".") if name.endswith(f".{DOMAIN}") else host


class Authority:
    """The CA of a cell's sessions; its key and certificate are in the folder `keys`.

    Raises OSError, ValueError or TypeError where these are missing or wrong.
    """

    def __init__(self, keys: Path) -> None:
        signer = serialization.load_pem_private_key((keys / "sessions-ca.key").read_bytes(), password=None)
        if not isinstance(signer, ec.EllipticCurvePrivateKey):
            raise TypeError("the sessions CA has no EC key")
        self._signer = signer
        self._issuer = x509.load_pem_x509_certificate((keys / "sessions-ca.pem").read_bytes()).subject

    def issue(self, name: str, runtime: timedelta) -> str:
        """What the session that has this name gets in VARIABLE."""
        own, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self._issuer)
            .public_key(own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE)
            .not_valid_after(now + runtime + SPARE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(f"*.{name}")]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._signer.public_key()), critical=False
            )
            .sign(self._signer, hashes.SHA256())
        )
        key = own.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return b64encode(certificate.public_bytes(serialization.Encoding.PEM) + key).decode()


@cache
def authority(keys: str) -> Authority:
    """One for all sessions of the hub."""
    return Authority(Path(keys))


class Resolver(aiohttp.ThreadedResolver):
    """Finds sessions, and asks the system for all else: see names.py."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of the session's node."""
        found = await super().resolve(node_of(host), port, family)
        return [{**one, "hostname": host} for one in found]


def trust(keys: Path) -> ssl.SSLContext:
    """For a client of sessions: it believes this cell's alone, each under its own name."""
    context = ssl.create_default_context(cafile=keys / "sessions-ca.pem")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
