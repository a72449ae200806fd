"""What became of a session, for its JupyterLab, which is still open in its owner's browser.

JupyterLab alone knows no more than that its server does not answer. It may ask here with its owner's own
login, and be told why the session ended and how to go on. What is told here is not yet told on the hub's
pages (farewell.py): nobody may have looked at that tab.
"""

import json
from typing import Any

from jupyterhub.handlers import BaseHandler
from jupyterhub.utils import url_path_join
from tornado.httputil import url_concat

from benchtop_hub.pages.servers import state

MORE = 2  # times the memory that was not enough


class EndingHandler(BaseHandler):
    """GET {"state", "reason", "start", "more"}: of the session of that name, or of the default one.

    state:  running, starting, stopping, stopped; unknown for who is not logged in, or has no such session
    reason: why it ended, as a sentence; "" where its owner ended it
    start:  the form that starts it again; more: the same, with more memory, where it ended for want of it
    """

    async def get(self, name: str = "") -> None:
        """Say it."""
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        user: Any = self.current_user
        if user is None or name not in user.orm_spawners:
            self.set_status(404 if user else 403)
            self.finish(json.dumps({"state": "unknown"}))
            return
        spawner: Any = user.spawners[name]
        form = url_path_join(self.hub.base_url, "spawn", user.escaped_name, *filter(None, [name]))
        lacked = spawner.lacked_memory
        wish = {"where": spawner.open_backends[0].where, "memory": f"{MORE * lacked} MB"}
        told = {
            "state": state(spawner),
            "reason": spawner.last_end,
            "start": form,
            "more": url_concat(form, wish) if lacked else "",
        }
        self.finish(json.dumps(told))


default_handlers: list[tuple[str, type[BaseHandler]]] = [
    (r"/ending", EndingHandler),
    (r"/ending/([^/]+)", EndingHandler),
]
