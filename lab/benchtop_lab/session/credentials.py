"""What the programs of a session show to the batch systems, where the node does not vouch for them.

The hub gives this session tokens of its owner's, each for less than a minute, for its own token and only
while it runs (hub/benchtop_hub/api/credentials.py). They are in files that nobody else can read, in the
session's own folder on the node, and never in the environment, which jobs inherit and listings show:
$BENCHTOP_CREDENTIALS has

    slurm.jwt          which images/node/slurm/session-command shows, command by command
    condor/session     HTCondor's commands and bindings look into this folder themselves
    access-point       where HTCondor's is, on nodes that the pool's own network does not reach
    why                what is missing, and why: a line each, "Slurm: " or "HTCondor: " first

A file is there only while what it holds is good. Nothing here delays or ends a session: whoever needs what is
not there is told why by the command. Nothing but the standard library.
"""

import json
import os
import shutil
import socket
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeAlias

from benchtop_lab import report
from benchtop_lab.home.log import FOLDER as RUN

FOLDER, CONDOR = "BENCHTOP_CREDENTIALS", "_CONDOR_SEC_TOKEN_DIRECTORY"  # of the environment
CONFINED = "BENCHTOP_CONFINED"  # …: of a guest, whose programs reach no batch system
FILES = {"slurm": "slurm.jwt", "condor": "condor/session"}  # kind of cluster → its token, in the folder
NAMES = {"slurm": "Slurm", "condor": "HTCondor"}
WHY = "why"
# Where the pool's own network does not reach: HOST:PORT of the access point, and HTCondor's version below
ELSEWHERE = Path("/usr/local/lib/benchtop/condor/access-point")
ACCESS_POINT = "access-point"  # …, by address, as HTCondor reads it (images/node/condor/elsewhere.conf)
AFTER = (
    0.5  # seconds from when the server runs until it is asked for: its start is not to share the processor
)
SOONEST, USUAL = 5.0, 20.0  # seconds between two questions: at the least, and where no token says how long
PATIENCE = 10.0  # seconds for an answer
AWAY = "The hub does not answer; it is asked again every few seconds."
OVER = (
    "The hub gives this session no credential any more: it has been stopped, or your account may not use it."
)
GUEST = "The programs of your account reach nothing but the hub and the internet proxy."
Answer: TypeAlias = Mapping[str, Mapping[str, Any]]
Ask: TypeAlias = Callable[[], tuple[int, Any]]


def prepare(env: MutableMapping[str, str]) -> None:
    """Make the folder, and tell the session's programs where it is. Without room for it, there is none."""
    if not env.get(RUN):
        return
    folder = Path(env[RUN], "credentials")
    with suppress(OSError):
        for path in (folder, (folder / FILES["condor"]).parent):
            path.mkdir(mode=0o700, exist_ok=True)
        env[FOLDER], env[CONDOR] = str(folder), str((folder / FILES["condor"]).parent)


def ask_hub(env: Mapping[str, str]) -> Ask:
    """A way to ask the hub: status, and what it says. Raises OSError when it does not answer."""
    url, token = f"{env['JUPYTERHUB_API_URL']}/session/credentials", env["JUPYTERHUB_API_TOKEN"]
    context = ssl.create_default_context(cafile=report.TRUST if report.TRUST.exists() else None)

    def ask() -> tuple[int, Any]:
        request = urllib.request.Request(  # noqa: S310 the address is the hub's
            url, data=b"{}", method="POST",
            headers={"Authorization": f"token {token}", "Content-Type": "application/json"},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE, context=context) as answer:  # noqa: S310
                return int(answer.status), json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            said = None
            with suppress(ValueError, OSError, HTTPException):
                said = json.loads(refused.read())
            return refused.code, said
        except (HTTPException, ValueError) as half:
            raise OSError(f"half an answer: {half!r}") from None

    return ask


class Credentials:
    """The files, kept up until `end`."""

    def __init__(
        self, folder: Path, ask: Ask, clock: Callable[[], float] = time.time, elsewhere: Path = ELSEWHERE
    ) -> None:
        self._folder, self._ask, self._clock, self._elsewhere = folder, ask, clock, elsewhere
        self._expires: dict[str, float] = {}  # kind → when what is there ends
        self._ended, self._writing = threading.Event(), threading.Lock()

    def keep(self) -> None:
        """Ask again and again, and never fail."""
        trouble = ""
        while True:
            try:
                pause, now_trouble = self.turn(), ""
            except Exception as error:
                pause, now_trouble = USUAL, f"{type(error).__name__}: {error}"
                with suppress(OSError):
                    self._forget_expired()
            if now_trouble != trouble:
                trouble = now_trouble
                print(f"credentials: {trouble or 'kept up again'}", file=sys.stderr, flush=True)
            if self._ended.wait(pause):
                return

    def turn(self) -> float:
        """Ask once; how many seconds to wait. Raises OSError where nothing can be written."""
        try:
            status, said = self._ask()
        except OSError:
            status, said = 0, None
        missing = dict.fromkeys(NAMES, AWAY)
        if isinstance(said, dict) and all(isinstance(one, dict) and "kind" in one for one in said.values()):
            missing = self._take(said)
        elif 400 <= status < 500:
            missing = dict.fromkeys(NAMES, OVER)
            for kind in NAMES:
                self._remove(kind)
        self._forget_expired()
        self._say({kind: why for kind, why in missing.items() if kind not in self._expires})
        return self._pause()

    def end(self) -> None:
        """Remove all of it, for good."""
        self._ended.set()
        with self._writing:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _take(self, said: Answer) -> dict[str, str]:
        """Of each kind what was granted; returns why not, by kind."""
        missing = {kind: f"This facility has no cluster of {NAMES[kind]}." for kind in NAMES}
        for one in said.values():
            kind = str(one["kind"])
            if kind not in FILES:
                continue
            if "token" in one:
                if kind == "condor":
                    self._find_access_point()  # first: with the token, it is to be there
                self._write(self._folder / FILES[kind], f"{one['token']}\n")
                self._expires[kind] = float(one["expires"])
                missing.pop(kind, None)
                continue
            missing[kind] = str(one.get("why", AWAY))
            if not one.get("away"):
                self._remove(kind)
        for kind in missing.keys() - {str(one["kind"]) for one in said.values()}:
            self._remove(kind)
        return missing

    def _find_access_point(self) -> None:
        """Its address may be another one than the last time. Without an answer, what was known stays."""
        with suppress(OSError, ValueError):
            place, version = self._elsewhere.read_text().split("\n", 1)
            host, _, port = place.rpartition(":")
            address = socket.getaddrinfo(host, int(port), socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
            found = f"<{address}:{port}?alias={host}&noUDP&sock=schedd>\n{version}"
            self._write(self._folder / ACCESS_POINT, found)

    def _pause(self) -> float:
        now = self._clock()
        halves = [(expires - now) / 2 for expires in self._expires.values()]
        return max(SOONEST, min([USUAL, *halves]))

    def _forget_expired(self) -> None:
        now = self._clock()
        for kind in [kind for kind, expires in self._expires.items() if expires <= now]:
            self._remove(kind)

    def _remove(self, kind: str) -> None:
        self._expires.pop(kind, None)
        (self._folder / FILES[kind]).unlink(missing_ok=True)

    def _say(self, missing: Mapping[str, str]) -> None:
        if missing:
            self._write(self._folder / WHY, "".join(f"{NAMES[k]}: {why}\n" for k, why in missing.items()))
        else:
            (self._folder / WHY).unlink(missing_ok=True)

    def _write(self, path: Path, text: str) -> None:
        """As a whole or not at all: who reads it meanwhile reads the old one or the new one."""
        new = self._folder / ".new"
        with self._writing:
            if self._ended.is_set():
                return
            new.unlink(missing_ok=True)
            with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                file.write(text)
            new.replace(path)


_kept: Credentials | None = None  # of this session


def start(env: Mapping[str, str]) -> None:
    """Keep them up for as long as this process runs; fails without a word to anybody but the log."""
    global _kept  # noqa: PLW0603 one session a process
    if not env.get(FOLDER):
        return
    folder = Path(env[FOLDER])
    try:
        ask = (lambda: (200, _guests())) if env.get(CONFINED) else ask_hub(env)
    except (KeyError, OSError, ssl.SSLError) as error:
        print(f"credentials: there will be none: {error!r}", file=sys.stderr, flush=True)
        return
    _kept = Credentials(folder, ask)
    threading.Thread(target=_kept.keep, name="credentials", daemon=True).start()


def _guests() -> Answer:
    return {kind: {"kind": kind, "why": GUEST} for kind in NAMES}


def end() -> None:
    """The session ends: nothing of it stays."""
    if _kept:
        _kept.end()
