"""Use a hub and its sessions as the pages of somebody who is logged in do: for tests and measurements.

A session of `enrol.login` is all that it takes; what these can do, a browser can.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urljoin

import requests

from benchtop import topology
from benchtop.settings import Settings
from support.needs import check_held

_PATIENCE = 120  # seconds: a start or a stop answers within ten, and a busy machine takes its time


@dataclass(frozen=True)
class Hub:
    """The hub of one person's cell, and one session of theirs there: the usual one, or that of a `name`."""

    settings: Settings
    browser: requests.Session
    person: str
    cluster: str = "hpc"
    name: str = ""

    @property
    def base(self) -> str:
        """Where everything of the cluster is."""
        return f"{self.settings.url}/jupyterhub/{self.cluster}"

    @property
    def cell(self) -> str:
        """Whose hub this is."""
        return topology.cell_of(self.person, self.cluster, self.settings.cells)

    @property
    def gateway(self) -> str:
        """The address of the same API for a job, which shows the token of its session."""
        return f"https://apache:8444/_cell/{self.cell}/jupyterhub/{self.cluster}/hub/api"

    def api(self, method: str, path: str, body: object = None) -> requests.Response:
        """One call of the hub's API, as a page of the hub makes it; any status is an answer."""
        return self._call(f"{self.base}/hub/home", f"api/{path}", method, body)

    def start(self, **options: object) -> requests.Response:
        """Ask for the session; `options` as the form's fields."""
        self._check_held()
        return self.api("POST", self._server, options)

    def press_start(self, **fields: object) -> requests.Response:
        """Send the form, as its button does; the answer is the page that waits."""
        self._check_held()
        page = f"{self.base}/hub/spawn" + (f"/{self.person}/{self.name}" if self.name else "")
        root = f"{self.base}/hub/"
        token = _xsrf(self.browser, root.removeprefix(self.settings.url))
        return self.browser.post(
            page, data={**fields, "_xsrf": token}, headers={"Referer": root}, timeout=_PATIENCE
        )

    def stop(self) -> requests.Response:
        """End the session; it may take until `server` says None."""
        self._check_held()
        return self.api("DELETE", self._server)

    def forget(self) -> requests.Response:
        """End a session that has a name, and delete it."""
        self._check_held()
        return self.api("DELETE", self._server, {"remove": True})

    def server(self) -> dict[str, object] | None:
        """The session, as the hub knows it."""
        found: dict[str, object] | None = (
            self.api("GET", f"users/{self.person}").json()["servers"].get(self.name)
        )
        return found

    def ready(self) -> bool:
        """Does the hub say that the session can be used?"""
        return bool((self.server() or {}).get("ready"))

    def followed(self) -> bool:
        """Follow the waiting page to the end of a start: did it succeed?"""
        return any(event.get("ready") for event in self._progress())

    def failure(self) -> str:
        """What the waiting page shows of a start that failed."""
        return " ".join(str(event["message"]) for event in self._progress() if event.get("failed"))

    def last_words(self) -> str:
        """What it shows below that: HTML, with the end of the session's log."""
        return " ".join(str(event.get("html_message")) for event in self._progress() if event.get("failed"))

    def stage(self) -> str:
        """What the waiting page shows now of a start that is under way."""
        # 0 is JupyterHub's own "Server requested"
        return next((str(event["message"]) for event in self._progress() if event.get("progress")), "")

    def _check_held(self) -> None:
        """What starts and ends is this person's, and a test beside this one may be at it."""
        check_held(f"{self.cluster}/{self.person}")

    @property
    def _server(self) -> str:
        return f"users/{self.person}/" + (f"servers/{self.name}" if self.name else "server")

    def answers(self) -> bool:
        """Does the hub do its job? It looks at its database and its proxy for this."""
        try:
            return self.api("GET", "ready").text == "ready"
        except requests.RequestException:
            return False

    # ---- the session itself -------------------------------------------------------------------

    @property
    def lab(self) -> str:
        """Where the session is."""
        return f"{self.base}/user/{self.person}/" + (f"{self.name}/" if self.name else "")

    def open(self) -> requests.Response:
        """Open JupyterLab: that is where the session's cookies come from."""
        return self.browser.get(f"{self.lab}lab", timeout=_PATIENCE)

    def jupyter(self, method: str, path: str, body: object = None) -> requests.Response:
        """One call of the session's API, as JupyterLab makes it."""
        return self._call(f"{self.lab}lab", f"api/{path}", method, body)

    def facility(self, method: str, path: str, body: object = None) -> requests.Response:
        """One call of what the facility adds to the session's server."""
        return self._call(f"{self.lab}lab", f"benchtop/{path}", method, body)

    def kernel(self, name: str = "python3") -> str:
        """Start a kernel; its id."""
        answer = self.jupyter("POST", "kernels", {"name": name})
        answer.raise_for_status()
        return str(answer.json()["id"])

    def _progress(self) -> Iterator[dict[str, object]]:
        """What the waiting page is told, each event as it comes; ends with the start."""
        path = f"api/{self._server}/progress"
        with self._call(f"{self.base}/hub/home", path, "GET", stream=True) as said:
            for line in said.iter_lines(decode_unicode=True):
                if line.startswith("data: "):
                    yield json.loads(line[6:])

    def _call(
        self, page: str, path: str, method: str, body: object = None, *, stream: bool = False
    ) -> requests.Response:
        """A call beside a page. The XSRF cookie is the page's: without one, the page is opened first."""
        root = urljoin(page, ".")
        at = root.removeprefix(self.settings.url)
        if not _xsrf(self.browser, at):
            self.browser.get(page, timeout=_PATIENCE)
        headers = {"X-XSRFToken": _xsrf(self.browser, at), "Referer": root}
        return self.browser.request(
            method, f"{root}{path}", json=body, headers=headers, timeout=_PATIENCE, stream=stream
        )


def _xsrf(browser: requests.Session, path: str) -> str:
    return browser.cookies.get("_xsrf", path=path) or ""
