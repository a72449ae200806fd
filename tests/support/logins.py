"""Logins that all tests share: Keycloak takes a one-time code once, and the next is half a minute off."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import Cookie
from pathlib import Path
from typing import Any

import requests

from benchtop.keys import pki
from benchtop.people import enrol
from benchtop.settings import Settings


class Logins:
    """`session("carol")` is a browser of hers, logged in: by an earlier test, if that still holds."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.state / "test-logins"
        self._known: dict[str, requests.Session] = {}

    def session(self, name: str) -> requests.Session:
        """One for each person and process; a new one where a test has ended it."""
        browser = self._known.get(name)
        if browser is None or not self._holds(browser):
            with self._locked(name) as file:
                browser = enrol.session(self._settings)
                for cookie in json.loads(file.read_text()) if file.is_file() else ():
                    browser.cookies.set_cookie(Cookie(**cookie))
                if not self._holds(browser):
                    browser = enrol.login(self._settings, name)
                    pki.write(file, json.dumps([_plain(cookie) for cookie in browser.cookies]).encode())
            self._known[name] = browser
        return browser

    def _holds(self, browser: requests.Session) -> bool:
        answer = browser.get(f"{self._settings.url}/", timeout=30, allow_redirects=False)
        return bool(answer.status_code == 200)

    @contextmanager
    def _locked(self, name: str) -> Iterator[Path]:
        """Of several processes one logs in, and the others find what it has written."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._folder / f"{name}.json"
        with file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield file


def _plain(cookie: Cookie) -> dict[str, Any]:
    """What makes the same cookie again."""
    fields = dict(vars(cookie))
    return fields | {"rest": fields.pop("_rest")}
