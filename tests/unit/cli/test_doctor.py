"""Each thing that a machine may lack is said in one sentence that tells what to do."""

import dataclasses
import errno
from dataclasses import replace

import pytest

from benchtop.console import Problem
from benchtop.host import doctor
from benchtop.host.doctor import GIB, Facts
from benchtop.host.engine import Engine

ENGINE = Engine("26.1.5+dfsg1", "2.26.1-4", True, 24 * GIB, "/var/lib/docker", "Debian", False)


@pytest.fixture
def facts(settings):
    """A machine on which all is well."""
    return Facts(
        settings=settings,
        architecture="x86_64",
        engine=ENGINE,
        no_engine="",
        free_memory=20 * GIB,
        disk=("/var/lib/docker", 60 * GIB),
        containers=(),
        images_built=False,
        port_error=0,
    )


def fixes(facts):
    return [finding.fix for finding in doctor.examine(facts) if finding.fix]


def test_a_good_machine_passes(facts):
    assert fixes(facts) == []
    doctor.require(facts)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"architecture": "riscv64"}, "This machine is riscv64"),
        ({"engine": None, "no_engine": "start Docker Desktop"}, "start Docker Desktop"),
        ({"engine": replace(ENGINE, version="20.10.24")}, "Docker 20.10.24 is too old"),
        ({"engine": replace(ENGINE, compose="")}, "install its compose plugin"),
        ({"engine": replace(ENGINE, compose="v2.23.3")}, "Compose v2.23.3 is too old: update it to 2.24"),
        ({"engine": replace(ENGINE, buildx=False)}, "install its buildx plugin"),
        ({"engine": replace(ENGINE, memory=2 * GIB)}, "The engine has 2.0 GiB of memory: give 4.0 GiB"),
        (
            {"engine": replace(ENGINE, memory=2 * GIB, system="Docker Desktop")},
            "in Docker Desktop's settings",
        ),
        ({"free_memory": GIB}, "Only 1.0 GiB of memory are free: stop other programs"),
        ({"disk": ("/var/lib/docker", 5 * GIB)}, "make room until 10.0 GiB are"),
        ({"port_error": errno.EADDRINUSE}, "Port 8443 on 127.0.0.1 is taken by another program"),
        ({"port_error": errno.EADDRNOTAVAIL}, "127.0.0.1 is not an address of this machine"),
    ],
)
def test_each_lack_is_one_sentence(facts, other, says):
    (fix,) = fixes(replace(facts, **other))
    assert says in fix
    assert "\n" not in fix
    assert fix.endswith((".", "Desktop"))


def test_all_lacks_are_told_at_once(facts):
    bad = replace(facts, free_memory=GIB, disk=("/", GIB))
    with pytest.raises(Problem) as problem:
        doctor.require(bad)
    assert "memory" in str(problem.value)
    assert "make room" in problem.value.details[0]


def test_an_engine_that_will_be_installed_is_no_failure(facts):
    assert fixes(replace(facts, engine=None)) == []


def test_built_images_need_less_disk(facts):
    assert fixes(replace(facts, disk=("/", 5 * GIB), images_built=True)) == []


def test_memory_that_our_own_stack_uses_is_not_missing(facts, container):
    assert fixes(replace(facts, free_memory=GIB, containers=(container(),))) == []


def test_our_own_apache_may_hold_the_port(facts, container):
    assert fixes(replace(facts, containers=(container(),), port_error=errno.EADDRINUSE)) == []


def test_an_older_copy_that_holds_the_port_is_named_with_its_folder(facts, container):
    older = container(project="old", folder="/home/me/old", image="old/apache")
    (fix,) = fixes(replace(facts, containers=(older,), port_error=errno.EADDRINUSE))
    assert "another copy of the facility, project old of /home/me/old: run `make down` there" in fix
    assert "BENCHTOP_PORT=8444" in fix


def test_a_foreign_container_that_holds_the_port_is_named(facts, container):
    other = container(project="shop", service="web", name="shop-web-1", image="nginx", ports=(("", 8443),))
    (fix,) = fixes(replace(facts, containers=(other,), port_error=errno.EADDRINUSE))
    assert "is taken by the container shop-web-1" in fix


@pytest.mark.parametrize(
    ("bind", "other"),
    [
        ("127.0.0.1", {"ports": (("127.0.0.1", 8443),)}),
        ("127.0.0.1", {"ports": (("", 8443),)}),
        ("0.0.0.0", {"ports": (("127.0.0.1", 8443),), "state": "restarting"}),  # noqa: S104
    ],
)
def test_a_live_container_on_an_overlapping_address_holds_the_port(settings, container, bind, other):
    one = container(**other)
    assert doctor.holder((one,), replace(settings, bind=bind)) is one


@pytest.mark.parametrize(
    "other",
    [
        {"ports": (("127.0.0.2", 8443),)},
        {"ports": (("127.0.0.1", 8444),)},
        {"state": "exited"},
    ],
)
def test_another_address_another_port_or_a_stopped_container_does_not(settings, container, other):
    assert doctor.holder((container(**other),), settings) is None


def test_another_checkout_of_the_same_project_is_not_taken_apart(facts, container):
    twin = container(folder="/home/me/other")
    (fix,) = fixes(replace(facts, containers=(twin,)))
    assert "used by the checkout in /home/me/other: run `make clean` there" in fix
    assert "COMPOSE_PROJECT_NAME" in fix


def test_data_of_other_secrets_is_noticed(settings):
    finding = doctor.judge_data(settings, "aaaa", "bbbb")
    assert finding
    assert "`make clean`" in finding.fix
    assert "COMPOSE_PROJECT_NAME" in finding.fix


def test_data_whose_secrets_are_gone_is_noticed(settings):
    assert doctor.judge_data(settings, "aaaa", "")


@pytest.mark.parametrize(("theirs", "ours"), [("aaaa", "aaaa"), ("", "aaaa"), ("", "")])
def test_our_own_data_and_volumes_never_filled_are_fine(settings, theirs, ours):
    assert doctor.judge_data(settings, theirs, ours) is None


@pytest.mark.parametrize(
    ("text", "parts"),
    [("26.1.5+dfsg1", (26, 1, 5)), ("v2.26.1-4", (2, 26, 1)), ("2.24", (2, 24)), ("dev", (0,))],
)
def test_versions_are_compared_by_their_numbers(text, parts):
    assert doctor.version(text) == parts


@pytest.mark.parametrize(
    ("value", "there", "said"),
    [("1", True, ""), ("0", True, "sysctl -w "), ("1", False, "modprobe tun"), (None, True, "")],
)
def test_a_kernel_that_allows_no_containers_is_named(facts, tmp_path, value, there, said):
    setting, tun = tmp_path / "clone", tmp_path / "tun"
    if value is not None:
        setting.write_text(f"{value}\n")
    if there:
        tun.touch()
    found = doctor._no_containers({str(setting): "1"}, tun)
    assert said in found
    assert bool(found) == bool(said)
    hindered = dataclasses.replace(facts, no_containers=found)
    assert ["BENCHTOP_ENGINE=off" in fix for fix in fixes(hindered)] == ([True] if said else [])
    off = dataclasses.replace(facts.settings, engine=False)
    assert fixes(dataclasses.replace(hindered, settings=off)) == []


@pytest.mark.parametrize(("landlock", "told"), [(0, True), (3, True), (4, False), (7, False), (None, False)])
def test_a_kernel_that_cannot_confine_guests_is_named_and_in_nobodys_way(facts, landlock, told):
    seen = dataclasses.replace(facts, landlock=landlock)
    found = [finding for check in doctor.CHECKS for finding in check(seen) if finding.what == "guests"]
    assert ["Linux 6.7" in finding.value for finding in found] == [True] * told
    assert fixes(seen) == []
