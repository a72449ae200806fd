"""What a person's own page sends is not taken for a forgery, whichever of their pages came first.

Upstream believes a form only with the very words that are in the browser's cookie at this moment. Two pages
of a browser that opens the hub for the first time each get a cookie, and the later one makes the other page's
form worth nothing: 403 "XSRF cookie does not match POST argument" to whoever presses Start there.
"""

from jupyterhub._xsrf_utils import _get_signed_value_urlsafe
from jupyterhub.handlers import BaseHandler
from jupyterhub.user import User
from tornado.web import HTTPError


def believe_own_pages() -> None:
    """Take any words that a page carries which this hub made for this very person, in the last 31 days."""
    upstream = BaseHandler.check_xsrf_cookie

    def check_xsrf_cookie(handler: BaseHandler) -> None:
        try:
            upstream(handler)
        except HTTPError:
            if not made_for_this_person(handler):
                raise

    setattr(BaseHandler, "check_xsrf_cookie", check_xsrf_cookie)  # noqa: B010 mypy lets nobody assign a method


def made_for_this_person(handler: BaseHandler) -> bool:
    """Whether the request shows that it comes from a page which this hub showed to who sends it."""
    sent = handler.get_argument("_xsrf", None) or handler.request.headers.get("X-XSRFToken")
    signed = _get_signed_value_urlsafe(handler, "_xsrf", sent) if sent else None
    person = handler.current_user
    # upstream signs SESSION:PERSON; who is not logged in has an address there, and in no way a person's
    whom = signed.decode(errors="replace").rpartition(":")[2] if signed else ""
    return isinstance(person, User) and whom == person.cookie_id
