"""The spawn form in a browser: what fits together is shown, and everybody can fill it in."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from benchtop.settings import Settings
from support import pages
from support.hub import Hub

pytestmark = [pytest.mark.needs("hpc/alice", "htc/alice", "htc/bob"), pytest.mark.shares("slurm", "condor")]

FORM = {"hpc": "alice", "htc": "bob"}  # who looks at which


def open_form(page: Page, settings: Settings, cluster: str) -> None:
    page.goto(f"{settings.url}/jupyterhub/{cluster}/hub/spawn")
    expect(page.get_by_role("button", name="Start")).to_be_visible()
    page.get_by_label("Run on").select_option("batch")  # whatever the last start was


@pytest.fixture
def form(page: Page, settings: Settings, arrive: Callable[[Page, str], None]) -> Page:
    """Alice's form on hpc, with nothing changed in it."""
    arrive(page, "alice")
    open_form(page, settings, "hpc")
    return page


@pytest.fixture
def without_script(chromium: Browser, form: Page) -> Iterator[Page]:
    """A browser that runs no script, with alice's cookies: the login itself needs none of it."""
    context = chromium.new_context(java_script_enabled=False, storage_state=form.context.storage_state())
    context.set_default_timeout(pages.PATIENCE)
    yield context.new_page()
    context.close()


def choices(page: Page, label: str) -> list[str]:
    return page.get_by_label(label).locator("option").evaluate_all("all => all.map(one => one.value)")


def test_the_choices_follow_the_partition(form: Page):
    form.get_by_label("Partition").select_option("usatlas")
    assert choices(form, "Account") == ["", "tier3"]
    assert "tesla:1" in choices(form, "GPU")
    form.get_by_label("Partition").select_option("harvester")
    assert choices(form, "GPU") == ["none"]
    assert choices(form, "Quality of service") == ["", "normal"]
    assert {"default", "tier3"} <= set(choices(form, "Account"))


def test_the_limits_follow_the_choices(form: Page):
    form.get_by_label("Partition").select_option("debug")
    expect(form.get_by_label("Runtime")).to_have_attribute("max", "30")
    form.get_by_label("Quality of service").select_option("interactive")
    expect(form.get_by_label("CPUs")).to_have_attribute("max", "4")
    form.get_by_label("Partition").select_option("harvester")
    expect(form.get_by_label("CPUs")).to_have_attribute("max", "8")


def test_a_number_that_is_too_large_is_told_at_its_field_and_kept(form: Page):
    cpus, told = form.get_by_label("CPUs"), form.locator("#cpus-help")
    form.get_by_label("Partition").select_option("debug")
    cpus.fill("99")
    expect(told).to_have_text(re.compile(r"99 is more than the maximum of \d+"))
    expect(cpus).to_have_attribute("aria-invalid", "true")
    form.get_by_label("Quality of service").select_option("interactive")
    expect(cpus).to_have_value("99")
    cpus.fill("1")
    expect(told).to_have_text("Maximum 4")


def test_a_number_that_another_choice_makes_too_large_is_reduced_and_that_is_told(form: Page):
    form.get_by_label("Partition").select_option("harvester")
    form.get_by_label("CPUs").fill("8")
    form.get_by_label("Partition").select_option("debug")
    form.get_by_label("Quality of service").select_option("interactive")
    expect(form.get_by_label("CPUs")).to_have_value("4")
    expect(form.locator("#cpus-help")).to_have_text("Maximum 4. Reduced from 8.")


@pytest.mark.parametrize(
    ("field", "typed", "told"),
    [
        ("Runtime", "90", "That is 1 h 30 min"),
        ("Runtime", "1:30", "That is 1 h 30 min"),
        ("Runtime", "2 hours 30", "That is 2 h 30 min"),
        ("Runtime", "1d", "That is 24 h"),
        ("Memory", "1.5", "That is 1.5 GB"),
        ("Memory", "1500", "That is 1500 MB"),
        ("Memory", "2000 GB", "2000 GB is more than the maximum of 4 GB"),
        ("Runtime", "soon", "not a length of time. Write it like 90 min, 12 h or 1:30."),
        ("Memory", "lots", "not an amount. Write it like 2 GB or 1500 MB."),
    ],
)
def test_an_amount_is_understood_as_people_write_it_and_the_field_says_how(
    form: Page, field: str, typed: str, told: str
):
    form.get_by_label("Partition").select_option("harvester")
    form.get_by_label(field).fill(typed)
    expect(form.locator(f"#{field.lower()}-help")).to_contain_text(told)
    wrong = not told.startswith("That is")
    assert form.get_by_label(field).evaluate("field => field.checkValidity()") is not wrong
    expect(
        form.get_by_role("status").filter(has_text="Expected start" if not wrong else field)
    ).to_be_visible()


@pytest.mark.parametrize("cluster", FORM)
def test_the_form_says_what_each_place_is_good_for(
    page: Page, settings: Settings, cluster: str, arrive: Callable[[Page, str], None]
):
    arrive(page, FORM[cluster])
    open_form(page, settings, cluster)
    assert choices(page, "Run on") == ["batch", "login", "container"]
    lines = page.locator("#where-lines li")
    expect(lines).to_have_count(3)
    for number, words in enumerate(
        ("may wait", "no GPU, one such session at a time", "apart from everybody")
    ):
        expect(lines.nth(number)).to_contain_text(words)
    expect(lines.nth(2)).to_contain_text(re.compile(r"Free now: \d+ of \d+\."))


def test_a_container_has_an_image_and_limits_of_its_own(form: Page):
    expect(form.get_by_label("Image")).to_be_hidden()
    form.get_by_label("Run on").select_option("container")
    for shown in ("Image", "Environment", "CPUs", "Memory", "Runtime"):
        expect(form.get_by_label(shown, exact=True)).to_be_visible()
    for hidden in ("Partition", "Account", "Quality of service", "GPU"):
        expect(form.get_by_label(hidden, exact=True)).to_be_hidden()
    form.get_by_label("CPUs").fill("3")
    expect(form.locator("#cpus-help")).to_have_text("3 is more than the maximum of 2.")
    form.get_by_label("CPUs").fill("2")
    form.get_by_label("Memory").fill("3 GB")
    expect(form.locator("#memory-help")).to_have_text("3 GB is more than the maximum of 2 GB.")
    form.get_by_label("Memory").fill("1 GB")
    form.get_by_label("Runtime").fill("12 h")
    expect(form.locator("#runtime-help")).to_contain_text("Maximum 12 h")
    expect(form.get_by_role("status").filter(has_text="Expected start: immediately")).to_be_visible()
    form.get_by_label("Run on").select_option("batch")
    expect(form.get_by_label("Partition")).to_be_visible()
    expect(form.get_by_label("Image")).to_be_hidden()


def test_a_screen_reader_finds_nothing_serious_wrong_with_the_form_of_a_container(form: Page, pictures: Path):
    form.get_by_label("Run on").select_option("container")
    pages.nothing_serious(form, pictures / "form-container.png")
    form.set_viewport_size(pages.PHONE)
    pages.nothing_serious(form, pictures / "form-container-phone.png")


def test_a_session_in_a_container_says_so_in_its_status_bar(form: Page, own: Callable[[str, str], Hub]):
    own("alice", "hpc")
    form.get_by_label("Run on").select_option("container")
    form.get_by_label("Runtime").fill("20 min")
    form.get_by_role("button", name="Start").click()
    pages.wait_for_lab(form)
    bar = form.get_by_role("group", name="This session")
    expect(bar.get_by_text("container", exact=True)).to_be_visible()
    expect(bar).to_contain_text("left")


def test_the_form_says_when_it_would_start(form: Page):
    expect(form.get_by_role("status").filter(has_text="Expected start")).to_be_visible()


def test_the_form_can_be_filled_in_by_keyboard_alone(form: Page):
    form.get_by_label("Partition").focus()
    seen = [form.evaluate("document.activeElement.name || document.activeElement.id")]
    while seen[-1] != "start" and len(seen) < 20:
        form.keyboard.press("Tab")
        seen.append(form.evaluate("document.activeElement.name || document.activeElement.id"))
    assert seen[-1] == "start"
    assert {"partition", "gpu", "cpus", "memory", "runtime", "account", "qos"} <= set(seen)


@pytest.mark.parametrize("cluster", FORM)
def test_a_screen_reader_finds_nothing_serious_wrong(
    page: Page, settings: Settings, pictures: Path, cluster: str, arrive: Callable[[Page, str], None]
):
    arrive(page, FORM[cluster])
    page.set_viewport_size(pages.PHONE)
    open_form(page, settings, cluster)
    pages.nothing_serious(page, pictures / f"form-{cluster}-phone.png")


def test_the_form_works_without_a_script(without_script: Page, settings: Settings):
    """It is refused by the hub for its runtime, so that no session starts; the rest of it was fine."""
    open_form(without_script, settings, "hpc")
    without_script.get_by_label("Partition").select_option("debug")
    without_script.get_by_label("GPU").select_option("none")
    without_script.get_by_label("Account").select_option("default")
    without_script.get_by_label("Runtime").fill("31")
    without_script.get_by_role("button", name="Start").click()
    sentence = without_script.get_by_text(re.compile("Runtime: 31 minutes is more than debug allows you"))
    expect(sentence.first).to_be_visible()
    expect(without_script.get_by_label("Partition")).to_have_value("debug")
    described = without_script.get_by_label("Runtime").get_attribute("aria-describedby") or ""
    assert "runtime-problem" in described.split()
