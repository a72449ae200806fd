"""The gateway's two listeners: mutual TLS for hubs, and loopback for its own health check.

Each request is a call of Docker's API that is allowed, or is refused with {"message": a sentence}, as the
clients of that API expect it. Whatever changes something, and whatever is refused, is one line of the log.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from benchtop_minter.people import calling_cell, mutual_tls

from . import answers, spec
from .calls import Call, read_filters, read_json, read_target
from .creation import MEBIBYTE, MEMORY, Judge, Room, Session
from .engine import DOCKER, PODMAN, Container, Engine, sentence
from .verdicts import STATUS, Malformed, Refused, Taken, Unavailable
from .ways import Ways

LONGEST_BODY = 1 << 18  # bytes
BODY_WITHIN = 10.0  # seconds
LONGEST_LOG = 1 << 20
KEPT = 600  # seconds that an idle connection is kept: one that is used in the moment it goes fails a start
HOLDS = frozenset({"running", "created", "stopping", "paused"})  # states in which one has what it was granted
log = logging.getLogger("engine-gateway")


@dataclass(frozen=True)
class Caller:
    """The hub that asks."""

    cell: str
    cluster: str


class Gateway:
    """Answers hubs."""

    def __init__(  # noqa: PLR0913 each a part of its own, made by who starts this
        self,
        engine: Engine,
        judge: Judge,
        room: Room,
        clusters: tuple[str, ...],
        *,
        knows: Callable[[], bool],
        ways: Ways,
    ) -> None:
        """knows: does the directory answer? ways: where whose containers may connect to."""
        self._engine, self._judge, self._room, self._clusters = engine, judge, room, clusters
        self._knows, self._ways = knows, ways
        self._creating = asyncio.Lock()
        self._do: Mapping[str, Callable[[Caller, Call, Any], Awaitable[web.Response]]] = {
            "ping": self._ping, "version": self._version, "info": self._info, "images": self._images,
            "image": self._image, "list": self._list, "create": self._create, "inspect": self._inspect,
            "start": self._start, "stop": self._stop, "kill": self._kill, "wait": self._wait,
            "logs": self._logs, "remove": self._remove,
        }  # fmt: skip

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Judge one request and answer it."""
        who = "unknown"
        try:
            certificate = request.transport.get_extra_info("peercert") if request.transport else None
            caller = Caller(*calling_cell(certificate or {}, self._clusters))
            who = caller.cell
            _judge_head(request)
            call = read_target(request.method, request.raw_path)
            body = await _body(request, wanted=call.kind.body)
            return await self._do[call.kind.name](caller, call, body)
        except tuple(STATUS) as problem:
            log.warning(
                "refuse cell=%s call=%s reason=%s",
                who, f"{request.method} {request.raw_path}"[:160].encode("unicode_escape").decode(),
                json.dumps(str(problem)),
            )  # fmt: skip
            return _json({"message": str(problem)}, STATUS[type(problem)])
        except Exception:
            log.exception("failed cell=%s", who)
            return _json({"message": "The gateway of the container engine failed; its log says why."}, 500)

    async def health(self) -> str:
        """What keeps this from working; "" where nothing does."""
        if not await asyncio.to_thread(self._knows):
            return "The directory does not answer: look at nslcd."
        try:
            await self._engine.all()
        except Unavailable as problem:
            return str(problem)
        return ""

    # ---- what asks nothing of the engine but to look ---------------------------------------------

    async def _ping(self, caller: Caller, call: Call, body: object) -> web.Response:
        return web.Response(
            text="OK", headers={"Api-Version": answers.VERSION["ApiVersion"], "Ostype": "linux"}
        )

    async def _version(self, caller: Caller, call: Call, body: object) -> web.Response:
        return _json(answers.VERSION)

    async def _info(self, caller: Caller, call: Call, body: object) -> web.Response:
        taken = await self._taken()
        free = Room(max(0, self._room.places - taken.places), max(0, self._room.memory - taken.memory))
        return _json(answers.info(self._room, free, self._judge.limits))

    async def _images(self, caller: Caller, call: Call, body: object) -> web.Response:
        return _json([answers.image(one) for one in self._judge.images.all()])

    async def _image(self, caller: Caller, call: Call, body: object) -> web.Response:
        return _json(answers.image(self._judge.images.find(call.image)))

    async def _list(self, caller: Caller, call: Call, body: object) -> web.Response:
        owner = read_filters(call.query.get("filters") or "{}")
        return _json(answers.listed(await self._engine.all(), caller.cell, owner, stopped=call.yes("all")))

    async def _inspect(self, caller: Caller, call: Call, body: object) -> web.Response:
        found = (await self._engine.own(caller.cell, call.container)).found
        digest = f"sha256:{found['Image'].removeprefix('sha256:')}"
        names = {one.digest: one.name for one in self._judge.images.all()}
        return _json(answers.container(found, names.get(digest, digest)))

    async def _logs(self, caller: Caller, call: Call, body: object) -> web.Response:
        own = await self._engine.own(caller.cell, call.container)
        query = {name: value for name, value in call.query.items() if name != "follow"}
        query["tail"] = (
            str(min(1000, int(call.query["tail"]))) if call.query.get("tail", "all") != "all" else "1000"
        )
        content = await self._engine.do("GET", f"{DOCKER}/containers/{own.id}/logs", query)
        return web.Response(body=content[-LONGEST_LOG:], content_type="application/vnd.docker.raw-stream")

    # ---- what changes something -------------------------------------------------------------------

    async def _create(self, caller: Caller, call: Call, body: object) -> web.Response:
        name = call.query.get("name", "")
        session = await asyncio.to_thread(self._decide, name, body, caller)
        way = self._ways.of(session.owner.uid)
        async with self._creating:  # or two see the same free place
            _refuse_if_full(self._room, await self._taken(), session.memory)
            wanted = spec.container(session, way)
            status, content = await self._engine.ask("POST", f"{PODMAN}/containers/create", body=wanted)
        if status == 409 or (status == 500 and b"already in use" in content):
            raise Taken(f"There is a container called {session.name} already.")
        if status != 201:
            raise Unavailable(f"The container engine made no container: {sentence(content)}")
        made = json.loads(content)["Id"]
        log.info(
            "grant create cell=%s owner=%s uid=%d name=%s container=%s image=%s memory=%d cpus=%g",
            caller.cell, session.owner.name, session.owner.uid, session.name, made[:12],
            session.image.digest[:19], session.memory, session.cpus,
        )  # fmt: skip
        return _json({"Id": made, "Warnings": []}, 201)

    def _decide(self, name: str, body: object, caller: Caller) -> Session:
        """The judgement; where the directory does not answer, nobody is refused for being unknown."""
        try:
            return self._judge.session(name, body, caller.cell, caller.cluster)
        except Refused:
            if self._knows():
                return self._judge.session(name, body, caller.cell, caller.cluster)
        raise Unavailable("The directory does not answer: try again, and look at nslcd if it stays so.")

    async def _start(self, caller: Caller, call: Call, body: object) -> web.Response:
        return await self._act(caller, call, "start")

    async def _stop(self, caller: Caller, call: Call, body: object) -> web.Response:
        seconds = call.seconds("t", spec.GRACE)
        return await self._act(caller, call, "stop", {"t": str(seconds)}, wait=seconds)

    async def _kill(self, caller: Caller, call: Call, body: object) -> web.Response:
        return await self._act(caller, call, "kill", {"signal": call.query.get("signal", "KILL")})

    async def _wait(self, caller: Caller, call: Call, body: object) -> web.Response:
        own = await self._engine.own(caller.cell, call.container)
        try:
            async with asyncio.timeout(60):
                content = await self._engine.do(
                    "POST", f"{DOCKER}/containers/{own.id}/wait", {"condition": "not-running"}, wait=60
                )
        except TimeoutError:
            raise Unavailable("The container has not ended within a minute: ask again.") from None
        return _json(json.loads(content))

    async def _remove(self, caller: Caller, call: Call, body: object) -> web.Response:
        own = await self._engine.own(caller.cell, call.container)
        query = {"force": "true" if call.yes("force") else "false", "v": "true"}
        await self._engine.do("DELETE", f"{DOCKER}/containers/{own.id}", query, wait=spec.GRACE)
        _note("remove", caller, own)
        return web.Response(status=204)

    async def _act(
        self,
        caller: Caller,
        call: Call,
        what: str,
        query: Mapping[str, str] | None = None,
        *,
        wait: float = 0,
    ) -> web.Response:
        own = await self._engine.own(caller.cell, call.container)
        await self._engine.do("POST", f"{DOCKER}/containers/{own.id}/{what}", query, wait=wait)
        _note(what, caller, own)
        return web.Response(status=204)

    async def _taken(self) -> Room:
        """What those that run, or are about to, have been granted."""
        there = [entry for entry in await self._engine.all() if entry["State"] in HOLDS]
        granted = [(entry["Labels"] or {}).get(MEMORY, "0") for entry in there]
        return Room(len(there), sum(int(text) for text in granted if text.isdecimal()))


def _refuse_if_full(room: Room, taken: Room, memory: int) -> None:
    """Raise Unavailable where there is no room: nobody's session is to end because others were let in."""
    if taken.places >= room.places:
        raise Unavailable(
            f"All {room.places} places for sessions in containers are taken. Try again later, or choose "
            "another place for the session."
        )
    if taken.memory + memory > room.memory:
        left = max(0, room.memory - taken.memory) // MEBIBYTE
        raise Unavailable(
            f"Only {left} MB of memory are left for sessions in containers. Ask for less, try again later, "
            "or choose another place for the session."
        )


def _note(what: str, caller: Caller, own: Container) -> None:
    log.info("grant %s cell=%s owner=%s container=%s", what, caller.cell, own.owner, own.id[:12])


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=json.dumps(value).encode(), status=status, content_type="application/json")


def _judge_head(request: web.BaseRequest) -> None:
    """Raises for what could make two requests of one, or something else of the connection."""
    head = request.headers
    if "Upgrade" in head or "upgrade" in head.get("Connection", "").lower():
        raise Refused("No connection becomes anything else here: there is nothing to attach to.")
    if "Content-Encoding" in head or "Expect" in head or "Trailer" in head:
        raise Malformed("Send the body as it is, at once.")
    if "Transfer-Encoding" in head and "Content-Length" in head:
        raise Malformed("The body has two lengths: which one counts?")


async def _body(request: web.BaseRequest, *, wanted: bool) -> Any:  # noqa: ANN401 JSON, judged elsewhere
    """The body, where a call has one. Raises Malformed for one that is too long, too slow, or not wanted."""
    most = LONGEST_BODY if wanted else 2
    content = b""
    try:
        async with asyncio.timeout(BODY_WITHIN):
            while chunk := await request.content.read(most + 1 - len(content)):
                content += chunk
                if len(content) > most:
                    what = f"longer than {most} bytes" if wanted else "not wanted here: this call has none"
                    raise Malformed(f"The body is {what}.")
    except TimeoutError:
        raise Malformed(f"The body did not come within {BODY_WITHIN:.0f} seconds.") from None
    if not wanted:
        if content not in {b"", b"{}"}:
            raise Malformed("The body is not wanted here: this call has none.")
        return None
    return read_json(content)


async def serve(gateway: Gateway, keys: Path, *, port: int, health_port: int) -> list[web.ServerRunner]:
    """Listen; what is returned keeps the two listeners."""

    async def health(request: web.BaseRequest) -> web.StreamResponse:
        trouble = await gateway.health()
        return _json({"message": trouble or "well"}, 503 if trouble else 200)

    runners = []
    # One handler for everything: no router that would put an address right before it is judged
    for handler, host, number, tls in (
        (gateway.answer, "0.0.0.0", port, mutual_tls(keys, "engine-ca.pem")),  # noqa: S104 in its own container
        (health, "127.0.0.1", health_port, None),
    ):
        runner = web.ServerRunner(web.Server(handler, access_log=None, keepalive_timeout=KEPT))
        await runner.setup()
        await web.TCPSite(runner, host, number, ssl_context=tls).start()
        runners.append(runner)
    return runners
