"""What is live, what differs from it, and what a difference takes."""

import shutil
from pathlib import Path

import pytest
import yaml

from benchtop.config import apply, condor, live, slurm
from benchtop.config.apply import CONDOR, PARTS, SLURM
from benchtop.config.part import Part
from benchtop.console import Problem
from benchtop.people import realm
from benchtop.people.roster import load
from benchtop.settings import Settings
from benchtop.stack import compose

ROOT = Path(__file__).parents[3]


@pytest.fixture
def checkout(settings: Settings) -> Path:
    """The configuration of this repository, in a checkout of its own, and live."""
    for part in PARTS:
        for name in part.paths:
            source, target = ROOT / name, settings.root / name
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        live.adopt(settings, part)
    return settings.root


def test_what_was_adopted_has_not_changed(checkout: Path, settings: Settings):
    assert [live.changed(settings, part) for part in PARTS] == [[]] * len(PARTS)


def test_a_changed_a_new_and_a_removed_file_differ(checkout: Path, settings: Settings):
    (checkout / "slurm/gres.conf").write_text("# none\n")
    (checkout / "slurm/new.conf").write_text("# new\n")
    (checkout / "slurm/plugstack.conf").unlink()
    names = ["slurm/gres.conf", "slurm/new.conf", "slurm/plugstack.conf"]
    assert live.changed(settings, SLURM) == names
    live.adopt(settings, SLURM)
    assert live.changed(settings, SLURM) == []
    assert not (settings.live / "slurm/plugstack.conf").exists()


def test_a_script_that_may_no_longer_be_run_differs(checkout: Path, settings: Settings):
    (checkout / "slurm/epilog").chmod(0o644)
    assert live.changed(settings, SLURM) == ["slurm/epilog"]
    live.adopt(settings, SLURM)
    assert live.changed(settings, SLURM) == []


@pytest.mark.parametrize("left", [".slurm.conf.swp", "slurm.conf~", "#slurm.conf#"])
def test_what_an_editor_leaves_is_no_change(left: str, checkout: Path, settings: Settings):
    (checkout / "slurm" / left).write_text("half a sentence")
    assert live.changed(settings, SLURM) == []


def test_what_was_kept_can_be_restored(checkout: Path, settings: Settings):
    before = (checkout / "condor/condor_config").read_text()
    live.keep(settings, CONDOR)
    (checkout / "condor/condor_config").write_text("nonsense")
    (checkout / "condor/config.d/99-more.conf").write_text("MORE = 1")
    live.adopt(settings, CONDOR)
    live.restore(settings, CONDOR)
    assert (settings.live / "condor/condor_config").read_text() == before
    assert live.changed(settings, CONDOR) == ["condor/condor_config", "condor/config.d/99-more.conf"]


def test_a_run_that_was_cut_short_is_taken_up(checkout: Path, settings: Settings):
    assert apply.changes(settings) == {}
    live.keep(settings, SLURM)
    live.begin(settings, SLURM)
    (checkout / "slurm/gres.conf").write_text("# none\n")
    live.adopt(settings, SLURM)
    assert apply.changes(settings) == {SLURM: ["slurm/gres.conf"]}
    live.end(settings, SLURM)
    assert apply.changes(settings) == {}


def test_without_a_live_copy_the_checkout_counts(settings: Settings):
    assert settings.live_file("keycloak/realm.json") == settings.root / "keycloak/realm.json"
    assert all(live.missing(settings, part) for part in PARTS)


def test_a_part_of_a_cluster_that_does_not_run_here_is_left_alone(checkout: Path, settings: Settings):
    (checkout / "condor/condor_config").write_text("nonsense")
    hpc_alone = Settings(**{**vars(settings), "clusters": ("hpc",)})
    assert apply.changes(settings) == {CONDOR: ["condor/condor_config"]}
    assert apply.changes(hpc_alone) == {}


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("name", "old", "new", "restart"),
    [
        ("partitions.conf", "MaxTime=30 ", "MaxTime=45 ", False),
        ("slurm.conf", "KillWait=10 ", "KillWait=20 ", False),
        ("slurm.conf", "# A job", "# Another job", False),
        ("slurm.conf", "SelectType=select/cons_tres", "SelectType=select/linear", True),
        ("laptop.conf", "Port=6823", "Port=6824", True),
    ],
)
def test_only_what_slurm_reads_at_its_start_takes_a_restart(
    name: str, old: str, new: str, restart: bool, checkout: Path, settings: Settings
):
    edit(checkout / "slurm" / name, old, new)
    notice = slurm.plan(settings, live.changed(settings, SLURM)).notice
    assert ("JOBS ON THE NODES END" in notice) == restart
    assert ("jobs keep running" in notice) != restart


def test_a_partition_names_only_what_the_list_of_people_has(checkout: Path, settings: Settings):
    everybody = load(checkout / "accounts/people.yaml")
    slurm.check_names(settings, everybody)
    edit(checkout / "slurm/partitions.conf", "AllowAccounts=tier3 ", "AllowAccounts=tier4 ")
    with pytest.raises(Problem) as caught:
        slurm.check_names(settings, everybody)
    (line,) = caught.value.details
    assert "there is no account tier4" in line
    assert line.startswith("slurm/partitions.conf:")


KNOWN = {"SCHEDD_INTERVAL": "300", "NEGOTIATOR_INTERVAL": "60", "USE_PROCD": "true"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("NEGOTIATOR_INTERVL = 5", "NEGOTIATOR_INTERVAL, perhaps?"),
        ("SCHEDD_INTERVAL = soon", "must be a number, not soon"),
        ("USE_PROCD = maybe", "must be true or false, not maybe"),
    ],
)
def test_what_the_pool_would_not_mention_is_refused(
    line: str, reason: str, checkout: Path, settings: Settings
):
    name, _, value = line.partition(" = ")
    shutil.rmtree(checkout / "condor")
    (checkout / "condor").mkdir()
    (checkout / "condor/a.conf").write_text(f"# one\nOF_OUR_OWN = x\n{line}\n")
    with pytest.raises(Problem) as caught:
        condor.check_doubtful(settings, {name: value, "OF_OUR_OWN": "x"}, KNOWN)
    (said,) = caught.value.details
    assert said.startswith("condor/a.conf:3: ")
    assert reason in said


def test_numbers_truths_and_names_of_our_own_are_not(checkout: Path, settings: Settings):
    shutil.rmtree(checkout / "condor")
    (checkout / "condor").mkdir()
    lines = {"SCHEDD_INTERVAL": "5 * 60", "USE_PROCD": "False", "OF_OUR_OWN": "x"}
    (checkout / "condor/a.conf").write_text("".join(f"{key} = {value}\n" for key, value in lines.items()))
    condor.check_doubtful(settings, lines, KNOWN)


def test_the_values_of_a_dump_are_read():
    dump = "# Configuration from machine: a\nFoo = 1\nBAR =\nLONG = a = b\n"
    assert condor.dumped_values(dump) == {"FOO": "1", "BAR": "", "LONG": "a = b"}


def test_what_a_realm_is_born_with_is_refused_by_its_line():
    text = (ROOT / "keycloak/realm.json").read_text()
    realm.refuse_reborn(text, text)
    realm.refuse_reborn(text.replace('"otpPolicyDigits": 6', '"otpPolicyDigits": 8'), text)
    with pytest.raises(Problem, match=r"keycloak/realm.json:\d+: components differs"):
        realm.refuse_reborn(text.replace('"directory"', '"register"'), text)
    with pytest.raises(Problem, match=r"keycloak/realm.json:2: "):
        realm.refuse_reborn('{"realm": "benchtop"\n"enabled": true}', text)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_each_part_is_of_the_checkout_and_mounted_where_compose_says(part: Part):
    assert all((ROOT / name).exists() for name in part.paths)
    if part.folder:
        assert f"./.benchtop/live/{part.folder}:{part.mount}:ro" in (ROOT / "compose.yaml").read_text()


def test_whoever_adds_a_machine_to_the_composition_has_it_told(settings: Settings, monkeypatch):
    """Nodes and daemons are what compose.yaml says that they are: nothing else lists them."""
    node, execute = {"image": "benchtop/slurm-node"}, {"environment": {"CONDOR_ROLE": "execute"}}
    manager = {"environment": {"CONDOR_ROLE": "central-manager"}}
    parsed = {"cpu-1": node, "cpu-2": node, "condor-ep-1": execute, "condor-ep-9": execute, "cm": manager}
    parsed["htc-login"] = {"environment": {"CONDOR_ROLE": "client"}}
    monkeypatch.setattr(compose, "config", lambda settings, *profiles: {"services": parsed})
    assert slurm.nodes(settings) == ["cpu-1", "cpu-2"]
    assert condor.machines(settings) == {
        "central-manager": ["cm"],
        "access-point": [],
        "execute": ["condor-ep-1", "condor-ep-9"],
    }


def test_this_facilitys_nodes_are_found_that_way():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    nodes = [name for name, service in services.items() if service.get("image", "").endswith("}/slurm-node")]
    assert nodes == ["gpu-1", "gpu-2", "cpu-1"]
