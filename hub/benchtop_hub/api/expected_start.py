"""When would it start? Asked by the form's page, for the combination that is chosen there.

Working it out costs the scheduler something, and there is one answer for each combination: so it is asked for
the one that somebody looks at, in that person's name, and one question at a time.
"""

from typing import Any, Protocol

from jupyterhub.apihandlers import APIHandler
from jupyterhub.scopes import needs_scope
from tornado.web import HTTPError

from benchtop_hub.backends import request

LARGEST = 8192  # bytes of a request


class Estimating(Protocol):
    """A spawner that can say when it would start."""

    async def estimate(self, sent: dict[str, Any]) -> str:
        """A sentence. Raises request.Refused, or an HTTPError that has one."""


class ExpectedHandler(APIHandler):
    """POST the form's fields: {"sentence": when such a session would start}, or 400 and what is refused."""

    @needs_scope("start:servers")  # type: ignore[untyped-decorator]  # JupyterHub's
    async def post(self, user_name: str) -> None:
        """Answer for the person whose session it would be."""
        user = self.find_user(user_name)
        if user is None:
            raise HTTPError(404)
        if len(self.request.body) > LARGEST:
            raise HTTPError(400, "The request is too large for this form.")
        sent = self.get_json_body()
        if not isinstance(sent, dict):
            raise HTTPError(400, "Send the form's fields as a JSON object.")
        spawner: Estimating = user.spawner
        try:
            answer = {"sentence": await spawner.estimate(sent)}
        except request.Refused as refused:
            self.set_status(400)
            answer = {"field": refused.problem.field, "sentence": refused.problem.sentence}
        self.finish(answer)


default_handlers = [(r"/api/users/([^/]+)/expected-start", ExpectedHandler)]
