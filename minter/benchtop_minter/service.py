"""The minter's listeners: mutual TLS for hubs, the same for other minters, and loopback for its health check.

POST /token {"person": "alice", "lifetime": 600} → 200 {"token", "expires"}
            with "cluster": another one's, as that cluster's own minter grants it
POST /ssh   {"person": "alice", "lifetime": 60, "key": "ssh-ed25519 …"} → 200; the token is a certificate
Of a minter: POST /token {"person", "lifetime", "caller": the cell that asked it}
Refused → 403, bad input → 400, no directory → 503, no answer of another minter → 504, each with {"error": a
sentence}. Each decision is one line of the log.
"""

import asyncio
import json
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, HTTPError, RequestHandler

from . import peers
from .grants import Grant, Kind, check
from .peers import Peer, Silent, calling_minter
from .people import Lookup, Refused, calling_cell, mutual_tls

LONGEST_BODY = 1024  # bytes; a request is a name, a number, and a short key
PATIENCE = (
    10  # seconds for a caller to send it; and as long, which is longer than a hub does, is one kept idle
)
log = logging.getLogger("minter")


class Malformed(Exception):  # noqa: N818  # what it is, not that it is an error
    """A request that says nothing we understand; the message is safe to show to the caller."""


class Unavailable(Exception):  # noqa: N818  # what it is, not that it is an error
    """Nothing can be decided now; the message is safe to show to the caller."""


STATUS = {Malformed: 400, Refused: 403, Unavailable: 503, Silent: 504}


@dataclass(frozen=True)
class Minter:
    """What one minter serves."""

    cluster: str
    kinds: Mapping[str, Kind]  # path → the credential that is minted there
    lookup: Lookup
    answers: Callable[[], bool]  # whether the directory does
    peers: Mapping[str, Peer] = field(default_factory=dict)  # of other clusters

    @property
    def group(self) -> str:
        """The people of this cluster."""
        return group_of(self.cluster)


def group_of(cluster: str) -> str:
    """The people of a cluster."""
    return f"cluster-{cluster}"


@dataclass(frozen=True)
class Question:
    """What a request asks for."""

    person: str
    lifetime: int
    key: Ed25519PublicKey | None = None
    cluster: str = ""  # "": this one
    caller: str = ""  # for whom another minter asks


def question(body: bytes, *, for_key: bool = False, of_minter: bool = False) -> Question:
    """What a request asks for. for_key: it must say for which key; of_minter: for whom. Raises Malformed."""
    also = ', and "key" (an ssh-ed25519 public key)' if for_key else ""
    also += ', and "caller" (text)' if of_minter else ""
    what = '"person" (text) and "lifetime" (a whole number of seconds)'
    expected = f"The body must be a JSON object with {what}{also}."

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # of two "person", which one was meant? Whoever checked the request may have read the other
        if len({key for key, _ in pairs}) != len(pairs):
            raise Malformed(expected)
        return dict(pairs)

    try:
        value = json.loads(body, object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise Malformed(expected) from None
    needed = {"person", "lifetime", *(["key"] if for_key else []), *(["caller"] if of_minter else [])}
    possible = needed if for_key or of_minter else needed | {"cluster"}
    if not isinstance(value, dict) or not needed <= set(value) <= possible:
        raise Malformed(expected)
    person, lifetime = value["person"], value["lifetime"]
    texts = [value.get(name, "") for name in ("cluster", "caller")]
    if not all(isinstance(text, str) for text in texts):
        raise Malformed(expected)
    if not isinstance(person, str) or isinstance(lifetime, bool) or not isinstance(lifetime, int):
        raise Malformed(expected)
    key = public_key(value["key"]) if for_key else None
    if for_key and key is None:
        raise Malformed(expected)
    return Question(person, lifetime, key, *texts)


def public_key(text: object) -> Ed25519PublicKey | None:
    """The key, if it is of the one kind that is certified; of others, some are too weak or too large."""
    try:
        key = serialization.load_ssh_public_key(text.encode()) if isinstance(text, str) else None
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PublicKey) else None


class MintHandler(RequestHandler):
    """One kind of credential."""

    def initialize(self, minter: Minter, kind: Kind) -> None:
        """Tornado's constructor: what the route was registered with."""
        self.minter, self.kind = minter, kind

    async def post(self) -> None:
        """Grant or refuse, and log which."""
        who, asked = "unknown", "nothing"
        try:
            shown: Any = self.request.get_ssl_certificate() or {}
            who = self.caller(shown)
            wanted = self.question()
            asked = f"{wanted.person!a:.40}"
            groups = self.groups(who)
            who += f" for={wanted.caller!a:.20}" if wanted.caller else ""
            grant = await asyncio.to_thread(self.decide, wanted, groups)  # the directory may be slow
            now = datetime.now(UTC)
            if wanted.cluster in ("", self.minter.cluster):
                by, token = self.minter.cluster, self.kind.mint(grant, now)
                expires = int((now + grant.life).timestamp())
            else:
                by = wanted.cluster
                token, expires = await self.peer(by).ask(grant.person.name, wanted.lifetime, who)
        except (Malformed, Refused, Unavailable, Silent) as problem:
            reason = json.dumps(str(problem))
            log.warning("refuse person=%s caller=%s kind=%s reason=%s", asked, who, self.request.path, reason)
            self.set_status(STATUS[type(problem)])
            self.write({"error": str(problem)})
            return
        log.info(
            "grant person=%s uid=%d caller=%s%s kind=%s lifetime=%d expires=%d",
            grant.person.name, grant.person.uid, who, "" if by == self.minter.cluster else f" by={by}-minter",
            self.request.path, wanted.lifetime, expires,
        )  # fmt: skip
        self.set_header("Cache-Control", "no-store")
        self.write({"token": token, "expires": expires})

    def caller(self, certificate: Mapping[str, Any]) -> str:
        """Who asks. Raises Refused for who may not."""
        return calling_cell(certificate, {self.minter.cluster})[0]

    def groups(self, caller: str) -> tuple[str, ...]:
        """In which groups somebody has to be."""
        return (self.minter.group,)

    def question(self) -> Question:
        """What is asked for. Raises Malformed."""
        return question(self.request.body, for_key=self.kind.for_key)

    def peer(self, cluster: str) -> Peer:
        """Who grants it. Raises Refused for a cluster that there is not."""
        if cluster not in self.minter.peers:
            raise Refused(f"There is no cluster {cluster!a:.20}.")
        return self.minter.peers[cluster]

    def decide(self, wanted: Question, groups: tuple[str, ...]) -> Grant:
        """`check`; raises Unavailable rather than "nobody by that name" when nobody can be looked up.

        Who is refused loses their servers. So it counts only once the directory is known to answer: it may
        have come back between the first look and the question whether it is there.
        """

        def once() -> Grant:
            longest, lookup = self.kind.longest, self.minter.lookup
            granted = [
                check(wanted.person, wanted.lifetime, group=group, lookup=lookup, longest=longest)
                for group in groups
            ]
            return replace(granted[0], key=wanted.key)

        try:
            return once()
        except Refused:
            if self.minter.answers():
                return once()
        raise Unavailable("The directory does not answer: try again, and look at nslcd if it stays so.")

    def write_error(self, status_code: int, **_: object) -> None:
        """What goes wrong elsewhere, in the same shape; a traceback is for the log alone."""
        sentences = {404: "There is no such credential here.", 405: "Ask by POST."}
        self.finish({"error": sentences.get(status_code, "The minter failed; its log says why.")})


class PeerHandler(MintHandler):
    """The same for another minter, whose hubs may ask for less: see peers.py."""

    def caller(self, certificate: Mapping[str, Any]) -> str:
        """Another minter."""
        return f"{calling_minter(certificate, self.minter.peers)}-minter"

    def groups(self, caller: str) -> tuple[str, ...]:
        """Of both clusters, whatever the other minter looked at."""
        return (self.minter.group, group_of(caller.removesuffix("-minter")))

    def question(self) -> Question:
        """It says for whom."""
        return question(self.request.body, of_minter=True)


class NothingHere(MintHandler):
    """Every path that mints nothing."""

    def initialize(self) -> None:  # type: ignore[override]
        """Needs nothing."""

    def prepare(self) -> None:
        """Whatever the method."""
        raise HTTPError(404)


class HealthHandler(RequestHandler):
    """Healthy: the directory answers. (Without its keys the minter does not even start.)"""

    def initialize(self, minter: Minter) -> None:
        """Tornado's constructor."""
        self.minter = minter

    async def get(self) -> None:
        """Say so, or what is wrong with 503."""
        if not await asyncio.to_thread(self.minter.answers):
            self.set_status(503)
            self.write({"error": "The directory does not answer: look at nslcd."})
            return
        self.write({"serves": sorted(self.minter.kinds)})


def serve(
    minter: Minter, keys: Path, *, port: int, health_port: int, peer_port: int = peers.PORT
) -> list[HTTPServer]:
    """Listen, and return the listeners; needs a running event loop."""
    quiet = {"log_function": _refused_by_tornado}
    routes = [(path, MintHandler, {"minter": minter, "kind": kind}) for path, kind in minter.kinds.items()]
    listening = [_listen(routes, mutual_tls(keys, "minter-ca.pem"), port)]
    if minter.peers:
        token = [("/token", PeerHandler, {"minter": minter, "kind": minter.kinds["/token"]})]
        listening.append(_listen(token, mutual_tls(keys, peers.AUTHORITY, peers.OWN), peer_port))
    health = HTTPServer(Application([("/health", HealthHandler, {"minter": minter})], **quiet))  # type: ignore[arg-type]
    health.listen(health_port, address="127.0.0.1")
    return [*listening, health]


def _listen(routes: list[Any], tls: ssl.SSLContext, port: int) -> HTTPServer:
    server = HTTPServer(
        Application(routes, default_handler_class=NothingHere, log_function=_refused_by_tornado),
        ssl_options=tls,
        max_body_size=LONGEST_BODY,
        max_header_size=8192,
        idle_connection_timeout=PATIENCE,
        body_timeout=PATIENCE,
    )
    server.listen(port)
    return server


def _refused_by_tornado(handler: RequestHandler) -> None:
    """Decisions log themselves; what is left for the access log is a wrong path or method."""
    request: HTTPServerRequest = handler.request
    status = handler.get_status()
    if status in (404, 405):
        log.warning(
            "refuse caller=%s %s %r status=%d", request.remote_ip, request.method, request.path[:80], status
        )
