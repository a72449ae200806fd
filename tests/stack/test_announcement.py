"""An announcement stands on every page of all hubs within a minute, and is taken back as fast."""

from collections.abc import Callable
from functools import partial

import pytest
import requests
from bs4 import BeautifulSoup
from testinfra.host import Host

from benchtop.settings import Settings
from benchtop.stack import notices
from support.wait import wait_until

pytestmark = pytest.mark.needs("announcement")

SignedIn = Callable[[str], requests.Session]
TEXT = "Slurm is down on Friday <from 8> & to 10."
WITHIN = 60  # seconds
# At the hub's own port, as somebody whom Apache did not sign for: the page that refuses them is a page too.
REFUSED = """
import sys, urllib.error, urllib.request
try:
    urllib.request.urlopen(f"http://hub:8081/jupyterhub/{sys.argv[1]}/hub/login", timeout=10)
except urllib.error.HTTPError as refused:
    print(refused.read().decode())
"""


def banner(page: str) -> str:
    """What the page announces."""
    found = BeautifulSoup(page, "html.parser").select_one(
        "[role=status].announcement, [role=status].bt-announcement"
    )
    return found.get_text(strip=True) if found else ""


def test_every_hub_and_the_front_door_show_it_and_stop_showing_it(
    nothing_announced: None, signed_in: SignedIn, settings: Settings, service: Callable[[str], Host]
):
    def refused(cell: str) -> str:
        cluster = cell.partition("-")[0]
        return str(service(cell).check_output("/opt/hub/bin/python -c %s %s", REFUSED, cluster))

    def page(path: str) -> str:
        return signed_in("alice").get(f"{settings.url}{path}", timeout=60).text

    shows: dict[str, Callable[[], str]] = {cell: partial(refused, cell) for cell in settings.cell_names}
    paths = ["/", "/signed-out", "/nowhere", *(f"/jupyterhub/{one}/hub/home" for one in settings.clusters)]
    shows |= {path: partial(page, path) for path in paths}
    for text in (TEXT, ""):
        if text:
            notices.announce(settings, text)
        else:
            notices.clear(settings)
        for where, shown in shows.items():
            wait_until(
                lambda s=shown, t=text: banner(s()) == t, timeout=WITHIN, what=f"{where} to show {text!r}"
            )


def test_programs_read_it_without_a_login_and_keep_no_copy(
    nothing_announced: None, front_door: requests.Session, settings: Settings
):
    for text in (TEXT, ""):
        if text:
            notices.announce(settings, text)
        answer = front_door.get(f"{settings.url}/announcement.json", allow_redirects=False)
        assert answer.json()["message"] == text
        assert bool(answer.json()["since"]) == bool(text)
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Cache-Control"] == "no-store"
        notices.clear(settings)
