"""A session that nobody uses ends, and an open page is no use."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

from jupyterhub.proxy import ConfigurableHTTPProxy

from benchtop_hub.sessions import idle as activity
from support.wait import wait_until

ROUTES = {"/": {"data": {"hub": True}}, "/user/alice/": {"data": {"user": "alice", "last_activity": "now"}}}


def test_what_the_proxy_passed_on_is_no_use(monkeypatch):
    async def routes(self):
        return {path: {"data": dict(route["data"])} for path, route in ROUTES.items()}

    monkeypatch.setattr(ConfigurableHTTPProxy, "get_all_routes", routes)
    upstream = asyncio.run(ConfigurableHTTPProxy.get_all_routes(object()))
    assert "last_activity" in upstream["/user/alice/"]["data"]  # the control: upstream hands it on
    found = asyncio.run(activity.Proxy(auth_token="x").get_all_routes())
    assert found == {"/": {"data": {"hub": True}}, "/user/alice/": {"data": {"user": "alice"}}}


def test_the_culler_waits_until_each_session_may_have_reported_twice():
    command = activity.culler(7200, 60, 0, 60)
    assert command[:2] == ["/bin/sh", "-c"]
    assert "; sleep 135 &" in command[2]
    assert command[-3:] == ["--timeout=7200", "--cull-every=60", "--max-age=0"]


def test_the_culler_ends_at_once_when_its_hub_does():
    """A hub that is told to end tells it by SIGINT, and waits."""
    # whoever runs the tests in the background has them ignore SIGINT, and a shell keeps to that
    command = ["env", "--default-signal=INT", *activity.culler(7200, 60, 0, 60)]
    with subprocess.Popen(command, start_new_session=True) as waiting:
        children = Path(f"/proc/{waiting.pid}/task/{waiting.pid}/children")
        try:
            wait_until(children.read_text, timeout=10, what="the pause to begin")
            waiting.send_signal(signal.SIGINT)
            waiting.wait(timeout=5)
        finally:
            os.killpg(waiting.pid, signal.SIGKILL)


def test_a_time_of_nought_is_never():
    assert "--timeout=1000000000" in activity.culler(0, 60, 0, 60)  # decades
