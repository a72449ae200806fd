"""What JupyterLab's Dask panel asks: its clusters, a new one, more workers, whether pages are there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Router
from tornado.web import Application, HTTPError, authenticated

from benchtop_lab.dask import hosts

MOST = 8  # clusters at a time: each is a program with a scheduler


class Clusters:
    """Those of the panel, by their id, in the order of their starts."""

    def __init__(self, server: ServerApp) -> None:
        self._server = server
        self.known: dict[str, hosts.Host] = {}
        self._started = 0

    def choose(self) -> tuple[str, list[str], Mapping[str, str]]:
        """Name, command and additional environment of the Python to use.

        That of the Python notebook which somebody used last, or else of the one that a notebook begins with.
        """
        kernels: Any = self._server.kernel_manager
        running = [kernels.get_kernel(ident) for ident in kernels.list_kernel_ids()]
        running.sort(key=lambda kernel: kernel.last_activity, reverse=True)
        names = [kernel.kernel_name for kernel in running]
        manager: Any = self._server.kernel_spec_manager
        for name in [*names, kernels.default_kernel_name, "python3"]:
            try:
                spec = manager.get_kernel_spec(name)
            except Exception:  # noqa: S112 it may be gone, or broken, which is told where it is started
                continue
            setup = Path(spec.resource_dir, "setup.sh")
            if command := hosts.words(spec.argv, setup if setup.is_file() else None):
                return spec.display_name, command, dict(spec.env)
        raise hosts.Failed("No Python kernel is there to start a Dask cluster with.")

    async def start(self) -> hosts.Host:
        """A new one. Raises Failed."""
        if len(self.known) >= MOST:
            raise hosts.Failed(
                f"You have {MOST} Dask clusters in this session already. Shut one of them down first."
            )
        title, command, env = self.choose()
        host = await hosts.begin("", command, {**hosts.environment(), **env})
        self._started += 1
        host.name = f"{host.shown.get('kind', 'Cluster')} {self._started} ({title})"
        self.known[host.ident] = host
        return host

    def find(self, ident: str) -> hosts.Host:
        """Raises HTTPError for one that is not there."""
        try:
            return self.known[ident]
        except KeyError:
            raise HTTPError(404, "there is no such Dask cluster") from None

    async def look(self) -> list[dict[str, Any]]:
        """What is there now; one whose program has ended is not."""
        for ident, host in list(self.known.items()):
            try:
                await host.ask(do="describe")
            except hosts.Failed as failed:
                if host.process.returncode is not None or not str(failed).endswith("answer."):
                    self.known.pop(ident, None)
        return [host.model for host in self.known.values()]


class _Handler(APIHandler):  # type: ignore[misc]
    @property
    def clusters(self) -> Clusters:
        found: Clusters = self.settings[hosts.SETTING]
        return found

    def refuse(self, failed: Exception) -> None:
        """The panel shows the body of a failure as it is."""
        self.set_status(500)
        self.finish(json.dumps(str(failed)))


class ClustersHandler(_Handler):
    """GET: all. PUT: a new one."""

    @authenticated
    async def get(self) -> None:
        """List them."""
        self.finish(json.dumps(await self.clusters.look()))

    @authenticated
    async def put(self) -> None:
        """Start one."""
        try:
            host = await self.clusters.start()
        except hosts.Failed as failed:
            self.refuse(failed)
        else:
            self.finish(json.dumps(host.model))


class ClusterHandler(_Handler):
    """GET, DELETE; PATCH {"workers"} or {"adapt": {"minimum", "maximum"}}."""

    @authenticated
    async def get(self, cluster: str) -> None:
        """Show one."""
        self.finish(json.dumps(self.clusters.find(cluster).model))

    @authenticated
    async def delete(self, cluster: str) -> None:
        """Close one."""
        await self.clusters.find(cluster).end()
        self.clusters.known.pop(cluster, None)
        self.set_status(204)
        self.finish()

    @authenticated
    async def patch(self, cluster: str) -> None:
        """Give one more workers, or fewer."""
        host, wanted = self.clusters.find(cluster), self.get_json_body()
        try:
            if adapt := wanted.get("adapt"):
                await host.ask(do="adapt", minimum=int(adapt["minimum"]), maximum=int(adapt["maximum"]))
            else:
                await host.ask(do="scale", workers=int(wanted["workers"]))
        except (KeyError, TypeError, ValueError):
            raise HTTPError(400, "workers, or adapt with minimum and maximum, must be numbers") from None
        except hosts.Failed as failed:
            self.refuse(failed)
        else:
            self.finish(json.dumps(host.model))


class CheckHandler(_Handler):
    """GET: are these the pages of a scheduler of this session? Nobody else's are asked for.

    Upstream's fetches whatever address it is given, from inside the facility's network.
    """

    @authenticated
    async def get(self, url: str) -> None:
        """Say it."""
        given = unquote(url)
        here = {"url": given, "isActive": False, "plots": {}}
        path = urlsplit(given).path
        base = self.settings["base_url"]
        if path.startswith((f"{base}dask/dashboards/", f"{base}dask/dashboard/")):
            from benchtop_lab.dask import pages  # noqa: PLC0415

            here |= await pages.plots(self.clusters, path.removeprefix(base))
        self.finish(json.dumps(here))


class Lazily(Matcher):
    """Requests for a scheduler's pages."""

    def __init__(self, *starts: str) -> None:
        self._starts = starts

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """As tornado wants it."""
        return {} if request.path.startswith(self._starts) else None


class PagesRouter(Router):
    """Loads what leads to pages with the first request for one."""

    def __init__(self, application: Application, lead: str, by_cluster: str) -> None:
        self._application, self._lead, self._by_cluster = application, lead, by_cluster
        self._real: Any = None

    def find_handler(self, request: HTTPServerRequest, **more: Any) -> Any:  # noqa: ANN401 as tornado has it
        """Upstream's handler for this request."""
        if self._real is None:
            from tornado.web import _ApplicationRouter  # noqa: PLC0415

            from benchtop_lab.dask import pages  # noqa: PLC0415

            rules = [
                (f"{self._lead}(?P<number>[0-9]{{1,5}})(?P<path>/.*)?", pages.ByNumberHandler),
                (f"{self._by_cluster}(?P<cluster>[0-9a-f-]{{36}})(?P<path>/.*)?", pages.ByClusterHandler),
            ]
            self._real = _ApplicationRouter(self._application, rules)
        return self._real.find_handler(request, **more)
