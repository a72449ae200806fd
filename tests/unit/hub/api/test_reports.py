# ruff: noqa: D102  # stand-ins: their names say it
"""A report has one form; everything else is refused."""

from types import SimpleNamespace

import pytest
from tornado.web import HTTPError

from benchtop_hub.api.reports import LARGEST, LastWordsHandler, PortHandler

TOKEN = "its-own-token"


class Spawner:
    """Takes what it is told, while it waits."""

    api_token = TOKEN

    def __init__(self, *, pending=True):
        self.pending = pending
        self.heard: list[object] = []

    def is_own(self, token):
        return token == self.api_token

    def report_port(self, port):
        self.heard.append(port)
        return self.pending

    report_end = report_port


def post(handler_class, body, *, token=TOKEN, spawner=None, user=True):
    spawner = spawner or Spawner()
    handler = handler_class.__new__(handler_class)
    handler.request = SimpleNamespace(body=body, headers={"Authorization": f"token {token}"}, remote_ip="-")
    handler.application = SimpleNamespace(settings={})
    handler._jupyterhub_user = SimpleNamespace(name="alice", spawners={"": spawner}) if user else None
    handler._status_code = 0
    handler.post()
    return handler.get_status(), spawner.heard


def refused(*args, **kwargs):
    with pytest.raises(HTTPError) as caught:
        post(*args, **kwargs)
    return caught.value.status_code


def test_a_session_that_is_waited_for_may_say_its_port():
    assert post(PortHandler, b'{"port": 45678}') == (204, [45678])


def test_it_may_say_why_it_could_not_start():
    assert post(LastWordsHandler, b'{"log": "no space left"}') == (204, ["no space left"])


def test_another_token_of_the_same_person_may_not():
    assert refused(PortHandler, b'{"port": 45678}', token="a-token-of-alice") == 403


def test_nobody_may_not():
    assert refused(PortHandler, b'{"port": 45678}', user=False) == 403


def test_an_empty_token_is_no_token():
    spawner = Spawner()
    spawner.api_token = ""
    assert refused(PortHandler, b'{"port": 45678}', token="", spawner=spawner) == 403


def test_a_session_that_nobody_waits_for_may_not():
    assert refused(PortHandler, b'{"port": 45678}', spawner=Spawner(pending=False)) == 403


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"45678", b"null", b"{}", b'{"port": "45678"}', b'{"port": 45678.0}', b'{"port": true}',
     b'{"port": 80}', b'{"port": 1023}', b'{"port": 65536}', b'{"port": -1}', b'{"port": null}',
     b'{"port": 45678, "cmd": ["sh"]}', b'{"job_id": "1"}', b'{"Port": 45678}', b"\xff\xfe",
     b'{"port": 45678' + b" " * LARGEST + b"}"],
)  # fmt: skip
def test_anything_else_is_no_report(body):
    spawner = Spawner()
    assert refused(PortHandler, body, spawner=spawner) == 400
    assert spawner.heard == []


def test_a_page_in_a_browser_cannot_report():
    assert PortHandler._accept_cookie_auth is False
    assert LastWordsHandler._accept_cookie_auth is False


def test_last_words_may_say_what_ended_the_session_and_that_its_log_is_gone():
    heard = []

    class Listening(Spawner):
        def report_end(self, lines, **more):
            heard.append((lines, more))
            return True

    body = b'{"log": "x", "why": "your home is away", "kept": false}'
    assert post(LastWordsHandler, body, spawner=Listening())[0] == 204
    assert heard == [("x", {"why": "your home is away", "kept": False})]


@pytest.mark.parametrize("more", [b'"why": 1', b'"kept": "no"', b'"cmd": "sh"', b'"why": null'])
def test_last_words_of_another_form_are_refused(more):
    assert refused(LastWordsHandler, b'{"log": "x", ' + more + b"}") == 400
