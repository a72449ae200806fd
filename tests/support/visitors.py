"""Browsers at the port of a hub that runs for unit tests, with the headers that Apache would set."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import unescape
from typing import Any

import requests

from benchtop_hub.access.identity import sign

SECRET = "0123456789abcdef" * 3
MEMBER, ADMIN = "people|cluster-hpc", "people|cluster-hpc|facility-admins"
NAVIGATES = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}


@dataclass
class Visitor:
    """Somebody's browser at the hub's port, with the headers that Apache would set."""

    address: str
    name: str = ""
    groups: str = MEMBER
    secret: str = SECRET
    session: requests.Session = field(default_factory=requests.Session)

    def ask(self, path: str, method: str = "GET", follow: bool = True, **more: Any) -> requests.Response:
        """One request. `more` as requests takes it."""
        headers = dict(NAVIGATES)
        if self.name:
            time = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
            signed = sign(self.secret.encode(), self.name, time, self.groups.encode())
            headers |= {"X-SSO-User": self.name, "X-SSO-Groups": self.groups, "X-SSO-Time": time}
            headers |= {"X-SSO-Sig": signed}
        headers |= more.pop("headers", {})
        answer = self.session.request(
            method, self.address + path, headers=headers, allow_redirects=follow, timeout=20, **more
        )
        answer.encoding = "utf-8"
        return answer

    def press(self, do: str, server: str = "") -> requests.Response:
        """A button of the home page."""
        xsrf = re.search(r'name="_xsrf" value="([^"]+)"', self.ask("/home").text)
        assert xsrf
        return self.ask("/home", "POST", follow=False, data={"_xsrf": xsrf[1], "do": do, "server": server})

    def start(self, server: str = "", runtime: str = "30") -> requests.Response:
        """Fill in the form of a server and send it."""
        form = self.ask(f"/spawn/{self.name}/{server}".rstrip("/"))
        action = re.search(r'<form id="spawn_form" action="([^"]+)"', form.text)
        assert action, form.text
        path = unescape(action[1]).partition("/hub")[2]
        return self.ask(path, "POST", follow=False, data={"runtime": runtime})
