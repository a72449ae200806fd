"""The hub of a cell: whom it believes, what it starts for them, and what it never shows to others.

Requests are made from inside the hub's container, the only place besides the proxy that reaches its port,
with the signature that Apache would make; the front door itself is tested in test_front_door.py.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from testinfra.host import Host

from benchtop.settings import Settings
from benchtop.stack import compose
from support import sessions
from support.as_person import as_person
from support.facility import logged
from support.wait import wait_until

HUB = "/jupyterhub/hpc/hub"
GROUPS = {"alice": "people|cluster-hpc|usatlas", "carol": "people|cluster-hpc", "frank": "people"}
NOTICED = 5  # seconds within which a job that died is told of

# One browser at the hub's port: its own cookies, identity headers as Apache would set them or as told.
# Takes a list of requests and prints a list of answers, both JSON.
BROWSER = """
import hashlib, http.client, json, sys, time
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlsplit
secret = Path("/keys/sso.secret").read_text().strip()
jar = dict(json.loads(sys.argv[2]))

def signed(user, groups, age=0, secret=secret):
    at = time.strftime("%Y%m%d%H%M%S", time.gmtime(time.time() - age))
    sig = hashlib.sha1(f"{secret}|{user}|{at}|{groups}|{secret}".encode()).hexdigest()
    return {"X-SSO-User": user, "X-SSO-Time": at, "X-SSO-Groups": groups, "X-SSO-Sig": sig}

def filled(value):
    # a secret comes from its file: what stands in a command line, others see
    start, _, file = value.partition("@")
    return start + Path(file).read_text().strip() if file else value

def ask(step):
    path, method, body = step["path"], step.get("method", "GET"), step.get("json")
    for _ in range(8):
        headers = {name: filled(value) for name, value in step.get("headers", {}).items()}
        if step.get("as"):
            headers |= signed(step["as"], step["groups"], step.get("age", 0), step.get("secret", secret))
        if step.get("cookies", True):
            kept = [f"{name}={value}" for name, (where, value) in jar.items() if path.startswith(where)]
            headers["Cookie"] = "; ".join(kept)
        if step.get("xsrf"):
            headers |= {"X-XSRFToken": jar["_xsrf"][1]}
            headers |= {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
        line = http.client.HTTPConnection("hub", 8081, timeout=90)
        line.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
        answer = line.getresponse()
        text = answer.read().decode(errors="replace")
        for header in answer.headers.get_all("Set-Cookie") or []:
            for name, morsel in SimpleCookie(header).items():
                jar[name] = (morsel["path"], morsel.value)
        seen = {"status": answer.status, "path": path, "text": text}
        seen["cookies"] = answer.headers.get_all("Set-Cookie")
        to = urlsplit(answer.headers.get("Location", ""))
        away = not to.path.startswith("/jupyterhub/hpc/hub/")
        if step.get("as_it_comes") or answer.status not in (301, 302) or away:
            break
        path, method, body = to.path + (f"?{to.query}" if to.query else ""), "GET", None
    return seen

print(json.dumps([[ask(step) for step in json.loads(sys.argv[1])], jar]))
"""


KNOCK = """
import socket, ssl
tls = ssl._create_unverified_context()
line = tls.wrap_socket(socket.create_connection(("hpc-1-proxy", 8000), 5))
line.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
print(line.recv(99))
"""
FETCH = """
import ssl, sys, urllib.request
tls = ssl.create_default_context(cafile="/etc/benchtop/trust/bundle.pem")
print(urllib.request.urlopen(sys.argv[1], context=tls, timeout=10).read())
"""


@dataclass
class Answer:
    """What the hub said at the end of its redirects."""

    status: int
    path: str
    text: str
    cookies: list[str] | None


@dataclass
class Browser:
    """A browser at the hub's own port."""

    hub: Host
    name: str | None = None
    jar: dict[str, Any] = field(default_factory=dict)

    def ask(self, path: str, method: str = "GET", **more: Any) -> Answer:
        """One request as this browser's person; `more` as BROWSER takes it."""
        step: dict[str, Any] = {"path": HUB + path, "method": method, "as": self.name, **more}
        step.setdefault("groups", GROUPS.get(step["as"] or "", ""))
        said = self.hub.check_output(
            "/opt/hub/bin/python -c %s %s %s", BROWSER, json.dumps([step]), json.dumps(self.jar)
        )
        (answer,), self.jar = json.loads(said)
        return Answer(**answer)


Service = Callable[..., Host]


@pytest.fixture
def browser(service: Service) -> Callable[[str | None], Browser]:
    def one(name: str | None = None) -> Browser:
        return Browser(service("hpc-1"), name)

    return one


@pytest.fixture
def log(settings: Settings) -> Callable[[], str]:
    """The hub's recent log."""

    def recent() -> str:
        return compose.run(settings, "logs", "--no-color", "--since", "2m", "hpc-1").stdout.decode()

    return recent


# ---- whom it believes ------------------------------------------------------------------------------


def test_whom_apache_vouches_for_is_logged_in(browser):
    answer = browser("alice").ask("/home")
    assert answer.status == 200
    assert 'user: "alice"' in answer.text


@pytest.mark.parametrize(
    ("sent", "reason", "sentence"),
    [
        ({"as": None}, "missing-header", "without logging in"),
        (
            {"as": None, "headers": {"REMOTE_USER": "erin", "X-Remote-User": "erin"}},
            "missing-header",
            "without logging in",
        ),
        ({"as": "erin", "groups": "facility-admins", "secret": "guess"}, "bad-signature", "not confirmed"),
        ({"as": "alice", "age": 60}, "stale", "too long ago"),
        ({"as": "frank"}, "not-a-member", "no access to this cluster"),
    ],
)
def test_nobody_else_is_and_the_page_says_why(browser, log, sent, reason, sentence):
    answer = browser().ask("/home", **sent)
    assert answer.status == 403
    assert sentence in answer.text
    assert f'href="{HUB}/login"' in answer.text
    assert re.search(rf"login refused reason={reason} user=\S+ cell=hpc-1 \S+ \S+ request=\S+", log())


def test_a_cookie_of_another_person_is_worth_nothing(browser):
    shared = browser("alice")
    assert 'user: "alice"' in shared.ask("/home").text, "the control: alice's cookie is hers"
    answer = shared.ask("/home", **{"as": "carol"})
    assert 'user: "alice"' not in answer.text
    assert 'user: "carol"' in answer.text
    assert shared.ask("/api/users/alice", xsrf=True, **{"as": "carol"}).status in {403, 404}


def test_a_cookie_alone_opens_no_page(browser):
    shared = browser("alice")
    shared.ask("/home")
    assert shared.ask("/home", **{"as": None}).status == 403
    assert shared.ask("/home").status == 200


def test_rights_follow_the_groups_of_this_very_request(browser):
    erin = browser("erin")
    assert erin.ask("/admin", groups="people|cluster-hpc|facility-admins").status == 200
    assert erin.ask("/admin", groups="people|cluster-hpc").status == 403


def test_cookies_are_for_tls_alone_and_for_this_hub(browser):
    set_at_login = browser("alice").ask("/login?next=/", as_it_comes=True).cookies
    (login,) = [cookie for cookie in set_at_login or [] if cookie.startswith("jupyterhub-hub-login")]
    parts = login.lower().split("; ")
    assert {"secure", "httponly", f"path={HUB}/"} <= set(parts)
    assert all("secure" in cookie.lower().split("; ") for cookie in set_at_login or [])


# ---- what a job may report ---------------------------------------------------------------------------


def test_upstreams_report_handler_does_not_exist(browser):
    assert browser().ask("/api/batchspawner", "POST", json={"port": 45678}, **{"as": None}).status in {
        403,
        404,
    }
    alice = browser("alice")
    alice.ask("/home")
    assert alice.ask("/api/batchspawner", "POST", json={"port": 45678}, xsrf=True).status == 404


def test_only_a_session_that_is_being_started_may_report(browser):
    alice = browser("alice")
    alice.ask("/home")
    made = alice.ask("/api/users/alice/tokens", "POST", json={"expires_in": 60}, xsrf=True)
    token = {"Authorization": f"token {json.loads(made.text)['token']}"}
    assert alice.ask("/api/user", headers=token, cookies=False, **{"as": None}).status == 200, (
        "the token is good"
    )
    for headers in ({}, {"Authorization": "token guess"}, token):
        answer = browser().ask(
            "/api/session/port", "POST", json={"port": 45678}, headers=headers, **{"as": None}
        )
        assert answer.status == 403
    assert alice.ask("/api/session/port", "POST", json={"port": 45678}, xsrf=True).status == 403


# ---- what a proxy may ask ------------------------------------------------------------------------------


def test_a_proxy_may_ask_for_its_routes_and_for_nothing_else(browser):
    shown = {"Authorization": "token @/keys/routes.token"}

    def ask(path: str, method: str = "GET") -> int:
        return int(browser().ask(path, method, headers=shown, cookies=False, **{"as": None}).status)

    assert ask("/api/proxy", "POST") == 200
    for path in ("/api/users", "/api/users/alice", "/api/services"):
        assert ask(path) == 403
    assert ask("/api/users/alice/server", "POST") in {403, 404}
    assert ask("/api/users/alice/tokens", "POST") in {403, 404}


# ---- what it starts ------------------------------------------------------------------------------------


@pytest.mark.needs("hpc/carol")
@pytest.mark.shares("slurm")
def test_the_api_is_held_to_the_same_rights_as_the_form(own, settings):
    carol = own("carol", "hpc")
    answer = carol.start(partition="debug", gpu="pascal:1")
    assert answer.status_code == 400
    assert "does not include GPUs" in answer.json()["message"]
    line = rf"spawn refused user=carol cell={carol.cell} field=gpu value='pascal:1' rule=\S+ request=\S+"
    assert logged(settings, carol.cell, line)


@pytest.mark.parametrize(
    "options", [{"partition": "debug\n#SBATCH --x"}, {"cmd": ["id"]}, {"runtime": 31, "partition": "debug"}]
)
@pytest.mark.needs("hpc/carol")
@pytest.mark.shares("slurm")
def test_what_is_not_asked_for_cannot_be_sent(own, options):
    assert own("carol", "hpc").start(**options).status_code == 400


@pytest.mark.needs("hpc/alice")
@pytest.mark.shares("slurm")
def test_a_session_shows_nothing_of_it_to_another_person(service, own):
    sessions.ready(own("alice", "hpc"), gpu="pascal:1")
    node = service("gpu-1", user="root")
    (pid,) = node.check_output("pgrep -u 2001 -f %s", sessions.PROCESS).split()
    token = re.search(
        r"JUPYTERHUB_API_TOKEN=(\w+)", node.check_output("cat /proc/%s/environ | tr '\\0' '\\n'", pid)
    )
    assert token, "the control: the session has a token"
    number = node.check_output("squeue --noheader --user=alice --format=%%A")

    as_carol = as_person("carol", "")
    shown = {
        "one job": node.run(as_carol + "scontrol --details show job %s", number).stdout,
        "the queue": node.run(as_carol + "squeue --noheader --all --long").stdout,
        "processes": node.run(as_carol + "ps axeww").stdout,
    }
    blind = [what for what, text in shown.items() if number not in text and "benchtop_lab" not in text]
    assert not blind, "the control: carol sees that there is a job"
    assert not [what for what, text in shown.items() if token[1] in text]
    assert node.run(as_carol + "cat /proc/%s/environ", pid).rc != 0
    assert node.run(as_carol + "cat /home/alice/.benchtop-session.log").rc != 0
    assert not node.run(as_carol + "scontrol write batch_script %s -", number).stdout
    own = node.run(as_person("alice", "scontrol write batch_script %s -"), number)
    assert "benchtop_lab" in own.stdout, "the control: her own script alice may see"
    assert token[1] not in own.stdout
    assert "SLURM_JWT=" not in node.check_output("cat /proc/%s/environ | tr '\\0' '\\n'", pid)


@pytest.mark.needs("hpc/carol")
@pytest.mark.shares("slurm")
def test_a_session_that_cannot_start_says_why_and_soon(service, own):
    carol = own("carol", "hpc")
    node = service("cpu-1", user="root")
    broken = "/home/carol/.jupyter/jupyter_server_config.py"
    node.run(as_person("carol", "mkdir -p /home/carol/.jupyter"))
    try:
        node.run(as_person("carol", "sh -c %s"), f"echo 'raise SystemExit(\"told to carol\")' > {broken}")
        assert carol.start(partition="harvester", runtime=5).status_code in {201, 202, 500}
        assert "ended before JupyterLab could start" in carol.failure()
        assert "told to carol" in carol.last_words()
        assert carol.server() is None
    finally:
        node.run(as_person("carol", "rm -f %s"), broken)


@pytest.mark.needs("hpc/carol")
@pytest.mark.shares("slurm")
def test_a_job_that_is_ended_by_somebody_else_is_noticed(service, own):
    carol = own("carol", "hpc")
    sessions.ready(carol, partition="harvester")
    service("slurmctld").check_output("scancel --user=carol")
    wait_until(lambda: carol.server() is None, timeout=2 * NOTICED + 5, what="the hub to notice")


# ---- what it is -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "uid"), [("hpc-1", "1410"), ("hpc-1-proxy", "1411")])
def test_a_cell_runs_without_any_privilege(service, name, uid):
    status = service(name).file("/proc/1/status").content_string
    assert re.search(rf"^Uid:\s+{uid}\s+{uid}\s+{uid}", status, re.M)
    assert re.search(r"^CapBnd:\s+0+$", status, re.M)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M)
    assert service(name).run("touch /etc/x /opt/x").rc != 0


@pytest.mark.parametrize("name", ["hpc-1", "hpc-1-proxy"])
def test_no_secret_is_in_the_environment_or_the_process_list_of_a_cell(service, name):
    host = service(name)
    secrets = [host.file(path).content_string.strip() for path in host.check_output("ls -d /keys/*").split()]
    shown = host.check_output("cat /proc/1/environ /proc/1/cmdline /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert not [s[:8] for s in secrets if s and not s.startswith("-----BEGIN CERT") and s in shown]


@pytest.mark.parametrize("address", ["hub/8081", "proxy/8001", "hpc-1/8081", "hpc-1-proxy/8001"])
def test_a_node_reaches_neither_the_hub_nor_the_proxys_own_door(service, address):
    node = service("gpu-1")
    assert node.run(f"timeout 3 bash -c 'exec 3<>/dev/tcp/{address}'").rc != 0
    assert node.run("timeout 3 bash -c 'exec 3<>/dev/tcp/apache/8444'").rc == 0, "the control: the gateway"


def test_the_proxy_talks_to_apache_alone(service):
    node = service("gpu-1")
    assert "CERTIFICATE_REQUIRED" in node.run("python3 -c %s", KNOCK).stderr
    through_apache = "https://apache:8444/_cell/hpc-1/jupyterhub/hpc/hub/api"
    assert node.run("python3 -c %s %s", FETCH, through_apache).rc == 0, "the control: Apache gets through"


def test_metrics_are_not_for_everybody(browser):
    alice = browser("alice")
    alice.ask("/home")
    assert alice.ask("/metrics", cookies=True).status == 403
    hub = alice.hub
    if hub.file("/keys/metrics.token").exists:
        token = hub.file("/keys/metrics.token").content_string.strip()
        allowed = browser().ask("/metrics", headers={"Authorization": f"token {token}"}, **{"as": None})
        assert allowed.status == 200
        assert "jupyterhub_" in allowed.text


def test_the_hub_is_ready_when_its_database_and_its_proxy_are(browser):
    assert browser().ask("/api/ready", **{"as": None}).text == "ready"


def test_a_hub_keeps_no_connection_to_its_proxy_that_the_proxy_may_close_any_moment(service):
    def open_to(port: int) -> int:
        """How many connections the hub holds."""
        known = service("hpc-1").file("/proc/net/tcp").content_string
        return len(re.findall(rf" [0-9A-F]{{8}}:{port:04X} 01 ", known))

    assert open_to(5432), "the control: to its database it keeps one"
    wait_until(lambda: not open_to(8001), timeout=4, what="none to be open", every=0.05)
