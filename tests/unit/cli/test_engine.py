"""Whose business a missing engine is, and what is installed where it is ours."""

from dataclasses import replace

import pytest

from benchtop.console import Problem
from benchtop.host import apt, engine
from benchtop.host.apt import Source

BOOKWORM = apt.Release("debian", "12", "bookworm", "Debian 12")
BARE = engine.Machine(BOOKWORM, system="Linux", root=True, daemon=False, init=True, elsewhere="")
SOURCES = [Source("http://a.example/debian", ("bookworm",), ("main",), (("Signed-By", "/k.gpg"),))]


@pytest.mark.parametrize(
    "release",
    [
        BOOKWORM,
        apt.Release("debian", "13", "trixie"),
        apt.Release("debian", "", "forky"),
        apt.Release("ubuntu", "24.04", "noble"),
    ],
)
def test_root_on_a_bare_debian_or_ubuntu_gets_an_engine(release):
    assert engine.advise(replace(BARE, release=release)) == "install"


def test_an_installed_daemon_without_an_init_system_is_started():
    assert engine.advise(replace(BARE, daemon=True, init=False)) == "start"


@pytest.mark.parametrize(
    ("machine", "says"),
    [
        (replace(BARE, elsewhere="tcp://10.0.0.1:2375"), "DOCKER_HOST=tcp://10.0.0.1:2375"),
        (replace(BARE, system="Darwin"), "start Docker Desktop"),
        (replace(BARE, daemon=True), "systemctl start docker"),
        (replace(BARE, root=False), "sudo make up"),
        (replace(BARE, root=False, daemon=True, init=False), "join the group docker"),
        (replace(BARE, release=apt.Release("debian", "11", "bullseye", "Debian 11")), "on Debian 11"),
        (replace(BARE, release=apt.Release("fedora", "42", "", "Fedora 42")), "on Fedora 42"),
    ],
)
def test_everywhere_else_the_person_is_told_what_to_do(machine, says):
    with pytest.raises(Problem, match=says):
        engine.advise(machine)


def test_bookworm_takes_the_engine_alone_from_the_next_release():
    sources, preferences, packages = engine.plan_install(BOOKWORM, SOURCES)
    assert sources == (
        "Types: deb\nURIs: http://a.example/debian\nSuites: trixie\nComponents: main\nSigned-By: /k.gpg\n"
    )
    assert set(packages) - {"iptables"} <= set(engine.PINNED)
    everything, ours = preferences.strip().split("\n\n")
    assert "Package: *" in everything
    assert everything.endswith("Pin-Priority: 100")
    assert "docker-compose" in ours
    assert ours.endswith("Pin-Priority: 600")


@pytest.mark.parametrize(
    ("release", "package"),
    [
        (apt.Release("debian", "13", "trixie"), "docker-compose"),
        (apt.Release("ubuntu", "24.04", "noble"), "docker-compose-v2"),
    ],
)
def test_newer_releases_use_their_own_packages(release, package):
    sources, preferences, packages = engine.plan_install(release, SOURCES)
    assert (sources, preferences) == ("", "")
    assert package in packages


def test_bookworm_without_a_bookworm_archive_is_told():
    with pytest.raises(Problem, match=r"sources\.list"):
        engine.plan_install(BOOKWORM, [Source("https://vendor.example", ("stable",))])


def test_our_daemon_gets_address_ranges_for_many_networks_unless_its_file_says():
    assert "--default-address-pool" in engine.daemon_command("")
    assert "--default-address-pool" not in engine.daemon_command('{"default-address-pools": []}')


def test_a_pid_file_alone_does_not_make_a_process_ours(tmp_path, monkeypatch):
    pidfile = tmp_path / "dockerd.pid"
    pidfile.write_text("1")  # a process that surely runs, and is no daemon of ours
    monkeypatch.setattr(engine, "PIDFILE", pidfile)
    assert engine.ours() is None
