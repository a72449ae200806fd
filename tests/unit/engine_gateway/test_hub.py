"""What a hub asks for sessions in containers is what the gateway grants: both are the real ones here."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchtop_hub.backends import commands
from benchtop_hub.backends.backend import Cell, Launch, Person
from benchtop_hub.backends.container.backend import Container

from .conftest import DIGEST, Facility, mark

IMAGE = "benchtop/session"  # without its tag
Hubs = Callable[..., Container]


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway's name leads to this machine, as the certificate wants it."""
    upstream = socket.getaddrinfo

    def here(host: Any, *more: Any, **options: Any) -> Any:
        return upstream("127.0.0.1" if host == "engine-gateway" else host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", here)


@pytest.fixture
def hub(facility: Facility, tmp_path: Path) -> Iterator[Hubs]:
    """`hub("hpc-1")`: the backend of a cell's hub, with its certificate; image: the one that it offers"""
    made: list[Container] = []

    def of(cell: str = "hpc-1", image: str = IMAGE) -> Container:
        folder = tmp_path / cell
        folder.mkdir(exist_ok=True)
        (folder / "engine.pem").write_bytes((facility.keys / f"{cell}.pem").read_bytes())
        (folder / "engine-ca.pem").write_bytes((facility.keys / "engine-ca.pem").read_bytes())
        minter: Any = SimpleNamespace(known=list)
        known = Cell(cell, minter, folder, folder, b"secret", "support@example.org", "cluster-hpc")
        address = f"https://engine-gateway:{facility.port}"
        made.append(Container(known, container_engine=address, container_images={image: ""}))
        return made[-1]

    yield of
    for backend in made:
        backend._client.close()


def launch(server: str = "", person: str = "alice", cell: str = "hpc-1") -> Launch:
    """Of somebody's session, with an environment as hubs make it."""
    env = {
        "HOME": f"/home/{person}", "USER": person, "LOGNAME": person, "SHELL": "/bin/bash", "LANG": "C.UTF-8",
        "PATH": "/opt/lab/bin:/usr/bin:/bin", "JUPYTERHUB_API_TOKEN": "secret",
        "JUPYTERHUB_SERVICE_URL": f"http://0.0.0.0:0/jupyterhub/hpc/user/{person}/", "BENCHTOP_TLS": "cGVt",
    }  # fmt: skip
    return Launch(
        person, f"jh-{cell}-{person}", mark(cell, person), f"/home/{person}", ".benchtop-session.log", env,
        lambda values: "", "", server=server,
    )  # fmt: skip


def submit(backend: Container, **who: str) -> str:
    """Start a session; its number."""

    async def both() -> str:
        asked = backend.parse_request({"where": "container", "memory": 1024, "cpus": 2, "runtime": 30})
        return await backend.submit(await backend.check_request(asked, Person("alice")), launch(**who))

    return asyncio.run(both())


pytestmark = pytest.mark.usefixtures("resolved")


def test_a_session_is_granted_listed_and_ended(facility: Facility, hub: Hubs):
    backend = hub()
    number = submit(backend)
    (made,) = facility.engine.created()
    assert (made["name"], made["image"], made["user"]) == ("bt-hpc-1-alice", DIGEST, "2001:2000")
    assert made["command"] == ["/opt/lab/bin/python", "-I", "-m", "benchtop_lab.container"]
    assert ":8888/" in made["env"]["JUPYTERHUB_SERVICE_URL"]
    (job,) = asyncio.run(backend.queue.all("alice")).values()
    assert (job.state, job.port, job.owner, job.mark) == ("RUNNING", 40001, "alice", mark())
    assert asyncio.run(backend.cancel(number, "alice")) is True
    assert facility.engine.containers == {}
    assert asyncio.run(backend.cancel(number, "alice")) is False


def test_a_server_with_a_name_has_a_container_of_its_own(facility: Facility, hub: Hubs):
    backend = hub()
    assert submit(backend) != submit(backend, server="second")
    assert [made["name"] for made in facility.engine.created()] == ["bt-hpc-1-alice", "bt-hpc-1-alice-second"]


def test_one_cell_knows_nothing_of_another_ones(facility: Facility, hub: Hubs):
    number = submit(hub())
    other = hub("hpc-2")
    assert asyncio.run(other.queue.all("alice")) == {}
    assert asyncio.run(other.cancel(number, "alice")) is False
    assert len(facility.engine.containers) == 1


def test_what_is_free_is_told(facility: Facility, hub: Hubs):
    backend = hub()
    submit(backend)
    assert asyncio.run(backend.describe_room()) == "Free now: 2 of 3."


@pytest.mark.parametrize(
    ("image", "person", "sentence"),
    [
        ("benchtop/gone", "alice", "The image “benchtop/gone” is not there any more."),
        ("benchtop/session", "leaver", "The login of leaver is disabled."),
    ],
)
def test_a_refusal_is_a_sentence_and_no_silence(
    facility: Facility, hub: Hubs, image: str, person: str, sentence: str
):
    backend = hub(image=image)
    with pytest.raises(commands.Failed) as caught:
        submit(backend, person=person)
    assert sentence in str(caught.value)
    assert not backend.is_silent(caught.value)


def test_a_full_engine_says_so(facility: Facility, hub: Hubs):
    backend = hub()
    for server in ("", "two", "three"):
        submit(backend, server=server)
    with pytest.raises(commands.Failed, match=r"All 3 places .* are taken") as caught:
        submit(backend, server="four")
    assert not backend.is_silent(caught.value)


def test_an_engine_that_is_away_is_silent(facility: Facility, hub: Hubs):
    backend = hub()
    facility.engine.away = True
    calls = backend.list_jobs("alice"), backend.describe_room(), backend.cancel("box-0123456789ab", "alice")
    for call in calls:
        with pytest.raises(commands.Failed) as caught:
            asyncio.run(call)
        assert backend.is_silent(caught.value)
