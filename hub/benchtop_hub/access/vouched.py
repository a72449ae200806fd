"""Pages that go by Apache's word alone: who asks, at this moment. No cookie or token of the hub counts.

So they answer somebody who has not been at this hub before, whatever another person's cookie in the same
browser says. What changes something carries a sign that only a page of ours has, made for this one person.
"""

from typing import ClassVar

from jupyterhub.handlers import BaseHandler

from benchtop_hub.access.identity import Identity, Refused
from benchtop_hub.errors import ForPerson

SIGN_LASTS = 1 / 24  # days


class Vouched(BaseHandler):
    """A page for `person`, whom Apache vouches for."""

    purpose: ClassVar[str]  # of the sign: the sign of one kind of page is none of another's
    person: Identity

    def vouch(self) -> Identity:
        """Who it is. Raises Refused."""
        found: Identity = self.authenticator.identify(self)
        return found

    async def prepare(self) -> None:
        """Nobody else gets further."""
        await super().prepare()
        try:
            self.person = self.vouch()
        except Refused as refused:
            self.authenticator.turn_away(self, refused)

    def set_default_headers(self) -> None:
        """Kept nowhere."""
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")

    def check_xsrf_cookie(self) -> None:
        """Not by a cookie, which this hub may not have given this browser: by `pressed`."""

    @property
    def sign(self) -> str:
        """What each button of this page carries."""
        return self.create_signed_value(self.purpose, self.person.name).decode()

    def pressed(self) -> None:
        """Go on only for a button of a page that this person has opened lately. Raises ForPerson."""
        by = self.get_secure_cookie(self.purpose, self.get_body_argument("sign", ""), max_age_days=SIGN_LASTS)
        if by != self.person.name.encode():
            log = f"no sign of our own page by={self.person.name}"
            raise ForPerson(403, log, "This button has expired. Reload the page and press it again.")
