"""What a session tells its hub: the port that it listens on, or the end of its log when it cannot start.

As a program, it tells the latter: `python -I -m benchtop_lab.report`, with the session's environment and its
log as standard error. Whoever looks after a session runs it, because what ends a session may not be Python.

Nothing but the standard library: this works before, and also without, anything of Jupyter.
"""

import json
import os
import signal
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

from benchtop_lab.home.log import FOLDER

TRUST = Path("/etc/benchtop/trust/bundle.pem")  # the facility's CAs: the hub is reached by its gateway only
PATIENCE = 300.0  # seconds that a hub may be away while a session starts
LINES, CHARACTERS = 20, 4000  # of last words
LAST_PATIENCE = 10.0  # seconds for them: until they are told, the job does not end
# Of a session that somebody else ended, whatever it was at: its status, as a shell has it
BY_OTHERS = frozenset({128 + signal.SIGKILL, 128 + signal.SIGTERM})
WHY = "why"  # a file in the session's own folder: the end of a sentence on what ended it


class Unwanted(Exception):  # noqa: N818  # what it is, not that it is an error
    """The hub waits for no session like this one; the message is its answer."""


def post(url: str, token: str, report: dict[str, object], *, patience: float = 10.0) -> None:
    """Send one report, and wait so many seconds for the answer.

    Twice, and at once, when the connection breaks off: what was told already may be told again.
    Raises Unwanted when the hub says no, and OSError when it could not be asked: try again.
    """
    request = urllib.request.Request(  # noqa: S310 the address is the hub's
        url,
        data=json.dumps(report).encode(),
        headers={"Authorization": f"token {token}", "Content-Type": "application/json"},
        method="POST",
    )
    try:
        _send(request, patience)
    except (ConnectionResetError, HTTPException):
        try:
            _send(request, patience)
        except HTTPException as half:
            raise OSError(f"half an answer: {half!r}") from None


def _send(request: urllib.request.Request, patience: float) -> None:
    context = ssl.create_default_context(cafile=TRUST if TRUST.exists() else None)
    try:
        with urllib.request.urlopen(request, timeout=patience, context=context):  # noqa: S310 the hub's
            return
    except urllib.error.HTTPError as error:
        answer = error.read(500).decode(errors="replace")
        if error.code < 500:
            raise Unwanted(f"{error.code}: {answer}") from None
        raise OSError(f"{error.code}: {answer}") from None


def until_taken(
    send: Callable[[], None],
    *,
    patience: float = PATIENCE,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Send again and again, slower and slower, until it is taken.

    Raises Unwanted at once, and the last OSError when `patience` seconds are over.
    """
    end, pause = clock() + patience, 0.2
    while True:
        try:
            return send()
        except OSError as error:
            if clock() + pause > end:
                raise
            print(f"the hub does not answer yet: {error}", file=sys.stderr, flush=True)
            sleep(pause)
            pause = min(pause * 2, 5.0)


def tail(log: Path) -> str:
    """The last lines of a log, as much as fits into a report."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4 * CHARACTERS))
        text = file.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-LINES:])[-CHARACTERS:]


def own_log() -> Path:
    """The file that this process writes its errors to."""
    return Path("/proc/self/fd/2").readlink()


def last_words(env: Mapping[str, str], log: Path, status: int) -> None:
    """Tell the hub what the log says: the person who waits reads it.

    env: of the session; status: by which it ended, as a shell has it. Raises OSError and Unwanted.
    """
    url, token = f"{env['JUPYTERHUB_API_URL']}/session/last-words", env["JUPYTERHUB_API_TOKEN"]
    said: dict[str, object] = {"log": tail(log)}
    if folder := env.get(FOLDER):
        if status not in BY_OTHERS:
            with suppress(OSError):
                said["why"] = Path(folder, WHY).read_text()[:CHARACTERS]
        if not log.is_relative_to(env.get("HOME", "/")):
            said["kept"] = False  # it goes with the session
    post(url, token, said, patience=LAST_PATIENCE)


def note_why(sentence: str, env: Mapping[str, str]) -> None:
    """Keep what the session would end by, for whoever tells of its end; "" for nothing any more."""
    if folder := env.get(FOLDER):
        with suppress(OSError):
            if sentence:
                Path(folder, WHY).write_text(sentence)
            else:
                Path(folder, WHY).unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        last_words(os.environ, own_log(), int(sys.argv[1]))
    except (OSError, Unwanted) as error:
        sys.exit(f"the hub could not be told why: {error}")
