"""Programs from outside: a token opens its owner's cell and server, and nothing else that is sent counts."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import requests

from benchtop import topology
from benchtop.settings import Settings
from benchtop.stack import notices
from support import programs
from support.front_door import ask
from support.wait import wait_until

SignedIn = Callable[[str], requests.Session]
Token = Callable[[str, str], str]

GUIDE = Path(__file__).parents[2] / "docs/how-to/use-the-api.md"
HPC = "/jupyterhub/hpc"
PENDING = 60  # seconds for a server to start or end on a busy machine


@pytest.fixture(scope="module")
def token(signed_in: SignedIn, settings: Settings) -> Iterator[Token]:
    """`token("carol", "hpc")`: made as carol's own page makes it, and revoked at the end."""
    made: list[tuple[str, str, str]] = []

    @cache
    def new(name: str, cluster: str) -> str:
        answer = programs.own_page(
            signed_in(name), settings, cluster, "POST", f"/users/{name}/tokens", {"note": "test"}
        )
        assert answer.status_code == 201, answer.text
        made.append((name, cluster, answer.json()["id"]))
        return str(answer.json()["token"])

    yield new
    for name, cluster, number in made:
        programs.own_page(signed_in(name), settings, cluster, "DELETE", f"/users/{name}/tokens/{number}")


@pytest.fixture
def program(settings: Settings, token: Token) -> Callable[[str, str], requests.Session]:
    """A program that has a token of somebody's, and no cookie."""

    def new(name: str, cluster: str = "hpc") -> requests.Session:
        return programs.program(settings, token(name, cluster))

    return new


Program = Callable[..., requests.Session]


@pytest.fixture
def no_server(program: Program, settings: Settings) -> Iterator[Callable[[str, str], None]]:
    """`no_server("carol", "hpc")`: none runs now, none is left."""
    used: set[tuple[str, str]] = set()

    def end(name: str, cluster: str) -> None:
        used.add((name, cluster))
        user = f"{settings.url}/jupyterhub/{cluster}/hub/api/users/{name}"
        program(name, cluster).delete(f"{user}/server", timeout=60)
        wait_until(
            lambda: not program(name, cluster).get(user).json()["servers"],
            timeout=PENDING,
            what=f"the end of {name}'s server",
        )

    yield end
    for name, cluster in used:
        end(name, cluster)


def shown(token: str) -> dict[str, str]:
    return {"Authorization": f"token {token}"}


# ---- what a token opens -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "cluster"), [("carol", "hpc"), ("erin", "hpc"), ("alice", "htc"), ("bob", "htc")]
)
def test_the_name_in_the_address_leads_a_token_to_its_owners_cell(
    name: str, cluster: str, program: Program, settings: Settings
):
    """Other cells do not know the token."""
    answer = program(name, cluster).get(f"{settings.url}/jupyterhub/{cluster}/hub/api/users/{name}")
    assert (answer.status_code, answer.json()["name"]) == (200, name)


@pytest.mark.parametrize("scheme", ["token", "Token", "bearer", "Bearer"])
def test_both_ways_to_show_a_token_work(scheme: str, token: Token, settings: Settings):
    header = {"Authorization": f"{scheme} {token('carol', 'hpc')}"}
    assert ask(settings, f"{HPC}/hub/api/users/carol", headers=header).status == 200


@pytest.mark.parametrize(("name", "cluster", "where"), [("carol", "hpc", "debug"), ("bob", "htc", "jupyter")])
@pytest.mark.needs("hpc/carol", "htc/bob")
@pytest.mark.shares("slurm", "condor")
def test_the_commands_of_the_guide_start_a_server_and_end_it(
    name: str,
    cluster: str,
    where: str,
    token: Token,
    no_server: Callable[[str, str], None],
    settings: Settings,
):
    no_server(name, cluster)
    commands = "\n".join(re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL))
    assert "/_cell/" in commands
    there = {
        "https://jupyter.localhost:8443": settings.url,
        "/jupyterhub/hpc": f"/jupyterhub/{cluster}",
        '"partition": "debug"': f'"{"partition" if cluster == "hpc" else "pool"}": "{where}"',
    }
    for ours, theirs in there.items():
        commands = commands.replace(ours, theirs)
    cell = topology.cell_of(name, cluster, settings.cells)
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=commands,
        env={"PATH": "/usr/bin:/bin", "TOKEN": token(name, cluster), "NAME": name, "CELL": cell},
        cwd=settings.root,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"ready": true' in done.stdout
    assert '"kernels":' in done.stdout


def test_a_call_that_names_nobody_is_told_to_ask_a_cell(program: Program, settings: Settings):
    for path in ("/hub/api/", "/hub/api/user", "/hub/api/users", "/hub/api/users/", "/hub/api/info"):
        answer = program("carol").get(f"{settings.url}{HPC}{path}")
        assert answer.status_code == 400, path
        assert f"{settings.url}/_cell/CELL{HPC}{path}" in answer.json()["message"]


def test_a_cell_that_is_named_answers_such_a_call(program: Program, settings: Settings):
    cell = topology.cell_of("carol", "hpc", settings.cells)
    answer = program("carol").get(f"{settings.url}/_cell/{cell}{HPC}/hub/api/user")
    assert (answer.status_code, answer.json()["name"]) == (200, "carol")


def test_a_token_lives_for_a_day_at_most(signed_in: SignedIn, settings: Settings):
    for life, status in ((86400 * 7, 400), (3600, 201)):
        asked = {"expires_in": life, "note": "test"}
        answer = programs.own_page(signed_in("carol"), settings, "hpc", "POST", "/users/carol/tokens", asked)
        assert answer.status_code == status, answer.text
    programs.own_page(
        signed_in("carol"), settings, "hpc", "DELETE", f"/users/carol/tokens/{answer.json()['id']}"
    )


@pytest.mark.alone
def test_a_program_is_told_that_its_cell_is_out_of_service(token: Token, settings: Settings):
    notice = notices.notice_file(settings, topology.cell_of("carol", "hpc", settings.cells))
    notice.parent.mkdir(exist_ok=True)
    path = f"{HPC}/hub/api/users/carol"
    assert ask(settings, path, headers=shown(token("carol", "hpc"))).status == 200
    notice.write_text("Back at 14:00.\n")
    try:
        answer = ask(settings, path, headers=shown(token("carol", "hpc")))
    finally:
        notice.unlink()
    assert answer.status == 503
    assert ask(settings, path, headers=shown(token("carol", "hpc"))).status == 200


# ---- what it does not open ----------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/hub/api/",
        "/hub/api/user",
        "/hub/api/users/carol",
        "/user/carol/api/status",
        "/user/carol/api/kernels",
        "/user/carol/second/api/status",
        "/hub/user/carol/api/status",
    ],
)
def test_a_program_without_a_token_is_refused_and_not_sent_to_the_login(path: str, settings: Settings):
    for more in ({}, {"X-Requested-With": "XMLHttpRequest"}, {"Authorization": "Basic Y2Fyb2w6eA=="}):
        answer = ask(settings, f"{HPC}{path}", headers=more)
        assert answer.status == 403
        assert "Authorization: token TOKEN" in json.loads(answer.text)["message"]


def test_a_browser_without_a_session_still_is(settings: Settings):
    for path in (f"{HPC}/hub/home", f"{HPC}/user/carol/lab", f"{HPC}/hub/api/oauth2/authorize?client_id=x"):
        assert ask(settings, path).headers["location"].startswith(f"{settings.url}/mellon/login")


def test_an_invented_token_beside_a_session_is_no_way_round_the_login(
    signed_in: SignedIn, settings: Settings
):
    carol = signed_in("carol")
    programs.own_page(carol, settings, "hpc", "GET", "/users/carol")
    for path in ("/hub/api/users/carol", "/user/carol/api/status", "/user/carol/lab"):
        answer = ask(settings, f"{HPC}{path}", session=carol, headers=shown("0" * 32))
        assert answer.status in {302, 403}, path  # 302: to where a server is started
    assert ask(settings, f"{HPC}/hub/user/carol/lab", session=carol, headers=shown("0" * 32)).status != 200
    assert ask(settings, f"{HPC}/hub/api/users/carol", session=carol).status == 200  # the control


@pytest.mark.parametrize(
    "value", ["token", "token ", "token a b", "Basic {}", "tokens {}", "token\t{}", "{}"]
)
def test_what_is_not_quite_a_token_is_none(value: str, token: Token, settings: Settings):
    header = {"Authorization": value.format(token("carol", "hpc"))}
    assert ask(settings, f"{HPC}/hub/api/users/carol", headers=header).status == 403


def test_a_token_in_the_address_is_not_looked_at(token: Token, settings: Settings):
    valid = token("carol", "hpc")
    for path in (f"{HPC}/hub/api/users/carol", f"{HPC}/user/carol/api/status"):
        assert ask(settings, f"{path}?token={valid}").status == 403
    assert ask(settings, f"{HPC}/hub/api/users/carol", headers=shown(valid)).status == 200


def test_a_token_says_who_it_is_whatever_the_headers_claim(token: Token, settings: Settings):
    claims = dict.fromkeys(("X-SSO-User", "REMOTE_USER", "X-Remote-User"), "erin") | {
        "Cookie": "ROUTEID=.hpc-2"
    }
    cell = topology.cell_of("carol", "hpc", settings.cells)
    answer = ask(settings, f"/_cell/{cell}{HPC}/hub/api/user", headers=claims | shown(token("carol", "hpc")))
    assert json.loads(answer.text)["name"] == "carol"
    assert ask(settings, f"/_cell/{cell}{HPC}/hub/api/user", headers=claims | shown("0" * 32)).status == 403
    assert ask(settings, f"{HPC}/hub/api/users/erin", headers=claims | shown("0" * 32)).status == 403


@pytest.mark.parametrize(
    "path",
    [
        "/hub/api/users/erin",
        "/hub/api/users/alice/../erin",
        "/hub/api/users/alice/%2e%2e/erin",
        "/hub/api/users/%65rin",
        "/hub/api/users/erin/tokens",
        "/user/alice/../../hub/api/users/erin",
    ],
)
def test_a_token_of_another_person_of_the_same_cell_opens_nothing(
    path: str, token: Token, settings: Settings
):
    assert topology.cell_of("alice", "hpc", 3) == topology.cell_of("erin", "hpc", 3)
    assert ask(settings, f"{HPC}{path}", headers=shown(token("alice", "hpc"))).status in {403, 404}


def test_an_encoded_name_is_the_same_name(token: Token, settings: Settings):
    answer = ask(settings, f"{HPC}/hub/api/users/%63arol", headers=shown(token("carol", "hpc")))
    assert (answer.status, json.loads(answer.text)["name"]) == (200, "carol")


@pytest.mark.parametrize(
    "path",
    [
        "/hub/home",
        "/hub/login",
        "/hub/api/../home",
        "/hub/api/users/carol/../../../home",
        "/hub/api/%2e%2e/home",
        "/hub/admin",
        "/",
    ],
)
def test_a_token_opens_no_page(path: str, token: Token, settings: Settings):
    answer = ask(settings, f"{HPC}{path}", headers=shown(token("carol", "hpc")))
    assert answer.status == 303
    assert answer.headers["location"].startswith(f"{settings.url}/mellon/login")


@pytest.mark.parametrize(
    "path", ["/hub/api/..%2fhome", "/hub/api/users/carol%2f..%2ferin", "/hub%2fapi/user"]
)
def test_an_encoded_slash_hides_nothing(path: str, token: Token, settings: Settings):
    assert ask(settings, f"{HPC}{path}", headers=shown(token("carol", "hpc"))).status == 404


def test_a_token_of_one_cluster_is_nothing_on_the_other(token: Token, settings: Settings):
    answer = ask(settings, "/jupyterhub/htc/hub/api/users/alice", headers=shown(token("alice", "hpc")))
    assert answer.status == 403
    assert ask(settings, f"{HPC}/hub/api/users/alice", headers=shown(token("alice", "hpc"))).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/_cell/hpc-3/jupyterhub/htc/hub/api/",
        "/_cell/htc-1/jupyterhub/hpc/hub/api/",
        "/_cell/hpc-9/jupyterhub/hpc/hub/api/",
        "/_cell/nowhere/jupyterhub/hpc/hub/api/",
        "/_cell/hpc-3/jupyterhub/hpc/hub/home",
        "/_cell/hpc-3/jupyterhub/hpc/hub/apiary",
        "/_cell/hpc-3/jupyterhub/hpc/hub/login",
        "/_cell/hpc-3/jupyterhub/hpc/user/carol/",
        "/_cell/hpc-3/jupyterhub/hpc/hub/api/../home",
        "/_cell/hpc-3/jupyterhub/hpc/hub/api/%2e%2e/home",
        "/_cell/hpc-3/jupyterhub/hpc/hub/api/..%2fhome",
        "/_cell/hpc-3/../hpc-2/jupyterhub/htc/hub/api/",
        "/_cell/",
    ],
)
def test_a_cell_is_open_for_its_hubs_api_alone(path: str, token: Token, settings: Settings):
    answer = ask(settings, path, headers=shown(token("carol", "hpc")))
    assert answer.status == 404
    assert "/_cell/CELL/" in answer.text or "%2f" in path


def test_a_cell_wants_a_token(signed_in: SignedIn, settings: Settings):
    path = "/_cell/hpc-3/jupyterhub/hpc/hub/api/"
    assert ask(settings, path, headers=shown("x")).status == 200  # its version, which is no secret
    for session in (None, signed_in("carol")):
        answer = ask(settings, path, session=session)
        assert answer.status == 403
        assert "Authorization: token TOKEN" in json.loads(answer.text)["message"]
