"""Which forms a hub takes for a person's own: those of any page that it showed to that person."""

import re
import secrets

import pytest
import requests

from support.visitors import Visitor


def token(visitor: Visitor) -> str:
    """What the forms of a page carry."""
    found = re.search(r'name="_xsrf" value="([^"]+)"', visitor.ask("/home").text)
    assert found
    return found[1]


def press(visitor: Visitor, xsrf: str) -> requests.Response:
    """A button of the home page that changes nothing: there is no such server."""
    return visitor.ask("/home", "POST", follow=False, data={"_xsrf": xsrf, "do": "stop", "server": ""})


def test_two_first_pages_of_a_browser_can_both_be_used(visitor: Visitor):
    """Each was asked for without a cookie, so each gave the browser one, and the later ones count."""
    earlier = token(visitor)
    visitor.session.cookies.clear()
    later = token(visitor)
    assert earlier != later
    assert press(visitor, earlier).status_code == 303
    assert press(visitor, later).status_code == 303


@pytest.mark.parametrize("kind", ["another person's", "nobody's", "made up", "cut", "none"])
def test_what_was_not_made_for_this_person_is_refused(visitor: Visitor, kind: str):
    own, other = token(visitor), Visitor(visitor.address, f"p{secrets.token_hex(4)}")
    anonymous = requests.get(f"{visitor.address}/logout", timeout=20).cookies
    sent = {
        "another person's": token(other),
        "nobody's": anonymous.get("_xsrf", "") or "bm9ib2R5",
        "made up": "bWFkZSB1cA",
        "cut": own[:-4],
        "none": "",
    }[kind]
    assert press(visitor, sent).status_code == 403
    assert press(visitor, own).status_code == 303, "the control"
