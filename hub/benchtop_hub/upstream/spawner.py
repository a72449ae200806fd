"""batchspawner's spawner, as far as its inside and that of JupyterHub's have to be touched.

What is overridden here, and why: docs/reference/upstream.md.
"""

import re
from collections.abc import Callable, Mapping
from hmac import compare_digest
from typing import Any

from batchspawner import BatchSpawnerBase
from batchspawner.batchspawner import format_template
from jinja2 import TemplateError
from jupyterhub.utils import compare_token
from sqlalchemy import inspect
from sqlalchemy.exc import SQLAlchemyError
from traitlets import default, validate

from benchtop_hub.upstream import adoption, tokens

SITE = "req_"  # batchspawner's settings of what a job asks for


class Adopted(BatchSpawnerBase):
    """A spawner whose sessions outlive their hub, and whose hub has nothing that is a session's."""

    @default("env_keep")
    def _nothing_of_the_hub(self) -> list[str]:
        return []  # upstream hands the hub's own PATH and the like to the session

    @default("apply_user_options")
    def _start_applies(self) -> Callable[[object, object], None]:
        return lambda spawner, options: None  # start() checks: nothing that is configured can go round it

    @validate("oauth_client_id")
    def _client_of_a_named_server(self, proposal: Mapping[str, Any]) -> str:
        # upstream's "NAME-SERVER" is also another person's NAME, whose client this one would replace
        return f"jupyterhub-user-{self.user.name}.{self.name}" if self.name else str(proposal["value"])

    @property
    def server(self) -> Any:  # noqa: ANN401 upstream's has no type
        """Upstream's, but hidden from its first look after a restart, of a session that has a job.

        It would ask for a page, and end the session because no page comes: of one that is suspended, or
        still being started. Whether a job lives is the scheduler's to say (adoption.py).
        """
        return None if self._check_pending and self.job_id else super().server

    @server.setter
    def server(self, server: object) -> None:
        upstream: Any = BatchSpawnerBase.server
        upstream.fset(self, server)

    def is_own(self, token: str) -> bool:
        """Is this the token of the session that was started last? Known also to a hub that was restarted."""
        if self.api_token:
            return compare_digest(self.api_token.encode(), token.encode())
        client = self.orm_spawner.oauth_client
        if not client or not client.secret or not compare_token(client.secret, token):
            return False
        self.api_token = token  # upstream takes it back when the session ends, if it knows it
        return True

    def run_post_stop_hook(self) -> object:
        """A site's own, and the end of what the session could show to the hub."""
        tokens.take_back(self.user, self.name)
        return super().run_post_stop_hook()

    def save_state(self) -> None:
        """Keep what another process of the hub has to know, now.

        A hub that is restarted finds the job in its database and waits on. Upstream saves only when the
        session runs, and the job of a session that was waiting belongs to nobody.
        """
        database = inspect(self.orm_spawner).session
        try:
            self.orm_spawner.state = self.get_state()
            database.commit()
        except SQLAlchemyError:
            database.rollback()
            self.log.exception("state not saved user=%s job=%s", self.user.name, self.job_id)

    def forget_options(self, kept: Mapping[str, Any]) -> None:
        """Go back to these: JupyterHub keeps what the API sent before anybody has looked at it.

        A start that says nothing would ask for it again.
        """
        self.user_options = dict(kept)
        self.orm_spawner.user_options = dict(kept)

    def adopt(self, *, starting: bool) -> None:
        """Go on with a job that another process of the hub has submitted."""
        if starting:
            adoption.begin(self)
        else:
            adoption.keep(self)

    # ---- the site's batch script ----------------------------------------------------------------

    @default("req_keepvars")
    def _names_of_the_environment(self) -> str:
        return ""  # render_script fills it in: upstream would make a whole environment for it

    @property
    def site_defaults(self) -> dict[str, str]:
        """What the site gives who does not say, by the names without `req_`."""
        names = (name for name in self.trait_names(config=True) if name.startswith(SITE))
        return {name.removeprefix(SITE): str(getattr(self, name)) for name in names}

    def render_script(self, values: Mapping[str, object], environment: Mapping[str, str]) -> str:
        """The batch script as batchspawner fills it in: its `req_` settings, and `values` above these.

        Raises ValueError for one that cannot be read or filled in.
        """
        keep = ",".join(filter(None, (*environment, self.req_keepvars_extra)))
        known = {**self.get_req_subvars(), "keepvars": keep, **values}
        try:
            return str(format_template(self.batch_script, **known))
        except (LookupError, AttributeError, OSError, TemplateError) as wrong:
            raise ValueError(f"batch_script: {type(wrong).__name__}: {wrong}") from wrong

    def reached_at(self, node: str) -> str:
        """Where a node of this name is reached: by `state_exechost_exp`, in which the name is group 1."""
        expression = str(getattr(self, "state_exechost_exp", ""))
        named = re.fullmatch(r"(.*)", node)
        return named.expand(expression) if named and expression else node
