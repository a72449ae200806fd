"""Ask the front door exactly what a test wants to ask, dot segments and odd headers included.

requests and browsers tidy an address up before they send it; an attacker's client does not.
"""

import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

import requests
from bs4 import BeautifulSoup

from benchtop.settings import Settings

# What a browser sends to open a websocket
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


# Headings of error pages
NO_ACCESS, NOT_FOUND, UNREADABLE = (
    "You do not have access to this page",
    "Page not found",
    "We could not read this request",
)
USED_ALREADY = "used already"  # … and what the page of an old login response says


@dataclass(frozen=True)
class Answer:
    """What came back: the status, the headers (lower case), the page."""

    status: int
    headers: Mapping[str, str]
    text: str = field(repr=False)

    @property
    def heading(self) -> str:
        """What the page says first."""
        found = BeautifulSoup(self.text, "html.parser").h1
        return found.get_text(strip=True) if found else ""


def ask(
    settings: Settings,
    path: str,
    *,
    host: str | None = None,
    session: requests.Session | None = None,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
) -> Answer:
    """Ask for `path`, byte for byte, from one of the public names.

    host:    settings.name by default; also the name that the certificate must be for
    session: whose cookies of that name to send
    """
    name = host or settings.name
    connection = http.client.HTTPSConnection(name, settings.port, timeout=30)
    connection.sock = dial(settings, name)
    given = dict(headers or {})
    if session is not None:
        own = cookies_for(settings, session, path, name)
        given["Cookie"] = "; ".join(filter(None, [own, given.get("Cookie")]))
    try:
        connection.putrequest(method, path, skip_host="Host" in given, skip_accept_encoding=True)
        for key, value in given.items():
            connection.putheader(key, value)
        connection.endheaders()
        reply = connection.getresponse()
        body = reply.read().decode(errors="replace")
        return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, body)
    finally:
        connection.close()


def dial(settings: Settings, name: str) -> ssl.SSLSocket:
    """A connection to one of the public names, on which nothing has been said yet."""
    tls = ssl.create_default_context(cafile=str(settings.state / "ca" / "ca.pem"))
    raw = socket.create_connection((settings.bind, settings.port), timeout=30)
    return tls.wrap_socket(raw, server_hostname=name)


def cookies_for(settings: Settings, session: requests.Session, path: str, name: str = "") -> str:
    """The cookies of a session that a browser would send to a path of one of the public names."""
    host = name or settings.name
    return "; ".join(
        f"{c.name}={c.value}" for c in session.cookies if c.domain == host and path.startswith(c.path)
    )


def form_of(page: requests.Response, field_name: str) -> tuple[str, dict[str, str]]:
    """Where the form that has `field_name` goes, and its fields."""
    soup = BeautifulSoup(page.text, "html.parser")
    form = next(form for form in soup.find_all("form") if form.select_one(f"[name={field_name}]"))
    values = {str(i["name"]): str(i.get("value", "")) for i in form.select("input[name]")}
    return str(form["action"]), values


def words(answer: requests.Response) -> str:
    """What a person reads on a page."""
    return BeautifulSoup(answer.text, "html.parser").get_text(" ", strip=True)
