"""The pages of a scheduler: on a socket of its owner's own, and drawn when somebody looks.

Upstream, they listen on a TCP port without any question of who asks, and show and proxy all that the
scheduler knows: on a node that people share, to everybody on it. A Unix socket in a folder of mode 0700
opens for its owner alone, by the kernel's word, and no secret has to be kept. The session's server leads
there: lab/benchtop_lab/dask.

What draws them (bokeh) takes a second to be loaded, which the first worker would wait for. So it is loaded
with the first page that is asked for.
"""

import errno
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchtop_batch.dask import keys

FIRST = 8787  # Dask's own port: here the number in the socket's name
MANY = 1000
LINK = "{JUPYTERHUB_SERVICE_PREFIX}dask/dashboards/{port}/status"


def number_wanted(address: object) -> int:
    """The number in what Dask calls an address of pages: ":8787", 8787, "0.0.0.0:8787"."""
    digits = str(address).rpartition(":")[2]
    return int(digits) if digits.isdecimal() and int(digits) else FIRST


def socket_at(folder: Path, number: int) -> Path:
    """Where the pages with this number listen."""
    return folder / f"{number}.sock"


def listen(folder: Path, wanted: int = FIRST) -> tuple[socket.socket, int]:
    """A listening socket in that folder, and its number: the wanted one, or the next that is free.

    Raises OSError.
    """
    for number in range(wanted, wanted + MANY):
        path = socket_at(folder, number)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if path.is_socket() and _is_left(path):
                path.unlink(missing_ok=True)
            listening.bind(str(path))
        except OSError as error:
            listening.close()
            if error.errno == errno.EADDRINUSE:
                continue
            raise
        path.chmod(0o600)
        listening.setblocking(False)
        listening.listen(128)
        return listening, number
    raise OSError(errno.EADDRINUSE, "all numbers are in use", str(folder))


def _is_left(path: Path) -> bool:
    """Is it of a process that is gone?"""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        try:
            line.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def private_folder() -> Path:
    """Where a process has its sockets: its session's, or a new one outside of sessions. Raises OSError."""
    return keys.session_folder() or Path(tempfile.mkdtemp(prefix="dask."))


def pages(routes: list[Any], connect: Callable[[Any], None] | None) -> Any:
    """Dask's application of these routes; with the first request, `connect` adds what is drawn to it."""
    from distributed.http.routing import RoutingApplication

    class Pages(RoutingApplication):
        """Complete when somebody looks."""

        def find_handler(self, request: Any, **more: Any) -> Any:
            nonlocal connect
            if connect:
                draw, connect = connect, None
                draw(self)
            return super().find_handler(request, **more)

    return Pages(routes)


def start_http_server(
    node: Any,
    routes: list[Any],
    dashboard_address: object,
    default_port: int = 0,
    ssl_options: object = None,
) -> None:
    """In place of distributed.node.ServerNode.start_http_server, with its arguments.

    A worker or nanny gets no pages: the scheduler's show what they do, and each would be one more open port.
    """
    from distributed.scheduler import Scheduler
    from tornado.httpserver import HTTPServer

    def connect(application: object) -> None:
        import distributed.dashboard.scheduler as drawn

        drawn.connect(application, node.http_server, node, prefix="")

    lazily = isinstance(node, Scheduler) and getattr(node, "benchtop_draws_lazily", False)
    node.http_application = pages(routes if isinstance(node, Scheduler) else [], connect if lazily else None)
    node.http_server = HTTPServer(node.http_application)
    node.http_server.address, node.http_server.port = "", 0
    if not isinstance(node, Scheduler) or dashboard_address is None:
        return
    listening, number = listen(private_folder(), number_wanted(dashboard_address))
    node.http_server.add_socket(listening)
    node.http_server.port = number
    node.services["dashboard"] = node.http_server


def link(template: str) -> str:
    """What Dask is to name as the address of pages, unless its owner has set another one."""
    if template != "{scheme}://{host}:{port}/status":
        return template
    in_session = os.environ.get("JUPYTERHUB_SERVICE_PREFIX") and os.environ.get(keys.RUN)
    return LINK if in_session else ""
