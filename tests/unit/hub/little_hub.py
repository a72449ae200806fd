"""A hub for tests of its pages: a real one, whose sessions are stand-ins. Program and configuration in one.

It is its own proxy's table, and its database is in memory. HUB_PORT, HUB_FOLDER: the environment says.
"""
# ruff: noqa: D102  # stand-ins: their names say it

import asyncio
import os
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

from jupyterhub.proxy import Proxy
from jupyterhub.spawner import Spawner
from traitlets.config import get_config

from benchtop_hub.access import identity
from benchtop_hub.app import BenchtopHub
from benchtop_hub.errors import ForPerson
from benchtop_hub.pages import announcement
from benchtop_hub.sessions import certificates
from benchtop_hub.sessions.failure import SessionFailed
from benchtop_lab.session.proof import take_proof

c = get_config()
FOLDER = Path(os.environ["HUB_FOLDER"])
NEVER = ["never"]  # a runtime with which a session does not come up
DEAF = ["deaf"]  # … and does not hear that it is to be given up, the first time
FAILS = ["fails"]  # … and with which its job ends, as soon as the folder holds a file of that name
CLINGS = {"runtime": ["clings"]}  # … with which its job ends as soon as the folder holds "let-go"
GREEDY = {"runtime": ["2"]}  # … with which it ends for want of memory
KEPT = ("ended", "last_end", "lacked_memory", "begun")
REFUSED = ["refused"]  # … and with which it is not even submitted
TIMED = {"runtime": ["1"]}  # … and what a session is asked for that says why it ended


class LittleHub(BenchtopHub):
    """A hub that has no minter and no scheduler to ask."""

    def watch(self):
        pass


class Table(Proxy):
    """A proxy that sends nobody anywhere."""

    should_start = False
    routes: dict[str, dict[str, object]] = {}  # noqa: RUF012  one hub, one table

    async def add_route(self, routespec, target, data):
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)

    async def get_all_routes(self):
        return dict(self.routes)


class Session(Spawner):
    """A session without a job, that says what one says."""

    options_form = '<input name="runtime">'
    job_id = node_name = ended = last_end = ""
    lacked_memory = 0
    backends = open_backends = (SimpleNamespace(where="batch"),)
    begun = False
    environment_name = "facility"
    job_number = property(lambda self: self.job_id)
    place_name = property(lambda self: self.node_name)
    stage = (20, "Waiting in the queue of <b>debug</b>.")
    granted: dict[str, object] = {}  # noqa: RUF012  as in benchtop_hub.sessions.spawner
    numbers = iter(range(17, 1000))

    def options_from_form(self, form_data):
        if form_data.get("runtime") == ["0"]:
            self.options_form = "<p>the form of the server that was refused</p>"
            raise ForPerson(400, "refused", "Runtime: choose more.")
        return form_data

    async def start(self):
        if self.user_options.get("runtime") == REFUSED:
            raise ForPerson(400, "refused", "Runtime: choose less.")
        self.job_id = str(next(self.numbers))
        self.begun = True
        runtime = self.user_options.get("runtime")
        if runtime == NEVER:
            await asyncio.Event().wait()
        if runtime == DEAF:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            await asyncio.Event().wait()
        while runtime == FAILS:
            if (FOLDER / "fails").exists():
                words = "<p>Job 17 ended.</p><pre>no space left</pre>"
                raise SessionFailed("Job 17 ended.", words, "job-ended")
            await asyncio.sleep(0.05)
        self.node_name = "gpu-1"
        self.granted = {"partition": "debug", "gpu_kind": "pascal", "gpu_count": 1, "runtime": 30}
        name = certificates.new_name()
        os.environ[certificates.VARIABLE] = certificates.authority(str(FOLDER)).issue(
            name, timedelta(hours=1)
        )
        self.listening = await asyncio.start_server(self.answer, "127.0.0.1", 0, ssl=take_proof())
        port = self.listening.sockets[0].getsockname()[1]
        return f"https://{certificates.host('localhost', name)}:{port}"

    async def answer(self, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async def poll(self):
        return None if self.job_id else 0

    async def stop(self, now=False):
        while self.user_options == CLINGS and not (FOLDER / "let-go").exists():
            await asyncio.sleep(0.05)
        self.job_id = ""
        self.ended = "Your session ended: its <b>time</b> was over." if self.user_options == TIMED else ""
        self.last_end = self.ended
        self.lacked_memory = 900 if self.user_options == GREEDY else 0

    async def progress(self):
        yield {"progress": self.stage[0], "message": self.stage[1]}

    def get_state(self):
        kept = {name: getattr(self, name) for name in KEPT}
        return {**super().get_state(), **{name: value for name, value in kept.items() if value}}

    def load_state(self, state):
        super().load_state(state)
        for name in KEPT:
            setattr(self, name, state.get(name, getattr(self, name)))

    async def describe_free(self):
        return "Free now: 3 of 8 CPUs."


c.BenchtopHub.keys = str(FOLDER)
c.JupyterHub.proxy_class = Table
c.JupyterHub.spawner_class = Session
c.JupyterHub.authenticator_class = identity.SignedHeaderAuthenticator
c.SignedHeaderAuthenticator.secret_file = str(FOLDER / "sso.secret")
c.SignedHeaderAuthenticator.cell = "hpc-1"
c.SignedHeaderAuthenticator.required_group = "cluster-hpc"
c.JupyterHub.base_url = "/jupyterhub/hpc/"
c.JupyterHub.hub_ip = "127.0.0.1"
c.JupyterHub.hub_port = int(os.environ["HUB_PORT"])
c.JupyterHub.cookie_secret = os.urandom(32)
c.JupyterHub.db_url = "sqlite:///:memory:"
c.JupyterHub.cleanup_servers = False
c.JupyterHub.template_paths = [str(Path(__file__).parents[3] / "hub/templates")]
c.JupyterHub.template_vars = {
    "facility": "Benchtop",
    "cluster": "hpc",
    "cell": "hpc-1",
    "support": "hpc-support@example.org",
    "announcement": lambda user: announcement.current(file=FOLDER / "announcement.json"),
}
c.JupyterHub.allow_named_servers = True
c.JupyterHub.named_server_limit_per_user = 2

if __name__ == "__main__":
    LittleHub.launch_instance(["-f", __file__])
