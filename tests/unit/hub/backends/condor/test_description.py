"""What condor_submit reads and what the job runs: by bash itself, where it is a script."""

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
