"""What a session is asked for, by the form, by a link or by the API: read, checked, shown again."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from traitlets import default

from benchtop_hub.access.minter import Refused, Unavailable
from benchtop_hub.backends import commands, page, request
from benchtop_hub.backends.backend import TROUBLES, AnyBackend, Launch
from benchtop_hub.backends.request import Before, Problem
from benchtop_hub.errors import ForPerson, request_id
from benchtop_hub.sessions.placed import Placed
from benchtop_hub.sessions.start import silent
from benchtop_hub.wording import quote


class Asked(Placed):
    """The second part of a session: from what somebody asks for to what a backend grants."""

    _refused: tuple[dict[str, str], Problem] | None = None
    _asked: Mapping[str, Any] = {}  # what the last start asked for that was accepted
    _estimating = False

    def launch(self, env: Mapping[str, str]) -> Launch:
        """What a backend needs to start it with this environment."""
        raise NotImplementedError

    # ---- the form -------------------------------------------------------------------------------

    @default("options_form")
    def _has_form(self) -> Callable[["Asked"], Awaitable[str]]:
        return type(self).render_form

    async def render_form(self) -> str:
        """The form's fields, or what can still be had while a scheduler is silent."""
        sent, problem = self._refused or ({}, None)
        self._refused = None
        first, *others = self.open_backends
        offered, places = await asyncio.gather(
            self.area.offered(self.person.groups), self.describe_places((first, *others))
        )
        try:
            before = Before(self._asked, sent, problem, offered)
            return await first.render_form(self.person, before, places, anew=self._is_reloaded())
        except TROUBLES as trouble:
            message = self._explain_trouble("form", trouble, first)
            # whom the minter lets nobody on to, it lets on to no other
            lost = isinstance(trouble, Refused | Unavailable)
            left = {other.where for other in others if other.stands_in and not lost}
            before = Before({}, sent, problem, offered)
            still = [place for place in places if place.where in left]
            return page.render_small(first.cell.templates, before, still, message=message)
        except ValueError as wrong:
            raise ForPerson(500, "form unknown", self._explain_wrong_setting(wrong)) from None

    async def describe_free(self) -> str:
        """What is free now of what this person may use, in sentences; "" where nobody says."""

        async def free(backend: AnyBackend) -> str:
            try:
                return await backend.describe_free(self.person)
            except (*TROUBLES, ValueError) as trouble:
                self._explain_trouble("free", trouble, backend)
                return ""

        return " ".join(filter(None, await asyncio.gather(*map(free, self.open_backends))))

    def _is_reloaded(self) -> bool:
        """Did somebody press "reload" in their browser? They have perhaps just been told of a change."""
        control = self.handler.request.headers.get("Cache-Control", "") if self.handler else ""
        return control in {"no-cache", "max-age=0"}

    async def options_from_form(self, form_data: Mapping[str, list[str]]) -> dict[str, Any]:
        """What a form said, as it is kept and shown again; refused here, so that the form comes back."""
        sent = request.with_path({name: value for name, value in form_data.items() if name != "_xsrf"})
        try:
            backend, wanted = self.parse_request(sent)
            await self.check_request(backend, wanted)
        except request.Refused as refused:
            known = {name: quote(value[0]) for name, value in sent.items() if value and name in self._fields}
            self._refused = known, refused.problem
            raise self._refusal(refused.problem) from None
        return wanted.model_dump(exclude_unset=True)

    async def options_from_query(self, query_data: Mapping[str, list[str]]) -> dict[str, Any]:
        """A link fills the form in; it starts nothing: upstream starts a session for whoever follows it."""
        sent = {name: quote(value[0]) for name, value in query_data.items() if name in self._fields}
        self._refused = sent, Problem("", "", "", "")
        raise ForPerson(
            400,
            "a link does not start a session",
            "Check the values that the link filled in, then press Start.",
        )

    @property
    def _fields(self) -> set[str]:
        return {name for backend in self.backends for name in backend.fields}

    # ---- read and checked -------------------------------------------------------------------------

    def parse_request(self, sent: Mapping[str, Any]) -> tuple[AnyBackend, request.Request]:
        """Who is to run the session, and what is asked of them. Raises request.Refused.

        The form sends its hidden fields as well: what another backend asks for is no matter of this one.
        """
        theirs = self.open_backends
        values = request.first_values(sent, theirs[0].fields)
        where = values.get("where") or theirs[0].where
        backend = next((one for one in theirs if one.where == where), None)
        if backend is None:
            offered = " or ".join(one.where for one in theirs)
            closed = any(one.where == where for one in self.backends)
            why, rule, advice = "is not one of the choices", "backends", ""
            if closed:
                why, rule, advice = "is not open to you", "closed_to", f", or ask {self.support}"
            sentence = f"Run on: “{quote(where)}” {why}. Choose {offered}{advice}."
            raise request.Refused(Problem("where", quote(where), rule, sentence))
        hidden = self._fields - set(backend.fields)
        return backend, backend.parse_request({n: v for n, v in values.items() if n not in hidden})

    def others_asked(self, backend: AnyBackend) -> dict[str, Any]:
        """What was asked of the other backends before: the next form has it still."""
        return {name: value for name, value in self._asked.items() if name not in backend.fields}

    async def check_request(self, backend: AnyBackend, wanted: request.Request) -> Any:  # noqa: ANN401 each has its own
        """What the backend grants. Raises request.Refused or ForPerson."""
        await self.find_environment(wanted.environment)
        try:
            return await backend.check_request(wanted, self.person)
        except TROUBLES as trouble:
            raise ForPerson(
                503, "rights unknown", self._explain_trouble("rights", trouble, backend)
            ) from None
        except ValueError as wrong:
            raise ForPerson(500, "rights unknown", self._explain_wrong_setting(wrong)) from None

    async def estimate(self, sent: Mapping[str, object]) -> str:
        """When a session of this form would start. Raises request.Refused or ForPerson."""
        if self._estimating:
            advice = "An estimate is already being made. Try again in a moment."
            raise ForPerson(429, "estimate asked for twice", advice)
        self._estimating = True
        try:
            backend, wanted = self.parse_request(sent)
            granted = await self.check_request(backend, wanted)
            return await backend.expected_start(granted, self.launch({}))
        except TROUBLES as trouble:
            if isinstance(trouble, commands.Failed) and not backend.is_silent(trouble):
                return f"{backend.name} would refuse this session: {backend.clean_complaint(str(trouble))}"
            message = self._explain_trouble("estimate", trouble, backend)
            raise ForPerson(503, "start unknown", message) from None
        except ValueError as wrong:
            raise ForPerson(500, "start unknown", self._explain_wrong_setting(wrong)) from None
        finally:
            self._estimating = False

    # ---- refused ----------------------------------------------------------------------------------

    def _refusal(self, problem: Problem) -> ForPerson:
        self.log.warning(
            "spawn refused user=%s cell=%s field=%s value=%r rule=%s request=%s",
            self.user.name, self.cell, problem.field, problem.value, problem.rule,
            request_id(self.handler) if self.handler else "-",
        )  # fmt: skip
        return ForPerson(400, f"{problem.field} refused by {problem.rule}", problem.sentence)

    def _explain_trouble(self, what: str, trouble: Exception, backend: AnyBackend) -> str:
        """What a person reads of it; what: for the log."""
        self.log.error(
            "cluster trouble user=%s cell=%s during=%s: %s: %s",
            self.user.name, self.cell, what, type(trouble).__name__, trouble,
        )  # fmt: skip
        if isinstance(trouble, Refused):
            return f"The cluster refuses you access: {trouble} Contact {self.support}."
        who = silent(trouble, backend)
        return (
            f"{who} does not answer. Try again in a minute. If this keeps happening, contact {self.support}."
        )

    def _explain_wrong_setting(self, wrong: ValueError) -> str:
        """What a person reads where no session can be made of what the site has set; the log says why."""
        self.log.error("configuration wrong user=%s cell=%s: %s", self.user.name, self.cell, wrong)
        return f"A setting of the facility is wrong, so no session can start. Contact {self.support}."
