"""The hub's API, as its own pages call it and as a program with a token does."""

import requests

from benchtop.people import enrol
from benchtop.settings import Settings


def own_page(
    browser: requests.Session, settings: Settings, cluster: str, method: str, path: str, body: object = None
) -> requests.Response:
    """A call as the hub's pages make it: with the session's cookies."""
    hub = f"/jupyterhub/{cluster}/hub"
    browser.get(f"{settings.url}{hub}/token", timeout=60)
    xsrf = browser.cookies.get("_xsrf", path=f"{hub}/") or ""
    headers = {"X-XSRFToken": xsrf, "Referer": f"{settings.url}{hub}/token"}
    return browser.request(method, f"{settings.url}{hub}/api{path}", json=body, headers=headers, timeout=60)


def new_token(browser: requests.Session, settings: Settings, cluster: str, name: str) -> dict[str, str]:
    """A token of the person whose session it is: `token` and `id`."""
    answer = own_page(browser, settings, cluster, "POST", f"/users/{name}/tokens", {"note": "test"})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def program(settings: Settings, token: str) -> requests.Session:
    """A client that shows a token, and no cookie."""
    session = enrol.session(settings)
    session.headers["Authorization"] = f"token {token}"
    return session
