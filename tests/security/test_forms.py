"""Whatever a form or the API is sent is a value of its field, or is refused with a sentence at that field."""

from collections.abc import Callable

import pytest
import requests
from bs4 import BeautifulSoup

from benchtop.settings import Settings
from support.hub import Hub

pytestmark = pytest.mark.needs("hpc/carol", "htc/bob")

FIELDS = {"hpc": "carol", "htc": "bob"}  # who sends them
NASTY = [
    ("hpc", "partition", "debug\n#SBATCH --uid=root"),
    ("hpc", "partition", "usatlas"),  # alice's
    ("hpc", "account", "tier3"),  # likewise
    ("hpc", "account", "$(id)"),
    ("hpc", "qos", "' --uid=root"),
    ("hpc", "reservation", '"; id'),
    ("hpc", "gpu", "pascal:1,tesla:1"),
    ("hpc", "cpus", "-1"),
    ("hpc", "memory", "NaN"),
    ("hpc", "memory", "9" * 1_000_000),
    ("hpc", "runtime", "10\n20"),
    ("hpc", "environment", "$(id)"),
    ("hpc", "environment", "~/a\n#SBATCH --uid=root"),
    ("htc", "pool", "jupyter\nqueue 1000"),
    ("htc", "cpus", "1\nqueue 1000"),
    ("htc", "memory", "$ENV(HOME)"),
    ("htc", "disk", "1 || true"),
    ("htc", "runtime", "-1"),
    ("htc", "environment", "../../home/alice"),
    ("htc", "environment", "/home/alice/my-env"),
]  # fmt: skip


@pytest.fixture
def hub(settings: Settings, signed_in: Callable[[str], requests.Session]) -> Callable[[str], Hub]:
    return lambda cluster: Hub(settings, signed_in(FIELDS[cluster]), FIELDS[cluster], cluster)


def form(own: Hub) -> tuple[str, dict[str, str]]:
    """Where the form goes, and what it holds as it comes for a job: what a browser without scripts sends."""
    page = BeautifulSoup(own.browser.get(f"{own.base}/hub/spawn", timeout=30).text, "html.parser")
    (found,) = page.select("#spawn_form")
    fields = found.select("input[name]:not([type=checkbox]), input[name]:checked")
    values = {str(one["name"]): str(one.get("value", "")) for one in fields}
    for one in found.select("select[name]"):
        chosen = one.select_one("option[selected]") or one.select_one("option")
        values[str(one["name"])] = str(chosen["value"]) if chosen else ""
    values["where"] = "batch"  # the last start may have been on the login node
    return str(found["action"]), values


def send(own: Hub, **changed: str | bytes) -> requests.Response:
    action, values = form(own)
    headers = {"Referer": f"{own.base}/hub/spawn"}
    url = f"{own.settings.url}{action}"
    return own.browser.post(url, data=values | changed, headers=headers, timeout=60, allow_redirects=False)


@pytest.mark.parametrize(("cluster", "field", "value"), NASTY)
def test_a_field_takes_a_value_and_nothing_else(
    hub: Callable[[str], Hub], cluster: str, field: str, value: str
):
    own = hub(cluster)
    page = send(own, **{field: value})
    assert page.status_code == 400
    (sentence,) = BeautifulSoup(page.text, "html.parser").select(f"#{field}-problem")
    assert sentence.get_text(strip=True)
    answer = own.start(**{field: value})
    assert answer.status_code == 400
    assert answer.json()["message"]
    assert "Traceback" not in page.text + answer.text
    assert own.server() is None


@pytest.mark.parametrize(("cluster", "field"), [("hpc", "partition"), ("htc", "pool")])
def test_what_is_not_utf_8_is_refused_at_its_field(hub: Callable[[str], Hub], cluster: str, field: str):
    page = send(hub(cluster), **{field: b"debug\xff"})
    assert page.status_code == 400
    (sentence,) = BeautifulSoup(page.text, "html.parser").select(f"#{field}-problem")
    assert sentence.get_text(strip=True)


def test_the_form_as_it_comes_is_granted(hub: Callable[[str], Hub]):
    """The control, for both: what is refused above is refused for that one value."""
    for cluster in FIELDS:
        own = hub(cluster)
        _, values = form(own)
        values.pop("_xsrf", None)
        answer = own.api("POST", f"users/{own.person}/expected-start", values)
        assert answer.status_code == 200, answer.text
