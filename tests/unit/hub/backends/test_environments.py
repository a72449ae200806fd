"""In what a session may be started: read from the software area, offered, checked again, kept."""

import asyncio
import logging
import re
import threading
from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchtop_hub.backends import environments, request
from benchtop_hub.backends.environments import Area
from standins import Node, OnCondor, OnSlurm, Pool, Slurm, reported, start
from standins import session as made
from support import software_examples as examples

HOME = "/home/alice"
LOG = logging.getLogger("test")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return examples.make(tmp_path / "software")


def find(area: Area, asked: str, groups: Collection[str] = ()) -> str:
    return asyncio.run(area.find(asked, groups, home=HOME, support="us@example.org"))


@pytest.mark.parametrize(("groups", "cluster"), examples.SEEN)
def test_everybody_is_offered_what_is_for_them_on_their_cluster(
    root: Path, groups: frozenset[str], cluster: str
):
    offered = asyncio.run(Area(root, cluster, LOG).offered(groups))
    assert [environment.name for environment in offered] == examples.SEEN[groups, cluster]


def test_a_broken_entry_is_told_once_and_costs_no_other(root: Path, caplog: pytest.LogCaptureFixture):
    area = Area(root, "", LOG)
    for _ in "12":
        assert asyncio.run(area.offered((), max_age=-1))
    for path in examples.BROKEN:
        assert caplog.text.count(f"environment left out: {path.partition('/')[0]}:") == 1


def test_a_site_without_an_area_offers_nothing(tmp_path: Path):
    area = Area(tmp_path / "none", "hpc", LOG)
    assert asyncio.run(area.offered(())) == []
    assert find(area, "") == ""


def test_what_is_published_is_offered_after_some_seconds(root: Path):
    now = [0.0]
    area = Area(root, "hpc", LOG, clock=lambda: now[0])
    asyncio.run(area.offered(()))
    examples.put(root / "new/1/environment.json", examples.json.dumps(examples.about("new/1", {})))
    (root / "new/current").symlink_to("1")
    assert "new" not in {one.name for one in asyncio.run(area.offered(()))}
    now[0] = environments.REMEMBER + 1
    assert "new" in {one.name for one in asyncio.run(area.offered(()))}


def test_an_area_that_hangs_holds_up_nobody(root: Path, monkeypatch: pytest.MonkeyPatch):
    area, hung = Area(root, "hpc", LOG), threading.Event()
    known = asyncio.run(area.offered(()))
    monkeypatch.setattr(environments, "PATIENCE", 0.05)
    monkeypatch.setattr(environments, "read", lambda root: hung.wait(10))

    async def twice() -> None:
        assert await area.offered((), max_age=-1) == known
        assert await area.offered((), max_age=-1) == known, "and it is not asked by another thread"
        hung.set()

    asyncio.run(twice())


def test_a_session_keeps_the_version_that_it_was_started_in(root: Path):
    area = Area(root, "hpc", LOG)
    assert find(area, "base") == "base/2026.2"
    assert find(area, "hep", {"usatlas"}) == "hep/2026.1"


@pytest.mark.parametrize("asked", ["hep", "image", "nowhere", "liar", "base/2026.1", "modules", "groups"])
def test_a_name_that_is_not_theirs_is_refused_with_what_they_may_choose(root: Path, asked: str):
    with pytest.raises(request.Refused) as caught:
        find(Area(root, "hpc", LOG), asked)
    problem = caught.value.problem
    assert (problem.field, problem.value, problem.rule) == ("environment", asked, "environments")
    assert problem.sentence.endswith(
        "Choose base, root, or the facility's JupyterLab, or ask us@example.org."
    )


@pytest.mark.parametrize("asked", ["~/my-env", "/home/alice/my-env", "~/my-env/", "/home/alice//my-env"])
def test_a_folder_of_ones_own_is_its_path(root: Path, asked: str):
    assert find(Area(root, "hpc", LOG), asked) == "/home/alice/my-env"


@pytest.mark.parametrize(
    "asked", ["/home/bob/my-env", "~/../bob/my-env", "/home/alice", "~/", "/etc", "~bob/x", "/home/alice-2/x"]
)
def test_a_folder_elsewhere_is_refused(root: Path, asked: str):
    with pytest.raises(request.Refused, match="is not a folder in your home"):
        find(Area(root, "hpc", LOG), asked)


@pytest.mark.parametrize(
    "sent", ["~", "a b", "../base", "-x", "a\n", "~/a\x00", "~/a:b", "x" * 300, 7, ["a", "b"], {}]
)
@pytest.mark.parametrize("where", ["batch", "login"])
def test_what_is_neither_a_name_nor_a_folder_is_refused_at_its_field(sent: object, where: str):
    for kind, batch in ((OnSlurm, Slurm), (OnCondor, Pool)):
        with pytest.raises(request.Refused) as caught:
            made(kind, batch(), Node()).parse_request({"where": where, "environment": sent})
        assert caught.value.problem.field == "environment"
        assert caught.value.problem.sentence.isprintable()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("~/my-env", "~/my-env"), (" my-env ", "~/my-env"), ("/home/alice/x", "/home/alice/x")],
)
def test_the_forms_two_fields_are_one(typed: str, meant: str):
    session = made(OnSlurm, Slurm())
    form = {"environment": ["~"], "environment_path": [typed]}
    assert session.parse_request(form)[1].environment == meant
    kept = session.parse_request({"environment": ["base"], "environment_path": [typed]})[1]
    assert kept.environment == "base", "a folder that is typed beside another choice means nothing"


# ---- a session of a spawner ---------------------------------------------------------------------


@pytest.fixture
def theirs(slurm: Slurm, keys: Path, root: Path, answers: list[str]) -> OnSlurm:
    """Alice's, who may see what members of usatlas may."""
    found = made(OnSlurm, slurm, keys=keys, software=str(root), cluster="hpc")
    found.user.groups = [SimpleNamespace(name="usatlas")]
    return found


def form_of(session: OnSlurm) -> str:
    return asyncio.run(session.get_options_form())


@pytest.mark.parametrize(("kind", "batch"), [(OnSlurm, Slurm), (OnCondor, Pool)])
def test_the_form_begins_with_the_facilitys_own_and_says_what_each_is(kind, batch, root: Path):
    html = form_of(made(kind, batch(), software=str(root), cluster="hpc"))
    values = re.findall(r'<option value="([^"]*)"', html[html.index('id="environment"') :])[:4]
    assert values == ["", "base", "root", "~"]
    assert "What root is for. Kernels: ROOT (Python), ROOT (C++)." in html
    assert "HEP" not in html


def test_a_session_says_what_it_runs_in_to_the_node_the_log_and_the_next_hub(
    theirs: OnSlurm, slurm: Slurm, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    theirs.user_options = {"environment": "hep"}
    start(theirs, reported)
    assert slurm.env["BENCHTOP_ENVIRONMENT"] == "hep/2026.1"
    assert re.search(r"session submitted .* environment=hep/2026\.1 ", caplog.text)
    assert re.search(r"session started .* environment=hep/2026\.1 ", caplog.text)
    state = theirs.get_state()
    assert (state["environment"], state["asked"]["environment"]) == ("hep/2026.1", "hep")
    another = made(OnSlurm, slurm)
    another.load_state(state)
    assert another.environment_name == "hep/2026.1"


def test_a_plain_session_does_not_look_at_the_area(theirs: OnSlurm, slurm: Slurm):
    def never(*_: object, **__: object) -> object:
        raise AssertionError("nobody asked for an environment")

    theirs.area.offered = never  # type: ignore[method-assign,assignment]
    start(theirs, reported)
    assert slurm.env["BENCHTOP_ENVIRONMENT"] == ""
    assert theirs.environment_name == "facility"


def test_a_folder_of_ones_own_is_counted_as_one_and_not_by_its_name(theirs: OnSlurm, slurm: Slurm):
    theirs.user_options = {"environment": "~/secret-project"}
    start(theirs, reported)
    assert slurm.env["BENCHTOP_ENVIRONMENT"] == "/home/alice/secret-project"
    assert theirs.environment_name == "own"


def test_the_last_one_is_remembered_and_one_that_is_gone_is_told(theirs: OnSlurm, root: Path):
    theirs.user_options = {"environment": "hep"}
    start(theirs, reported)
    theirs.clear_state()
    assert '<option value="hep" selected>' in form_of(theirs)
    (root / "hep/current").unlink()
    theirs.area._at = float("-inf")
    html = form_of(theirs)
    assert '<option value="" selected>' in html
    assert "“hep” is not available to you on this cluster, or not any more." in html


def test_one_that_vanishes_between_choosing_and_starting_is_told(
    theirs: OnSlurm, slurm: Slurm, root: Path, caplog: pytest.LogCaptureFixture
):
    theirs.user_options = asyncio.run(theirs.options_from_form({"environment": ["hep"]}))
    (root / "hep/current").unlink()
    theirs.area._at = float("-inf")
    with pytest.raises(Exception, match="environment refused by environments") as caught:
        asyncio.run(theirs.start())
    assert "“hep” is not available to you" in caught.value.jupyterhub_message  # type: ignore[attr-defined]
    assert (
        "spawn refused user=alice cell=hpc-1 field=environment value='hep' rule=environments" in caplog.text
    )
    assert slurm.ran == []


def test_a_link_fills_it_in(theirs: OnSlurm):
    for asked, chosen in (("hep", "hep"), ("~/my-env", "~")):
        with pytest.raises(Exception, match="does not start"):
            asyncio.run(theirs.options_from_query({"environment": [asked]}))
        assert f'<option value="{chosen}" selected>' in form_of(theirs)
