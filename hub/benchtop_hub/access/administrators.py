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
from benchtop_hub.access.vouched import Vouched

# What browsers say of a page that somebody goes to; a program says nothing, and has no administrator's login.
GONE_TO = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}
PRESSED = {**GONE_TO, "Sec-Fetch-Site": "same-origin"}  # … and of a button of our own pages
SIGN = "a-page-for-administrators"  # what a button carries, so that no other page's button can be it


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


class ForAdministrators(Vouched):
    """A page that opens for administrators alone. What upstream knows of who is logged in is not asked."""

    purpose = SIGN

    def vouch(self) -> Identity:
        """An administrator. Raises Refused for everybody else."""
        return administrator(self)

    def set_default_headers(self) -> None:
        """In nobody's hands: whoever opened the window loses it."""
        super().set_default_headers()
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
