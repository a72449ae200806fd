# ruff: noqa: D102  # stand-ins: their names say it
"""Who gets a credential of the hub, and what the answer says."""

import asyncio
import json
import logging
from types import SimpleNamespace

import pytest
from tornado.web import HTTPError

from benchtop_hub.access.minter import Refused, Unavailable
from benchtop_hub.api import credentials
from benchtop_hub.api.credentials import AGAIN, CredentialsHandler

TOKEN = "its-own-token"


class Session:
    """One that runs, of somebody who is on both clusters."""

    def __init__(self, **troubles):
        self.clusters = {"hpc": "slurm", "htc": "condor"}
        self.troubles, self.asked = troubles, []
        self.lives, self.without_credentials, self.api_token = True, "", TOKEN

    def is_own(self, token):
        return token == self.api_token

    async def credential(self, cluster):
        self.asked.append(cluster)
        if cluster in self.troubles:
            raise self.troubles[cluster]
        return f"token-of-{cluster}", 1234.0


def handler(session, *, token=TOKEN, user=True):
    made = CredentialsHandler.__new__(CredentialsHandler)
    made.request = SimpleNamespace(body=b"{}", headers={"Authorization": f"token {token}"}, remote_ip="-")
    made.application = SimpleNamespace(settings={"log": logging.getLogger("hub")})
    made._jupyterhub_user = SimpleNamespace(name="alice", spawners={"": session}) if user else None
    made.clear = lambda: None
    made._status_code, made._headers = 0, {}
    made.set_header = made._headers.__setitem__
    made.finish = lambda said: setattr(made, "said", json.loads(json.dumps(said)))
    return made


def post(session, **how):
    made = handler(session, **how)
    asyncio.run(made.post())
    return made.get_status(), made.said


def refused(session, **how):
    with pytest.raises(HTTPError) as caught:
        post(session, **how)
    return caught.value.status_code


def test_a_session_that_runs_gets_one_for_each_cluster():
    status, said = post(Session())
    assert status == 200
    assert said == {
        "hpc": {"kind": "slurm", "token": "token-of-hpc", "expires": 1234.0},
        "htc": {"kind": "condor", "token": "token-of-htc", "expires": 1234.0},
    }


def test_another_token_of_the_same_person_gets_none():
    session = Session()
    assert refused(session, token="a-token-of-alice") == 403
    assert refused(session, token="") == 403
    assert refused(session, user=False) == 403
    assert session.asked == []


def test_a_session_that_is_being_ended_gets_none():
    session = Session()
    session.lives = False
    assert refused(session) == 403
    assert session.asked == []


def test_a_page_in_a_browser_gets_none():
    assert CredentialsHandler._accept_cookie_auth is False


def test_of_another_cluster_a_refusal_is_a_sentence():
    status, said = post(Session(htc=Refused("carol is not in the group cluster-htc.")))
    assert (status, said["hpc"]["token"]) == (200, "token-of-hpc")
    assert said["htc"] == {"kind": "condor", "why": "carol is not in the group cluster-htc."}


def test_of_another_cluster_that_is_away_it_says_so():
    status, said = post(Session(htc=Unavailable("x")))
    assert status == 200
    assert said["htc"]["away"] is True
    assert "does not answer" in said["htc"]["why"]


def test_somebody_who_is_disabled_is_refused():
    gone = Refused("The login of alice is disabled.")
    status, said = post(Session(hpc=gone, htc=gone))
    assert status == 403
    assert not any("token" in one for one in said.values())


def test_while_its_own_minter_is_away_nothing_is_decided():
    session = Session(hpc=Unavailable("x"))
    assert post(session)[0] == 503
    session.troubles.clear()
    assert post(session)[0] == 200, "it is asked again at once"


def test_a_guest_is_told_why_and_nobody_is_asked():
    session = Session()
    session.without_credentials = "The programs of your account cannot use the batch systems."
    status, said = post(session)
    assert (status, {one["why"] for one in said.values()}) == (200, {session.without_credentials})
    assert session.asked == []


def test_who_asks_again_at_once_gets_the_same_answer():
    session, now = Session(), [0.0]

    async def ask():
        return await handler(session).answer(session, lambda: now[0])

    first = asyncio.run(ask())
    now[0] = AGAIN - 0.1
    assert asyncio.run(ask()) == first
    assert len(session.asked) == 2
    now[0] = AGAIN
    asyncio.run(ask())
    assert len(session.asked) == 4


def test_each_grant_and_refusal_is_logged_and_no_token(caplog):
    with caplog.at_level(logging.INFO):
        post(Session(htc=Refused("carol is not in the group cluster-htc.")))
    lines = [record.getMessage() for record in caplog.records]
    assert "credential granted user=alice cluster=hpc expires=1234" in lines
    assert "credential refused user=alice cluster=htc: carol is not in the group cluster-htc." in lines
    assert not any("token-of" in line for line in lines)
    assert credentials._answered is not None
