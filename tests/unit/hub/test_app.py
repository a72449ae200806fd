"""The hub of a cell: what it mounts, which configuration it starts with, and who gets which setting."""

import pytest
from traitlets.config import Config

from benchtop_hub.app import BenchtopHub, hand_on
from benchtop_hub.backends.condor.backend import CondorBackend
from benchtop_hub.backends.login_node import LoginNode
from benchtop_hub.backends.slurm.backend import SlurmBackend
from benchtop_hub.sessions.batch import CondorSession, SlurmSession
from standins import COOKIE_SECRET


def test_upstreams_report_handler_is_not_mounted(visitor):
    """It sets whatever attribute of a spawner a job names."""
    visitor.ask("/home")
    xsrf = {"X-XSRFToken": visitor.session.cookies["_xsrf"]}
    assert visitor.ask("/api/batchspawner", "POST", headers=xsrf, json={}).status_code == 404
    ours = visitor.ask("/api/session/port", "POST", headers=xsrf, json={"port": 45678})
    assert ours.status_code == 403, "the control: ours is there, and takes it of no browser"


# ---- which backend gets a setting of the session's section -----------------------------------------


def handed_on(kind, **sections):
    config = Config({name: Config(section) for name, section in sections.items()})
    hand_on(config, kind)
    return config


def test_what_is_set_for_sessions_reaches_the_backends():
    config = handed_on(
        SlurmSession, SlurmSession={"usual_cpus": 3, "login_runtime": 90, "login_node": "l", "cell": "hpc-1"}
    )
    assert config.SlurmBackend == {"usual_cpus": 3}
    assert config.LoginNode == {"login_runtime": 90, "login_node": "l"}
    assert config.SlurmSession == {"cell": "hpc-1"}


def test_each_kind_of_session_has_its_own_batch_system():
    config = handed_on(CondorSession, CondorSession={"usual_disk": 7, "login_memory": 8, "longest": 9})
    assert (config.CondorBackend, config.LoginNode) == ({"usual_disk": 7, "longest": 9}, {"login_memory": 8})


def test_what_is_set_for_a_backend_itself_wins():
    config = handed_on(SlurmSession, SlurmSession={"usual_cpus": 3}, SlurmBackend={"usual_cpus": 4})
    assert config.SlurmBackend.usual_cpus == 4


def test_a_class_that_a_site_makes_of_ours_has_the_settings_of_both():
    own = type("OurSession", (SlurmSession,), {})
    config = handed_on(
        own, SlurmSession={"usual_cpus": 3, "usual_memory": 64}, OurSession={"usual_cpus": 4, "cell": "x"}
    )
    assert config.SlurmBackend == {"usual_cpus": 4, "usual_memory": 64}
    assert config.OurSession == {"cell": "x"}


def test_what_nobody_knows_stays_where_it_was():
    """`make apply` and the hub's log complain of it."""
    assert handed_on(SlurmSession, SlurmSession={"usual_cpu": 3}).SlurmSession == {"usual_cpu": 3}


def test_a_backend_that_the_site_leaves_out_gets_nothing():
    config = handed_on(
        SlurmSession, SlurmSession={"backend_classes": [SlurmBackend], "login_node": "l", "usual_cpus": 3}
    )
    assert "login_node" in config.SlurmSession
    assert "LoginNode" not in config


# the names that facilities have in their configuration: none may change
KNOWN = {
    SlurmSession: "cell minter support keys home lab_python log_name templates preferred_partitions "
    "usual_cpus usual_memory rights_age login_node login_runtime login_longest login_memory login_cpu "
    "login_processes login_files login_idle",
    CondorSession: "cell minter support keys home lab_python log_name templates access_point usual_cpus "
    "usual_memory usual_disk usual_runtime longest login_node login_runtime login_longest login_memory "
    "login_cpu login_processes login_files login_idle",
}


@pytest.mark.parametrize(("kind", "names"), KNOWN.items(), ids=["slurm", "condor"])
def test_every_setting_of_sessions_is_heard_by_somebody(kind, names):
    backends = {SlurmSession: [SlurmBackend, LoginNode], CondorSession: [CondorBackend, LoginNode]}[kind]
    heard = {name for one in (kind, *backends) for name in one.class_traits(config=True)}
    assert set(names.split()) <= heard


# ---- how it starts ------------------------------------------------------------------------------------


@pytest.fixture
def configured(tmp_path):
    """`configured(text)`: a hub that has read this configuration."""

    def read(text):
        BenchtopHub.clear_instance()
        hub = BenchtopHub.instance()
        file = tmp_path / "config.py"
        file.write_text(text)
        hub.load_config_file(str(file))
        return hub

    yield read
    BenchtopHub.clear_instance()


HOW = {"injected": "", "imported": "from traitlets.config import get_config\nc = get_config()\n"}


@pytest.mark.parametrize("begin", HOW.values(), ids=HOW.keys())
def test_its_settings_are_those_of_jupyterhub_and_its_own(configured, begin):
    hub = configured(
        begin
        + "c.JupyterHub.base_url = '/jupyterhub/hpc/'\n"
        + f"c.JupyterHub.cookie_secret = {COOKIE_SECRET!r}\n"
        + "c.BenchtopHub.keys = '/elsewhere'\n"
    )
    assert (hub.base_url, hub.cookie_secret, hub.keys) == ("/jupyterhub/hpc/", COOKIE_SECRET, "/elsewhere")


SLURM = "from benchtop_hub.sessions.batch import SlurmSession\nc.JupyterHub.spawner_class = SlurmSession\n"


def test_it_does_not_start_with_a_setting_that_would_do_nothing(configured):
    with pytest.raises(SystemExit) as told:
        configured(
            SLURM
            + "c.SlurmSpawner.exec_prefix = 'sudo'\nc.Spawner.cmd = ['lab']\nc.SlurmSession.req_host = 'x'\n"
        )
    lines = str(told.value.code).splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "c.SlurmSession.req_host", "c.SlurmSpawner.exec_prefix", "c.Spawner.cmd",
    ]  # fmt: skip
    assert "c.SlurmSession.lab_python" in lines[2]


def test_it_starts_with_all_that_a_site_may_set(configured):
    hub = configured(
        SLURM
        + "c.SlurmSession.usual_cpus = 3\nc.SlurmSpawner.req_prologue = 'module load x'\n"
        + "c.Spawner.environment = {'A': 'b'}\n"
    )
    assert hub.config.SlurmBackend.usual_cpus == 3


def test_it_starts_with_another_spawner(configured):
    assert configured("c.JupyterHub.spawner_class = 'simple'\n").spawner_class.__name__ == (
        "SimpleLocalProcessSpawner"
    )
