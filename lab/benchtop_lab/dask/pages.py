"""The way to the pages of schedulers, by their Unix sockets, for whoever this server lets in.

Loaded with the first page that is asked for.
"""

import json
import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyter_server_proxy.handlers import ProxyHandler
from jupyter_server_proxy.unixsock import UnixResolver
from tornado.httpclient import HTTPClientError
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.web import HTTPError

from benchtop_lab.dask.hosts import SETTING
from benchtop_lab.home.log import FOLDER

SOCKETS = "dask"  # in the session's folder: benchtop_batch/dask/dashboard.py
NUMBERED, BY_CLUSTER = "dask/dashboards/", "dask/dashboard/"
ANSWER = 20.0  # seconds: the first page loads what draws it


def socket_of(number: str) -> str:
    """Where the pages with this number listen. Raises HTTPError where none do."""
    folder = os.environ.get(FOLDER)
    path = Path(folder, SOCKETS, f"{int(number)}.sock") if folder else None
    if path is None or not path.is_socket():
        raise HTTPError(404, "no scheduler of this session has these pages: it may have ended")
    return str(path)


def number_of(link: str) -> str:
    """The number in a link to pages of ours. Raises HTTPError for any other."""
    _, found, rest = urlsplit(link).path.partition(NUMBERED)
    number = rest.partition("/")[0]
    if not found or not number.isdecimal():
        raise HTTPError(404, "this cluster has no pages")
    return number


class _Handler(ProxyHandler):  # type: ignore[misc]
    """To one socket. That pages are open is no use of the session: they move by themselves."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 as tornado has it
        super().__init__(*args, update_last_activity=False, **kwargs)
        self.unix_socket = ""

    def find(self, **words: str | None) -> str:
        """The number of the pages that are asked for."""
        raise NotImplementedError

    async def _lead(self, path: str | None, **words: str | None) -> None:
        number = self.find(**words)
        self.unix_socket = socket_of(number)
        self.proxy_base = f"{NUMBERED}{number}"
        for secret in ("Authorization", "Cookie"):  # of this server, and nothing to the scheduler
            self.request.headers.pop(secret, None)
        await self.proxy("localhost", 0, path or "/")

    async def http_get(self, path: str | None = None, **words: str | None) -> None:
        """A page."""
        await self._lead(path, **words)

    def post(self, path: str | None = None, **words: str | None) -> Awaitable[None]:
        """What a page sends."""
        return self._lead(path, **words)

    async def open(self, path: str | None = None, **words: str | None) -> None:
        """A page's websocket."""
        number = self.find(**words)
        self.unix_socket = socket_of(number)
        self.proxy_base = f"{NUMBERED}{number}"
        await self.proxy_open("localhost", 0, path or "/")


class ByNumberHandler(_Handler):
    """`dask/dashboards/8787/status`, as a cluster's dashboard_link says."""

    def find(self, **words: str | None) -> str:
        """It is in the address."""
        return str(words["number"])


class ByClusterHandler(_Handler):
    """`dask/dashboard/ID/individual-progress`, as the panel asks."""

    def find(self, **words: str | None) -> str:
        """That of the panel's cluster."""
        return number_of(self.settings[SETTING].find(str(words["cluster"])).shown["dashboard_link"])


async def plots(clusters: Any, path: str) -> dict[str, Any]:  # noqa: ANN401 panel.Clusters
    """What the panel wants to know of pages at a path below the server's own; or nothing."""
    try:
        if path.startswith(NUMBERED):
            number = number_of(path)
        else:
            number = number_of(
                clusters.find(path.removeprefix(BY_CLUSTER).partition("/")[0]).shown["dashboard_link"]
            )
        client = SimpleAsyncHTTPClient(force_instance=True, resolver=UnixResolver(socket_of(number)))
        got = await client.fetch("http://localhost/individual-plots.json", request_timeout=ANSWER)
        return {"isActive": True, "plots": json.loads(got.body)}
    except (HTTPError, HTTPClientError, OSError, ValueError):
        return {}
