# ruff: noqa: D102  # stand-ins: their names say it
"""A start that goes on after a restart is, to everybody who asks, a start like any other."""

import asyncio
from types import SimpleNamespace

import pytest

from benchtop_hub.upstream import adoption


class Start:
    """A spawner whose start was cut off, its person, their database and the proxy: in one."""

    name = ""

    def __init__(self, monkeypatch, *, fails=None, proxy_fails=None):
        self.fails, self.proxy_fails = fails, proxy_fails
        self.answered = asyncio.Event()
        self.did: list[str] = []
        self.server = SimpleNamespace(ip="", port=0)
        self.orm_spawner = SimpleNamespace(state={"job_id": "42"})
        self.user = SimpleNamespace(settings={"proxy": self}, stop=self._stop)
        database = SimpleNamespace(commit=lambda: self.did.append("saved"))
        monkeypatch.setattr(adoption, "inspect", lambda row: SimpleNamespace(session=database))

    async def resume(self):
        await self.answered.wait()
        if self.fails:
            raise self.fails
        return "https://gpu-1.0.session:45678"

    def get_state(self):
        return {"job_id": "42", "address": "https://gpu-1.0.session:45678"}

    def start_polling(self):
        self.did.append("polled")

    async def add_user(self, user, name):
        if self.proxy_fails:
            raise self.proxy_fails
        self.did.append("routed")

    def add_poll_callback(self, *_):
        self.did.append("watched")

    async def _stop(self, name):
        self.did.append("stopped")


def goes_on(start, *, cancelled=False):
    """Begin, and let it end; what was pending before, and the future that is left."""

    async def both():
        adoption.begin(start)
        future, pending = start._spawn_future, start._spawn_pending
        await asyncio.sleep(0)
        if cancelled:
            future.cancel()
        start.answered.set()
        await asyncio.wait({future})
        await asyncio.sleep(0)
        return pending, start._spawn_future and start._spawn_future.exception()

    return asyncio.run(both())


def test_it_pends_at_once_and_is_reached_looked_at_and_saved_when_it_answers(monkeypatch):
    start = Start(monkeypatch)
    assert goes_on(start) == (True, None)
    assert start._spawn_pending is False
    assert (start.server.proto, start.server.ip, start.server.port) == ("https", "gpu-1.0.session", 45678)
    assert start.orm_spawner.state["address"] == "https://gpu-1.0.session:45678"
    assert start.did == ["saved", "polled", "routed", "watched"]


@pytest.mark.parametrize("what", ["fails", "proxy_fails"])
def test_one_that_fails_is_ended_and_keeps_its_reason_for_the_page(monkeypatch, what):
    why = RuntimeError("its node failed")
    start = Start(monkeypatch, **{what: why})
    assert goes_on(start) == (True, why)
    assert start._spawn_pending is False
    assert start.did[-1] == "stopped"


def test_one_that_its_person_stops_pends_no_longer_and_leaves_the_end_to_stop(monkeypatch):
    start = Start(monkeypatch)
    assert goes_on(start, cancelled=True) == (True, None)
    assert start._spawn_pending is False
    assert start.did == []


def test_a_session_that_ran_is_looked_after_and_ends_with_its_job(monkeypatch):
    start = Start(monkeypatch)
    adoption.keep(start)
    assert start.did == ["watched", "polled"]
