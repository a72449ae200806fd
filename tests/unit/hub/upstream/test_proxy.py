"""An open page is no use of a session."""

import asyncio

from jupyterhub.proxy import ConfigurableHTTPProxy

from benchtop_hub.upstream.proxy import Proxy

ROUTES = {"/": {"data": {"hub": True}}, "/user/alice/": {"data": {"user": "alice", "last_activity": "now"}}}


def test_what_the_proxy_passed_on_is_no_use(monkeypatch):
    async def routes(self):
        return {path: {"data": dict(route["data"])} for path, route in ROUTES.items()}

    monkeypatch.setattr(ConfigurableHTTPProxy, "get_all_routes", routes)
    upstream = asyncio.run(ConfigurableHTTPProxy.get_all_routes(object()))
    assert "last_activity" in upstream["/user/alice/"]["data"]  # the control: upstream hands it on
    found = asyncio.run(Proxy(auth_token="x").get_all_routes())
    assert found == {"/": {"data": {"hub": True}}, "/user/alice/": {"data": {"user": "alice"}}}
