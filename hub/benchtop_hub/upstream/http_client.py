"""JupyterHub's HTTP client, by which it and we look at sessions: each must show who it is."""

import ssl
from collections.abc import Callable

import aiohttp
from aiohttp.abc import AbstractResolver
from jupyterhub.httpclient import JupyterHubHTTPClient


def check_sessions(context: ssl.SSLContext, resolver: Callable[[], AbstractResolver]) -> None:
    """Have it find sessions by `resolver`, and believe those alone that `context` does.

    It speaks TLS with nobody else. Its configuration takes no SSL context: upstream makes deep copies of it.
    """
    upstream = JupyterHubHTTPClient._new_connector

    def new_connector(client: JupyterHubHTTPClient) -> aiohttp.TCPConnector:
        client._internal_connector_options = {"ssl": context, "resolver": resolver()}
        made: aiohttp.TCPConnector = upstream(client)
        return made

    setattr(JupyterHubHTTPClient, "_new_connector", new_connector)  # noqa: B010 mypy lets nobody assign a method
