"""A start that is under way: what its page shows, how it is stopped, and what is told when it fails."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from bs4 import BeautifulSoup

from support.front_door import words
from support.visitors import Visitor
from support.wait import wait_until

NAMES = pytest.mark.parametrize("name", ["", "second"])


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as threads:
        yield threads


@pytest.fixture
def fails(hub: tuple[str, Path]) -> Iterator[Path]:
    """Once this file is there, starts that wait for it fail."""
    file = hub[1] / "fails"
    yield file
    file.unlink(missing_ok=True)


def begin(visitor: Visitor, name: str = "", runtime: str = "never") -> None:
    if name:
        visitor.press("new", name)
    answer = visitor.start(name, runtime=runtime)
    assert (answer.status_code, "spawn-pending" in answer.headers["Location"]) == (302, True), answer.text


def page(visitor: Visitor, name: str = "", of: str = "") -> requests.Response:
    return visitor.ask(f"/spawn-pending/{of or visitor.name}/{name}".rstrip("/"))


def api(visitor: Visitor, method: str, name: str = "", **more: object) -> requests.Response:
    visitor.ask("/home")
    path = f"/api/users/{visitor.name}/" + (f"servers/{name}" if name else "server")
    return visitor.ask(path, method, headers={"X-XSRFToken": visitor.session.cookies["_xsrf"]}, **more)


def follow(visitor: Visitor) -> Iterator[str]:
    """What a page that follows the start hears, event by event."""
    visitor.ask("/home")
    xsrf = {"X-XSRFToken": visitor.session.cookies["_xsrf"]}
    answer = visitor.ask(f"/api/users/{visitor.name}/server/progress", headers=xsrf, stream=True)
    return (line for line in answer.iter_lines(decode_unicode=True) if line.startswith("data: "))


def heading(shown: BeautifulSoup) -> str:
    (found,) = shown.find_all("h1")
    return " ".join(found.text.split())


def state(visitor: Visitor, name: str = "") -> str:
    shown = BeautifulSoup(visitor.ask("/home").text, "html.parser").select(".bt-servers li")
    (own,) = (one for one in shown if one.h2 and one.h2.text == (name or "My Server"))
    return own.p.text.partition(";")[0].rstrip(".") if own.p else ""


def over(visitor: Visitor, name: str = "") -> None:
    wait_until(lambda: state(visitor, name) == "Stopped", timeout=20, what="the end of the server")


@NAMES
def test_the_page_says_how_far_it_is_without_any_script(visitor: Visitor, name: str):
    begin(visitor, name)
    shown = page(visitor, name)
    parsed = BeautifulSoup(shown.text, "html.parser")
    assert heading(parsed) == f"Your session “{name}” is starting".replace(" “”", "")
    (bar,) = parsed.select("[role=progressbar]")
    assert (bar["aria-label"], bar["aria-valuenow"]) == ("Progress of the start", "20")
    (stage,) = parsed.select("[aria-live=polite]")
    assert stage.text == "Waiting in the queue of <b>debug</b>."
    assert parsed.select('noscript meta[http-equiv="refresh"]')


@NAMES
def test_its_stop_is_a_form_after_which_the_page_says_so(visitor: Visitor, name: str):
    begin(visitor, name)
    (form,) = BeautifulSoup(page(visitor, name).text, "html.parser").select("form#end")
    fields = {field["name"]: field["value"] for field in form.select("[name]")}
    home = visitor.ask(str(form["action"]).partition("/hub")[2], "POST", data=fields)
    assert home.status_code == 200
    assert f"{name or 'My Server'} was stopped." in words(home)
    assert state(visitor, name) == "Stopped"


@NAMES
def test_the_api_stops_it_as_well(visitor: Visitor, name: str):
    begin(visitor, name)
    assert api(visitor, "DELETE", name).status_code in {202, 204}
    over(visitor, name)


def test_one_that_has_a_name_is_stopped_and_deleted_at_once(visitor: Visitor):
    begin(visitor, "second")
    assert api(visitor, "DELETE", "second", json={"remove": True}).status_code in {202, 204}
    wait_until(lambda: "second" not in words(visitor.ask("/home")), timeout=20, what="it to be forgotten")


def test_a_start_that_does_not_hear_it_the_first_time_is_stopped_as_well(visitor: Visitor):
    begin(visitor, runtime="deaf")
    assert visitor.press("stop").status_code == 303
    over(visitor)


def test_two_who_stop_it_at_once_are_both_answered(visitor: Visitor, pool: ThreadPoolExecutor):
    begin(visitor)
    other = Visitor(visitor.address, visitor.name)
    both = [pool.submit(one.press, "stop") for one in (visitor, other)]
    assert [answer.result().status_code for answer in both] == [303, 303]
    over(visitor)


def test_one_that_is_being_stopped_is_stopped_once_and_its_page_says_so(
    visitor: Visitor, hub: tuple[str, Path], pool: ThreadPoolExecutor
):
    other = Visitor(visitor.address, visitor.name)
    assert visitor.start(runtime="clings").status_code == 302
    first = pool.submit(visitor.press, "stop")
    try:
        wait_until(lambda: state(other).startswith("Stopping"), timeout=20, what="the stop")
        again = other.press("stop")
        assert again.status_code == 303
        assert "My Server is being stopped." in words(
            other.ask(again.headers["Location"].partition("/hub")[2])
        )
        assert api(other, "DELETE").status_code == 202
        assert heading(BeautifulSoup(page(other).text, "html.parser")) == "Your session is stopping"
    finally:
        (hub[1] / "let-go").touch()
    assert first.result().status_code == 303
    over(visitor)


@pytest.mark.parametrize("by", ["page", "api"])
def test_one_that_fails_in_the_same_moment_is_over(
    visitor: Visitor, fails: Path, pool: ThreadPoolExecutor, by: str
):
    begin(visitor, runtime="fails")
    stopped = pool.submit(visitor.press, "stop") if by == "page" else pool.submit(api, visitor, "DELETE")
    fails.touch()
    assert stopped.result().status_code in {202, 204, 303}
    over(visitor)


def test_who_asked_for_it_by_the_api_is_told_that_it_was_stopped(visitor: Visitor, pool: ThreadPoolExecutor):
    other = Visitor(visitor.address, visitor.name)
    other.ask("/home")
    asked = pool.submit(api, visitor, "POST", json={"runtime": ["never"]})
    wait_until(lambda: state(other).startswith("Starting"), timeout=20, what="the start")
    other.press("stop")
    answer = asked.result()
    assert (answer.status_code, "cancelled while it was starting" in answer.json()["message"]) == (409, True)


def test_a_failure_is_an_alert_with_the_log_and_a_way_on(visitor: Visitor, fails: Path):
    begin(visitor, runtime="fails")
    fails.touch()
    wait_until(lambda: page(visitor).status_code == 500, timeout=20, what="the failure")
    parsed = BeautifulSoup(page(visitor).text, "html.parser")
    (alert,) = parsed.select("[role=alert]")
    assert alert.get_text(" ", strip=True) == "Job 17 ended. no space left"
    assert heading(parsed) == "Your session could not start"
    (again,) = parsed.find_all("a", string="Choose again")
    assert "Start a session" in words(visitor.ask(again["href"].partition("/hub")[2]))


def test_what_is_told_of_a_failure_as_it_happens_is_the_same(visitor: Visitor, fails: Path):
    begin(visitor, runtime="fails")
    fails.touch()
    told = "".join(follow(visitor))
    assert '"failed": true' in told
    assert "<pre>no space left</pre>" in told


def test_who_follows_a_start_that_is_stopped_is_not_sent_to_a_session(visitor: Visitor):
    begin(visitor)
    events = follow(Visitor(visitor.address, visitor.name))
    assert "Waiting in the queue" in next(event for event in events if '"progress": 0' not in event)
    visitor.press("stop")
    told = "".join(events)
    assert "Spawn cancelled" in told
    assert "ready" not in told


def test_an_administrator_who_looks_on_has_no_button_that_would_stop_their_own(
    visitor: Visitor, admin: Visitor
):
    begin(visitor)
    admin.ask("/home")
    shown = BeautifulSoup(page(admin, of=visitor.name).text, "html.parser")
    assert heading(shown) == f"The session of {visitor.name} is starting"
    assert not shown.select("form#end")
    script = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    assert admin.ask(f"/spawn-pending/{visitor.name}", headers=script).status_code in {403, 404}


def test_nothing_is_said_of_a_server_that_nobody_stopped(visitor: Visitor):
    begin(visitor)
    for name in ("", "nobody", "%3Cb%3Ex"):
        assert "stopped" not in words(visitor.ask(f"/home?stopped={name}"))
