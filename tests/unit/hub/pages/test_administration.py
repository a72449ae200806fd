"""The list of sessions: for administrators, on Apache's word alone, and buttons of its own page alone."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
import requests
from bs4 import BeautifulSoup

from benchtop_hub.pages.administration import ORDERS, Session, resources
from support.front_door import words
from support.visitors import MEMBER

ONE = Session(
    "carol", "", "hpc-1", "17", "17", "gpu-1", "hep/2026.1", "debug", "running", timedelta(hours=1),
    timedelta(minutes=2),
)  # fmt: skip


@pytest.fixture
def running(visitor):
    """Somebody's session that runs."""
    visitor.start()
    return visitor


def button(admin, whose):
    """What the button of somebody's session sends."""
    page = admin.ask("/sessions").text
    (form,) = (part for part in page.split("<form ")[1:] if f'value="{whose.name}"' in part)
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))


def test_an_administrator_sees_everything_that_runs(admin, running):
    page = words(admin.ask("/sessions"))
    assert re.search(
        rf"{running.name} default hpc-1 \d+ gpu-1 facility debug, 1 pascal GPU, 30 min 0 min just now", page
    )


def test_nobody_else_does(hub, admin, running, visitor):
    other = replace(admin, secret="f" * 48)
    stranger = replace(admin, name="")
    for who in (replace(admin, groups=MEMBER), other, stranger, visitor):
        refused = who.ask("/sessions")
        assert refused.status_code == 403
        assert "pascal GPU" not in refused.text
    assert admin.ask("/sessions").status_code == 200, "the control"


def test_a_cookie_of_the_hub_is_no_reason(admin, running):
    """An administrator of yesterday has one."""
    admin.ask("/home")
    assert replace(admin, groups=MEMBER).ask("/sessions").status_code == 403


def test_an_administrator_ends_a_session(admin, running):
    ended = admin.ask("/sessions", "POST", follow=False, data=button(admin, running))
    assert (ended.status_code, ended.headers["Location"]) == (303, f"/sessions/hpc?ended={running.name}")
    assert running.name not in admin.ask("/sessions").text
    assert "Stopped" in words(running.ask("/home"))


def test_a_button_ends_the_session_that_it_stood_beside_and_no_later_one(admin, running):
    old = button(admin, running)
    running.press("stop")
    running.start()
    gone = admin.ask("/sessions", "POST", follow=False, data=old)
    assert gone.headers["Location"] == f"/sessions/hpc?gone={running.name}"
    assert running.name in admin.ask("/sessions").text


def test_no_other_page_and_no_other_person_presses_a_button(hub, admin, running):
    right = button(admin, running)
    unsigned = {key: value for key, value in right.items() if key != "sign"}
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    for who, data, headers in (
        (admin, unsigned, {}),
        (admin, right | {"sign": right["sign"][:-4] + "0000"}, {}),
        (admin, right, elsewhere),
        (replace(admin, name="eve"), right, {}),
        (replace(admin, groups=MEMBER), right, {}),
        (replace(admin, secret="f" * 48), right, {}),
    ):
        assert who.ask("/sessions", "POST", follow=False, data=data, headers=headers).status_code == 403
    assert running.name in admin.ask("/sessions").text
    assert admin.ask("/sessions", "POST", follow=False, data=right).status_code == 303, "the control"


@pytest.mark.parametrize(
    "by",
    [
        {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Dest": "object"},
        {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "document"},
        {"Sec-Fetch-Dest": "document, empty"},
    ],
    ids=["fetch", "frame", "object", "prefetch", "both"],
)
def test_no_script_of_an_administrators_notebook_reads_or_presses(admin, running, by):
    right = button(admin, running)
    for path in ("/sessions", "/admin"):
        refused = admin.ask(path, headers=by)
        assert (refused.status_code, running.name in refused.text) == (403, False)
    assert admin.ask("/sessions", "POST", follow=False, data=right, headers=by).status_code == 403
    looked = admin.ask("/sessions", headers={"Sec-Fetch-Dest": "document"})
    assert running.name in looked.text, "the control: the session goes on, and who goes there sees it"
    assert looked.headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_an_administrator_sees_the_people_of_the_cell(admin, running):
    shown = BeautifulSoup(admin.ask("/admin").text, "html.parser")
    (row,) = (row for row in shown.select("tbody tr") if row.th.get_text() == running.name)
    assert [cell.get_text(strip=True) for cell in row.select("td")] == ["just now", "1"]
    assert row.a["href"] == f"/sessions/hpc?q={running.name}"
    assert replace(admin, groups=MEMBER).ask("/admin").status_code == 403


def test_to_jupyterhub_nobody_is_an_administrator(admin, running):
    """So that no cookie and no token is worth more than a person's."""
    admin.ask("/home")
    sign = {"X-XSRFToken": admin.session.cookies["_xsrf"]}
    own = admin.ask("/api/user", headers=sign).json()
    assert (own["name"], own["admin"], own["roles"]) == ("erin", False, ["user"])
    made = admin.ask("/api/users/erin/tokens", "POST", headers=sign, json={})
    token = {"Authorization": f"token {made.json()['token']}"}
    program = replace(admin, name="", session=requests.Session())
    for who, shows in ((admin, sign), (program, token)):
        for method, path in (
            ("GET", "/api/users"),
            ("GET", f"/api/users/{running.name}"),
            ("DELETE", f"/api/users/{running.name}/server"),
            ("POST", "/api/shutdown"),
        ):
            assert who.ask(path, method, headers=shows).status_code in {403, 404}, (method, path)
        assert who.ask("/api/users/erin", headers=shows).status_code == 200, "the control"
    assert admin.ask(f"/spawn/{running.name}", follow=False).status_code in {403, 404}


def test_what_nobody_has_is_told_and_ends_nothing(admin, running):
    right = button(admin, running)
    for changed in ({"person": "nobody"}, {"server": "none"}, {"job": "0"}):
        told = admin.ask("/sessions", "POST", follow=False, data=right | changed)
        assert "?gone=" in told.headers["Location"]
    assert running.name in admin.ask("/sessions").text


def test_the_list_shows_what_contains_a_text(admin, running):
    assert running.name in admin.ask(f"/sessions?q={running.name.upper()}").text
    assert running.name not in admin.ask("/sessions?q=%3Cscript%3E").text


def test_it_can_be_sorted():
    old, idle = replace(ONE, age=timedelta(days=1)), replace(ONE, unused=timedelta(hours=3))
    assert sorted([ONE, old], key=ORDERS["age"]) == [old, ONE]
    assert sorted([ONE, idle], key=ORDERS["unused"]) == [idle, ONE]


@pytest.mark.parametrize(
    ("granted", "said"),
    [
        ({}, ""),
        ({"partition": "debug", "gpu_kind": "none", "gpu_count": 0, "runtime": 5}, "debug, 5 min"),
        ({"gpu_kind": "any", "gpu_count": 2, "cpus": 1}, "2 any GPU, 1 CPU"),
        (
            {"pool": "jupyter", "cpus": 2, "memory": 1024, "disk": 64},
            "jupyter, 2 CPUs, 1024 MB, 64 MB of disk",
        ),
    ],
)
def test_what_a_job_was_asked_for_is_one_line(granted, said):
    assert resources(granted) == said
