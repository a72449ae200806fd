# ruff: noqa: D102  # stand-ins: their names say it
"""The files by which a session's programs show who they are: there while they are good, and nowhere else."""

import stat
import threading
from pathlib import Path

import pytest

from benchtop_lab.session import credentials, environment
from benchtop_lab.session.credentials import AWAY, GUEST, OVER, SOONEST, USUAL, Credentials
from support.wait import wait_until

SLURM = {"kind": "slurm", "token": "a.jwt", "expires": 1045.0}
CONDOR = {"kind": "condor", "token": "an.idtoken", "expires": 1045.0}


class Hub:
    """Answers what it is told to."""

    def __init__(self):
        self.status, self.said, self.times, self.now = 200, {"hpc": SLURM, "htc": CONDOR}, 0, 1000.0

    def __call__(self):
        self.times += 1
        if self.status == 0:
            raise ConnectionRefusedError
        return self.status, self.said


@pytest.fixture
def hub():
    return Hub()


@pytest.fixture
def folder(tmp_path: Path):
    env = {"BENCHTOP_RUN": str(tmp_path)}
    credentials.prepare(env)
    assert env["_CONDOR_SEC_TOKEN_DIRECTORY"] == f"{env['BENCHTOP_CREDENTIALS']}/condor"
    return Path(env["BENCHTOP_CREDENTIALS"])


@pytest.fixture
def kept(hub: Hub, folder: Path):
    return Credentials(folder, hub, lambda: hub.now, Path("/nonexistent"))


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_each_is_a_private_file(kept: Credentials, folder: Path):
    kept.turn()
    assert files(folder) == {"slurm.jwt": "a.jwt\n", "condor/session": "an.idtoken\n"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "condor")} == {0o700}


def test_nothing_of_it_is_in_the_environment_and_what_names_it_is_the_sessions_own(tmp_path: Path):
    env = {"BENCHTOP_RUN": str(tmp_path), "PATH": "/bin"}
    credentials.prepare(env)
    environment.keep_to_itself(env)
    assert {"BENCHTOP_CREDENTIALS", "_CONDOR_SEC_TOKEN_DIRECTORY"} <= set(env["BENCHTOP_OWN"].split())


def test_they_are_renewed_at_half_their_life(kept: Credentials, hub: Hub, folder: Path):
    hub.now = 1015.0
    assert kept.turn() == 15.0
    hub.said = {"hpc": {**SLURM, "token": "another", "expires": 1090.0}, "htc": {**CONDOR, "expires": 1090.0}}
    hub.now = 1030.0
    assert kept.turn() == USUAL
    assert files(folder)["slurm.jwt"] == "another\n"
    hub.now = 1089.0
    assert kept.turn() == SOONEST


@pytest.mark.parametrize("status", [0, 503, 502, 500])
def test_while_the_hub_is_away_what_is_there_stays_until_it_ends(
    kept: Credentials, hub: Hub, folder: Path, status: int
):
    kept.turn()
    hub.status, hub.said, hub.now = status, None, 1044.0
    kept.turn()
    assert set(files(folder)) == {"slurm.jwt", "condor/session"}
    hub.now = 1045.0
    kept.turn()
    assert set(files(folder)) == {"why"}
    assert files(folder)["why"] == f"Slurm: {AWAY}\nHTCondor: {AWAY}\n"
    hub.status, hub.said, hub.now = 200, {"hpc": {**SLURM, "expires": 2000.0}}, 1100.0
    kept.turn()
    assert "slurm.jwt" in files(folder), "the control: it is asked again"


def test_a_minter_that_is_away_costs_nobody_what_they_have(kept: Credentials, hub: Hub, folder: Path):
    kept.turn()
    hub.status = 503
    hub.said = {"hpc": {"kind": "slurm", "why": "x does not answer.", "away": True}, "htc": CONDOR}
    kept.turn()
    assert set(files(folder)) == {"slurm.jwt", "condor/session"}


def test_what_is_refused_goes_at_once_and_why_says_so(kept: Credentials, hub: Hub, folder: Path):
    kept.turn()
    hub.said = {"hpc": SLURM, "htc": {"kind": "condor", "why": "carol is not in the group cluster-htc."}}
    kept.turn()
    assert files(folder) == {
        "slurm.jwt": "a.jwt\n",
        "why": "HTCondor: carol is not in the group cluster-htc.\n",
    }


def test_of_somebody_who_is_disabled_everything_goes(kept: Credentials, hub: Hub, folder: Path):
    kept.turn()
    why = "The login of alice is disabled."
    hub.status, hub.said = 403, {"hpc": {"kind": "slurm", "why": why}, "htc": {"kind": "condor", "why": why}}
    kept.turn()
    assert files(folder) == {"why": f"Slurm: {why}\nHTCondor: {why}\n"}


@pytest.mark.parametrize("said", [None, {"message": "Forbidden", "status": 403}])
def test_of_a_session_that_was_stopped_everything_goes(
    kept: Credentials, hub: Hub, folder: Path, said: object
):
    kept.turn()
    hub.status, hub.said = 403, said
    assert kept.turn() == USUAL
    assert files(folder) == {"why": f"Slurm: {OVER}\nHTCondor: {OVER}\n"}


def test_a_cluster_that_the_facility_has_not_is_said_so(kept: Credentials, hub: Hub, folder: Path):
    hub.said = {"htc": CONDOR}
    kept.turn()
    assert files(folder)["why"] == "Slurm: This facility has no cluster of Slurm.\n"


def test_elsewhere_the_access_point_is_written_down_by_its_address(hub: Hub, folder: Path, tmp_path: Path):
    """As HTCondor's own address files are: with its version, and found anew each time."""
    place = tmp_path / "place"
    place.write_text("localhost:9618\n$CondorVersion: 23.9.6 $\n$CondorPlatform: X $\n")
    kept = Credentials(folder, hub, lambda: hub.now, place)
    kept.turn()
    wanted = (
        "<127.0.0.1:9618?alias=localhost&noUDP&sock=schedd>\n$CondorVersion: 23.9.6 $\n$CondorPlatform: X $\n"
    )
    assert files(folder)["access-point"] == wanted
    place.write_text("nobody.invalid:9618\nx\n")
    kept.turn()
    assert files(folder)["access-point"] == wanted, "without an answer, the last one stays"


def test_at_the_end_nothing_stays_and_nothing_comes_back(kept: Credentials, folder: Path):
    kept.turn()
    kept.end()
    assert not folder.exists()
    kept.turn()
    assert not folder.exists()


def test_no_trouble_ends_it(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Not even a folder that is gone, or an answer that makes no sense: the next one does."""
    monkeypatch.setattr(credentials, "USUAL", 0.01)
    monkeypatch.setattr(credentials, "SOONEST", 0.01)
    hub.said = {"hpc": {"kind": "slurm", "token": "x", "expires": "soon"}}
    kept = Credentials(folder, hub, elsewhere=Path("/nonexistent"))
    thread = threading.Thread(target=kept.keep)
    thread.start()
    wait_until(lambda: hub.times > 2, timeout=10, what="it to ask on")
    hub.said = {"hpc": {**SLURM, "expires": 1e12}}
    wait_until(lambda: "slurm.jwt" in files(folder), timeout=10, what="the file")
    kept.end()
    thread.join(10)
    assert not thread.is_alive()


def test_a_guest_is_told_why_and_the_hub_is_not_asked(tmp_path: Path):
    env = {"BENCHTOP_RUN": str(tmp_path), "BENCHTOP_CONFINED": "yes"}
    credentials.prepare(env)
    credentials.start(env)
    why = tmp_path / "credentials/why"
    wait_until(why.exists, timeout=10, what="the sentence")
    assert why.read_text() == f"Slurm: {GUEST}\nHTCondor: {GUEST}\n"
    credentials.end()


def test_without_a_folder_there_is_none(tmp_path: Path):
    env: dict[str, str] = {}
    credentials.prepare(env)
    credentials.start(env)
    assert env == {}
    env = {"BENCHTOP_RUN": str(tmp_path / "away")}
    credentials.prepare(env)
    assert set(env) == {"BENCHTOP_RUN"}
