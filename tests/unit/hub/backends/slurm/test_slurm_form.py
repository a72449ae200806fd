"""A request is held against the person's rights, whichever way it came, and refused with a sentence."""

import json
import re
from dataclasses import replace
from datetime import datetime

import pytest
from bs4 import BeautifulSoup
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchtop_hub.backends import request
from benchtop_hub.backends.page import Place
from benchtop_hub.backends.slurm import form, page
from benchtop_hub.backends.slurm.rights import Choice, Limit, Node, Reservation, Shape
from standins import TEMPLATES

SUPPORT = "hpc-support@example.org"
RULES = form.Rules(cpus=1, memory=1024, support=SUPPORT)
PLACES = [Place("batch", "Slurm job"), Place("login", "Login node", "Login node: small.")]
CPU, PASCAL, TESLA = (
    Shape(16, 8192, {}),
    Shape(8, 4096, {"any": 2, "pascal": 2}),
    Shape(8, 4096, {"any": 2, "tesla": 2}),
)


def choice(partition, account, qos, minutes, gpus=None, shapes=(PASCAL, TESLA)):
    limits = {kind: Limit(count, f"partition:{partition}/Gres") for kind, count in (gpus or {}).items()}
    most = [Limit(max(getattr(s, name) for s in shapes), "nodes") for name in ("cpus", "memory")]
    time = Limit(minutes, f"partition:{partition}/MaxTime")
    return Choice(partition, account, qos, time, limits, *most, shapes)


ALICE = form.Offer(
    [
        replace(
            choice("usatlas", "tier3", "interactive", 720, {"any": 1, "pascal": 1, "tesla": 1}),
            cpus=Limit(4, "qos:interactive/MaxTRES"),
        ),
        choice("usatlas", "tier3", "usatlas", 720, {"any": 2, "pascal": 2, "tesla": 2}),
        choice("debug", "default", "normal", 30, {"any": 1, "pascal": 1}, (CPU, PASCAL)),
        choice("harvester", "default", "normal", 1440, shapes=(CPU,)),
    ],
    [
        Reservation(
            "class", "debug", frozenset(), frozenset(), frozenset(),
            datetime(2026, 11, 25, 12, 0), datetime(2026, 11, 25, 13, 0),
        )
    ],
    [
        Node("gpu-1", "usatlas", 8, 4096, {"any": 2, "pascal": 2}, 6, 3072, {"any": 1, "pascal": 1}),
        Node("gpu-1", "debug", 8, 4096, {"any": 2, "pascal": 2}, 6, 3072, {"any": 1, "pascal": 1}),
        Node("cpu-1", "debug", 16, 8192, {}, 16, 8192, {}),
    ],
)  # fmt: skip
NO_GPU = Limit(0, "assoc:default/MaxTRES")
CAROL = form.Offer(
    [replace(choice("debug", "default", "normal", 30), gpus={"any": NO_GPU, "pascal": NO_GPU})]
)


def granted(offer, **sent):
    return form.check(form.parse(sent), offer, RULES)


def refused(offer, **sent):
    with pytest.raises(request.Refused) as caught:
        granted(offer, **sent)
    return caught.value.problem


def test_who_says_nothing_gets_the_preferred_partition_for_the_usual_time():
    assert granted(ALICE) == form.Granted("usatlas", "tier3", "interactive", "", "none", 0, 1, 1024, 720)


def test_the_usual_time_is_cut_to_what_is_allowed():
    assert granted(ALICE, partition="debug").runtime == 30


def test_an_open_qos_becomes_one_that_covers_the_gpus():
    assert granted(ALICE, partition="usatlas", gpu="tesla:2").qos == "usatlas"


@pytest.mark.parametrize(
    ("gpu", "gres"),
    [("none", ""), ("any:1", "gpu:1"), ("pascal:1", "gpu:pascal:1"), ("pascal", "gpu:pascal:1")],
)
def test_gpus_are_asked_for_in_slurms_words(gpu, gres):
    assert granted(ALICE, partition="usatlas", gpu=gpu).gres == gres


def test_a_form_and_the_api_may_say_the_same():
    by_form = granted(ALICE, partition=["debug"], runtime=["20"], gpu=["pascal:1"], account=[""], qos=[""])
    assert by_form == granted(ALICE, partition="debug", runtime=20, gpu="pascal:1")


@pytest.mark.parametrize(
    ("sent", "field", "rule"),
    [
        ({"partition": "secret"}, "partition", "partitions"),
        ({"partition": "usatlas", "account": "default"}, "account", "partition:usatlas/AllowAccounts"),
        ({"partition": "debug", "qos": "usatlas"}, "qos", "partition:debug/AllowQos"),
        ({"partition": "debug", "gpu": "tesla:1"}, "gpu", "partition:debug/Gres"),
        ({"partition": "debug", "gpu": "pascal:2"}, "gpu", "partition:debug/Gres"),
        ({"partition": "harvester", "gpu": "any:1"}, "gpu", "partition:harvester/Gres"),
        ({"partition": "usatlas", "runtime": 900}, "runtime", "partition:usatlas/MaxTime"),
        ({"partition": "debug", "runtime": "31"}, "runtime", "partition:debug/MaxTime"),
        ({"partition": "usatlas", "cpus": 9}, "cpus", "nodes"),
        ({"qos": "interactive", "cpus": 5}, "cpus", "qos:interactive/MaxTRES"),
        ({"partition": "debug", "gpu": "pascal:1", "cpus": 9}, "cpus", "partition:debug/Nodes"),
        ({"partition": "debug", "memory": 8193}, "memory", "nodes"),
        ({"partition": "debug", "gpu": "pascal:1", "memory": 4097}, "memory", "partition:debug/Nodes"),
        ({"reservation": "another"}, "reservation", "reservations"),
        ({"partition": "usatlas", "reservation": "class"}, "reservation", "reservation:class"),
    ],
)
def test_what_a_person_may_not_use_is_refused_at_its_field(sent, field, rule):
    problem = refused(ALICE, **sent)
    assert (problem.field, problem.rule) == (field, rule)


def test_a_refusal_tells_the_limit_and_what_to_do():
    sentence = refused(ALICE, partition="usatlas", runtime=900).sentence
    assert sentence == (
        "Runtime: 900 minutes is more than usatlas allows you (720). "
        "Choose less, or ask hpc-support@example.org."
    )


def test_who_may_have_no_gpu_is_told_so():
    problem = refused(CAROL, partition="debug", gpu="pascal:1")
    assert problem.rule == "assoc:default/MaxTRES"
    assert "does not include GPUs" in problem.sentence


def test_who_has_no_account_is_told_whom_to_ask():
    assert SUPPORT in refused(form.Offer([]), partition="debug").sentence


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"partition": "debug\n#SBATCH --nodelist=gpu-2"}, "partition"),
        ({"partition": "debug\n"}, "partition"),
        ({"partition": ["debug", "usatlas"]}, "partition"),
        ({"partition": {"a": 1}}, "partition"),
        ({"partition": 7}, "partition"),
        ({"account": "$(id)"}, "account"),
        ({"gpu": "pascal:0"}, "gpu"),
        ({"gpu": "pascal:-1"}, "gpu"),
        ({"gpu": "pascal:1,tesla:1"}, "gpu"),
        ({"gpu": ""}, "gpu"),
        ({"runtime": "soon"}, "runtime"),
        ({"runtime": 0}, "runtime"),
        ({"runtime": -5}, "runtime"),
        ({"runtime": 10.5}, "runtime"),
        ({"runtime": True}, "runtime"),
        ({"runtime": "1e3"}, "runtime"),
        ({"runtime": float("nan")}, "runtime"),
        ({"cpus": "-1"}, "cpus"),
        ({"cpus": "NaN"}, "cpus"),
        ({"cpus": "1_0"}, "cpus"),
        ({"cpus": "\N{ARABIC-INDIC DIGIT THREE}"}, "cpus"),
        ({"memory": "lots"}, "memory"),
        ({"memory": 1e30}, "memory"),
        ({"memory": "9" * 1_000_000}, "memory"),
        ({"reservation": "class --nodelist=gpu-2"}, "reservation"),
        ({"reservation": "class\nqueue 1000"}, "reservation"),
        ({"qos": "#SBATCH"}, "qos"),
        ({"account": "x" * 1_000_000}, "account"),
        ({"partition": "\ud800"}, "partition"),
        ({"partition": "debug\0"}, "partition"),
        ({"cmd\nspawn refused user=erin": "id"}, "?"),
        ({"req_prologue": "id"}, "req_prologue"),
        ({"cmd": ["id"]}, "cmd"),
    ],
)
def test_what_is_no_answer_to_the_question_is_refused(sent, field):
    assert refused(ALICE, **sent).field == field


NASTY = st.sampled_from(
    [
        "debug\n#SBATCH --uid=0",
        "$(id)",
        "`id`",
        "queue 1000",
        "'; id",
        '"',
        "-1",
        "NaN",
        "1e9",
        "../x",
        "\0",
        "x" * 5000,
    ]
)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), NASTY),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=2)),
    max_leaves=4,
)
# what could be granted, so that both ways are taken
PLAUSIBLE = {
    "partition": st.sampled_from(["", "usatlas", "debug", "harvester", "secret"]),
    "account": st.sampled_from(["", "tier3", "default"]),
    "qos": st.sampled_from(["", "usatlas", "interactive", "normal"]),
    "reservation": st.sampled_from(["", "class"]),
    "gpu": st.sampled_from(["none", "any:1", "pascal:1", "pascal:2", "tesla:2"]),
    "cpus": st.integers(0, 20),
    "memory": st.integers(0, 9000),
    "runtime": st.integers(0, 1500),
}
# one word of names and numbers: it could be nothing else to a shell, to sbatch or in a script
HARMLESS = re.compile(r"[A-Za-z0-9_.:-]*", re.ASCII)


# no deadline: the machine may be busy with other tests
@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(
        st.dictionaries(st.one_of(st.sampled_from([*form.FIELDS]), st.text(max_size=8)), ANYTHING),
        st.fixed_dictionaries({}, optional=PLAUSIBLE),
        st.fixed_dictionaries({}, optional={name: st.one_of(v, ANYTHING) for name, v in PLAUSIBLE.items()}),
    )
)
def test_whatever_is_sent_is_refused_with_a_sentence_or_granted_within_the_rights(sent):
    try:
        got = granted(ALICE, **sent)
    except request.Refused as refusal:
        problem = refusal.problem
        assert problem.field in {*form.FIELDS, *sent, "?"}
        assert problem.sentence.endswith(".")
        assert problem.sentence.isprintable()
        assert problem.value.isprintable()
        assert len(problem.sentence) < 400
        return
    (fits,) = [
        c for c in ALICE.choices if (c.partition, c.account, c.qos) == (got.partition, got.account, got.qos)
    ]
    assert 1 <= got.runtime <= fits.minutes.value
    assert got.gpu_count <= fits.offered().get(got.gpu_kind, 0)
    assert 1 <= got.cpus <= fits.cpus.value
    assert 1 <= got.memory <= fits.memory.value
    assert any(
        got.cpus <= shape.cpus
        and got.memory <= shape.memory
        and got.gpu_count <= shape.gpus.get(got.gpu_kind, 0)
        for shape in fits.shapes
    )
    assert got.reservation in {"", "class"}
    assert all(HARMLESS.fullmatch(word) for word in (got.partition, got.account, got.qos, got.gres))


@given(st.fixed_dictionaries({}, optional=PLAUSIBLE))
def test_what_is_left_of_an_earlier_request_is_granted(sent):
    kept, usual = request.still_granted(sent, lambda some: form.check(form.parse(some), ALICE, RULES))
    assert granted(ALICE, **kept) == usual
    assert kept.items() <= sent.items()


def shown(offer, sent=None, problem=None, **asked):
    return page.render(TEMPLATES, offer, RULES, request.Before(asked, sent or {}, problem), PLACES)


def sent_as_it_is(html):
    """What a browser without scripts sends when somebody presses Start at once."""
    soup = BeautifulSoup(html, "html.parser")
    values = {one["name"]: [one["value"]] for one in soup.select("input[name]")}
    for one in soup.select("select[name]"):
        chosen = one.select_one("option[selected]") or one.select_one("option")
        values[one["name"]] = [chosen["value"]]
    return values


@pytest.mark.parametrize("offer", [ALICE, CAROL])
def test_the_form_as_it_comes_is_a_valid_request(offer):
    assert form.check(form.parse(sent_as_it_is(shown(offer))), offer, RULES) == granted(offer)


def test_the_form_as_the_last_start_left_it_is_a_valid_request():
    asked = {"partition": "debug", "gpu": "pascal:1", "cpus": 3, "reservation": "class"}
    assert form.parse(sent_as_it_is(shown(ALICE, **asked))).model_dump(include=asked.keys()) == asked


def script(html):
    """What stands beside the form for the script."""
    return json.loads(re.search(r'<script type="application/json" id="offers">(.*?)</script>', html)[1])


def test_the_form_offers_what_the_person_may_use():
    html = shown(ALICE)
    assert 'value="tesla:2"' in html
    assert "usatlas" in html


def test_the_form_offers_no_gpu_to_who_may_have_none():
    html = shown(CAROL)
    assert "pascal" not in html
    assert "GPU" not in re.sub(r"<script.*", "", html, flags=re.DOTALL)
    assert 'value="none"' in html


def test_the_form_explains_what_this_person_may_choose_in_a_line_each():
    lines = {
        "partition": {"debug": "for tests", "usatlas": "for members"},
        "qos": {"normal": "the usual", "elsewhere": "of another cluster"},
        "gpu": {"pascal": "the older type"},
    }
    rules = replace(RULES, explanations=lines)
    alice, carol = (
        page.render(TEMPLATES, offer, rules, request.Before(), PLACES) for offer in (ALICE, CAROL)
    )
    for line in ("for tests", "for members", "the usual", "the older type"):
        assert line in alice
    assert "of another cluster" not in alice
    assert "for tests" in carol
    assert not any(line in carol for line in ("for members", "the older type"))


def test_the_form_says_that_it_begins_with_the_last_request():
    assert "begins with what you asked for last time" in shown(ALICE, partition="debug")
    assert "begins with what you asked for last time" not in shown(ALICE)


def test_every_field_has_a_label():
    html = shown(ALICE)
    assert all(f'<label for="{name}">' in html and f'id="{name}"' in html for name in form.FIELDS)


def test_reservations_are_a_question_only_where_there_are_some():
    assert 'value="class"' in shown(ALICE)
    assert 'name="reservation"' not in shown(CAROL)


def test_the_form_says_what_is_free_now_and_counts_a_node_once():
    html = " ".join(shown(ALICE).split())
    assert "usatlas 6 of 8 CPUs" in html
    assert "debug 22 of 24 CPUs" in html
    assert "1 of 2 pascal" in html


def test_the_start_page_says_what_is_free_and_of_gpus_to_who_may_have_some():
    alice, carol = page.describe_free(ALICE), page.describe_free(CAROL)
    assert re.match(r"Free now: \d+ of \d+ CPUs, [\d.]+ of [\d.]+ GB memory, 1 of 2 pascal GPUs", alice)
    assert "GPU" not in carol
    assert page.describe_free(form.Offer([])) == ""


def test_the_script_is_told_what_fits_with_what():
    told = script(shown(ALICE))
    fits = {
        tuple(tuple(told["lists"][each]) for each in offer["fits"].values()): offer
        for offer in told["offers"]
    }
    offer = fits[("usatlas",), ("", "tier3"), ("", "interactive"), ("",)]
    assert offer["most"] == {"cpus": 4, "memory": 4096, "runtime": 720}
    assert ("debug",) in {key[0] for key in fits}
    assert {key[3] for key in fits if key[0] == ("debug",)} == {("", "class")}
    assert told["free"]["debug"]["pascal"] == [1, 2]
    assert told["free"]["debug"]["memory"] == [3072 + 8192, 4096 + 8192]


def test_hundreds_of_accounts_with_the_same_limits_are_told_once():
    shared = choice("debug", "a0", "normal", 30)
    many = form.Offer([replace(shared, account=f"a{number}") for number in range(200)])
    assert len(script(shown(many))["offers"]) == len(shared.shapes)
    assert shown(many).count("<option") > 200


def test_the_form_starts_with_what_the_last_start_asked_for():
    html = shown(ALICE, partition="debug", gpu="pascal:1", runtime=20, cpus=3)
    for value in ("debug", "pascal:1"):
        assert f'<option value="{value}" selected>' in html
    assert 'value="20 min"' in html
    assert 'value="3"' in html


def test_what_of_the_last_start_is_no_longer_granted_is_left_out():
    html = shown(CAROL, partition="usatlas", gpu="tesla:2", runtime=20, nonsense="x")
    assert '<option value="debug" selected>' in html
    assert '<input type="hidden" name="gpu" value="none">' in html
    assert 'value="20 min"' in html


def test_a_refused_form_shows_the_sentence_at_the_field_and_keeps_what_was_said():
    problem = request.Problem("runtime", "900", "rule", "Runtime: 900 is too much.")
    html = shown(ALICE, {"runtime": "900", "partition": "debug"}, problem)
    assert 'aria-describedby="runtime-problem runtime-help"' in html
    assert 'value="900"' in html
    assert '<option value="debug" selected>' in html


def test_a_form_that_nobody_refused_complains_of_nothing():
    """A link fills the form in, and so does the last start."""
    html = shown(ALICE, {"partition": "debug"}, request.Problem("", "", "", ""))
    assert "bt-problem" not in html


def test_what_somebody_sent_is_never_markup():
    sneaky = '"><script>alert(1)</script>'
    html = shown(ALICE, {"runtime": sneaky}, request.Problem("runtime", sneaky, "rule", sneaky))
    assert "<script>" not in html


def test_what_the_scheduler_said_cannot_end_the_scripts_data():
    html = shown(form.Offer([choice("</script><b>", "default", "normal", 30)]))
    assert "</script><b>" not in html
