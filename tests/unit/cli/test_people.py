"""people.yaml: what is right is taken, what is wrong is told with file, line and reason."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchtop.people import roster

ROOT = Path(__file__).parents[3]
HEAD = """\
groups:
  usatlas: {gid: 3001, description: US ATLAS}
slurm:
  qos: {normal: {priority: 100}, quick: {preempt: [normal]}}
  accounts:
    default: {description: Everybody, qos: [normal]}
people:
"""
ALICE = """\
  alice: {name: Alice Archer, uid: 2001, mail: alice@example.org, clusters: [hpc], accounts: [default]}
"""
FIRST = HEAD.count("\n") + 2  # the line after alice's


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a text as people.yaml."""
    monkeypatch.chdir(tmp_path)

    def loaded(text, *more):
        paths = [tmp_path / f"{word}.yaml" for word in ("people", "more")[: 1 + len(more)]]
        for path, content in zip(paths, (text, *more), strict=True):
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return roster.load(*paths)

    return loaded


@pytest.fixture
def refused(load):
    """The mistakes found in a text."""

    def mistakes(*texts):
        with pytest.raises(roster.Invalid) as caught:
            load(*texts)
        return caught.value.details

    return mistakes


def test_the_people_of_the_facility_are_right():
    found = roster.load(ROOT / "accounts/people.yaml").people
    assert set(found) == {"alice", "bob", "carol", "dave", "erin", "frank", "gina", "heidi", "ivan"}
    assert (found["alice"].clusters, found["alice"].accounts) == (["hpc", "htc"], ["default", "tier3"])
    assert found["carol"].limits.gpu == 0
    assert found["bob"].clusters == ["htc"]
    assert found["frank"].clusters == []
    assert [name for name, person in found.items() if not person.enrolled] == ["dave"]
    assert [name for name, person in found.items() if person.admin] == ["erin"]


def test_forty_more_for_load_tests_are_right_too():
    found = roster.load(ROOT / "accounts/people.yaml", ROOT / "tests/people.yaml").people
    assert len(found) == 49


def test_a_person_needs_little(load):
    frank = load(HEAD + "  frank: {name: Frank Fisher, uid: 2006, mail: f@example.org}\n").people["frank"]
    assert (frank.clusters, frank.admin, frank.enrolled) == ([], False, True)


def entry(name="bob", /, **fields):
    """One person on one line, right but for what a test wants otherwise; None leaves a field out."""
    right = {"name": "Bob Baker", "uid": 2002, "mail": "b@x.org"}
    return f"  {name}: {{{', '.join(f'{k}: {v}' for k, v in (right | fields).items() if v is not None)}}}\n"


FULL_NAME = "name: must be a given and a family name, at most 64 letters, not"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"uid": 2001}, "uid: “2001” belongs to alice already"),
        ({"uid": 0}, "uid: “0” is too small: at least 2001"),
        ({"uid": 2000}, "uid: “2000” is too small: at least 2001"),
        ({"uid": -1}, "uid: “-1” is too small: at least 2001"),
        ({"uid": 60000}, "uid: “60000” is too large: at most 59999"),
        ({"uid": "'2002'"}, "uid: must be a whole number, not “2002”"),
        ({"uid": "02002"}, "uid: must be a whole number, not “02002”"),  # YAML reads it as octal
        ({"uid": "33:22"}, "uid: must be a whole number, not “33:22”"),  # and this as minutes
        ({"uid": "2002.0"}, "uid: must be a whole number, not “2002.0”"),
        ({"uid": "true"}, "uid: must be a whole number, not “True”"),
        ({"mail": None}, "mail: is missing"),
        ({"mail": "nowhere"}, "mail: must be a mail address, not “nowhere”"),
        ({"mail": "ALICE@example.org"}, "mail: “ALICE@example.org” belongs to alice already"),
        ({"name": "Bob"}, f"{FULL_NAME} “Bob”"),
        ({"name": "'Bob: Baker'"}, f"{FULL_NAME} “Bob: Baker”"),
        ({"name": f"Bob {'x' * 70}"}, f"{FULL_NAME} “Bob {'x' * 70}”"),
        ({"clusters": "[mars]"}, "clusters.0: “mars” is not one of hpc or htc"),
        ({"clusters": "hpc"}, "clusters: must be a list like [one, two], not “hpc”"),
        ({"groups": "[nobodies]"}, "groups: there is no group “nobodies” (usatlas)"),
        ({"groups": "[usatlas, usatlas]"}, "groups: “usatlas” is named twice"),
        (
            {"clusters": "[hpc]", "accounts": "[vip]"},
            "accounts: there is no account “vip” (default)",
        ),
        ({"clusters": "[hpc]"}, "accounts: is missing: whoever is on the cluster hpc needs one"),
        (
            {"accounts": "[default]"},
            "accounts: is for people on the cluster hpc, which is not among theirs",
        ),
        ({"qos": "[vip]"}, "qos: there is no QOS “vip” (normal, quick)"),
        ({"limits": "{gpu: -1}"}, "limits.gpu: “-1” is too small: at least 0"),
        ({"limits": "{gpus: 1}"}, "limits.gpus: is not known here (a typing error?)"),
        ({"admin": "yes"}, "admin: must be true or false, not “yes”"),
        ({"shell": "zsh"}, "shell: is not known here (a typing error?)"),
    ],
)
def test_a_wrong_field_is_told_with_its_line_and_reason(refused, wrong, reason):
    assert refused(HEAD + ALICE + entry(**wrong)) == [f"people.yaml:{FIRST}: people.bob.{reason}"]


@pytest.mark.parametrize("name", ["Bob", "b.ob", "1bob", "-bob", "bób", "b" * 32, '"b ob"', '""', '"../bob"'])
def test_a_name_that_cannot_be_an_account_is_refused(refused, name):
    plain = name.strip('"')
    assert refused(HEAD + ALICE + entry(name)) == [
        f"people.yaml:{FIRST}: “{plain}” is not a login name: a letter first, then a-z, 0-9, - and _, "
        "at most 31 characters"
    ]


@pytest.mark.parametrize("name", ["root", "www-data", "slurm", "postgres", "nobody", "admin"])
def test_a_person_cannot_be_called_like_the_system(refused, name):
    assert refused(HEAD + ALICE + entry(name)) == [
        f"people.yaml:{FIRST}: “{name}” is a name of the system: choose another login name"
    ]


@pytest.mark.parametrize("name", ["on", "no", "null", "17", "2024-01-01"])
def test_a_name_that_yaml_takes_for_something_else_wants_quotes(load, refused, name):
    assert refused(HEAD + ALICE + entry(name)) == [
        f"people.yaml:{FIRST}: “{name}” is not a name (put it in quotes if it is meant as one)"
    ]


@pytest.mark.parametrize(
    ("line", "shown"), [("bob: 2002", "“2002”"), ("bob:", "nothing"), ("bob: [hpc]", "a list or mapping")]
)
def test_a_person_is_a_mapping(refused, line, shown):
    wanted = [f"people.yaml:{FIRST}: people.bob: must be a mapping, not {shown}"]
    assert refused(f"{HEAD}{ALICE}  {line}\n") == wanted


def test_the_same_person_twice_is_told_with_both_lines(refused):
    assert refused(HEAD + ALICE + entry("alice")) == [
        f"people.yaml:{FIRST}: “alice” is here a second time (first in line {FIRST - 1})"
    ]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "is empty: it must list people below `people:`"),
        ("# nobody yet\n", 1, "is empty: it must list people below `people:`"),
        ("people:\n", 1, "people: must be a mapping, not nothing"),
        ("people: {}\n", 1, "people: must not be empty"),
        ("groups: {}\n", 1, "people: is missing"),
        ("- alice\n", 1, "is not a mapping: it must list people below `people:`"),
        ("alice\n", 1, "is not a mapping: it must list people below `people:`"),
        (
            "people:\n  alice: {name: Alice\n",
            3,
            "this is not YAML: expected ',' or '}', but got '<stream end>'",
        ),
        ("people:\n\talice: {}\n", 2, "this is not YAML: found character '\\t' that cannot start any token"),
        ("people: {}\n---\npeople: {}\n", 2, "this is not YAML: but found another document"),
        ("people:\n  a\x07b: {}\n", 2, "holds a control character, which no text should"),
        (b"people:\n  caf\xe9: {}\n", 2, "this is not UTF-8 text"),
        (
            "people: &everybody\n  bob: {}\n",
            1,
            "anchors and aliases are not used here: write “everybody” out",
        ),
        ("people: !!set {a}\n", 1, "tags are not used here: leave “tag:yaml.org,2002:set” out"),
        ("x:\n  y: " + "[" * 3000, 2, "is nested too deeply"),
        ("colours: {}\n" + HEAD + ALICE, 1, "colours: is not known here (a typing error?)"),
    ],
)
def test_a_file_that_is_no_list_of_people_is_told(refused, text, line, reason):
    assert refused(text)[0] == f"people.yaml:{line}: {reason}"


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(roster.Invalid) as caught:
        roster.load(tmp_path / "nothing.yaml")
    assert caught.value.details == [f"{tmp_path}/nothing.yaml:1: cannot be read: No such file or directory"]


def test_all_mistakes_are_told_in_one_go(refused):
    text = (
        HEAD
        + ALICE
        + (
            "  bob: {name: Bob, uid: 2001, mail: b@x.org}\n"
            "  carol: {name: Carol C, uid: x, mail: b@x.org, groups: [none]}\n"
            "  root: 5\n"
        )
    )
    found = [line.split(":", 2)[1] for line in refused(text)]
    assert found == [str(FIRST)] * 2 + [str(FIRST + 1)] * 3 + [str(FIRST + 2)] * 2


def test_entries_on_several_lines_are_told_by_the_line_that_is_wrong(refused):
    text = """\
  bob:
    name: Bob Baker
    mail: b@x.org
    uid: 12
    groups:
      - usatlas
      - mars
"""
    assert [line.split(":")[1] for line in refused(HEAD + text)] == [str(FIRST + 2), str(FIRST + 5)]


def test_what_slurm_grants_is_checked_as_well(refused):
    text = """\
groups:
  people: {gid: 3001}
  cluster-hpc: {gid: 12}
slurm:
  qos:
    normal: {priority: high, preempt: [rest]}
    quick: {max_tres_per_user: gpu=1, preempt_mode: kill, flags: [Anything]}
  accounts:
    default: {description: Everybody, qos: []}
    other: {description: Other's, qos: [slow]}
"""
    found = refused(text + "people:\n" + ALICE)
    assert [line.split(":", 2)[1] for line in found] == [
        "2",
        "3",
        "3",
        "6",
        "6",
        "7",
        "7",
        "7",
        "9",
        "10",
        "10",
    ]


def test_more_people_cannot_take_a_name_or_uid_of_the_first(refused):
    more = "people:\n  alice: {name: Alice Archer, uid: 2001, mail: alice@example.org}\n"
    assert [line.split(" ", 1)[0] for line in refused(HEAD + ALICE, more)] == ["more.yaml:2:"] * 3


def test_more_people_use_the_groups_of_the_first(load):
    more = "people:\n  bob: {name: Bob Baker, uid: 2002, mail: b@x.org, groups: [usatlas]}\n"
    assert list(load(HEAD + ALICE, more).people) == ["alice", "bob"]


def test_a_name_in_quotes_is_a_name(load):
    assert "on" in load(HEAD + '  "on": {name: Oskar N, uid: 2002, mail: o@x.org}\n').people


def test_names_of_every_language_are_welcome(load):
    text = HEAD + '  zoe: {name: "Zoë D\'Arc-Łukasz", uid: 2002, mail: z@x.org}\n'
    assert load(text).people["zoe"].name == "Zoë D'Arc-Łukasz"


# ---- whatever somebody types ------------------------------------------------------------------

words = st.sampled_from(["people", "groups", "slurm", "qos", "accounts", "alice", "uid", "mail", "limits"])
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | words | st.dates()
keys = words | st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.dates()


def branches(inner):
    return st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5)


trees = st.recursive(leaves, branches, max_leaves=16)


def taken_or_refused_with_lines(data):
    """Load these bytes; anything but people or Invalid is an error of the test."""
    path = Path("anything.yaml")
    path.write_bytes(data)
    try:
        roster.load(path)
    except roster.Invalid as error:
        lines = error.details
    else:
        return
    assert lines
    assert all(re.match(r"anything\.yaml:\d+: .", line) for line in lines), lines


@pytest.fixture(scope="module", autouse=True)
def _somewhere(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("yaml"))
        yield


@given(trees)
@example({"people": {"\n": {}}})
@settings(max_examples=200, deadline=None)
def test_any_yaml_is_taken_or_refused_with_lines(tree):
    taken_or_refused_with_lines(yaml.safe_dump(tree).encode())


@given(st.dictionaries(words, trees, max_size=4))
@settings(max_examples=200, deadline=None)
def test_any_entry_is_taken_or_refused_with_lines(entries):
    both = f"alice: {yaml.safe_dump(entries, default_flow_style=True)}  bob: {{}}\n"
    taken_or_refused_with_lines(f"people:\n  {both}".encode())


@given(st.binary(max_size=80) | st.text("{}[]:,&*!|>'\"%@`#-? \n\tabc0", max_size=60).map(str.encode))
@example(b"!!binary x")
@example(b"people: !!timestamp 2024-99-99")
@example(b"? [a, b]\n: c")
@example(b"people: {? {a: b} : c}")
@example(b"<<: 1")
@example(b"%YAML 9.9\n---\npeople: {}")
@example(b"people: !<tag:yaml.org,2002:int> x")
@example(b"people: " + b"9" * 5000)
@example(b'people: "\\ud800"')
@example(b'people: {"\\ud800": 1}')
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_taken_or_refused_with_lines(data):
    taken_or_refused_with_lines(data)
