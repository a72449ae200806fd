"""Does the hub do its job? Asked by the health check of the container, answered from inside."""

import asyncio

from jupyterhub.apihandlers import APIHandler
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

PATIENCE = 5  # seconds for the proxy


class ReadyHandler(APIHandler):
    """GET: 200 while database and proxy work, else 503 and which does not. Tells nothing else, to anybody.

    Upstream's /hub/health is 200 as long as the process runs.
    """

    async def get(self) -> None:
        """Look at both."""
        try:
            self.db.execute(text("SELECT 1"))
            self.db.rollback()
        except SQLAlchemyError as error:
            self.db.rollback()  # else this session, which is everybody's, never connects again
            self._not_ready("the database does not answer", error)
            return
        try:
            await asyncio.wait_for(self.proxy.get_all_routes(), PATIENCE)
        except Exception as error:
            self._not_ready("the proxy does not answer", error)
            return
        self.finish("ready")

    def _not_ready(self, what: str, error: Exception) -> None:
        self.log.error("not ready: %s: %s", what, error)
        self.set_status(503)
        self.finish(what)


default_handlers = [(r"/api/ready", ReadyHandler)]
