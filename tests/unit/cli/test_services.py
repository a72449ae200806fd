"""What `make status` and a failed `make up` say about a service."""

import pytest

from benchtop.stack import services
from benchtop.stack.compose import container as read


@pytest.mark.parametrize(
    ("other", "well", "text"),
    [
        ({}, True, "healthy"),
        ({"health": ""}, True, "running"),
        ({"health": "starting"}, False, "starting"),
        ({"health": "starting", "restarts": 2}, False, "starting again, fell over 2 times"),
        ({"health": "unhealthy", "health_output": "no slot\n  is up"}, False, "unhealthy: no slot is up"),
        ({"state": "exited", "exit_code": 0}, False, "stopped"),
        ({"state": "exited", "exit_code": 3}, False, "ended with exit code 3"),
        (
            {"state": "exited", "exit_code": 137},
            False,
            "ended with exit code 137, killed (out of memory?)",
        ),
        (
            {"state": "restarting", "exit_code": 1, "restarts": 7},
            False,
            "keeps crashing: 7 restarts, last exit code 1",
        ),
        ({"state": "created"}, False, "not started"),
        ({"policy": "no", "health": "", "state": "exited"}, True, "done"),
        ({"policy": "no", "health": ""}, False, "at work"),
        ({"policy": "no", "health": "", "state": "exited", "exit_code": 1}, False, "ended with exit code 1"),
    ],
)
def test_a_service_is_described_in_one_line(container, other, well, text):
    assert services.describe("apache", container(**other)) == (well, text)


def test_a_missing_service_is_not_well():
    assert services.describe("apache", None) == (False, "not there")


def test_a_long_answer_of_a_health_check_is_cut(container):
    _, text = services.describe("apache", container(health="unhealthy", health_output="x" * 999))
    assert len(text) < 200


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("Error: listen tcp4 127.0.0.1:8443: bind: address already in use", "Port 8443 was taken"),
        ("Bind for 127.0.0.1:8443 failed: port is already allocated", "Port 8443 was taken"),
        (
            "could not find an available, non-overlapping IPv4 address pool among the defaults",
            "docker network prune",
        ),
        ("Error: something else", "Compose could not start the facility"),
    ],
)
def test_what_compose_says_is_explained(settings, said, message):
    sentence, details = services.explain(settings, ["first", said])
    assert message in sentence
    assert said in details


@pytest.mark.parametrize(
    ("said", "blamed"),
    [
        ("dependency failed to start: container benchtop-apache-1 is unhealthy", True),
        ("dependency failed to start: container benchtop-apache-1 exited (3)", True),
        ("dependency failed to start: container benchtop-ldap-1 is unhealthy", False),
        ("something else", False),
    ],
)
def test_the_container_that_compose_gave_up_on_is_found(container, said, blamed):
    one = container()
    assert (services.blame([" Container benchtop-apache-1  Waiting", said], [one]) is one) is blamed


def test_a_container_is_read_from_what_the_engine_says(container):
    entry = {
        "Id": "0",
        "Name": "/benchtop-apache-1",
        "RestartCount": 2,
        "State": {
            "Status": "running",
            "ExitCode": 0,
            "StartedAt": "",
            "Health": {"Status": "unhealthy", "Log": [{"Output": "old"}, {"Output": "no answer\n"}]},
        },
        "Image": "sha256:0",
        "Config": {
            "Image": "benchtop/apache",
            "Labels": {
                "com.docker.compose.project": "benchtop",
                "com.docker.compose.service": "apache",
                "com.docker.compose.project.working_dir": container().folder,
            },
        },
        "HostConfig": {
            "RestartPolicy": {"Name": "unless-stopped"},
            "PortBindings": {"8443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8443"}]},
        },
    }
    assert read(entry) == container(restarts=2, health="unhealthy", health_output="no answer")


def test_a_container_without_a_health_check_has_no_health():
    entry = {
        "Id": "0",
        "Name": "/x",
        "State": {"Status": "exited", "ExitCode": 0, "Health": {"Status": "none"}},
        "Image": "sha256:0",
        "Config": {"Image": "x", "Labels": None},
        "HostConfig": {},
    }
    one = read(entry)
    assert one.health == ""
    assert one.well


def network(name: str, *, internal: bool = True, **options: str) -> dict[str, object]:
    """A network as `docker network inspect` tells it."""
    return {"Labels": {"com.docker.compose.network": name}, "Internal": internal, "Options": options}


def test_a_network_that_is_not_as_it_should_be_is_made_anew():
    wanted = {"hpc": {"internal": True, "driver_opts": {"inhibit": "true"}}, "front": {}}
    right = [network("hpc", inhibit="true", of_the_engines_own="1"), network("front", internal=False)]
    assert services.differing(wanted, [*right, network("of-before")]) == []
    assert services.differing(wanted, [network("hpc"), *right[1:]]) == ["hpc"]
    assert services.differing(wanted, [network("hpc", inhibit="false"), *right[1:]]) == ["hpc"]
    assert services.differing(wanted, [right[0], network("front")]) == ["front"]
    assert services.differing(wanted, [network("hpc", internal=False, inhibit="true")]) == ["hpc"]
