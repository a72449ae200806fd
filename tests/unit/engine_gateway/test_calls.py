"""A hub's call is one of a dozen, spelt in one way; the address of everything else is refused."""

import json
import logging
from typing import Any

import pytest

from engine_gateway.calls import KINDS, read_target
from engine_gateway.verdicts import Malformed, Refused

from .conftest import Facility, good, mark

MINE = "f" * 64

# Calls of Docker's API that no hub has, each with its name in the sentence
NEVER = [
    ("POST", f"/containers/{MINE}/exec", "exec"),
    ("POST", f"/exec/{MINE}/start", "exec"),
    ("GET", f"/exec/{MINE}/json", "exec"),
    ("POST", f"/containers/{MINE}/attach?stream=1&stdin=1", "attach"),
    ("GET", f"/containers/{MINE}/attach/ws", "attach"),
    ("POST", "/commit?container=x", "commit"),
    ("POST", "/build?remote=x", "build"),
    ("POST", "/session", "build"),
    ("POST", "/images/create?fromImage=debian&tag=latest", "pull"),
    ("POST", "/images/load", "load"),
    ("GET", "/images/get?names=x", "export"),
    ("POST", "/images/benchtop/session/push", "push"),
    ("POST", "/images/benchtop/session/tag?repo=x", "tag"),
    ("DELETE", "/images/benchtop/session:1", "no such call"),
    ("POST", "/images/prune", "prune"),
    ("GET", f"/containers/{MINE}/export", "export"),
    ("GET", f"/containers/{MINE}/archive?path=/", "archive"),
    ("PUT", f"/containers/{MINE}/archive?path=/", "archive"),
    ("HEAD", f"/containers/{MINE}/archive?path=/", "archive"),
    ("POST", f"/containers/{MINE}/copy", "copy"),
    ("POST", f"/containers/{MINE}/update", "update"),
    ("POST", f"/containers/{MINE}/rename?name=bt-hpc-1-erin", "rename"),
    ("POST", f"/containers/{MINE}/resize?h=1", "resize"),
    ("POST", f"/containers/{MINE}/pause", "no such call"),
    ("POST", f"/containers/{MINE}/unpause", "no such call"),
    ("POST", f"/containers/{MINE}/restart", "no such call"),
    ("GET", f"/containers/{MINE}/top", "no such call"),
    ("GET", f"/containers/{MINE}/stats", "stats"),
    ("GET", f"/containers/{MINE}/changes", "no such call"),
    ("POST", "/containers/prune", "prune"),
    ("GET", "/volumes", "volumes"),
    ("POST", "/volumes/create", "volumes"),
    ("DELETE", "/volumes/engine", "volumes"),
    ("GET", "/networks", "networks"),
    ("POST", "/networks/create", "networks"),
    ("POST", "/networks/podman/connect", "networks"),
    ("GET", "/events", "events"),
    ("GET", "/system/df", "system"),
    ("POST", "/auth", "auth"),
    ("POST", "/swarm/init", "swarm"),
    ("GET", "/nodes", "nodes"),
    ("POST", "/services/create", "services"),
    ("GET", "/secrets", "secrets"),
    ("POST", "/plugins/pull?remote=x", "plugins"),
    ("GET", "/configs", "configs"),
    ("GET", "/distribution/debian/json", "distribution"),
    ("POST", "/libpod/containers/create", "libpod"),
    ("POST", "/v5.0.0/libpod/containers/create", "libpod"),
    ("GET", "/v5.0.0/libpod/containers/json", "libpod"),
    ("GET", f"/libpod/containers/{MINE}/mount", "libpod"),
    ("POST", "/v5.0.0/libpod/play/kube", "libpod"),
]


@pytest.mark.parametrize(
    ("method", "target", "named"), NEVER, ids=[f"{one[0]} {one[1][:40]}" for one in NEVER]
)
@pytest.mark.parametrize("version", ["", "/v1.41"])
def test_what_no_hub_may_ask_is_refused_by_name(method: str, target: str, named: str, version: str):
    with pytest.raises(Refused, match=named):
        read_target(method, f"{version}{target}")


# Second spellings of what is allowed, and addresses that another program might read otherwise
ODD = [
    "//containers/json",
    "/containers//json",
    "/containers/json/",
    "/containers/./json",
    "/containers/../containers/json",
    "/containers/%6ason",
    "/containers%2fjson",
    "/%63ontainers/json",
    "/containers/json%00",
    "/containers/json#x",
    "/containers/json;x",
    "/containers\\json",
    "/containers/js on",
    "/containers/json\t",
    "/Containers/json",
    "/CONTAINERS/JSON",
    "/v1.41//containers/json",
    "/v1.41/v1.41/containers/json",
    "/v1/containers/json",
    "/v1.9/containers/json",
    "/v1.410/containers/json",
    "/v2.41/containers/json",
    "/v1.41.0/containers/json",
    "v1.41/containers/json",
    "*",
    "http://engine/containers/json",
    "http://engine-gateway:8700/containers/json",
    "/containers/json?all=1&all=0",
    "/containers/json?All=1",
    "/containers/json?all",
    "/containers/json?all=yes",
    "/containers/json?all=1;filters={}",
    "/containers/json?filters=%ff",
    "/containers/json?filters=%",
    "/containers/json?filters=%0a",
    "/containers/json?size=1",
    "/containers/json?limit=5",
    "/containers/json?debug=1",
    "/containers/json?all=1&",
    f"/containers/{'f' * 11}/json",
    f"/containers/{'F' * 64}/json",
    f"/containers/{'f' * 65}/json",
    "/containers/erin/json",
    "/containers/bt-hpc-1-erin/../x/json",
    "/containers/bt-hpc-1-erin%2f..%2fx/json",
    "/containers/*/json",
    "/containers/" + "f" * 3000,
]


@pytest.mark.parametrize("target", ODD)
def test_an_address_has_one_spelling(target: str):
    with pytest.raises((Malformed, Refused)):
        read_target("GET", target)


@pytest.mark.parametrize(
    "target", ["/containers/json", "/v1.41/containers/json?all=1", "/v1.24/containers/json"]
)
def test_that_spelling_is_understood(target: str):
    assert read_target("GET", target).kind.name == "list"


@pytest.mark.parametrize(
    "method", ["get", "GET ", "PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "HEAD", "PROPFIND"]
)
def test_a_call_has_its_method(method: str):
    with pytest.raises(Refused):
        read_target(method, "/containers/json")


@pytest.mark.parametrize(
    "query",
    ["signal=STOP", "signal=SIGUSR1", "signal=19", "signal=-9", "signal=0", "signal=KILL&signal=TERM", "t=1"],
)
def test_a_container_gets_no_odd_signal(query: str):
    assert read_target("POST", f"/containers/{MINE}/kill?signal=TERM").query == {"signal": "TERM"}
    with pytest.raises((Malformed, Refused)):
        read_target("POST", f"/containers/{MINE}/kill?{query}")


@pytest.mark.parametrize("query", ["follow=1", "tail=-1", "tail=x", "since=x", "details=1"])
def test_a_log_ends(query: str):
    assert read_target("GET", f"/containers/{MINE}/logs?stdout=1&follow=0&tail=5").kind.name == "logs"
    with pytest.raises(Refused):
        read_target("GET", f"/containers/{MINE}/logs?{query}")


def test_each_call_is_answered(facility: Facility):
    """The control of all refusals: a session's whole life, as Docker's client asks for it."""
    assert facility.ask("GET", "/_ping") == (200, b"OK")
    assert facility.ask("GET", "/version")[1]["ApiVersion"] == "1.41"
    assert facility.ask("GET", "/v1.41/info")[1]["Benchtop"]["free"] == 3
    assert facility.ask("GET", "/v1.41/images/json")[1][0]["Default"]
    assert facility.ask("GET", "/v1.41/images/benchtop/session:1/json")[1]["RepoTags"] == [
        "benchtop/session:1"
    ]
    made = facility.create()[1]["Id"]
    here = f"/v1.41/containers/{made}"
    assert facility.ask("POST", f"{here}/start")[0] == 204
    found = facility.ask("GET", f"{here}/json")[1]
    assert found["NetworkSettings"]["Ports"]["8888/tcp"] == [{"HostIp": "engine", "HostPort": "40001"}]
    assert "secret" not in str(found)
    assert facility.ask("GET", f"/containers/{made[:12]}/json")[1]["Id"] == made
    assert facility.ask("GET", "/containers/bt-hpc-1-alice/json")[1]["Id"] == made
    assert [one["Id"] for one in facility.ask("GET", "/containers/json?all=1")[1]] == [made]
    assert b"hello" in facility.ask("GET", f"{here}/logs?stdout=1&stderr=True&tail=5")[1]
    assert facility.ask("POST", f"{here}/kill?signal=SIGTERM")[0] == 204
    assert facility.ask("POST", f"{here}/stop?t=5")[0] == 204
    assert facility.ask("POST", f"{here}/wait")[1] == {"StatusCode": 0}
    assert facility.ask("DELETE", f"{here}?v=False&link=False&force=True")[0] == 204
    assert facility.ask("GET", f"{here}/json")[0] == 404
    assert len(KINDS) == 14


ACTIONS = [
    ("POST", "start"),
    ("POST", "stop"),
    ("POST", "kill"),
    ("POST", "wait"),
    ("GET", "json"),
    ("GET", "logs"),
]


@pytest.mark.parametrize(("method", "action"), [*ACTIONS, ("DELETE", "")])
@pytest.mark.parametrize("cell", ["hpc-2", "htc-1"])
def test_a_container_of_another_cell_is_not_there(
    facility: Facility, caplog: pytest.LogCaptureFixture, method: str, action: str, cell: str
):
    caplog.set_level(logging.INFO, "engine-gateway")
    made = facility.engine.add("hpc-1", "alice")
    for wanted in (made, made[:12], "bt-hpc-1-alice"):
        target = f"/containers/{wanted}/{action}".rstrip("/")
        there = facility.ask(method, target, cell=cell)
        missing = facility.ask(method, target.replace(wanted, "e" * len(wanted)) if wanted[:2] != "bt" else
                               target.replace("alice", "nobody"), cell=cell)  # fmt: skip
        assert there == missing
        assert there[0] == 404
    assert not facility.engine.changes()
    assert f"refuse cell={cell}" in caplog.text
    assert facility.ask(method, f"/containers/{made}/{action}".rstrip("/"))[0] in {200, 204}  # the control


def test_an_engine_that_answers_with_another_container_is_not_believed(facility: Facility):
    """“Whose” is what the engine says of exactly the container that was asked for."""
    made = facility.engine.add("hpc-1", "alice")
    facility.engine.containers[made]["Id"] = "9" * 64
    assert facility.ask("POST", f"/containers/{made}/stop")[0] == 404
    facility.engine.containers[made]["Id"] = made
    assert facility.ask("POST", f"/containers/{made}/stop")[0] == 204


def test_a_label_of_a_container_is_asked_of_the_engine_each_time(facility: Facility):
    made = facility.create()[1]["Id"]
    facility.engine.containers[made]["Config"]["Labels"]["benchtop.cell"] = "hpc-2"
    assert facility.ask("POST", f"/containers/{made}/stop")[0] == 404


def test_a_list_has_a_cells_own_containers(facility: Facility):
    mine = facility.engine.add("hpc-1", "alice")
    erins = facility.engine.add("hpc-1", "erin")
    facility.engine.add("hpc-2", "alice")
    strange = {**facility.engine.containers[mine], "Id": "0" * 64, "Config": {"Labels": {}}}
    facility.engine.containers["0" * 64] = strange

    def listed(query: str) -> Any:
        status, answer = facility.ask("GET", f"/containers/json?{query}")
        return {one["Id"] for one in answer} if status == 200 else status

    assert listed("all=1") == {mine, erins}
    assert listed("all=True&limit=-1&size=0&trunc_cmd=0") == {mine, erins}
    assert listed("all=1&filters=%7B%22label%22%3A%5B%22benchtop.owner%3Derin%22%5D%7D") == {erins}
    for filters in (
        '{"label":["benchtop.cell=hpc-2"]}', '{"label":["benchtop.owner=erin","x"]}', '{"name":["x"]}', "[]",
        "x",
        '{"label":["benchtop.owner=erin"],"label":["x"]}', '{"Label":["benchtop.owner=erin"]}',
        '{"label":{"benchtop.cell=hpc-2":true}}',
    ):  # fmt: skip
        encoded = "".join(f"%{byte:02x}" for byte in filters.encode())
        assert listed(f"all=1&filters={encoded}") in {400, 403}, filters


BODIES = [
    b'{"Image": "benchtop/session", "image": "x"}',
    b'{"HostConfig": {"Memory": 1, "Memory": 2}}',
    b'{"HostConfig": {}, "hostconfig": {"Privileged": true}}',
    b'{"HostConfig": {}, "HO\\u0053TCONFIG": {"Privileged": true}}',
    b"{} {}",
    b"{}\0",
    b"\xef\xbb\xbf{}",
    b"{'Image': 1}",
    b'{"Image": NaN}',
    b'{"HostConfig": {"Memory": Infinity}}',
    b'{"Image": "\xff"}',
    b"[" * 100_000,
    b"null",
    b"[]",
    b'"x"',
    b"1" * 5000,
    b"",
    b"Image=benchtop/session",
    b'{"Image": "x"} // comment',
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_a_body_means_one_thing(facility: Facility, body: bytes):
    assert facility.create(body)[0] in {400, 403}
    assert not facility.engine.changes()
    assert facility.create()[0] == 201


HEADERS = [
    "Upgrade: tcp\r\n",
    "Upgrade: websocket\r\n",
    "Content-Encoding: gzip\r\n",
    "Expect: 100-continue\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Trailer: X\r\n",
]


@pytest.mark.parametrize("headers", HEADERS)
def test_a_connection_stays_one_of_requests(facility: Facility, headers: str):
    target = "/v1.41/containers/create?name=bt-hpc-1-alice"
    status, _ = facility.ask("POST", target, good(), headers=headers)
    assert status in {400, 403, 417}
    assert not facility.engine.changes()
    assert facility.ask("POST", target, good(), headers="X-Other: 1\r\n")[0] == 201


def test_a_body_in_pieces_is_judged_as_a_whole(facility: Facility):
    head = b"POST /containers/create?name=bt-hpc-1-alice HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"

    def chunked(content: bytes) -> bytes:
        pieces = [content[at : at + 100] for at in range(0, len(content), 100)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in pieces)
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"

    forged = good()
    forged["HostConfig"]["Privileged"] = True
    assert facility.send(chunked(json.dumps(forged).encode()))[0] == 403
    assert facility.send(chunked(b" " * 300_000 + json.dumps(good()).encode()))[0] == 400
    assert not facility.engine.changes()
    assert facility.send(chunked(json.dumps(good()).encode()))[0] == 201


@pytest.mark.parametrize("action", ["start", "stop", "kill", "wait"])
def test_an_action_has_no_body(facility: Facility, action: str):
    """Once, “start” took a HostConfig."""
    made = facility.engine.add("hpc-1", "alice")
    status, _ = facility.ask("POST", f"/containers/{made}/{action}", {"HostConfig": {"Binds": ["/:/host"]}})
    assert status == 400
    assert not facility.engine.changes()
    assert facility.ask("POST", f"/containers/{made}/{action}", b"{}")[0] in {200, 204}


def test_a_body_that_has_no_end_is_refused(facility: Facility):
    status, answer = facility.create(good() | {"Cmd": ["x" * 300_000]})
    assert (status, "longer" in answer["message"]) == (400, True)


@pytest.mark.parametrize("certificate", ["nobody"])
def test_a_certificate_that_is_no_cells_is_refused(facility: Facility, certificate: str):
    assert facility.ask("GET", "/containers/json", cell=certificate)[0] == 403
    assert facility.ask("GET", "/containers/json")[0] == 200


@pytest.mark.parametrize("certificate", [None, "a-stranger", "a-server"])
def test_without_a_cells_certificate_there_is_no_answer(facility: Facility, certificate: str | None):
    with pytest.raises(OSError):  # noqa: PT011 whichever alert the handshake ends with
        facility.send(b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", certificate)
    assert facility.ask("GET", "/_ping")[0] == 200


def test_when_all_places_are_taken_it_says_so(facility: Facility):
    facility.engine.add("hpc-2", "alice")
    facility.engine.add("htc-1", "bob")
    facility.engine.add("hpc-1", "erin")
    status, answer = facility.create()
    assert (status, "All 3 places" in answer["message"]) == (503, True)
    assert facility.ask("GET", "/info")[1]["Benchtop"]["free"] == 0
    facility.engine.containers.popitem()
    assert facility.create()[0] == 201


def test_no_more_memory_is_granted_than_there_is(facility: Facility):
    """Three places and 4096 MB: a third session with 1800 MB would be paid for by the others."""

    def create(owner: str, memory: int) -> tuple[int, Any]:
        body = good(owner=owner)
        body["HostConfig"]["Memory"] = memory << 20
        return facility.create(body, name=f"bt-hpc-1-{owner}")

    assert [create("alice", 1800)[0], create("erin", 1800)[0]] == [201, 201]
    told = facility.ask("GET", "/info")[1]["Benchtop"]
    assert (told["free"], told["memory"]) == (1, 496)
    status, answer = create("erin-x", 1800)
    assert (status, "496 MB" in answer["message"]) == (503, True)
    assert create("erin-x", 496)[0] == 201
    assert "benchtop.memory" not in str(facility.ask("GET", "/containers/json?all=1")[1])


def test_a_name_is_taken_once(facility: Facility):
    assert facility.create()[0] == 201
    status, answer = facility.create()
    assert (status, "bt-hpc-1-alice" in answer["message"]) == (409, True)


def test_an_engine_that_is_away_is_said_to_be(facility: Facility):
    facility.engine.away = True
    for method, target in (
        ("GET", "/containers/json"),
        ("GET", f"/containers/{MINE}/json"),
        ("GET", "/info"),
    ):
        status, answer = facility.ask(method, target)
        assert (status, "engine failed" in answer["message"]) == (503, True)
    assert facility.create()[0] == 503
    facility.engine.away = False
    assert facility.create()[0] == 201


def test_a_directory_that_is_away_makes_nobody_a_stranger(facility: Facility):
    facility.directory["answers"] = False
    status, answer = facility.create()
    assert (status, "directory" in answer["message"]) == (503, True)
    facility.directory["answers"] = True
    assert facility.create()[0] == 201


def test_a_mark_is_the_one_of_its_cell(facility: Facility):
    assert mark() == "hpc-1:alice:" + "0" * 32
    assert facility.create()[0] == 201
    made = next(iter(facility.engine.containers))
    assert facility.ask("GET", f"/containers/{made}/json")[1]["Config"]["Labels"]["benchtop.mark"] == mark()
