"""The server's side of JupyterLab's Dask panel, and the way to the pages of every scheduler of the session.

In place of dask_labextension's own, whose part in the page is used as it is. Upstream's runs each scheduler
in the server's process, which costs each start of a session the loading of Dask, and a notebook of another
environment could not use it. Nothing of Dask is loaded here: a cluster is a program of its own
(benchtop_batch.dask.host) in the Python of the notebooks.

    hosts.py   the programs of the clusters
    panel.py   what the panel asks
    pages.py   the pages of schedulers, by their sockets
"""

from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado.routing import Rule


def load(server: ServerApp) -> None:
    """Answer the panel; nothing is started before it asks for it."""
    from benchtop_lab.dask import hosts, panel  # noqa: PLC0415

    base = server.web_app.settings["base_url"]
    server.web_app.settings[hosts.SETTING] = panel.Clusters(server)
    identity = r"(?P<cluster>[0-9a-f-]{36})"
    server.web_app.add_handlers(
        ".*$",
        [
            (url_path_join(base, "dask/clusters/") + "?", panel.ClustersHandler),
            (url_path_join(base, f"dask/clusters/{identity}"), panel.ClusterHandler),
            (url_path_join(base, "dask/dashboard-check/(?P<url>.+)"), panel.CheckHandler),
        ],
    )
    lead = url_path_join(base, "dask/dashboards/")
    by_cluster = url_path_join(base, "dask/dashboard/")
    rule = Rule(panel.Lazily(lead, by_cluster), panel.PagesRouter(server.web_app, lead, by_cluster))
    # by the server's own add_handlers, only classes of handlers can be added; before the last, which takes
    # all
    server.web_app.default_router.rules.insert(-1, rule)
