"""What the Start page is told of a person's sessions: theirs alone, by Apache's word; a button ends one."""

import pytest

from support.visitors import Visitor
from support.wait import wait_until


def mine(visitor: Visitor) -> dict:
    answer = visitor.ask("/mine")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json()


def stop(visitor: Visitor, sign: str, server: str = ""):
    return visitor.ask("/mine", "POST", follow=False, data={"sign": sign, "server": server})


def test_who_has_never_been_here_has_no_sessions_and_leaves_no_trace(visitor, admin):
    told = mine(visitor)
    assert (told["sessions"], told["ended"]) == ([], [])
    assert visitor.name not in admin.ask("/admin").text


def test_the_default_session_and_those_with_names_are_told_with_where_to_go(visitor):
    visitor.start()
    visitor.start("slow", runtime="never")
    default, slow = mine(visitor)["sessions"]
    assert (default["name"], default["title"], default["state"], default["ready"]) == (
        "",
        "My Server",
        "running",
        True,
    )
    assert default["address"].endswith(f"/user/{visitor.name}/")
    assert (slow["name"], slow["state"], slow["ready"]) == ("slow", "starting", False)
    assert slow["progress"].endswith(f"/spawn-pending/{visitor.name}/slow")


def test_a_browser_without_a_cookie_of_the_hub_stops_a_session(visitor, hub):
    visitor.start("second")
    elsewhere = Visitor(hub[0], visitor.name)
    answer = stop(elsewhere, mine(elsewhere)["sign"], "second")
    assert (answer.status_code, answer.json()) == (200, {"stopped": "second"})
    wait_until(lambda: not mine(elsewhere)["sessions"], timeout=10, what="the session to end")
    assert stop(elsewhere, mine(elsewhere)["sign"], "second").status_code == 404


@pytest.mark.parametrize("sign", ["", "nonsense", "another's"])
def test_only_a_button_of_the_own_page_stops_a_session(visitor, hub, sign: str):
    visitor.start()
    if sign == "another's":
        sign = mine(Visitor(hub[0], f"{visitor.name}x"))["sign"]
    refused = stop(visitor, sign)
    assert refused.status_code == 403
    assert "Reload the page" in refused.json()["message"]
    assert mine(visitor)["sessions"][0]["ready"]


def test_why_a_session_ended_is_told_once(visitor):
    visitor.start(runtime="1")
    visitor.press("stop")
    assert any("was over" in sentence for sentence in mine(visitor)["ended"])
    assert mine(visitor)["ended"] == []


def test_nobody_is_told_of_anybody_elses(hub, visitor):
    visitor.start()
    assert mine(Visitor(hub[0], f"{visitor.name}y"))["sessions"] == []
    assert Visitor(hub[0]).ask("/mine").status_code == 403
    assert Visitor(hub[0], visitor.name, secret="x" * 48).ask("/mine").status_code == 403


def test_what_is_free_is_a_sentence(visitor):
    assert visitor.ask("/mine/free").json() == {"free": "Free now: 3 of 8 CPUs."}
