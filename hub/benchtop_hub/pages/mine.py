"""What the Start page shows of this hub: its reader's sessions, how the last ones ended, what is free.

The Start page is the front door's, which knows no session. Its script (apache/www/assets/start.js) asks each
cluster's hub, whatever hub that is for this person: one that is away is missing there, and delays nothing.
"""

import json
from typing import Any

from jupyterhub.handlers import BaseHandler

from benchtop_hub.access.vouched import Vouched
from benchtop_hub.errors import ForPerson, request_id
from benchtop_hub.pages import farewell, servers
from benchtop_hub.upstream.ending import stop_server


class Mine(Vouched):
    """GET: a person's own sessions, as JSON. POST: stop one of them."""

    purpose = "my-sessions"

    def get(self) -> None:
        """Those that run, start or stop; and, once, why others ended."""
        user: Any = self.find_user(self.person.name)
        rows = [row for row in servers.shown(user) if row["active"]] if user else []
        self._answer({"sessions": rows, "ended": farewell.tell(user), "sign": self.sign})

    async def post(self) -> None:
        """Stop the one that a button of the Start page stands for."""
        self.pressed()
        name = self.get_body_argument("server", "")
        user: Any = self.find_user(self.person.name)
        spawner: Any = user.spawners[name] if user and name in user.spawners else None
        if spawner is None or not spawner.active:
            log = f"no server {name[:80]!r} to stop request={request_id(self)}"
            raise ForPerson(404, log, "This session had already ended.")
        await stop_server(self, user, name)
        self._answer({"stopped": name})

    def write_error(self, status_code: int, **why: Any) -> None:  # noqa: ANN401 as upstream has it
        """In words for a script."""
        error = why.get("exc_info", (None, None))[1]
        sentence = getattr(error, "jupyterhub_message", "") or "The hub could not do this. Try again."
        self._answer({"message": sentence})

    def _answer(self, what: dict[str, object]) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(what))


class Free(Vouched):
    """GET: what is free of what a person may use, as a sentence in JSON: the schedulers are asked for it."""

    purpose = "free"

    async def get(self) -> None:
        """Empty where nobody says."""
        name = self.person.name
        user: Any = self.find_user(name) or self.user_from_username(name)
        describe = getattr(user.spawner, "describe_free", None)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"free": await describe() if describe else ""}))


default_handlers: list[tuple[str, type[BaseHandler]]] = [(r"/mine", Mine), (r"/mine/free", Free)]
