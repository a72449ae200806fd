"""What a session's programs show to the batch systems: seen and used in it, and asked of its hub."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from benchtop.stack import compose
from support import traffic
from support.hub import Hub
from support.wait import wait_until

THERE = 30  # seconds until a session that has just begun has them
PATIENCE = 60  # seconds for a cell that submits a job and waits for its end, on a busy machine
LIFE = 45  # seconds that a token lives: hub/benchtop_hub/access/minter.py
BOTH = {"slurm.jwt", "condor/session"}

LISTED = """
import json, os, pathlib
folder = pathlib.Path(os.environ["BENCHTOP_CREDENTIALS"])
found = {}
for path in folder.rglob("*"):
    if path.is_file() and path.name != "access-point":  # which is no secret
        about = path.stat()
        own = about.st_uid == os.getuid()
        found[str(path.relative_to(folder))] = [oct(about.st_mode & 0o777), own, path.read_text()]
print(json.dumps([str(folder), os.environ["_CONDOR_SEC_TOKEN_DIRECTORY"], found]))
"""
SHELL = """
import json, subprocess
done = subprocess.run(["bash", "-c", {command!r}], text=True, capture_output=True, cwd="/tmp")
print(json.dumps([done.returncode, done.stdout[-6000:], done.stderr[-3000:]]))
"""


@dataclass(frozen=True)
class Done:
    """What became of a command."""

    code: int
    out: str
    errors: str


@dataclass(frozen=True)
class Files:
    """The folder of a session, and what is in it: name → mode, whether it is its owner's, content."""

    folder: str
    condor: str
    found: dict[str, list[Any]]

    @property
    def names(self) -> set[str]:
        """Of the files."""
        return set(self.found)

    def text(self, name: str) -> str:
        """Of one of them."""
        return str(self.found[name][2])


def kernel(own: Hub) -> str:
    """The oldest of a session that is open, or a new one."""
    running = own.jupyter("GET", "kernels").json()
    return str(running[0]["id"]) if running else own.kernel()


def files(own: Hub) -> Files:
    """What the session has now."""
    return Files(*json.loads(traffic.run(own, kernel(own), LISTED, patience=PATIENCE)))


def there(own: Hub, wanted: set[str] = BOTH) -> Files:
    """Wait until a session has these, and nothing else."""
    found = wait_until(
        lambda: seen if (seen := files(own)).names == wanted else None, timeout=THERE, what=f"{wanted}"
    )
    assert found
    return found


def shell(own: Hub, command: str) -> Done:
    """Run a command by a cell of the session."""
    code = SHELL.format(command=command)
    return Done(*json.loads(traffic.run(own, kernel(own), code, patience=PATIENCE)))


ASK = """
import json, ssl, sys, urllib.error, urllib.request
url, token = json.load(sys.stdin)
headers = {"Content-Type": "application/json"} | ({"Authorization": "token " + token} if token else {})
tls = ssl.create_default_context(cafile="/etc/benchtop/trust/bundle.pem")
request = urllib.request.Request(url, data=b"{}", headers=headers, method="POST")
try:
    answer = urllib.request.urlopen(request, timeout=20, context=tls)
except urllib.error.HTTPError as refused:
    answer = refused
print(json.dumps([answer.status, answer.read().decode()]))
"""


def ask(own: Hub, token: str, node: str) -> tuple[int, dict[str, Any]]:
    """Ask the hub from a node, with this token."""
    asked = json.dumps([f"{own.gateway}/session/credentials", token]).encode()
    said = compose.run(own.settings, "exec", "-T", node, "python3", "-c", ASK, input=asked).stdout
    status, text = json.loads(said)
    return int(status), json.loads(text) if text.startswith("{") else {}


# ---- both batch systems, used from a session ------------------------------------------------------------

SECRETS = ("SLURM_JWT", "JUPYTERHUB_API_TOKEN", "BENCHTOP_CREDENTIALS", "_CONDOR_SEC_TOKEN_DIRECTORY")
SLURM = """
set -eu; cd ~
export SBATCH_PARTITION=debug
number=$(sbatch --parsable --wait --time=2 --mem=64M --output=$HOME/by-credential.%j --wrap '
  id -un; squeue --me --noheader | wc -l; env | cut -d= -f1 | sort | tr "\\n" " "')
cat by-credential.$number; rm by-credential.$number
echo; sacct --noheader --parsable2 --allocations --format=State,User --jobs=$number
sinfo --noheader --format=%R | sort -u | tr '\\n' ' '; echo
waits=$(sbatch --parsable --begin=now+1hour --time=1 --mem=64M --output=/dev/null --wrap true)
squeue --noheader --jobs=$waits --format=%T; scancel $waits
squeue --noheader --jobs=$waits --states=PENDING --format=%T
"""
CONDOR = """
set -eu; cd ~
printf '%s\\n' 'executable = /bin/sh' "arguments = \\"-c 'id -un; env | cut -d= -f1'\\"" 'getenv = true' \
  'output = by-credential.out' 'error = by-credential.err' 'log = by-credential.log' queue > by-credential.sub
number=$(condor_submit -terse by-credential.sub | cut -d. -f1)
condor_wait -wait 50 by-credential.log >/dev/null
cat by-credential.out | tr '\\n' ' '; echo
condor_history -limit 1 -constraint "ClusterId == $number" -autoformat Owner ExitCode JobStatus
condor_status -autoformat Name | wc -l
waits=$(condor_submit -terse -append hold=true by-credential.sub | cut -d. -f1)
condor_q -long $waits > by-credential.ad; condor_rm $waits >/dev/null; condor_q $waits -autoformat JobStatus
grep -c '^Environment' by-credential.ad; grep -cE "eyJ|TOKEN=" by-credential.ad || true
rm by-credential.*
"""
BINDINGS = """
import json, re, warnings
warnings.simplefilter("ignore")
import htcondor
schedd = htcondor.Schedd()
described = htcondor.Submit({
    "executable": "/bin/true", "getenv": "true", "hold": "true", "initialdir": "/tmp",
    "output": "/dev/null", "error": "/dev/null",
})
number = schedd.submit(described).cluster()
(ad,) = schedd.query(f"ClusterId == {number}", ["Owner", "Environment"])
schedd.act(htcondor.JobAction.Remove, f"ClusterId == {number}")
print(json.dumps([ad["Owner"], re.findall(r"\\b(\\w+)=", ad["Environment"])]))
"""


def slurm_works(own: Hub) -> None:
    """Its commands do, and a job runs as its owner, vouched for by its node, without a secret of ours."""
    there(own)
    done = shell(own, SLURM)
    assert done.code == 0, done
    who, count, names, accounted, partitions, waited = done.out.split("\n")[:6]
    assert (who, accounted, waited) == (own.person, f"COMPLETED|{own.person}", "PENDING"), done
    assert int(count) >= 1
    assert "debug" in partitions
    assert not set(SECRETS) & set(names.split())
    assert done.out.count("PENDING") == 1, "it was cancelled"


def condor_works(own: Hub) -> None:
    """HTCondor's commands do, and a job runs as its owner, with nothing of the session's."""
    there(own)
    done = shell(own, CONDOR)
    assert done.code == 0, done
    printed, history, slots, *left = done.out.rstrip("\n").split("\n")
    assert (printed.split()[0], history) == (own.person, f"{own.person} 0 4"), done
    assert int(slots) >= 4
    assert not set(SECRETS) & set(printed.split())
    assert left == ["1", "0"], "it is gone from the queue; its ad has an environment, and no secret"


def condors_python_works(own: Hub) -> None:
    """It submits all of the environment, which has the session's token; and the job's ad has no secret."""
    there(own)
    done = shell(own, f"$BENCHTOP_BIN/python - <<'END'\n{BINDINGS}\nEND")
    assert done.code == 0, done
    owner, names = json.loads(done.out.splitlines()[-1])
    assert owner == own.person
    assert "JUPYTERHUB_API_URL" in names, "the control: that is how an environment is written"
    assert not set(SECRETS) & set(names)
