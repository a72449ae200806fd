"""What somebody who runs a program in a job can reach and read: their hub's API, and no key."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from testinfra.host import Host

from benchtop import topology
from benchtop.settings import Settings
from support.as_person import as_person

pytestmark = [pytest.mark.shares("slurm", "condor"), pytest.mark.long]

Services = Callable[..., Host]
Job = Callable[..., str]

CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3)
    print("open")
except OSError as error:
    print(type(error).__name__, error)
"""

SPEAK = """
import http.client, ssl, sys
tls = ssl.create_default_context(cafile="/etc/benchtop/trust/bundle.pem")
for certificate in sys.argv[3:]:
    tls.load_cert_chain(certificate)
proxy = http.client.HTTPSConnection(sys.argv[1], 8000, context=tls, timeout=10)
try:
    proxy.request("GET", sys.argv[2], headers={"X-SSO-User": "erin"})
    print("status", proxy.getresponse().status)
except OSError as error:
    print("cut off:", error)
"""

# Every file below a folder that can be read, whatever it is called: keys in PEM, and what has a known hash,
# as a whole or, in what is no package, as a word.
SEARCH = """
import hashlib, json, os, re, stat, sys
top, known = sys.argv[1], set(json.loads(sys.argv[2]))
pem = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----[\\sA-Za-z0-9+/=:,-]{64,}-----END")
word = re.compile(rb"[A-Za-z0-9_-]{16,}")
found = {"below /keys": [], "pem": [], "known": [], "read": 0}
for folder, folders, files in os.walk(top):
    if folder == "/":
        folders[:] = [name for name in folders if name not in ("proc", "sys", "dev")]
    for path in (os.path.join(folder, name) for name in files):
        try:
            about = os.stat(path, follow_symlinks=False)
            if not stat.S_ISREG(about.st_mode) or about.st_size > 1 << 20:
                continue
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            continue
        found["read"] += 1
        if path.startswith("/keys/"):
            found["below /keys"].append(path)
        packaged = path.startswith(("/usr/", "/opt/", "/software/"))
        words = {content} if packaged else {content, *word.findall(content)}
        if not known.isdisjoint(hashlib.sha256(one).hexdigest() for one in words):
            found["known"].append(path)
        if pem.search(content):
            found["pem"].append(path)
print(json.dumps(found))
"""
# Published with the packages that they are examples in, and so nobody's secret
EXAMPLES = ("/opt/lab/lib/", "/software/", "/usr/share/", "/usr/lib/python3")


NODES = {"hpc": "gpu-1", "htc": "condor-ep-1"}


@pytest.fixture(params=NODES)
def cluster(request: pytest.FixtureRequest) -> str:
    """Each cluster in turn: jobs of both are tried."""
    return str(request.param)


@pytest.fixture
def in_a_job(service: Services, cluster: str) -> Job:
    """Run a Python program on a node as alice, as her job would."""

    def run(program: str, *args: str) -> str:
        line = as_person("alice", "/opt/lab/bin/python -c %s" + " %s" * len(args))
        return service(NODES[cluster]).check_output(line, program, *args)

    return run


# ---- what can be reached (by address and port: test_who_talks_to_whom.py) --------------------


def test_a_job_reaches_what_it_needs(cluster: str, in_a_job: Job):
    scheduler = {"hpc": ("slurmctld", "6817"), "htc": ("condor-ap", "9618")}[cluster]
    for name, port in (scheduler, ("apache", "8444"), (f"{cluster}-1-proxy", "8000")):
        assert in_a_job(CONNECT, name, port) == "open", name


CLOSED = [
    ("hub", 8081),
    ("proxy", 8001),
    ("keycloak", 8080),
    ("keycloak", 9000),
    ("ldap", 389),
    ("ldap", 390),
]
CLOSED += [("ldap", 390), ("postgres", 5432), ("mariadb", 3306)]


def test_a_job_reaches_nothing_else_by_name(cluster: str, in_a_job: Job, settings: Settings):
    own = [cell for cell in settings.cell_names if cell.startswith(cluster)]
    minters = [(f"{name}-minter", 8600) for name in topology.CLUSTERS]
    hubs = [(cell, 8081) for cell in settings.cell_names]
    for name, port in [*CLOSED, *minters, *hubs, *((f"{cell}-proxy", 8001) for cell in own)]:
        assert in_a_job(CONNECT, name, str(port)) != "open", (name, port)


def proxies(settings: Settings, cluster: str) -> list[str]:
    """The proxies that a job of a cluster could connect to."""
    return [f"{cell}-proxy" for cell in settings.cell_names if cell.startswith(cluster)]


def api(cluster: str) -> str:
    """The address of a hub's API, which says its version to anybody who reaches it."""
    return f"/jupyterhub/{cluster}/hub/api"


def test_no_proxy_hears_anybody_without_apaches_certificate(cluster: str, in_a_job: Job, settings: Settings):
    for proxy in proxies(settings, cluster):
        assert in_a_job(SPEAK, proxy, api(cluster)).startswith("cut off"), proxy


CERTIFY = """
import pathlib, subprocess, sys
folder = pathlib.Path(sys.argv[1])
words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=apache".split()
words += ["-keyout", folder / "key", "-out", folder / "crt"]
subprocess.run(words, check=True, capture_output=True)
(folder / "pem").write_text((folder / "key").read_text() + (folder / "crt").read_text())
"""


@pytest.fixture
def folder(service: Services, cluster: str) -> Iterator[str]:
    """A folder of alice's on the node, gone afterwards."""
    node = service(NODES[cluster])
    path = node.check_output("mktemp --directory")
    node.check_output("chown alice: %s", path)
    yield path
    node.check_output("rm -r %s", path)


def test_nor_with_a_certificate_that_somebody_made_for_themselves(
    cluster: str, in_a_job: Job, folder: str, settings: Settings
):
    in_a_job(CERTIFY, folder)
    for proxy in proxies(settings, cluster):
        assert in_a_job(SPEAK, proxy, api(cluster), f"{folder}/pem").startswith("cut off"), proxy


def test_each_hears_apache(cluster: str, service: Services, settings: Settings):
    command = "curl --silent --cert /keys/client.pem --cacert /keys/edge-ca.pem %s"
    for proxy in proxies(settings, cluster):
        answer = service("apache").check_output(command, f"https://{proxy}:8000{api(cluster)}")
        assert "version" in json.loads(answer), proxy


# ---- what can be read ---------------------------------------------------------------------


@pytest.fixture
def known(settings: Settings) -> str:
    """The hashes of every secret that this facility has, as JSON: what is sought must not be sent."""
    private = [settings.state / "private", *(settings.state / "secrets").glob("keys-*")]
    kept = [path.read_bytes() for folder in private for path in folder.rglob("*") if secret(path)]
    assert (settings.state / "private" / "slurm.key").read_bytes() in kept
    return json.dumps(sorted({hashlib.sha256(content).hexdigest() for content in kept}))


def secret(path: Path) -> bool:
    """Whether a file is one that only its service may read."""
    if not path.is_file() or path.name == "id":  # names the installation, for everybody
        return False
    public = path.suffix in {".pem", ".crt", ".xml"}
    return not public or b"PRIVATE KEY" in path.read_bytes()


def test_no_key_can_be_read_in_a_job(known: str, in_a_job: Job):
    found = json.loads(in_a_job(SEARCH, "/", known))
    assert found["read"] > 1000  # it did look
    assert found["below /keys"] == []
    assert found["known"] == []
    assert [path for path in found["pem"] if not path.startswith(EXAMPLES)] == []


def test_the_same_search_finds_the_key_where_it_may_be_read(known: str, cluster: str, service: Services):
    python = "/opt/lab/bin/python -c %s %s %s"
    found = json.loads(service(NODES[cluster]).check_output(python, SEARCH, "/keys", known))
    own = {"hpc": "/keys/slurm.key", "htc": "/keys/tokens.d/pool"}[cluster]
    assert sorted(found["below /keys"]) == sorted(found["known"]) == ["/keys/egress.key", own]


def test_the_search_knows_keys_and_passwords_in_other_files(cluster: str, service: Services, folder: str):
    node = service(NODES[cluster])
    node.check_output("openssl genpkey -algorithm ed25519 -out %s", f"{folder}/made.pem")
    planted = hashlib.sha256(b"not-a-real-password").hexdigest()
    node.check_output("echo 'password = not-a-real-password # of nobody' > %s", f"{folder}/some.conf")
    python = "/opt/lab/bin/python -c %s %s %s"
    found = json.loads(node.check_output(python, SEARCH, folder, json.dumps([planted])))
    assert f"{folder}/made.pem" in found["pem"]
    assert found["known"] == [f"{folder}/some.conf"]


def test_a_job_sees_no_secret_of_another_process(in_a_job: Job):
    """Neither in a command line nor in an environment: the daemon's are root's."""
    program = (
        "import pathlib\n"
        "for p in pathlib.Path('/proc').glob('[0-9]*/environ'):\n"
        "    try: owner = p.parent.stat().st_uid; p.read_bytes(); print(owner)\n"
        "    except OSError: pass\n"
    )
    readable = set(in_a_job(program).split())
    assert readable == {"2001"}  # alice's own, which is the control
