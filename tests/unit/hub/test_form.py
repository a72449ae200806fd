"""A request is held against the person's rights, whichever way it came, and refused with a sentence."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchtop_hub import form
from benchtop_hub.rights import Choice, Limit

TEMPLATES = Path(__file__).parents[3] / "hub/templates"
SUPPORT = "hpc-support@example.org"


def choice(partition, account, qos, minutes, gpus=None):
    limits = {kind: Limit(count, f"partition:{partition}/Gres") for kind, count in (gpus or {}).items()}
    return Choice(partition, account, qos, Limit(minutes, f"partition:{partition}/MaxTime"), limits)


ALICE = [
    choice("usatlas", "tier3", "interactive", 720, {"any": 1, "pascal": 1, "tesla": 1}),
    choice("usatlas", "tier3", "usatlas", 720, {"any": 2, "pascal": 2, "tesla": 2}),
    choice("debug", "default", "normal", 30, {"any": 1, "pascal": 1}),
    choice("harvester", "default", "normal", 1440),
]
NO_GPU = Limit(0, "assoc:default/MaxTRES")
CAROL = [
    Choice(
        "debug", "default", "normal", Limit(30, "partition:debug/MaxTime"), {"any": NO_GPU, "pascal": NO_GPU}
    )
]


def granted(choices, **sent):
    return form.check(form.read(sent), choices, support=SUPPORT)


def refused(choices, **sent):
    with pytest.raises(form.Refused) as caught:
        granted(choices, **sent)
    return caught.value.problem


def test_who_says_nothing_gets_the_preferred_partition_for_the_usual_time():
    assert granted(ALICE) == form.Granted("usatlas", "tier3", "interactive", "none", 0, 720)


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
    assert SUPPORT in refused([], partition="debug").sentence


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
        ({"req_prologue": "id"}, "req_prologue"),
        ({"cmd": ["id"]}, "cmd"),
    ],
)
def test_what_is_no_answer_to_the_question_is_refused(sent, field):
    assert refused(ALICE, **sent).field == field


# no deadline: the machine may be busy with other tests
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from([*form.FIELDS, "x"]),
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text(), max_size=3)
        ),
    )
)
def test_whatever_is_sent_is_refused_with_a_sentence_or_granted_within_the_rights(sent):
    try:
        got = granted(ALICE, **sent)
    except form.Refused as refusal:
        if not refusal.problem.sentence.endswith("."):
            raise
        return
    (fits,) = [c for c in ALICE if (c.partition, c.account, c.qos) == (got.partition, got.account, got.qos)]
    assert 1 <= got.runtime <= fits.minutes.value
    assert got.gpu_count <= fits.offered().get(got.gpu_kind, 0)


def page(choices, sent=None, problem=None):
    return form.render(TEMPLATES, choices, sent or {}, problem, support=SUPPORT)


def test_the_form_offers_what_the_person_may_use():
    html = page(ALICE)
    assert 'value="tesla:2"' in html
    assert "usatlas" in html


def test_the_form_offers_no_gpu_to_who_may_have_none():
    html = page(CAROL)
    assert "pascal" not in html
    assert 'value="none"' in html


def test_every_field_has_a_label():
    html = page(ALICE)
    assert all(f'<label for="{name}">' in html and f'id="{name}"' in html for name in form.FIELDS)


def test_a_refused_form_shows_the_sentence_at_the_field_and_keeps_what_was_said():
    problem = form.Problem("runtime", "900", "rule", "Runtime: 900 is too much.")
    html = page(ALICE, {"runtime": "900", "partition": "debug"}, problem)
    assert 'aria-describedby="runtime-problem"' in html
    assert 'value="900"' in html
    assert '<option value="debug" selected>' in html


def test_what_somebody_sent_is_never_markup():
    sneaky = '"><script>alert(1)</script>'
    html = page(ALICE, {"runtime": sneaky}, form.Problem("runtime", sneaky, "rule", sneaky))
    assert "<script>" not in html
