"""What several parts of the facility must know alike, and cannot tell each other, because each runs alone."""

import re
from pathlib import Path

import pytest
import yaml

from benchtop import topology
from benchtop.people import roster

ROOT = Path(__file__).parents[2]
PARTS = ("accounts", "apache", "cli", "condor", "hub", "images", "keycloak", "lab", "minter", "slurm")


def texts(*folders: str, name: str = "*") -> dict[Path, str]:
    """The text files of some folders, less what Python and tests leave in them."""
    found = {}
    for folder in folders or PARTS:
        for file in sorted((ROOT / folder).rglob(name)):
            if file.is_file() and not file.is_symlink() and "__pycache__" not in file.parts:
                found[file] = file.read_text(errors="replace")
    assert found
    return found


def values(pattern: str, *folders: str) -> dict[str, set[str]]:
    """What a pattern captures → the files that say so."""
    said: dict[str, set[str]] = {}
    for file, text in texts(*folders).items():
        for value in re.findall(pattern, text):
            said.setdefault(value, set()).add(str(file.relative_to(ROOT)))
    return said


def test_what_a_login_name_looks_like():
    ours = re.escape("[a-z][a-z0-9_-]{0,")
    by_length = values(rf"{ours}(\d+)\}}")
    longest = re.search(r"(\d+)\}$", roster.NAME.pattern)
    assert longest
    assert {"hub", "apache", "minter", "cli"} <= {name.split("/")[0] for name in by_length[longest[1]]}
    # names of groups may be longer, and the hub alone knows these
    longer = {name for length in by_length.keys() - {longest[1]} for name in by_length[length]}
    assert {name.split("/")[0] for name in longer} <= {"hub"}


def test_from_which_uid_on_a_person_may_be_acted_for():
    (floor,) = values(r"LOWEST_UID = (\d+)", "lab", "minter")
    (guarded,) = values(r"PEOPLE = range\((\d+), 60000\)", "images")
    assert floor == guarded
    assert int(floor) <= roster.LOWEST_UID <= roster.HIGHEST_UID < 60000
    assert values(r"nss_min_uid (\d+)", "images").keys() == {str(roster.LOWEST_UID)}
    assert str(roster.PEOPLE_GID) in values(r"gidNumber: (\d+)", "accounts")


def test_as_whom_a_service_runs():
    """Its image says it, its memory in compose.yaml and the owner of its keys have to follow."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    owners = {}
    for line in "\n".join(texts("images/volumes").values()).splitlines():
        if row := re.match(r"\s*(keys-[^)]*)\)\s+echo (\d+)", line):
            owners |= {name.strip(): row[2] for name in row[1].split("|")}
    assert owners
    compared = 0
    for name, service in services.items():
        build = service.get("build", {})
        users = re.findall(r"^USER (\d+)", (ROOT / build.get("dockerfile", "compose.yaml")).read_text(), re.M)
        if not users or build.get("target") or service.get("user"):
            continue
        for place in service.get("tmpfs", []):
            for uid in re.findall(r"uid=(\d+)", place):
                assert uid == users[-1], f"{name}: {place}"
                compared += 1
        if owner := owners.get(f"keys-{name}"):
            assert owner == users[-1], f"the keys of {name}"
            compared += 1
    assert compared > 10


def test_which_cluster_is_whose():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert services["slurmctld"]["profiles"] == [topology.SLURM]
    assert services["condor-ap"]["profiles"] == [topology.CONDOR]


def test_whom_to_ask_for_help():
    """One setting: nothing else that people meet names an address of its own."""
    address = re.search(r"^BENCHTOP_SUPPORT=(\S+)", (ROOT / ".env").read_text(), re.M)
    assert address
    assert not values(r"([\w-]*support@[\w.-]+)")
    reference = (ROOT / "docs/reference/settings.md").read_text()
    assert address[1] in reference


@pytest.mark.parametrize(
    "sheet",
    [
        "apache/www/assets/style.css",
        "hub/templates/page.html",
        "keycloak/themes/benchtop/login/resources/css/benchtop.css",
    ],
)
def test_colours_come_from_the_one_palette(sheet: str):
    text = (ROOT / sheet).read_text()
    known = set(re.findall(r"(--[\w-]+):", (ROOT / "apache/www/assets/palette.css").read_text()))
    assert "--accent" in known
    # white around a code that a camera reads is no matter of taste
    assert set(re.findall(r"#(?:[0-9a-f]{3}){1,2}\b(?=[;\s,)])", text)) <= {"#fff"}
    used = set(re.findall(r"var\((--(?!pf-|bs-)[\w-]+)", text))
    assert used <= known


def test_keycloak_has_that_palette():
    """Its origin is another one: the theme has the same files, by links that the live copy follows."""
    resources = ROOT / "keycloak/themes/benchtop/login/resources"
    for copy, original in (("css/palette.css", "palette.css"), ("img/benchtop.svg", "icon.svg")):
        assert (resources / copy).resolve() == ROOT / "apache/www/assets" / original
    assert "css/palette.css" in (resources.parent / "theme.properties").read_text()
