"""More cookies than the facility reads: a page says so, on either name, and an address clears them."""

import pytest

from benchtop.settings import Settings
from support.front_door import Answer, ask

TOO_MANY = "Your browser sends too many cookies"
CLEARED = "The cookies of this site are cleared"
GOES_THERE = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}
SPELT = {
    "a-little-more": "; ".join(f"c{number}={'x' * 980}" for number in range(14)),
    "many": "; ".join(f"c{number}={'x' * 980}" for number in range(17)),
    "one": f"c={'x' * 17_000}",
    "more-than-apache-reads": "; ".join(f"c{number}={'x' * 3900}" for number in range(26)),
}
FEW = "; ".join(f"c{number}={'x' * 980}" for number in range(10))


def with_cookies(settings: Settings, path: str, cookies: str, host: str, **more: str) -> Answer:
    return ask(settings, path, host=host, headers={"Cookie": cookies, **GOES_THERE, **more})


@pytest.mark.parametrize("cookies", SPELT)
@pytest.mark.parametrize("login", [False, True], ids=["facility", "login"])
def test_too_many_cookies_are_told_of_with_a_button_that_clears_them(
    settings: Settings, cookies: str, login: bool
):
    host = settings.login_name if login else settings.name
    path = "/realms/benchtop/protocol/saml" if login else "/jupyterhub/hpc/hub/home"
    told = with_cookies(settings, path, SPELT[cookies], host)
    assert (told.status in {400, 431}, told.heading) == (True, TOO_MANY)
    assert 'action="/cookies-cleared"' in told.text
    assert "clear-site-data" not in told.headers
    cleared = with_cookies(settings, "/cookies-cleared", SPELT[cookies], host)
    assert cleared.headers["clear-site-data"] == '"cookies"'
    assert cleared.heading == CLEARED


def test_a_page_elsewhere_clears_nothing(settings: Settings):
    """But of who has more than Apache reads, to whom nothing opens in any case."""
    by = {"Sec-Fetch-Site": "cross-site"}
    answer = with_cookies(settings, "/cookies-cleared", SPELT["a-little-more"], settings.name, **by)
    assert "clear-site-data" not in answer.headers


def test_ten_kilobytes_of_cookies_are_no_trouble(settings: Settings):
    """The control, as far as the login."""
    answer = with_cookies(settings, "/jupyterhub/hpc/hub/home", FEW, settings.name)
    assert answer.status == 303
    assert "/mellon/login" in answer.headers["location"]
    assert with_cookies(settings, "/", FEW, settings.login_name).status == 302


def test_an_address_that_is_too_long_is_told_of(settings: Settings):
    assert ask(settings, "/" + "a" * 9000).heading == "This address is too long"
