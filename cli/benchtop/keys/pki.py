"""Keys and certificates of the facility.

Six kinds of authority, none of which can stand in for another:
- the facility CA, which a browser is told to trust. Name constraints keep it to the
  facility's own names, so that trusting it never means trusting it for anything else;
- `edge`: Apache and the cells' proxies recognise each other by it;
- one minter CA a cluster: a minter and the hubs that it serves;
- `minters`: the minters among themselves;
- `engine`: the gateway of the container engine, and every hub;
- one sessions CA a cell: its hub vouches by it for the sessions that it starts, and its key is there.
A certificate is for a server or for a client, never both: a stolen client certificate
cannot pose as a proxy. All TLS keys are P-256; SAML's are RSA, because XML signatures of
Keycloak and lasso meet on RSA-SHA256.

Everything works on a folder of `NAME.key` and `NAME.pem`, and does nothing when what is
there is still good.
"""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

FACILITY_CA = "Benchtop facility CA"
CA_LIFE = timedelta(days=3650)
PUBLIC_LIFE = timedelta(days=90)  # Mozilla recommends no more, browsers will refuse what lives longer
PUBLIC_RENEW = timedelta(days=30)  # `up` renews one that has less than this left
INTERNAL_LIFE = timedelta(days=3 * 365)
INTERNAL_RENEW = timedelta(days=180)
BACKDATE = timedelta(hours=1)  # containers of a laptop that slept may be a little behind

# "public": a server that browsers see
Kind = Literal["public", "server", "client"]
_usages = {
    "public": ExtendedKeyUsageOID.SERVER_AUTH,
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
}
Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def private_folder(path: Path) -> None:
    """Make a folder that nobody else can look into; those above it likewise, where they are missing."""
    if not path.is_dir():
        private_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def write(path: Path, data: bytes) -> bool:
    """Make `path` hold `data`, 0600 in a folder that is 0700; say whether that changed anything.

    A reader sees the old content or the new one, never half of it.
    """
    private_folder(path.parent)
    if path.is_file() and path.read_bytes() == data:
        path.chmod(0o600)
        return False
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # a laptop that loses power must not keep an empty key
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return True


def pem(key: Key) -> bytes:
    """The private key as PEM in its traditional form: mod_ssl's proxy reads no other."""
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def der64(thing: Key | x509.Certificate) -> str:
    """Base64 of the DER form without PEM lines, as Keycloak's realm files and SAML metadata hold it."""
    if isinstance(thing, x509.Certificate):
        raw = thing.public_bytes(serialization.Encoding.DER)
    else:
        form = serialization.PrivateFormat.PKCS8
        raw = thing.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())
    return base64.b64encode(raw).decode()


def key(path: Path, *, kind: Literal["ec", "rsa"] = "ec") -> Key:
    """The private key kept in `path`, made at the first call."""
    if path.is_file():
        kept = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if isinstance(kept, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            return kept
    made: Key = (
        ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 3072)
    )
    write(path, pem(made))
    return made


def ssh_key(path: Path) -> tuple[bytes, bytes]:
    """The key for SSH kept in `path`, made at the first call: as OpenSSH keeps it, and its public line.

    As it was written the first time: OpenSSH's form has random numbers in it.
    """
    if not path.is_file():
        made = Ed25519PrivateKey.generate()
        form = serialization.PrivateFormat.OpenSSH
        write(path, made.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    kept = path.read_bytes()
    public = serialization.load_ssh_private_key(kept, password=None).public_key()
    return kept, public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)


def cert_pem(cert: x509.Certificate) -> bytes:
    """The certificate as PEM."""
    return cert.public_bytes(serialization.Encoding.PEM)


def certificate(path: Path) -> x509.Certificate | None:
    """The certificate in `path`; None where there is none that can be read."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def authority(folder: Path, name: str, *, now: datetime, names: Collection[str] = ()) -> x509.Certificate:
    """The self-signed CA `name` in `folder`/ca.pem, made when it is missing.

    names: DNS names (each with everything below it) that the CA may vouch for; none means no limit.
    When the CA that is there may not vouch for all of them, its key stays and a new certificate is
    made for it: who trusted the old one has to trust the new one.
    """
    signer = key(folder / "ca.key")
    kept = certificate(folder / "ca.pem")
    wanted = set(names)
    if (
        kept
        and _same_key(kept, signer)
        and _covers(permitted(kept), wanted)
        and _lasts(kept, INTERNAL_RENEW, now)
    ):
        return kept
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    public = signer.public_key()
    builder = (
        _builder(subject, subject, public, now, CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign=False, ca=True), critical=True)
        .add_extension(_issued_by(signer), critical=False)
    )
    if wanted:
        # Addresses are not covered by a list of DNS names: excluded as a whole.
        everywhere = [x509.IPAddress(ip_network("0.0.0.0/0")), x509.IPAddress(ip_network("::/0"))]
        limits = x509.NameConstraints([x509.DNSName(n) for n in sorted(wanted)], everywhere)
        builder = builder.add_extension(limits, critical=True)
    made = builder.sign(signer, hashes.SHA256())
    write(folder / "ca.pem", cert_pem(made))
    return made


def permitted(ca: x509.Certificate) -> set[str]:
    """The DNS names that a CA is limited to; empty when it has no limit."""
    try:
        limits = ca.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return set()
    return {str(name.value) for name in limits.permitted_subtrees or () if isinstance(name, x509.DNSName)}


def _covers(limits: Collection[str], names: Collection[str]) -> bool:
    """Whether a CA with these limits may vouch for all names; no limits fit a CA that wants none only."""
    if not names:
        return not limits
    return all(any(name == limit or name.endswith(f".{limit}") for limit in limits) for name in names)


def leaf(folder: Path, ca: Path, kind: Kind, names: Sequence[str], *, now: datetime) -> tuple[bytes, bytes]:
    """The certificate and key (both PEM) of one server or client, kept in `folder`, signed by the CA in `ca`.

    names: the common name first; for a server all of them are its DNS names
    A new certificate is made for the same key when the old one is missing, is about to end,
    was signed by another CA, lives longer than it should, or says something else than is asked for.
    """
    own, signer = key(folder / "key.pem"), key(ca / "ca.key")
    issuer = x509.load_pem_x509_certificate((ca / "ca.pem").read_bytes())
    life, renew = (PUBLIC_LIFE, PUBLIC_RENEW) if kind == "public" else (INTERNAL_LIFE, INTERNAL_RENEW)
    kept = certificate(folder / "cert.pem")
    if not (
        kept and _says(kept, issuer, own, kind, names) and _lasts(kept, renew, now) and _life(kept) <= life
    ):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        builder = (
            _builder(subject, issuer.subject, own.public_key(), now, life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign=True, ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([_usages[kind]]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
            .add_extension(_issued_by(signer), critical=False)
        )
        kept = builder.sign(signer, hashes.SHA256())
        write(folder / "cert.pem", cert_pem(kept))
    return cert_pem(kept), pem(own)


def self_signed(folder: Path, name: str, *, now: datetime) -> tuple[x509.Certificate, Key]:
    """An RSA key and a certificate for XML signatures, where the peer pins the certificate itself."""
    own = key(folder / "key.pem", kind="rsa")
    kept = certificate(folder / "cert.pem")
    if not (kept and _same_key(kept, own)):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = _builder(subject, subject, own.public_key(), now, CA_LIFE).sign(own, hashes.SHA256())
        write(folder / "cert.pem", cert_pem(made))
        kept = made
    return kept, own


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    start = now - BACKDATE
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, sign: bool, ca: bool) -> x509.KeyUsage:
    never = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
    off = dict.fromkeys((*never, "decipher_only"), False)
    return x509.KeyUsage(digital_signature=sign, key_cert_sign=ca, crl_sign=ca, **off)


def _issued_by(signer: Key) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())


def _life(cert: x509.Certificate) -> timedelta:
    return cert.not_valid_after_utc - cert.not_valid_before_utc


def _lasts(cert: x509.Certificate, renew: timedelta, now: datetime) -> bool:
    return cert.not_valid_before_utc <= now and now + renew <= cert.not_valid_after_utc


def _same_key(cert: x509.Certificate, own: Key) -> bool:
    return cert.public_key() == own.public_key()


def _says(
    cert: x509.Certificate, issuer: x509.Certificate, own: Key, kind: Kind, names: Sequence[str]
) -> bool:
    try:
        cert.verify_directly_issued_by(issuer)
        alternative = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        usage = cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    return (
        _same_key(cert, own)
        and alternative.get_values_for_type(x509.DNSName) == list(names)
        and list(usage) == [_usages[kind]]
        and [str(part.value) for part in cert.subject] == [names[0]]
    )


def today() -> datetime:
    """Now, as the certificates count."""
    return datetime.now(UTC)
