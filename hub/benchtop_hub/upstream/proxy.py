"""The proxy, without what JupyterHub takes for use of a session."""

from typing import Any

from jupyterhub.proxy import ConfigurableHTTPProxy


class Proxy(ConfigurableHTTPProxy):
    """The proxy, which does not say when it last passed something on.

    Upstream takes that for use. But an open page keeps a connection alive and asks by itself, so that a
    forgotten tab would hold its place on the cluster for as long as the browser runs.
    """

    async def get_all_routes(self) -> dict[str, dict[str, Any]]:
        """All routes, without their last_activity."""
        routes: dict[str, dict[str, Any]] = await super().get_all_routes()
        for route in routes.values():
            route["data"].pop("last_activity", None)
        return routes
