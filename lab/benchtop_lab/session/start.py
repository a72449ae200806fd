"""Start JupyterLab in the job and tell the hub where it listens.

The socket is bound before anything else is loaded and handed to the server, so that no other process can
take the port between choosing and binding it (batchspawner chooses one and lets the server bind it later),
and so that the hub's first request waits in the socket for the server instead of being tried again.
"""

import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import MutableMapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from benchtop_lab import report
from benchtop_lab.groups import own_groups
from benchtop_lab.home import own, room
from benchtop_lab.home.log import FOLDER, new_folder, remove_left
from benchtop_lab.session import credentials, environment, limits, modules
from benchtop_lab.session.proof import take_proof

BACKLOG = 128


def listen(address: str = "0.0.0.0", port: int = 0) -> socket.socket:  # noqa: S104 the proxy comes from another host
    """A listening socket. port: 0 for one that the system chooses"""
    listening = socket.create_server((address, port), backlog=BACKLOG)
    # Accepted connections inherit it. Without, each message of a kernel waits 40 ms for the
    # acknowledgement of the one before: Jupyter's server never asks for it. (And see send_at_once.)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setblocking(False)
    return listening


def send_at_once() -> None:
    """Keep what `listen` set: tornado unsets it after each answer, also after one that opens a websocket."""
    from tornado.iostream import IOStream  # noqa: PLC0415 after the port is on its way

    upstream = IOStream.set_nodelay

    def set_nodelay(stream: IOStream, value: bool) -> None:
        upstream(stream, True)

    setattr(IOStream, "set_nodelay", set_nodelay)  # noqa: B010 a method is not to be assigned to, says mypy


def with_port(url: str, port: int) -> str:
    """The same address with another port, and by TLS."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(scheme="https", netloc=f"{parts.hostname}:{port}"))


def tell_hub(port: int) -> None:
    """Report the port; when nobody wants it, end this session: it belongs to nobody."""
    api, token = os.environ["JUPYTERHUB_API_URL"], os.environ["JUPYTERHUB_API_TOKEN"]
    try:
        report.until_taken(lambda: report.post(f"{api}/session/port", token, {"port": port}))
    except (OSError, report.Unwanted) as error:
        print(f"the hub refused this session, so it ends: {error}", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)


def serve(listening: socket.socket, context: ssl.SSLContext) -> None:
    """Run JupyterLab on that socket until it is told to stop; it speaks TLS alone."""
    trust = os.environ.get("SSL_CERT_FILE")
    if report.TRUST.exists():
        os.environ["SSL_CERT_FILE"] = str(report.TRUST)
    import aiohttp.connector  # noqa: PLC0415 reads what to trust once, as it is imported: JupyterHub's client has no setting

    # By default a name is looked up once in ten minutes: too seldom for a gateway that may be made anew.
    setattr(aiohttp.connector, "DefaultResolver", aiohttp.ThreadedResolver)  # noqa: B010 not exported
    os.environ.pop("SSL_CERT_FILE", None)  # what a person's programs trust is theirs
    if trust is not None:
        os.environ["SSL_CERT_FILE"] = trust
    send_at_once()
    # It builds a parser as it is imported, for a second: nearly half of all that is loaded here. Without,
    # no event's field of the format "iri" is looked at; there is none.
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment] # as the import system has it
    from jupyter_server.serverapp import ServerApp  # noqa: PLC0415 after the port is on its way
    from jupyterhub.singleuser.extension import JupyterHubSingleUser  # noqa: PLC0415

    from benchtop_lab.home import reading  # noqa: PLC0415

    reading.install()

    class Server(ServerApp):  # type: ignore[misc]
        """Listens on the socket that is there already."""

        def _find_http_port(self) -> None:
            """Nothing to find."""

        def _bind_http_server_tcp(self) -> bool:
            self.http_server.ssl_options = context  # as an option, only files of a key are taken
            self.http_server.add_socket(listening)
            return True

    JupyterHubSingleUser.serverapp_class = Server
    JupyterHubSingleUser.launch_instance(argv=sys.argv[1:])  # c.Spawner.args, --debug


def settle(env: MutableMapping[str, str]) -> str:
    """Make a home fit for a session, with what is missing there on the node.

    Why none can live in it, as the end of a sentence; "" where one can.
    """
    home = Path(env["HOME"])
    if why := room.unusable(home):
        return why
    if not env.get(FOLDER):
        try:
            env[FOLDER] = new_folder()
        except OSError as error:
            return f"the node {socket.gethostname()} has no room for run-time files: {error.strerror}"
    own.prepare(env, home, Path(env[FOLDER]))
    return ""


def explain() -> None:
    """Leave word of why JupyterLab did not come up, as far as it was something of its owner's."""
    if reading := sys.modules.get("benchtop_lab.home.reading"):
        reading.note_failure()


def main() -> int:
    """The job's program."""
    context = take_proof()
    limits.no_core_files()
    if why := settle(os.environ):
        report.note_why(why, os.environ)
        print(f"The session cannot start: {why}.", file=sys.stderr)
        return 1
    credentials.prepare(os.environ)
    environment.keep_to_itself(os.environ)
    environment.lead_out(os.environ)
    modules.offer(os.environ, own_groups())
    # the hub names a port where only that one leads into the session: of a container
    listening = listen(port=urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"]).port or 0)
    port = listening.getsockname()[1]
    os.environ["JUPYTERHUB_SERVICE_URL"] = with_port(os.environ["JUPYTERHUB_SERVICE_URL"], port)
    # beside the loading of JupyterLab, which takes longer
    threading.Thread(target=tell_hub, args=(port,), daemon=True).start()
    threading.Thread(target=remove_left, daemon=True).start()
    try:
        return _serve(listening, context)
    finally:
        credentials.end()


def _serve(listening: socket.socket, context: ssl.SSLContext) -> int:
    """Until JupyterLab ends; the status of this process."""
    try:
        serve(listening, context)
    except SystemExit as ending:
        if ending.code:
            explain()
        if isinstance(ending.code, str):
            print(ending.code, file=sys.stderr)
            return 1
        return int(ending.code or 0)
    except Exception:
        sys.excepthook(*sys.exc_info())
        explain()
        return 1
    return 0
