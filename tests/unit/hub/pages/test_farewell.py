"""Why a session ended is told to its owner on the next page that they look at, and once."""

from support.front_door import words

SAID = "Your session ended: its <b>time</b> was over."


def test_the_next_page_says_it_and_the_one_after_does_not(visitor):
    visitor.start(runtime="1")
    visitor.press("stop")
    page = visitor.ask("/home")
    assert SAID in words(page)
    assert "<b>time" not in page.text
    assert SAID not in words(visitor.ask("/home"))


def test_it_says_of_which_server(visitor):
    visitor.press("new", "second")
    visitor.start("second", runtime="1")
    visitor.press("stop", "second")
    assert SAID.replace("session", "session “second”") in words(visitor.ask("/home"))


def test_what_shows_no_page_has_told_nobody(visitor):
    visitor.start(runtime="1")
    visitor.press("stop")
    assert visitor.ask(f"/api/users/{visitor.name}").ok
    assert SAID in words(visitor.ask("/home"))


def test_what_a_program_or_a_browser_in_advance_fetches_has_told_nobody(visitor):
    visitor.start(runtime="1")
    visitor.press("stop")
    for headers in ({"Sec-Fetch-Mode": "cors"}, {"Sec-Fetch-Mode": ""}, {"Sec-Purpose": "prefetch"}):
        assert SAID in words(visitor.ask("/home", headers=headers))
    assert SAID in words(visitor.ask("/home"))
    assert SAID not in words(visitor.ask("/home"))


def test_nobody_else_reads_it(visitor, hub):
    visitor.start(runtime="1")
    visitor.press("stop")
    assert SAID not in words(type(visitor)(visitor.address, "somebody-else").ask("/home"))
    assert SAID in words(visitor.ask("/home")), "the control"
