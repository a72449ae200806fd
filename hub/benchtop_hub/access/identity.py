"""Who is asking: the identity that Apache signed, checked at login and on every page.

Apache sets four headers on requests below /hub/ and removes whatever the client sent under any such
name. They are believed only with a signature made from a secret that Apache and the hub share, and only
for some seconds: whoever else reaches the hub's port gets nothing by sending a header.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

from jupyterhub.app import JupyterHub
from jupyterhub.auth import Authenticator
from jupyterhub.handlers import BaseHandler, LogoutHandler
from jupyterhub.user import User
from tornado.httputil import HTTPHeaders
from traitlets import Bytes, Unicode, default

from benchtop_hub.errors import ForPerson, request_id

FRESH = timedelta(seconds=30)  # as much as two clocks may differ; what is older could be a replay
NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")
GROUP = re.compile(r"[a-z][a-z0-9_-]{0,63}")
TIME = re.compile(r"[0-9]{14}")


@dataclass(frozen=True)
class Identity:
    """A person, as the single sign-on knows them."""

    name: str
    groups: frozenset[str]


class Refused(Exception):  # noqa: N818  # what it is, not that it is an error
    """An identity that must not be believed.

    reason:   a word for the log
    sentence: for the person who sees the page
    claimed:  the name that was claimed, if it is fit to be logged
    """

    def __init__(self, reason: str, sentence: str, claimed: str = "-") -> None:
        super().__init__(reason)
        self.reason = reason
        self.sentence = sentence
        self.claimed = claimed


def sign(secret: bytes, name: str, time: str, groups: bytes) -> str:
    """The signature that Apache makes: `%{sha1:SECRET|USER|TIME|GROUPS|SECRET}`.

    Apache has no HMAC; the secret on both ends keeps the hash from being extended.
    """
    signed = b"|".join((secret, name.encode(), time.encode(), groups, secret))
    return hashlib.sha1(signed, usedforsecurity=False).hexdigest()


def verify(headers: HTTPHeaders, secret: bytes, *, now: datetime) -> Identity:
    """The person whom Apache vouches for.

    headers: of the request; secret: shared with Apache; now: with a time zone.
    Raises Refused for a header that is missing, doubled, misspelt, forged or not of this moment.
    """
    user, time, signature = (_single(headers, f"X-SSO-{name}") for name in ("User", "Time", "Sig"))
    groups = _single(headers, "X-SSO-Groups", empty=True)
    # Only after this line may a name go into a log or a sentence. No separator fits in it, so that
    # what was signed can be read in one way only.
    if not NAME.fullmatch(user):
        raise Refused("bad-name", "The single sign-on sent a user name that is not valid here.")
    if not TIME.fullmatch(time):
        raise Refused("bad-time", "The single sign-on did not send the time of your login.", user)
    try:
        raw = groups.encode("latin-1")  # the bytes that Apache signed: tornado reads headers as Latin-1
        expected = sign(secret, user, time, raw).encode()
        given = signature.encode("ascii")
    except UnicodeEncodeError:
        raise Refused("bad-signature", _NOT_OURS, user) from None
    if not hmac.compare_digest(expected, given):
        raise Refused("bad-signature", _NOT_OURS, user)
    try:
        signed_at = datetime.strptime(time, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise Refused("bad-time", "The single sign-on sent a time that does not exist.", user) from None
    if abs(now - signed_at) > FRESH:
        raise Refused("stale", "Your login was confirmed too long ago. Please reload the page.", user)
    # A name that is not spelt like a group's is none of ours: it must never become one by being cut up.
    return Identity(user, frozenset(group for group in groups.split("|") if GROUP.fullmatch(group)))


_NOT_OURS = "Your identity was not confirmed by this facility's front door."


def _single(headers: HTTPHeaders, name: str, *, empty: bool = False) -> str:
    values = headers.get_list(name)
    if len(values) > 1:
        raise Refused("doubled-header", _NOT_OURS)
    if not values or not (values[0] or empty):
        raise Refused("missing-header", "You reached this page without logging in.")
    return values[0]


class Logout(LogoutHandler):
    """Logs out of the hub and then of the single sign-on: upstream stops after the first half."""

    async def render_logout_page(self) -> None:
        """Go on to the single sign-on's own logout."""
        self.redirect(self.authenticator.logout_address)


class SignedHeaderAuthenticator(Authenticator):
    """Believes Apache's signed headers and nothing else."""

    secret = Bytes(help="What Apache and this hub share.")
    secret_file = Unicode("/keys/sso.secret", help="Where it is read from.").tag(config=True)
    cell = Unicode(help="This hub's name, for the log.").tag(config=True)
    required_group = Unicode(help="Who may use this cluster at all.").tag(config=True)
    admin_group = Unicode("facility-admins", help="For whom the pages for administrators are.").tag(
        config=True
    )
    logout_address = Unicode("/mellon/logout?ReturnTo=/", help="Where logging out goes on.").tag(config=True)
    support = Unicode(help="Whom a person who is refused may ask.").tag(config=True)

    auto_login = True
    manage_groups = True
    # Every request and not "at most every n seconds": upstream counts per person and not per browser,
    # so that while alice works somewhere, a stale cookie of hers elsewhere would be believed as well.
    auth_refresh_age = -1

    @default("allow_all")
    def _allow_all(self) -> bool:
        return True  # who may come here is a matter of groups, below

    @default("secret")
    def _read_secret(self) -> bytes:
        secret = Path(self.secret_file).read_bytes().strip()
        if len(secret) < 32:
            raise ValueError(f"{self.secret_file}: a secret of {len(secret)} characters is none")
        return secret

    def identify(self, handler: BaseHandler) -> Identity:
        """The person of this request. Raises Refused, also for a person who is not let into this cluster."""
        identity = verify(handler.request.headers, self.secret, now=datetime.now(UTC))
        if self.required_group and self.required_group not in identity.groups:
            sentence = f"You are logged in as {identity.name}, but you have no access to this cluster."
            raise Refused("not-a-member", sentence, identity.name)
        return identity

    async def authenticate(self, handler: BaseHandler, data: Mapping[str, str] | None) -> dict[str, Any]:
        """Log in the person whom Apache vouches for; what a form says is not looked at."""
        try:
            return self._model(self.identify(handler))
        except Refused as refused:
            self.turn_away(handler, refused)

    async def refresh_user(self, user: User, handler: BaseHandler | None = None) -> bool | dict[str, Any]:
        """Is a request that claims to be `user`'s really theirs? Asked before every page.

        A request that shows a token is judged by the token: it comes from a session or a program, and
        Apache vouches for nobody there. One that shows a cookie must come with that same person's header.
        """
        if handler is None:
            return False
        if getattr(handler, "_token_authenticated", False) or handler.current_user is not user:
            return True
        try:
            identity = self.identify(handler)
        except Refused as refused:
            self._log(handler, "session refused", refused.reason, refused.claimed, cookie=user.name)
            return False
        if identity.name != user.name:
            self._log(handler, "session refused", "another-person", identity.name, cookie=user.name)
            return False
        model = self._model(identity)
        if user.admin == model["admin"] and {group.name for group in user.groups} == identity.groups:
            return True  # the usual case, and it writes nothing to the database
        return model

    def get_handlers(self, app: JupyterHub) -> list[tuple[str, type[BaseHandler]]]:
        """Our logout in place of upstream's; there is no login form."""
        return [("/logout", Logout)]

    def _model(self, identity: Identity) -> dict[str, Any]:
        return {
            "name": identity.name,
            "admin": False,  # of nobody: what administrators may do is in administrators.py
            "groups": sorted(identity.groups),
        }

    def turn_away(self, handler: BaseHandler, refused: Refused) -> NoReturn:
        """Log why, and show the person the sentence."""
        self._log(handler, "login refused", refused.reason, refused.claimed)
        # The cookie is not touched: whoever can make a browser ask for this page could log people out.
        raise ForPerson(403, refused.reason, refused.sentence)

    def _log(self, handler: BaseHandler, what: str, reason: str, user: str, **more: str) -> None:
        extra = "".join(f" {key}={value}" for key, value in more.items())
        path = quote(handler.request.path, safe="/")  # no line break of a client in our log
        self.log.warning(
            "%s reason=%s user=%s cell=%s path=%s from=%s request=%s%s",
            what, reason, user, self.cell, path, handler.request.remote_ip, request_id(handler), extra,
        )  # fmt: skip
