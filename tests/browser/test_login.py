"""Who gets in, and how: password, one-time code, and nothing less."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from benchtop.people import accounts, enrol, roster
from benchtop.settings import Settings
from support import pages
from support.tool import tool_prints

WRONG_CODE = "000000"
FULL_WIDTH = str.maketrans("0123456789", "".join(chr(0xFF10 + digit) for digit in range(10)))
# A code as apps show it and as people type or paste it; what is typed differently is the same code
SPELT: dict[str, Callable[[str], str]] = {
    "a-space": lambda code: f"{code[:3]} {code[3:]}",
    "a-hyphen": lambda code: f"{code[:3]}-{code[3:]}",
    "a-space-that-does-not-break": lambda code: f" {code[:2]}\u00a0{code[2:4]}\u202f{code[4:]}\t",
    "digits-of-full-width": lambda code: code.translate(FULL_WIDTH),
}


@pytest.fixture
def dave(settings: Settings) -> Iterator[str]:
    """Dave, who has no second factor: neither before the test nor after it."""
    tool_prints(settings, "people", "reset", "dave")
    yield "dave"
    tool_prints(settings, "people", "reset", "dave")


@pytest.fixture
def reader(settings: Settings, request: pytest.FixtureRequest) -> Iterator[str]:
    """One of tests/people.yaml, who is there for this test alone: logins that fail may lock an account."""
    demo = accounts.load(settings)
    both = roster.load(settings.root / accounts.PEOPLE, settings.root / "tests/people.yaml")
    name = str(request.param)
    accounts.apply(settings, both.model_copy(update={"people": demo.people | {name: both.people[name]}}))
    try:
        enrol.enrol_missing(settings, both.model_copy(update={"people": {name: both.people[name]}}))
        yield name
    finally:
        accounts.apply(settings, demo)


def test_the_browser_trusts_the_facilitys_own_ca_and_no_error_is_ignored(page: Page, settings: Settings):
    answer = page.goto(settings.url)
    assert answer
    details = answer.security_details()
    assert details
    assert details["issuer"] == "Benchtop facility CA"


def test_a_certificate_of_somebody_else_is_refused(page: Page):
    """The control: the same browser does not open the gateway, whose certificate another CA signed."""
    with pytest.raises(Exception, match="ERR_CERT_AUTHORITY_INVALID"):
        page.goto("https://apache:8444/")


@pytest.mark.needs("people")
def test_a_newcomer_enrols_from_the_qr_image_and_comes_back_with_its_code(
    dave: str, new_visitor: Callable[[], Page], settings: Settings, pictures: Path
):
    page = new_visitor()
    pages.give_password(page, settings, dave, enrol.password(settings, dave))
    expect(page.locator("#kc-totp-settings-form")).to_be_visible()
    page.screenshot(path=pictures / "enrolment.png")
    otp = pages.read_qr(page)
    pages.finish_enrolment(page, otp, spelt=lambda code: f"{code[:3]} {code[3:]}")  # as the app shows it
    page.wait_for_url(f"{settings.url}/")
    expect(page.get_by_role("heading", name="Welcome")).to_contain_text("Dave")

    again = new_visitor()
    pages.give_password(again, settings, dave, enrol.password(settings, dave))
    pages.give_code(again, pages.code_after(otp))
    again.wait_for_url(f"{settings.url}/")


@pytest.mark.needs("people")
def test_who_leaves_the_enrolment_page_is_not_in(dave: str, page: Page, settings: Settings):
    pages.give_password(page, settings, dave, enrol.password(settings, dave))
    expect(page.locator("#kc-totp-settings-form")).to_be_visible()
    page.goto(f"{settings.url}/jupyterhub/hpc/")
    expect(page).to_have_url(re.compile(re.escape(settings.login_url)))


@pytest.mark.parametrize("reader", ["reader01"], indirect=True)
@pytest.mark.needs("people")
def test_a_wrong_password_is_refused_and_the_right_one_taken(
    reader: str, page: Page, settings: Settings, pictures: Path
):
    pages.give_password(page, settings, reader, "not-the-password")
    expect(page.locator("[id^=input-error]").first).to_be_visible()
    expect(page.locator("input[name=otp]")).to_have_count(0)
    page.screenshot(path=pictures / "wrong-password.png")
    pages.log_in(page, settings, reader)


@pytest.mark.parametrize("reader", ["reader02"], indirect=True)
@pytest.mark.needs("people")
def test_a_wrong_code_is_refused_and_the_right_one_taken(
    reader: str, page: Page, settings: Settings, pictures: Path
):
    pages.give_password(page, settings, reader, enrol.password(settings, reader))
    pages.give_code(page, WRONG_CODE)
    expect(page.locator("[id^=input-error-otp]").first).to_be_visible()
    page.screenshot(path=pictures / "wrong-code.png")
    pages.give_code(page, enrol.fresh_code(settings, reader))
    page.wait_for_url(f"{settings.url}/")


@pytest.mark.parametrize("reader", ["reader04"], indirect=True)
@pytest.mark.needs("people")
def test_a_code_counts_however_it_is_typed_and_is_no_wrong_attempt(
    reader: str, new_visitor: Callable[[], Page], settings: Settings
):
    """With each refusal the next login would be further away: five wrong attempts lock an account."""
    for spelt in SPELT.values():
        page = new_visitor()
        pages.give_password(page, settings, reader, enrol.password(settings, reader))
        pages.give_code(page, spelt(enrol.fresh_code(settings, reader)))
        page.wait_for_url(f"{settings.url}/")
    page = new_visitor()
    pages.give_password(page, settings, reader, enrol.password(settings, reader))
    pages.give_code(page, f"{WRONG_CODE[:3]} {WRONG_CODE[3:]}")  # the control: it is still looked at
    expect(page.locator("[id^=input-error-otp]").first).to_be_visible()


@pytest.mark.parametrize("reader", ["reader03"], indirect=True)
@pytest.mark.needs("people")
def test_a_code_that_was_used_is_refused(reader: str, new_visitor: Callable[[], Page], settings: Settings):
    code = enrol.fresh_code(settings, reader)
    first = new_visitor()
    pages.give_password(first, settings, reader, enrol.password(settings, reader))
    pages.give_code(first, code)
    first.wait_for_url(f"{settings.url}/")

    second = new_visitor()
    pages.give_password(second, settings, reader, enrol.password(settings, reader))
    pages.give_code(second, code)
    expect(second.locator("[id^=input-error-otp]").first).to_be_visible()


def test_somebody_without_a_cluster_gets_a_page_that_says_whom_to_ask(
    page: Page, settings: Settings, pictures: Path
):
    pages.log_in(page, settings, "frank")
    expect(page.get_by_role("heading", name="Your account has no cluster yet")).to_be_visible()
    expect(page.get_by_role("main").get_by_role("link", name=re.compile("@"))).to_be_visible()
    page.screenshot(path=pictures / "no-cluster.png")
    answer = page.goto(f"{settings.url}/jupyterhub/hpc/")
    assert answer
    assert answer.status == 403


@pytest.mark.needs("hpc/alice", "htc/alice")
def test_the_landing_page_offers_what_the_person_may_use(page: Page, settings: Settings, pictures: Path):
    page.goto(settings.url)
    expect(page.locator("#username")).to_be_visible()
    page.screenshot(path=pictures / "login.png")
    pages.log_in(page, settings, "alice")
    expect(page.get_by_role("link", name="Open notebooks on HPC")).to_be_visible()
    page.screenshot(path=pictures / "landing.png")


@pytest.mark.shares("people")
def test_every_demo_person_can_be_asked_for_by_a_program(settings: Settings):
    """A trainer's script logs in with what `benchtop people --json` prints."""
    people = json.loads(tool_prints(settings, "people", "--json"))
    assert set(accounts.load(settings).people) <= {person["name"] for person in people}
    assert all({"name", "password", "totp_secret", "clusters"} <= person.keys() for person in people)
    assert all(person["totp_secret"] for person in people if person["name"] != "dave")
