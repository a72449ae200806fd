"""What an administrator may do at a hub is a matter of pages, and this is the one guard in front of them.

To JupyterHub nobody is an administrator: a cookie or a token of one has power over nobody else, whoever
shows it. A page for administrators opens for the person who is one by Apache's signature at this moment, and
when it is gone to, or a button of it is pressed. A notebook of theirs has the same origin, and runs what
others wrote. But no script can change what a browser says of a request by itself (Sec-Fetch-…), nor read a
page that it can neither fetch, frame nor, by the opener policy, hold on to as a window; so it never learns a
button's sign.
"""

from collections.abc import Callable
from typing import Any

from jupyterhub.handlers import BaseHandler
from jupyterhub.user import User

from benchtop_hub.access.identity import Identity, Refused, SignedHeaderAuthenticator
from benchtop_hub.errors import ForPerson

# What browsers say of a page that somebody goes to; a program says nothing, and has no administrator's login.
GONE_TO = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}
PRESSED = {**GONE_TO, "Sec-Fetch-Site": "same-origin"}  # … and of a button of our own pages
SIGN = "a-page-for-administrators"  # what a button carries, so that no other page's button can be it
SIGN_LASTS = 1 / 24  # days


def administrator(handler: BaseHandler) -> Identity:
    """The administrator who goes to this page, or presses a button of one. Raises Refused for all others."""
    authenticator: SignedHeaderAuthenticator = handler.authenticator
    identity = authenticator.identify(handler)
    if authenticator.admin_group not in identity.groups:
        sentence = f"This page is for administrators. You are logged in as {identity.name}."
        raise Refused("not-an-admin", sentence, identity.name)
    own = GONE_TO if handler.request.method == "GET" else PRESSED
    for header, value in own.items():
        if set(handler.request.headers.get_list(header)) - {value}:
            sentence = "A script cannot open this page. Open it from the Start page."
            raise Refused("a-script", sentence, identity.name)
    return identity


def looks_on(handler: BaseHandler) -> bool:
    """Does an administrator look at a page that is somebody else's?"""
    try:
        return bool(administrator(handler))
    except Refused:
        return False


def among(group: str) -> Callable[[User | None], bool]:
    """For templates: is this user, by their last login, one of the group? Decides what is shown, no more."""

    def is_one(user: Any) -> bool:  # noqa: ANN401 upstream's has no types
        return any(known.name == group for known in getattr(user, "groups", ()))

    return is_one


class ForAdministrators(BaseHandler):
    """A page that opens for administrators alone. What upstream knows of who is logged in is not asked."""

    admin: Identity

    async def prepare(self) -> None:
        """Nobody else gets further."""
        await super().prepare()
        try:
            self.admin = administrator(self)
        except Refused as refused:
            self.authenticator.turn_away(self, refused)

    def set_default_headers(self) -> None:
        """Kept nowhere, and in nobody's hands: whoever opened the window loses it."""
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")

    def check_xsrf_cookie(self) -> None:
        """Not by a cookie, which this hub does not have of an administrator of another cell: by `pressed`."""

    @property
    def sign(self) -> str:
        """What each button of this page carries."""
        return self.create_signed_value(SIGN, self.admin.name).decode()

    def pressed(self) -> None:
        """Go on only for a button of a page that this administrator has opened lately. Raises ForPerson."""
        by = self.get_secure_cookie(SIGN, self.get_body_argument("sign", ""), max_age_days=SIGN_LASTS)
        if by != self.admin.name.encode():
            log = f"no sign of our own page by={self.admin.name}"
            raise ForPerson(403, log, "This button has expired. Reload the page and press it again.")
