"""The other clusters' minters: what a session may be given for a cluster that is not its hub's.

A hub has a way to its own minter alone, and asks that one. The minters know each other by certificates of a
CA that vouches for nobody else, on a network that nobody else is on. What one may ask of another is less than
what its hubs may ask of it: a person has to be in the groups of both clusters.
"""

import json
import re
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from .people import Refused

AUTHORITY = "peers-ca.pem"  # in a minter's folder of keys
OWN = "peer"  # … its own certificate for them, as a server: peer.pem, peer.key
CLIENT = "peer-client.pem"  # … and as a client
PORT = 8602
PATIENCE = 3.0  # seconds; a hub waits for five


class Silent(Exception):  # noqa: N818  # what it is, not that it is an error
    """The other minter cannot be asked now; the message is safe to show to the caller."""


def calling_minter(certificate: Mapping[str, Any], clusters: Collection[str]) -> str:
    """The cluster of the minter that a client certificate was made for. Raises Refused for any other."""
    common = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    found = re.fullmatch(r"([a-z]+)-minter", common[0]) if len(common) == 1 else None
    if found and found[1] in clusters:
        return found[1]
    raise Refused(f"Only the other clusters' minters are served here; the certificate is of {common!a:.60}.")


@dataclass(frozen=True)
class Peer:
    """The minter of another cluster."""

    cluster: str
    keys: Path
    port: int = PORT

    @property
    def name(self) -> str:
        """Its service, and its certificate's."""
        return f"{self.cluster}-minter"

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.keys / AUTHORITY)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.keys / CLIENT)
        return context

    async def ask(self, person: str, lifetime: int, caller: str) -> tuple[str, int]:
        """A token for `person` and when it ends; caller: the cell that wants it.

        Raises Refused with the other minter's sentence, and Silent where it gives no answer.
        """
        body = json.dumps({"person": person, "lifetime": lifetime, "caller": caller})
        try:
            answer = await AsyncHTTPClient().fetch(
                f"https://{self.name}:{self.port}/token", method="POST", body=body, raise_error=False,
                ssl_options=self._tls, connect_timeout=PATIENCE, request_timeout=PATIENCE,
            )  # fmt: skip
            said = json.loads(answer.body)
            if answer.code == HTTPStatus.OK:
                return str(said["token"]), int(said["expires"])
            sentence = str(said["error"])
        except (OSError, HTTPClientError, ValueError, KeyError, TypeError):
            raise Silent(f"The service that grants access to {self.cluster} does not answer.") from None
        if answer.code == HTTPStatus.FORBIDDEN:
            raise Refused(sentence)
        raise Silent(sentence)
