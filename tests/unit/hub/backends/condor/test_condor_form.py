"""What may be asked for on an HTCondor pool: no more than some place of the kind could ever give."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchtop_hub.backends import request
from benchtop_hub.backends.condor import form
from standins import TEMPLATES

SHOWN = json.dumps(
    [
        {"Machine": node, "IsJupyterSlot": jupyter, "Cpus": free, "Memory": 1024, "Disk": 2048 * 1024.0}
        | {"TotalSlotCpus": 6, "TotalSlotMemory": 2048, "TotalSlotDisk": 4096 * 1024.0}
        for node, jupyter, free in (("ep-1", True, 4), ("ep-1", False, 0), ("ep-2", True, 6))
    ]
)
OFFERED = form.parse_places(SHOWN)
RULES = form.Rules(form.Granted("jupyter", 1, 1024, 512, 480), 1440, "htc-support@example.org")


def refusal(**sent: object) -> request.Problem:
    with pytest.raises(request.Refused) as caught:
        form.check(form.parse(sent), OFFERED, RULES)
    return caught.value.problem


def test_what_the_pool_says_is_understood():
    assert OFFERED[0] == form.Place("ep-1", "jupyter", 6, 2048, 4096, 4, 1024, 2048)
    assert [place.pool for place in OFFERED] == ["jupyter", "standard", "jupyter"]


@pytest.mark.parametrize("nothing", ["", "[]"])
def test_a_pool_without_nodes_has_no_places(nothing: str):
    assert form.parse_places(nothing) == []


@pytest.mark.parametrize("name", ["Machine", *form.SIZES])
@pytest.mark.parametrize("value", [None, True, [], ["6"], {}, float("inf"), float("nan")])
def test_a_slot_that_does_not_say_what_it_has_hides_no_other(name: str, value: object):
    slots = json.loads(SHOWN)
    shown = json.dumps([slots[0], slots[1] | {name: value}, slots[2]])
    assert form.parse_places(shown) == [OFFERED[0], OFFERED[2]]


def test_who_says_nothing_gets_the_usual():
    assert form.check(form.parse({}), OFFERED, RULES) == RULES.usual


def test_a_form_sends_text_and_lists():
    sent = {"pool": ["standard"], "cpus": ["2"], "memory": ["512"], "disk": [" 100 "], "runtime": [""]}
    assert form.check(form.parse(sent), OFFERED, RULES) == form.Granted("standard", 2, 512, 100, 480)


@pytest.mark.parametrize(
    ("sent", "most"), [({"cpus": 7}, "(6)"), ({"memory": 2049}, "(2048 MB)"), ({"disk": 4097}, "(4096 MB)")]
)
def test_more_than_any_place_has_is_refused_with_what_there_is(sent: dict[str, object], most: str):
    problem = refusal(**sent)
    assert problem.field in sent
    assert most in problem.sentence
    assert "htc-support@example.org" in problem.sentence


def test_as_much_as_a_place_has_is_granted():
    sent = {"cpus": 6, "memory": 2048, "disk": 4096, "runtime": 1440}
    assert form.check(form.parse(sent), OFFERED, RULES).cpus == 6


def test_a_runtime_beyond_the_longest_is_refused():
    assert "more than the maximum (1440)" in refusal(runtime=1441).sentence


def test_a_kind_of_place_that_no_node_offers_is_refused():
    with pytest.raises(request.Refused, match="no node offers the Standard pool"):
        form.check(form.parse({"pool": "standard"}), OFFERED[:1], RULES)


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"cpus": "many"}, "CPUs: “many” is not a number."),
        ({"cpus": 0}, "CPUs: “0” is not a number."),
        ({"cpus": 1.5}, "CPUs: “1.5” is not a number."),
        ({"pool": "gpu"}, "Pool: “gpu” is not one of the choices."),
        ({"runtime": "soon"}, "Runtime: “soon” is not a length of time. Write it like 90 min, 12 h or 1:30."),
        ({"runtime": 1.5}, "Runtime: “1.5” is not a number of minutes."),
        ({"memory": "lots"}, "Memory: “lots” is not an amount of memory. Write it like 2 GB or 1500 MB."),
        ({"disk": "lots"}, "Disk: “lots” is not an amount of disk space. Write it like 2 GB or 1500 MB."),
        ({"executable": "/bin/sh"}, "“executable” is not a field of this form."),
        ({"memory": ["1", "2"]}, "Memory: give only one value."),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(sent: dict[str, object], sentence: str):
    assert refusal(**sent).sentence.startswith(sentence)


def page(offered=OFFERED, sent=None, problem=None, **asked):
    return form.render(TEMPLATES, offered, RULES, request.Before(asked, sent or {}, problem), [])


def test_the_form_shows_what_is_free_and_what_is_most():
    shown = page()
    assert "10 of 12 CPUs free" in " ".join(shown.split())
    assert 'max="2048" value="1 GB"' in " ".join(shown.split())
    assert "Maximum 2 GB." in shown


def test_the_start_page_says_what_is_free_of_each_pool():
    told = (
        "Jupyter slots: 10 of 12 CPUs, 2 of 4 GB memory free. "
        "Standard pool: 0 of 6 CPUs, 1 of 2 GB memory free."
    )
    assert form.describe_free(OFFERED) == told
    assert form.describe_free([]) == ""


def test_the_form_comes_back_with_what_was_sent_and_why_it_was_refused():
    problem = refusal(cpus="7")
    shown = page(sent={"cpus": '7"><script>'}, problem=problem)
    assert problem.sentence in shown
    assert "<script>" not in shown
    assert 'aria-describedby="cpus-problem cpus-help"' in shown


def test_the_form_starts_with_what_the_last_start_asked_for():
    html = " ".join(page(pool="standard", cpus=3, memory=4096).split())
    assert '<option value="standard" selected>' in html
    assert 'max="6" value="3"' in html
    assert 'max="2048" value="1 GB"' in html, "more than there is now: the usual"


def test_a_pool_that_cannot_be_seen_has_a_form_that_says_so_and_starts_what_waits():
    html = " ".join(page(offered=[], pool="standard", cpus=3).split())
    assert "No node of the pool is visible" in html
    assert "CPUs free" not in html
    assert '<option value="standard" selected>' in html
    assert '<option value="jupyter">' in html
    assert 'min="1" value="3"' in html, "what there is most of, nobody knows"
    assert html.count('"most":{"cpus":null,"memory":null,"disk":null,"runtime":1440}') == 2


def test_the_form_explains_each_pool_in_a_line_and_says_that_it_begins_with_the_last_request():
    explained = replace(RULES, explanations={"jupyter": "kept for notebooks", "standard": "shared"})
    before = request.Before({"pool": "standard"})
    html = " ".join(form.render(TEMPLATES, OFFERED, explained, before, []).split())
    assert "<strong>Jupyter slots</strong>: kept for notebooks" in html
    assert "<strong>Standard pool</strong>: shared" in html
    assert "begins with what you asked for last time" in html
    assert "begins with" not in page(), "the control: nothing was asked for yet"


def test_amounts_are_read_as_people_write_them():
    sent = {"memory": ["1.5 GB"], "disk": ["2000 MB"], "runtime": ["1:30"]}
    assert form.check(form.parse(sent), OFFERED, RULES) == form.Granted("jupyter", 1, 1536, 2000, 90)


def test_a_job_can_wait_for_a_pool_that_cannot_be_seen():
    assert form.check(form.parse({"pool": "standard", "cpus": 7}), [], RULES).cpus == 7
    with pytest.raises(request.Refused, match="more than the maximum"):
        form.check(form.parse({"runtime": 1441}), [], RULES)
    assert "no node of the pool is visible" in form.expected_start(RULES.usual, [])


def test_a_pool_of_which_one_kind_is_gone_offers_the_other():
    html = page(offered=OFFERED[1:2], pool="jupyter")
    assert '<option value="standard" selected>' in html
    assert 'value="jupyter"' not in html


def test_a_session_would_start_at_once_where_a_place_has_that_much_free():
    whole = form.Granted("jupyter", 6, 1024, 2048, 60)
    assert form.expected_start(whole, OFFERED) == "Expected start: immediately"
    for too_much in ({"cpus": 7}, {"memory": 1025}, {"disk": 2049}, {"pool": "standard"}):
        granted = replace(form.Granted("jupyter", 1, 64, 64, 60), **too_much)
        assert "as soon as that much is free" in form.expected_start(granted, OFFERED)


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text(), max_size=2),
    st.sampled_from(["1\nqueue 1000", "$(id)", "$ENV(HOME)", "-1", "NaN", "1 || true", "9" * 5000]),
)  # fmt: skip
PLAUSIBLE = {
    "pool": st.sampled_from(["jupyter", "standard", ""]),
    "cpus": st.integers(0, 8),
    "memory": st.integers(0, 3000),
    "disk": st.integers(0, 5000),
    "runtime": st.integers(0, 1500),
}


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(
        st.dictionaries(st.one_of(st.sampled_from([*form.FIELDS]), st.text(max_size=8)), ANYTHING),
        st.fixed_dictionaries({}, optional={name: st.one_of(v, ANYTHING) for name, v in PLAUSIBLE.items()}),
    )
)
def test_whatever_is_sent_is_refused_with_a_sentence_or_fits_a_place(sent: dict[str, object]):
    try:
        got = form.check(form.parse(sent), OFFERED, RULES)
    except request.Refused as refusal:
        problem = refusal.problem
    else:
        problem = None
    if problem:
        assert problem.sentence.endswith(".")
        assert problem.sentence.isprintable()
        assert problem.value.isprintable()
        return
    assert 1 <= got.runtime <= RULES.longest
    assert any(
        p.pool == got.pool and got.cpus <= p.cpus and got.memory <= p.memory and got.disk <= p.disk
        for p in OFFERED
    )
    assert all(type(number) is int and number > 0 for number in (got.cpus, got.memory, got.disk))
