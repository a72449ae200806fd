"""JupyterLab asks why its session ended, with its owner's own login."""


def told(visitor, name=""):
    answer = visitor.ask(f"/ending/{name}" if name else "/ending")
    return answer.status_code, answer.json()


def test_a_session_that_runs_has_not_ended(visitor):
    visitor.start()
    status, ending = told(visitor)
    assert (status, ending["state"], ending["reason"], ending["more"]) == (200, "running", "", "")


def test_one_that_ended_says_why_as_often_as_it_is_asked_and_the_page_says_it_as_well(visitor):
    visitor.start(runtime="1")
    visitor.press("stop")
    for _ in range(2):
        _, ending = told(visitor)
        assert (ending["state"], ending["reason"]) == (
            "stopped",
            "Your session ended: its <b>time</b> was over.",
        )
        assert ending["start"] == f"/jupyterhub/hpc/hub/spawn/{visitor.name}"
        assert ending["more"] == ""
    assert "time</b> was over" in visitor.ask("/home").text.replace("&lt;/b&gt;", "</b>")


def test_for_want_of_memory_it_leads_to_a_form_with_twice_as_much(visitor):
    visitor.press("new", "greedy")
    visitor.start("greedy", runtime="2")
    visitor.press("stop", "greedy")
    _, ending = told(visitor, "greedy")
    assert ending["more"] == f"/jupyterhub/hpc/hub/spawn/{visitor.name}/greedy?where=batch&memory=1800+MB"


def test_nobody_elses_session_and_none_that_is_not_there(visitor):
    visitor.start(runtime="1")
    stranger = type(visitor)(visitor.address, "stranger")
    assert told(stranger) == (403, {"state": "unknown"}), "not logged in"
    stranger.ask("/home")
    status, ending = told(stranger)
    assert (status, ending["reason"]) == (200, ""), "their own"
    assert told(visitor, "no-such") == (404, {"state": "unknown"})
