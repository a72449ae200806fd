"""What the engine grants each container, and what it tells whoever may ask it."""

import base64
import json
import re
from typing import Any

import pytest

from benchtop.keys import secrets
from benchtop.settings import Settings
from benchtop.stack import compose

TESTS_ONLY = {"browser"}  # runs while tests do, publishes a debugging port on loopback


@pytest.fixture(scope="module")
def containers(settings: Settings) -> dict[str, dict[str, Any]]:
    """What `docker inspect` tells of each service's container."""
    ids = compose.run(settings, "--profile", "test", "ps", "--all", "--quiet").stdout.decode().split()
    seen = json.loads(compose.docker("inspect", *ids).stdout)
    return {one["Config"]["Labels"][compose.SERVICE_LABEL]: one for one in seen}


Containers = dict[str, dict[str, Any]]


def test_every_service_has_its_container(containers: Containers, settings: Settings):
    """The control of all that follows: nothing is left out."""
    assert set(compose.config(settings)["services"]) <= set(containers)


def test_none_has_power_over_the_host(containers: Containers):
    for name, one in containers.items():
        host = one["HostConfig"]
        assert host["Privileged"] is False, name
        for kind in ("NetworkMode", "PidMode", "IpcMode", "UTSMode", "UsernsMode"):
            assert host[kind] != "host", (name, kind)
        sources = {mount["Source"] for mount in one["Mounts"]}
        assert not {path for path in sources if "docker.sock" in path}, name
        assert not sources & {"/", "/dev", "/etc", "/proc", "/run", "/sys", "/var/run"}, name


def test_each_starts_without_capabilities_and_cannot_gain_any(containers: Containers):
    for name, one in containers.items():
        host = one["HostConfig"]
        assert host["CapDrop"] == ["ALL"], name
        # the engine's sessions have it, and nobody in the engine is root: test_engine.py
        assert ("no-new-privileges:true" in host["SecurityOpt"]) is (name != "engine"), name
        assert host["ReadonlyRootfs"] is True, name


def test_none_can_take_the_whole_machine(containers: Containers):
    for name, one in containers.items():
        assert one["HostConfig"]["Memory"] > 0, name
        assert 0 < one["HostConfig"]["PidsLimit"] <= 4096, name


A_NODE = {"SETUID", "SETGID", "CHOWN", "KILL", "DAC_OVERRIDE", "SYS_PTRACE"}
AN_EXECUTE_NODE = {"SETUID", "SETGID", "CHOWN", "KILL", "DAC_OVERRIDE"}
MAY_ADD = {  # why: compose.yaml, beside each
    "volumes": {"CHOWN", "FOWNER", "DAC_OVERRIDE"},
    "gpu-1": A_NODE,
    "gpu-2": A_NODE,
    "cpu-1": A_NODE,
    "hpc-login": {"SETUID", "SETGID", "SYS_CHROOT"},
    "htc-login": {"SETUID", "SETGID", "SYS_CHROOT"},
    "condor-ap": {"SETUID", "SETGID", "CHOWN", "DAC_READ_SEARCH"},
    "condor-ep-1": AN_EXECUTE_NODE,
    "condor-ep-2": AN_EXECUTE_NODE,
    "engine": {"SETUID", "SETGID"},
}


def test_capabilities_are_added_where_that_is_explained_only(containers: Containers):
    for name, one in containers.items():
        added = {capability.removeprefix("CAP_") for capability in one["HostConfig"]["CapAdd"] or []}
        assert added <= MAY_ADD.get(name, set()), name


def test_the_front_door_is_the_only_one(containers: Containers, settings: Settings):
    published = {name: one["HostConfig"]["PortBindings"] for name, one in containers.items()}
    doors = {name: ports for name, ports in published.items() if ports and name not in TESTS_ONLY}
    door = {"HostIp": settings.bind, "HostPort": str(settings.port)}
    assert doors == {"apache": {f"{settings.port}/tcp": [door]}}


def test_what_is_published_for_tests_stays_on_this_machine(containers: Containers):
    for name in TESTS_ONLY & set(containers):
        for bindings in containers[name]["HostConfig"]["PortBindings"].values():
            assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}


# ---- secrets ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def confidential(settings: Settings) -> dict[str, str]:
    """Every secret of this facility in each form in which it could be written down, and its name."""
    found: dict[str, str] = {}
    for path in sorted((settings.state / "private").rglob("*")):
        if not path.is_file() or path.name == "id":  # the name of the installation is none
            continue
        content = path.read_bytes()
        name = str(path.relative_to(settings.state))
        if b"-----BEGIN" in content:
            for key in re.findall(rb"PRIVATE KEY-----\n(.{40})", content):
                found[key.decode()] = name
            continue
        forms = [content.hex(), base64.b64encode(content).decode()]
        if content.isascii():
            forms.append(content.decode().strip())
        found |= dict.fromkeys(forms, name)
    for person, login in secrets.logins(settings).items():
        found[login.password] = f"{person}'s password"
        if login.totp_secret:
            found[login.totp_secret] = f"{person}'s second factor"
    assert "private/keycloak-admin.password" in found.values()
    assert "alice's second factor" in found.values()
    return found


def leaks(confidential: dict[str, str], text: str) -> set[str]:
    """The names of the secrets that a text holds; never the secrets, which a failure would print."""
    return {name for value, name in confidential.items() if value in text}


def test_the_engine_can_tell_nobody_a_secret(containers: Containers, confidential: dict[str, str]):
    """Environment, command, labels, health checks: all that `docker inspect` shows."""
    for name, one in containers.items():
        assert leaks(confidential, json.dumps(one)) == set(), name


def test_the_search_would_find_one(containers: Containers, confidential: dict[str, str]):
    value, name = next(iter(confidential.items()))
    told = json.dumps(containers["apache"] | {"Config": {"Env": [f"PASSWORD={value}"]}})
    assert leaks(confidential, told) == {name}


def test_no_command_line_shows_a_secret(containers: Containers, confidential: dict[str, str]):
    for name, one in containers.items():
        if one["State"]["Running"]:
            shown = compose.docker("top", one["Id"], "-eo", "pid,args").stdout.decode()
            assert shown.count("\n") > 1, name  # there is something to see
            assert leaks(confidential, shown) == set(), name


def test_no_log_shows_a_secret(confidential: dict[str, str], settings: Settings):
    log = compose.run(settings, "logs", "--no-color").stdout.decode(errors="replace")
    assert len(log.splitlines()) > 100
    assert leaks(confidential, log) == set()


def test_no_image_keeps_a_secret(containers: Containers, confidential: dict[str, str]):
    """In what the engine tells of it: layers' commands, environment, labels."""
    images = {one["Image"] for one in containers.values()}
    assert leaks(confidential, compose.docker("image", "inspect", *images).stdout.decode()) == set()
    for image in images:
        history = compose.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image).stdout.decode()
        assert leaks(confidential, history) == set(), image
