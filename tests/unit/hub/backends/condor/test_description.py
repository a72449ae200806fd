"""What condor_submit reads and what the job runs: by bash itself, where it is a script."""

import asyncio
import re
import subprocess
import time

import pytest

from benchtop_hub.backends.condor import description, form
from standins import OnCondor, Pool
from standins import session as made

GRANTED = form.Granted("jupyter", 2, 1024, 512, 60)


@pytest.fixture
def session():
    return made(OnCondor, Pool())


def script_of(session, env):
    """What its job runs."""
    launch = session.launch(env)
    return description.script(GRANTED, launch, f"{launch.home}/{launch.log}")


def describe(session, granted=GRANTED):
    """What condor_submit reads for it."""
    return description.describe(granted, session.launch({}), cell="htc-1", folder="/tmp/x")  # noqa: S108


def test_the_script_gives_every_variable_as_it_was(session, tmp_path):
    session.home, session.lab_python = str(tmp_path), "/bin/true"
    nasty = {"A": 'it\'s "quoted"\n$(id) `id` \\', "HOME": str(tmp_path)}
    script = script_of(session, nasty).replace("/bin/true -I -m benchtop_lab.session", 'printf %s "$A"')
    (tmp_path / "session").write_text(script)
    subprocess.run(["bash", "session"], cwd=tmp_path, check=True)
    assert (tmp_path / session.log_name).read_text() == nasty["A"]
    assert not (tmp_path / "session").exists(), "the secrets lie in the node's folder no longer than needed"


def test_a_home_that_takes_no_log_does_not_silence_the_session(session, tmp_path):
    session.home, session.lab_python = str(tmp_path / "away"), "/nowhere/python"
    (tmp_path / "session").write_text(script_of(session, {"HOME": str(tmp_path / "away")}))
    done = subprocess.run(["bash", "session"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 127
    assert "/nowhere/python" in (tmp_path / "log").read_text()


def test_the_session_knows_when_its_runtime_is_over(session, tmp_path):
    session.home, session.lab_python = str(tmp_path), "/bin/true"
    script = script_of(session, {"HOME": str(tmp_path)})
    say = script.replace("/bin/true -I -m benchtop_lab.session", "echo $BENCHTOP_ENDS")
    (tmp_path / "session").write_text(say)
    before = int(time.time())
    subprocess.run(["bash", "session"], cwd=tmp_path, check=True)
    ends = int((tmp_path / session.log_name).read_text())
    assert before <= ends - GRANTED.runtime * 60 <= time.time()


@pytest.mark.parametrize(("kind", "jupyter"), [("jupyter", "true"), ("standard", "false")])
def test_a_job_says_whose_it_is_what_it_wants_and_when_it_goes(session, kind, jupyter):
    said = describe(session, form.Granted(kind, 2, 1024, 512, 60)).splitlines()
    assert "JobBatchName = jh-htc-1-alice" in said
    assert f"My.IsJupyter = {jupyter}" in said
    assert "request_cpus = 2" in said
    assert "request_memory = 1024M" in said
    ends = "\n".join(said).partition("periodic_hold = ")[2].partition("periodic_hold_reason")[0]
    assert "JobCurrentStartDate > 3600" in ends
    assert "NumShadowStarts > 0" in ends


# ---- a site's own submit description --------------------------------------------------------------------

OWN = """\
executable = /bin/bash
arguments = "-c 'exec {cmd}'"
"""


def own(session, text):
    """What condor_submit reads, by name, for a site's description: the last of each."""
    session.batch_script = text
    described = describe(session)
    pairs = (line.partition("=") for line in described.replace("\\\n", "").splitlines() if "=" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs if not name.startswith("#")}


@pytest.mark.parametrize(
    "line", ["getenv = True", "GetEnv=true", "  getenv = HOME,PATH", "getenv = TRUE", "getenv = A, JUPYTER*"]
)
def test_an_environment_in_the_jobs_ad_is_refused(session, line):
    with pytest.raises(ValueError, match=r"^batch_script: getenv would show the hub's environment"):
        own(session, f"{OWN}{line}\nqueue\n")


@pytest.mark.parametrize("line", ["getenv = False", "# getenv = True", "+GetenvNote = 1"])
def test_what_puts_none_there_is_not(session, line):
    assert own(session, f"{OWN}{line}\nqueue\n")["my.benchtopcell"] == '"htc-1"'


@pytest.mark.parametrize(
    ("name", "ours"),
    [("requirements", "&& (NumShadowStarts"), ("periodic_remove", "|| (JobStatus == 5")],
)
@pytest.mark.parametrize("written", ["{name} = A || B", "{NAME}=A || B", "{name} = X\n{name} = A \\\n  || B"])
def test_conditions_of_the_site_are_combined_with_ours(session, name, ours, written):
    line = written.format(name=name, NAME=name.upper())
    found = " ".join(own(session, f"{OWN}{line}\nqueue\n")[name].split())
    assert found.startswith(f"(A || B) {ours}")


def test_ours_stand_alone_where_the_site_has_none(session):
    found = own(session, f"{OWN}queue\n")
    assert found["requirements"].startswith("(NumShadowStarts")
    assert found["periodic_remove"].startswith("(JobStatus == 5")
    assert found["transfer_input_files"] == "/tmp/x/session"  # noqa: S108


def test_files_and_attributes_of_the_site_are_kept(session):
    found = own(session, f'{OWN}transfer_input_files = /a, /b\n+Project = "physics"\nqueue\n')
    assert found["transfer_input_files"] == "/a, /b, /tmp/x/session"
    assert found["+project"] == '"physics"'


@pytest.mark.parametrize("end", ["queue", "Queue\n", "queue 1\n\n", "  QUEUE  \n"])
def test_one_job_is_queued_and_ours_stands_before_it(session, end):
    session.batch_script = OWN + end
    lines = describe(session).splitlines()
    assert lines[-1] == "queue"
    assert [line for line in lines if re.match(r"\s*queue", line, re.IGNORECASE)] == ["queue"]


@pytest.mark.parametrize(
    "end", ["", "queue 2\n", "queue\nqueue\n", "queue\n+Late = 1\n", "queue x in (a, b)\n"]
)
def test_any_other_number_of_jobs_is_refused(session, end):
    with pytest.raises(ValueError, match=r"^batch_script: it must end with one line `queue`, for one job\.$"):
        own(session, OWN + end)


def test_what_is_granted_wins(session):
    found = own(session, f"{OWN}request_memory = 9G\nrequest_cpus = 99\nqueue\n")
    assert (found["request_memory"], found["request_cpus"]) == ("1024M", "2")


def test_variables_that_a_site_keeps_are_exported(session):
    session.req_keepvars_extra = "SITE_LICENSE=x y,NAME_ALONE"
    text = script_of(session, {"A": "a"})
    assert "export SITE_LICENSE='x y'\n" in text
    assert "NAME_ALONE" not in text, "of the hub's own nothing is a session's"


def test_defaults_of_the_site_lie_beneath_the_form():
    session = made(OnCondor, Pool(), req_memory="2G", req_nprocs="3", req_runtime="2:00:00")
    backend, wanted = session.parse_request({"cpus": "1"})
    got = asyncio.run(session.check_request(backend, wanted))
    assert (got.cpus, got.memory, got.runtime) == (1, 2048, 120)
    with pytest.raises(ValueError, match=r"^req_memory: "):
        backend.check_defaults({"memory": "much"})


@pytest.mark.parametrize(
    ("site", "both"),
    [
        ("", "HOME=/nonexistent"),
        ("environment = \"A=1 B='x y'\"\n", "\"HOME=/nonexistent A=1 B='x y'\""),
        ("environment = A=1;B=2\n", "HOME=/nonexistent;A=1;B=2"),
    ],
)
def test_a_login_shell_that_begins_the_job_finds_no_home(session, site, both):
    session.batch_script = f"{site}executable = /bin/bash\narguments = \"-lc 'exec {{cmd}}'\"\nqueue\n"
    said = describe(session)
    assert f"environment = {both}\n" in said
    assert said.rindex("environment =") > said.index("executable"), "the last one counts"
