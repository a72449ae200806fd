"""A person's servers: what they may be called, and what the page of them does, without any script."""

import re

import pytest

from benchtop_hub.pages.servers import LONGEST, wrong_with
from support.front_door import words


@pytest.mark.parametrize("name", ["a", "gpu-test", "x1", "a" * LONGEST])
def test_a_plain_name_is_fine(name):
    assert wrong_with(name, [], 3) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Gpu",
        "1a",
        "-a",
        "a-",
        "a--b",
        "a b",
        "a/b",
        "a.b",
        "ü",
        "a\n",
        "../x",
        "a" * (LONGEST + 1),
        "a;b",
    ],
)
def test_any_other_is_refused_with_what_to_write(name):
    assert "for example gpu-test" in (wrong_with(name, [], 3) or "")


@pytest.mark.parametrize("name", ["lab", "api", "files", "terminals"])
def test_no_server_takes_an_address_of_the_usual_one(name):
    assert f"“{name}” is reserved" in (wrong_with(name, [], 3) or "")


def test_more_than_the_setting_says_are_refused_with_those_that_there_are():
    assert wrong_with("c", ["b"], 2) is None
    assert "a, b" in (wrong_with("c", ["b", "a"], 2) or "")
    assert wrong_with("c", ["b", "a"], 0) is None, "0 is any number"


def test_two_servers_run_at_the_same_time_and_each_stops_alone(visitor):
    assert visitor.press("new", "second").headers["Location"].endswith(f"/spawn/{visitor.name}/second")
    for name in ("", "second"):
        assert visitor.start(name).status_code == 302
    page = words(visitor.ask("/home"))
    assert re.search(r"My Server Running on gpu-1, job \d+.* second Running on gpu-1, job \d+", page)
    assert visitor.press("stop", "second").status_code == 303
    page = words(visitor.ask("/home"))
    assert re.search(r"My Server Running on gpu-1.* second Stopped", page)
    assert visitor.press("stop").status_code == 303
    assert "Running on" not in words(visitor.ask("/home"))


def test_a_server_that_is_starting_can_be_stopped(visitor):
    visitor.press("new", "slow")
    visitor.start("slow", runtime="never")
    assert "slow Starting" in words(visitor.ask("/home"))
    assert visitor.press("stop", "slow").status_code == 303
    assert "slow Stopped" in words(visitor.ask("/home"))


def test_a_server_that_is_stopped_can_be_deleted_and_a_running_one_cannot(visitor):
    visitor.press("new", "second")
    visitor.start("second")
    refused = visitor.press("delete", "second")
    assert (refused.status_code, "Stop this session before" in words(refused)) == (400, True)
    visitor.press("stop", "second")
    assert re.search(r"<details[^>]*><summary[^>]*>Delete second</summary>", visitor.ask("/home").text)
    assert visitor.press("delete", "second").status_code == 303
    assert "second" not in words(visitor.ask("/home"))


@pytest.mark.parametrize("name", ["", "My Server!", "lab", "<b>x</b>"])
def test_the_page_says_beside_the_field_why_a_name_is_refused(visitor, name):
    refused = visitor.press("new", name)
    assert refused.status_code == 400
    assert re.search(r'<input [^>]*aria-invalid="true" aria-describedby="new-problem"', refused.text)
    assert f"“{name}”" in words(refused)
    assert "<b>x" not in refused.text


def test_so_does_an_address_that_somebody_types(visitor):
    refused = visitor.ask(f"/spawn/{visitor.name}/Bad_Name")
    assert (refused.status_code, "for example gpu-test" in words(refused)) == (400, True)


def test_so_does_the_api(visitor):
    visitor.ask("/home")
    xsrf = {"X-XSRFToken": visitor.session.cookies["_xsrf"]}
    for name, status in (("Bad_Name", 400), ("good", 201)):
        answer = visitor.ask(f"/api/users/{visitor.name}/servers/{name}", "PUT", headers=xsrf)
        assert answer.status_code == status, answer.text
        assert status == 201 or "for example gpu-test" in answer.json()["message"]


def test_a_form_that_is_refused_comes_back_as_that_servers(visitor):
    """Upstream shows the form of the usual server, which knows nothing of what was refused."""
    visitor.press("new", "second")
    refused = visitor.start("second", runtime="0")
    assert refused.status_code == 400
    assert "Runtime: choose more." in words(refused)
    assert "the form of the server that was refused" in words(refused)


def test_another_page_cannot_press_a_button(visitor):
    visitor.ask("/home")
    assert visitor.ask("/home", "POST", data={"do": "new", "server": "x"}).status_code == 403


# ---- a name is taken by a server that was started ------------------------------------------------


def test_looking_at_forms_and_starts_that_are_refused_use_up_no_name(visitor):
    for name in ("one", "two", "three", "four"):
        assert visitor.ask(f"/spawn/{visitor.name}/{name}").status_code == 200
        assert "Runtime: choose more." in words(visitor.start(name, runtime="0"))
        visitor.start(f"{name}-more", runtime="refused")
    page = words(visitor.ask("/home"))
    assert "You have 0 of 2 extra sessions" in page
    assert not re.search("one|two|three|four", page)
    assert visitor.press("new", "five").status_code == 303
    for name in ("five", "six"):
        assert visitor.start(name).status_code == 302
    page = words(visitor.ask("/home"))
    assert "You have 2 of 2 extra sessions" in page, "the control: these were started"
    assert "already have the maximum of 2: five, six" in words(visitor.press("new", "seven"))


def test_starts_that_the_api_refuses_use_up_no_name(visitor):
    visitor.ask("/home")
    for name in ("one", "two", "three", "four"):
        answer = api(visitor, f"servers/{name}", json={"runtime": ["refused"]})
        assert answer.status_code in {400, 500}
        assert "maximum" not in answer.text
    assert api(visitor, "servers/five", json={"runtime": ["30"]}).status_code in {201, 202}


def api(visitor, path, **more):
    """A call as a page of the hub makes it."""
    headers = {"X-XSRFToken": re.search(r'name="_xsrf" value="([^"]+)"', visitor.ask("/home").text)[1]}
    return visitor.ask(f"/api/users/{visitor.name}/{path}", "POST", headers=headers, **more)
