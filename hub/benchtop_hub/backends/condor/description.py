"""What condor_submit reads: the site's submit description, and what makes the job a session.

The session's environment, secrets included, travels in a file: 0600 at the hub, in the access point's spool
and on the node, and gone once it is read. In the job's ad it would be everybody's (upstream: GetEnv).
"""

import re
import shlex
from collections.abc import Mapping

from benchtop_hub.backends import run
from benchtop_hub.backends.backend import NO_HOME, Launch
from benchtop_hub.backends.condor.form import JUPYTER, Granted
from benchtop_hub.wording import TIME_LIMIT

FILE = "session"  # as the job's script is called, here and on the node
COMMAND = f"/bin/bash $_CONDOR_SCRATCH_DIR/{FILE}"  # what `{cmd}` is; wherever the site has the job begin
_BEGIN = """\
#!/bin/bash
rm -f -- "$0"
{exports}
export BENCHTOP_ENDS=$((EPOCHSECONDS + {seconds}))  # JupyterLab warns of it
BENCHTOP_LOG={log}
{open_log}cd ~
"""
# HTCondor tells only this shell that the job is to end, and waits. How the session ended is how the job does.
_END = """\
trap 'kill -TERM "$!" 2>/dev/null' TERM
{command} &
{stand_by}{epilogue}
{leave}"""
# Added before `queue`, where it wins over what the site has written.
# A comma in a value, a quote or a line break in a name would be HTCondor's own syntax: nothing of a person's
# is in here but names and numbers that were checked.
_SESSION = """\
initialdir = {folder}
transfer_executable = false
transfer_input_files = {inputs}
transfer_output_files = ""
should_transfer_files = YES
# as batchspawner's own script spells it: condor_submit heeds this one first
ShouldTransferFiles = YES
output = /dev/null
error = /dev/null
request_cpus = {granted.cpus}
request_memory = {granted.memory}M
request_disk = {granted.disk}M
JobBatchName = {launch.name}
My.BenchtopCell = "{cell}"
My.BenchtopMark = "{launch.mark}"
My.IsJupyter = {jupyter}
# One that ended stays in the queue for a minute, so that the hub can tell how.
leave_in_queue = JobStatus == 4 && time() - EnteredCurrentStatus < 60
# Started a second time elsewhere, it would have lost its port and its kernels. So it ends when it was
# thrown out, and when its time is over. A job that is removed says nothing any more: it is put on hold, where
# the hub reads why, and goes a minute later at the latest.
requirements = {requirements}(NumShadowStarts =?= undefined || NumShadowStarts == 0)
periodic_hold = (JobStatus == 1 && NumShadowStarts > 0) \
|| (JobStatus == 2 && time() - JobCurrentStartDate > {seconds})
periodic_hold_reason = ifThenElse(JobStatus == 2, "{over}", "it lost its slot on the node")
periodic_remove = {remove}(JobStatus == 5 && time() - EnteredCurrentStatus > 60)
"""
_QUEUE = re.compile(r"^\s*queue\b.*$", re.IGNORECASE | re.MULTILINE)
_GETENV = re.compile(r"^\s*getenv\s*=(?!\s*false\b)", re.IGNORECASE | re.MULTILINE)


def script(granted: Granted, launch: Launch, log: str) -> str:
    """What the job runs. It holds the session's secrets. log: its path."""
    added = {
        name: value for name, _, value in (one.partition("=") for one in launch.keep.split(",")) if value
    }
    exports = {**launch.env, **added}
    lines = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in exports.items())
    begin = _BEGIN.format(
        exports=lines,
        seconds=granted.runtime * 60,
        log=shlex.quote(log),
        open_log=run.open_log('"$PWD/log"'),
    )
    if launch.epilogue:
        around = {"stand_by": run.STAND_BY, "leave": run.LEAVE}
        end = _END.format(command=launch.command, epilogue=launch.epilogue, **around)
    else:
        end = f"exec {launch.command}\n"
    return f"{begin}{launch.prologue}\n{end}"


def describe(granted: Granted, launch: Launch, *, cell: str, folder: str) -> str:
    """What condor_submit reads. Everybody can see it in the queue.

    folder: where the script is. Raises ValueError for a site's description that cannot be a session's.
    """
    text = launch.script({**values(granted), "cmd": COMMAND})
    if _GETENV.search(text):
        raise ValueError(
            "batch_script: getenv would show the hub's environment to all, in the job's ad. Leave it out; "
            "variables that sessions need beside their own go into c.Spawner.environment."
        )
    queue = list(_QUEUE.finditer(text))
    if len(queue) != 1 or text[queue[0].end() :].strip() or queue[0].group().split()[1:] not in ([], ["1"]):
        raise ValueError("batch_script: it must end with one line `queue`, for one job.")
    inputs = [value for value in (_value("transfer_?input(?:_?files)?", text), f"{folder}/{FILE}") if value]
    required, removed = _value("requirements", text), _value("periodic_?remove", text)
    ours = _arguments(text) + _environment(text) + _SESSION.format(
        granted=granted, launch=launch, cell=cell, folder=folder, inputs=", ".join(inputs),
        jupyter=str(granted.pool == JUPYTER).lower(), seconds=granted.runtime * 60, over=TIME_LIMIT,
        requirements=f"({required}) && " if required else "", remove=f"({removed}) || " if removed else "",
    )  # fmt: skip
    return f"{text[: queue[0].start()]}{ours}queue\n"


def _arguments(text: str) -> str:
    """The arguments in the new syntax, said to the job's ad itself.

    condor_submit does not know the version of an access point that it is sent to directly, and takes it for
    one of 2005, which has no arguments with blanks (condor_utils/submit_utils.cpp, SetArguments).
    """
    quoted = _value("arguments", text)
    if not quoted.startswith('"'):
        return ""
    plain = quoted[1:].removesuffix('"').replace('""', '"')
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'arguments =\nMy.Arguments = "{escaped}"\n'


def _environment(text: str) -> str:
    """What the site has there, and no home: a login shell that begins the job would read what it finds there.

    The script says itself where the home is.
    """
    site = _value("environment2?", text) or _value("env", text)
    if site.startswith('"'):
        return f'environment = "HOME={NO_HOME} {site[1:]}\n'
    return f"environment = {';'.join(filter(None, (f'HOME={NO_HOME}', site)))}\n"


def _value(name: str, text: str) -> str:
    """What the description says last of this; "" for nothing. A line may go on behind a backslash.

    name: a regular expression, as condor_submit knows most names with underscores and without
    """
    whole = re.sub(r"\\\n", " ", text)
    found = re.findall(rf"^\s*{name}\s*=(.*)$", whole, re.IGNORECASE | re.MULTILINE)
    return found[-1].strip() if found else ""


def values(granted: Granted) -> Mapping[str, object]:
    """What batchspawner's placeholders stand for."""
    return {
        "nprocs": granted.cpus,
        "memory": f"{granted.memory}M",
        "runtime": granted.runtime,
        "queue": granted.pool,
    }
