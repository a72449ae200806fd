"""Who is disabled at the login: their login sessions end, and the minters are told.

Keycloak lets somebody who is disabled not log in again, but a session that they have goes on for hours.
This service asks it every few seconds who is disabled, ends their sessions there (which Keycloak passes on to
Apache, by SAML's back channel), and keeps a file a name in LIST for as long. The minters grant nothing
for a name of that list, and the hubs end the servers of people for whom nothing is granted.
"""

import json
import logging
import os
import re
import sys
import time
from collections.abc import Set
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeAlias
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from .people import PERSON

Json: TypeAlias = Any  # what Keycloak says; checked where it is used

LIST = Path("/run/leavers")
MARK = Path("/tmp/looked")  # noqa: S108 the container's own; its age tells whether this works
EVERY = 10  # seconds
PATIENCE = 10  # seconds for one answer of Keycloak's
MANY = 10_000  # disabled people of one realm
log = logging.getLogger("leavers")


def listed(name: str, folder: Path = LIST) -> bool:
    """Whether the login of `name`, which is spelt like a person's, is disabled."""
    return (folder / name).exists()


def keep(folder: Path, disabled: Set[str]) -> None:
    """Make the list name exactly these people."""
    known = {path.name for path in folder.iterdir()}
    for name in sorted(disabled - known):
        (folder / name).touch()
        log.warning("disabled person=%s", name)
    for name in sorted(known - disabled):
        (folder / name).unlink()
        log.warning("enabled person=%s", name)


def read(url: str, body: bytes | None = None, bearer: str = "") -> bytes:
    """The answer; asked for again at once, and once, when the connection breaks off.

    All that is asked here may be asked twice. Each time on a new connection: urllib keeps none.
    Raises OSError, and HTTPException for half an answer.
    """
    shown = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    asked = Request(url, data=body, headers=shown)  # noqa: S310 our own address
    try:
        return _read(asked)
    except (ConnectionError, HTTPException):
        return _read(asked)


def _read(asked: Request) -> bytes:
    with urlopen(asked, timeout=PATIENCE) as answer:  # noqa: S310 our own address
        content: bytes = answer.read()
    return content


class Keycloak:
    """What this service may do there: look people up, and end their sessions."""

    def __init__(self, url: str, realm: str, secret: str) -> None:
        self._url, self._realm, self._secret = url, realm, secret
        self._token, self._until = "", 0.0

    def disabled(self) -> dict[str, str]:
        """Name → Keycloak's own id."""
        found = self._ask(f"/users?enabled=false&briefRepresentation=true&max={MANY}")
        return {
            str(person["username"]): str(person["id"])
            for person in found
            if not person["enabled"] and PERSON.fullmatch(person["username"])
        }

    def sign_out(self, number: str) -> bool:
        """End whatever sessions somebody has, here and where they led; whether there was one."""
        user = f"/users/{quote(number)}"
        if not self._ask(f"{user}/sessions"):
            return False
        self._ask(f"{user}/logout", b"")
        return True

    def _ask(self, path: str, body: bytes | None = None) -> Json:
        answer = read(f"{self._url}/admin/realms/{self._realm}{path}", body, self._valid_token())
        return json.loads(answer) if answer else None

    def _valid_token(self) -> str:
        if time.monotonic() > self._until:
            credentials = {"client_id": "leavers", "client_secret": self._secret}
            form = urlencode(credentials | {"grant_type": "client_credentials"}).encode()
            url = f"{self._url}/realms/{self._realm}/protocol/openid-connect/token"
            began = time.monotonic()
            granted = json.loads(read(url, form))
            self._token, self._until = granted["access_token"], began + granted["expires_in"] / 2
        return self._token


def turn(keycloak: Keycloak, folder: Path) -> None:
    """Look once."""
    disabled = keycloak.disabled()
    keep(folder, disabled.keys())
    for name, number in disabled.items():
        if keycloak.sign_out(number):
            log.warning("signed out person=%s", name)


def main() -> None:
    """Look again and again."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(levelname)s %(message)s")
    url = os.environ.get("KEYCLOAK", "http://keycloak:8080")
    keycloak = Keycloak(url, "benchtop", Path("/keys/client.secret").read_text().strip())
    trouble = ""
    while True:
        try:
            turn(keycloak, LIST)
            MARK.touch()
            if trouble:
                log.info("Keycloak answers again")
            trouble = ""
        except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
            reason = f"{type(error).__name__}: {_without_address(error)}"
            if reason != trouble:
                log.warning("Keycloak cannot be asked, the list stays as it is: %s", reason)
            trouble = reason
        time.sleep(EVERY)


def health() -> None:
    """Healthy: Keycloak was asked lately."""
    if not MARK.exists() or time.time() - MARK.stat().st_mtime > 4 * EVERY + PATIENCE:
        sys.exit("leavers: Keycloak has not been asked lately; the log says why.")


def _without_address(error: BaseException) -> str:
    if isinstance(error, HTTPError) and error.code == HTTPStatus.UNAUTHORIZED:
        return "401: its realm was made without this service; `make clean`, then `make up` makes it anew"
    reason = f"{error.code}" if isinstance(error, HTTPError) else str(getattr(error, "reason", error))
    return re.sub(r"\s+", " ", reason)[:200]
