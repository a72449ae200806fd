"""Certificates for tests of services that know their callers by them."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


class Authority:
    """A CA that lives as long as the tests."""

    def __init__(self, common: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = name(common)
        self.pem = self.sign(common, self.key, x509.BasicConstraints(ca=True, path_length=0))

    def sign(self, common: str, key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType) -> bytes:
        """A certificate for that name and key."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder().subject_name(name(common)).issuer_name(self.name).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        )  # fmt: skip
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue(self, path: Path, common: str, usage: x509.ObjectIdentifier) -> Path:
        """Write a certificate and its key into one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(common)])
        pem = self.sign(common, key, x509.ExtendedKeyUsage([usage]), names)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(pem + private)
        return path


def client_tls(keys: Path, certificate: str | None, authority: str = "minter-ca.pem") -> ssl.SSLContext:
    """A client's, with one of the certificates in `keys`, or none."""
    context = ssl.create_default_context(cafile=str(keys / authority))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # our test CA carries no key identifiers
    if certificate:
        context.load_cert_chain(keys / certificate)
    return context
