"""The page of tokens shows what is of use, and where a program finds this hub."""

import re

from support.front_door import words


def page(visitor):
    answer = visitor.ask("/token")
    assert answer.status_code == 200
    return answer


def make(visitor, note):
    headers = {"X-XSRFToken": re.search(r'name="_xsrf" value="([^"]+)"', visitor.ask("/home").text)[1]}
    made = visitor.ask(
        f"/api/users/{visitor.name}/tokens", "POST", headers=headers, json={"note": note, "expires_in": 600}
    )
    assert made.status_code == 201, made.text
    return made.json()["token"]


def test_it_has_a_heading_and_says_where_a_program_finds_this_hub(visitor):
    shown = page(visitor)
    assert "<h1>Tokens</h1>" in shown.text
    assert "/_cell/hpc-1/jupyterhub/hpc/hub/api/" in words(shown)


def test_a_token_of_a_session_is_there_while_it_runs_and_not_afterwards(visitor):
    visitor.start()
    assert "Session My Server" in words(page(visitor)), "the control"
    visitor.press("stop")
    assert "Session My Server" not in words(page(visitor))


def test_a_token_of_ones_own_stays(visitor):
    token = make(visitor, "nightly report")
    visitor.start()
    visitor.press("stop")
    shown = words(page(visitor))
    assert "nightly report not yet" in shown
    assert "Never" not in shown.partition("Your tokens")[2]
    assert visitor.session.get(
        f"{visitor.address}/api/user", headers={"Authorization": f"token {token}"}, timeout=20
    ).ok


def test_one_session_that_ends_takes_no_token_of_another(visitor):
    for name in ("", "second"):
        visitor.start(name)
    visitor.press("stop")
    shown = words(page(visitor))
    assert "Session My Server" not in shown
    assert "Session second" in shown
    assert visitor.press("stop", "second").status_code == 303
