"""What a session proves by that it is no other: a certificate and key of its own, from the hub."""

import base64
import os
import ssl

PROOF = "BENCHTOP_TLS"  # where the hub puts it: hub/benchtop_hub/sessions/certificates.py


def server_context(pem: bytes) -> ssl.SSLContext:
    """A server's TLS by the certificate chain and key in `pem`, which touch no disk.

    Raises OSError for what is none. Stands by itself: programs that tests send elsewhere hold its source.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with os.fdopen(os.memfd_create("proof"), "wb", buffering=0) as file:  # Python reads a key from files only
        file.write(pem)
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
    return context


def take_proof() -> ssl.SSLContext:
    """The context of this session; from now on, the environment does not hold the key.

    Raises KeyError where the hub gave none, ValueError and OSError for what is none.
    """
    return server_context(base64.b64decode(os.environ.pop(PROOF), validate=True))
