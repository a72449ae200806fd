"""A person's own files never cost them their session: at each place where there are sessions."""

import hashlib
import json
import time
from collections.abc import Callable

import pytest
from bs4 import BeautifulSoup

from support import sessions, traffic
from support.homes import NODES
from support.owners import ENDED, LOG, PLACES, Owner
from support.wait import wait_until

pytestmark = [
    pytest.mark.needs("hpc/ivan", "htc/ivan", throughout=True),
    pytest.mark.shares("slurm", "condor", throughout=True),
    pytest.mark.long,
]

CONFIG = ".jupyter/jupyter_server_config.py"
THEMES = ".jupyter/lab/user-settings/@jupyterlab/apputils-extension/themes.jupyterlab-settings"
TOUR = ".jupyter/lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
KERNEL = ".local/share/jupyter/kernels/python3/kernel.json"
# A file of each kind, and how it is spoilt
BROKEN = {
    THEMES: '{"theme": "Jupy',
    ".jupyter/labconfig/page_config.json": "[]",
    ".jupyter/labconfig/default_setting_overrides.json": '{"@jupyterlab/apputils-extension:themes": 1}',
    ".jupyter/jupyter_server_config.d/site.json": '{"ServerApp": {"jpserver_extensions": ["a"]}}',
    CONFIG: "c.ServerApp.open_browser =",
    KERNEL: '{"argv": null}',
    ".local/share/jupyter/labextensions/mine/package.json": "{}",
}


# ---- shell files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["hpc-login", "htc-login"])
@pytest.mark.parametrize("text", ["echo hi\nread x\nexit 1\n", "exec sleep 600\n"])
def test_no_shell_file_has_a_say_in_a_session_on_the_login_node(
    owner_at: Callable[[str], Owner], place: str, text: str
):
    owner = owner_at(place)
    for name in (".bashrc", ".bash_profile", ".profile", ".ssh/rc"):
        owner.home.put(name, text)
    for name in (".ssh/environment", ".pam_environment"):
        owner.home.put(name, f"BASH_ENV={owner.home.path}/.bashrc\n")
    begun = time.monotonic()
    owner.begin()
    assert owner.hub.ready()
    assert time.monotonic() - begun < sessions.START
    sessions.end(owner.hub)
    wait_until(lambda: not owner.left(), timeout=ENDED, what="nothing to be left")


# ---- the home itself --------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_a_full_home_is_told_of_and_keeps_nobody_from_working(owner_at: Callable[[str], Owner], place: str):
    owner = owner_at(place)
    with owner.home.full(place):
        owner.begin()
        assert owner.computes()
        told = owner.ask("home")
        assert told["refuses"] == "it is full"
        assert told["nearly"]
        large = owner.ask("home/largest")
        assert large["complete"]
        assert [found["path"] for found in large["files"]] == ["data/big"]  # type: ignore[attr-defined]
        assert [found["path"] for found in large["folders"]] == ["data"]  # type: ignore[attr-defined]
        sessions.end(owner.hub)


@pytest.mark.parametrize("place", ["hpc", "htc-login"])
def test_a_home_that_takes_no_more_files_is_told_of(owner_at: Callable[[str], Owner], place: str):
    owner = owner_at(place)
    with owner.home.tiny(place, files=3):
        for node in NODES[place]:
            owner.home.run("touch a b c 2>/dev/null; true", node=node)
        owner.begin()
        assert owner.computes()
        assert owner.ask("home")["refuses"] == "it is full"
        sessions.end(owner.hub)


def test_a_home_that_may_not_be_written_to_is_told_of(owner_at: Callable[[str], Owner]):
    owner = owner_at("hpc")
    with owner.home.mode("500"):
        owner.begin()
        assert owner.computes()
        assert owner.ask("home")["refuses"] == "its permissions do not let you write there"
        sessions.end(owner.hub)


def test_a_home_with_room_is_not_warned_of(owner_at: Callable[[str], Owner]):
    """The control."""
    owner = owner_at("htc")
    owner.begin()
    told = owner.ask("home")
    assert told["refuses"] == ""
    assert 0 < int(str(told["used"])) < int(str(told["size"]))
    assert owner.ask("settings") == {"without": False, "left_out": [], "broken": []}
    assert owner.home.run(f"test -s {LOG} && echo there").split() == ["there"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("make", ["mkdir", "mkfifo", "ln -s /nowhere/log"])
def test_what_stands_where_the_log_belongs_holds_nothing_up(
    owner_at: Callable[[str], Owner], place: str, make: str
):
    owner = owner_at(place)
    owner.home.run(f"{make} {LOG}")
    owner.begin()
    sessions.end(owner.hub)
    wait_until(lambda: not owner.left(), timeout=ENDED, what="nothing to be left")


# ---- settings files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["hpc", "htc", "htc-login", "hpc-container"])
def test_settings_that_cannot_be_read_are_left_out_and_named(owner_at: Callable[[str], Owner], place: str):
    owner = owner_at(place)
    cluster = owner.hub.cluster
    name = f"{cluster}-{hashlib.sha256(cluster.encode()).hexdigest()[:4]}"  # as JupyterLab calls its file
    workspace = f".jupyter/lab/workspaces/{cluster}/{name}.jupyterlab-workspace"
    broken = {**BROKEN, workspace: '{"data": {}, "metadata"'}
    for path, text in broken.items():
        owner.home.put(path, text)
    owner.home.run(f"mkfifo {TOUR}")
    owner.begin()
    for path in (
        "lab/api/settings",
        "lab/api/workspaces",
        f"lab/api/workspaces/{cluster}",
        "api/kernelspecs",
    ):
        answer = owner.hub._call(f"{owner.hub.lab}lab", path, "GET")
        assert answer.ok, (path, answer.text)
    assert owner.computes(), "by the facility's kernel, which their own one of that name would hide"
    named = {found["path"] for found in owner.ask("settings")["broken"]}  # type: ignore[attr-defined]
    assert named == {f"~/{path}" for path in [*broken, TOUR]}
    # who changes that setting again keeps what could not be read
    changed = {"raw": '{"theme": "JupyterLab Dark"}'}
    saved = owner.hub._call(
        f"{owner.hub.lab}lab", "lab/api/settings/@jupyterlab/apputils-extension:themes", "PUT", changed
    )
    assert saved.ok, saved.text
    assert json.loads(owner.home.run(f"cat {THEMES}")) == {"theme": "JupyterLab Dark"}
    assert owner.home.run(f"cat {THEMES}.unreadable") == BROKEN[THEMES]


@pytest.mark.parametrize("place", ["hpc", "htc", "hpc-login"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import sys; sys.exit(3)", "~/.jupyter/jupyter_server_config.py ended it (exit code 3)"),
        ("import os; os._exit(3)", "while it was reading ~/.jupyter/jupyter_server_config.py"),
        ("c.ServerApp.root_dir = '/nowhere'", "had read in ~/.jupyter/jupyter_server_config.py"),
    ],
    ids=["sys.exit", "os._exit", "a value that cannot be"],
)
def test_settings_that_end_jupyterlab_are_named_and_can_be_done_without(
    owner_at: Callable[[str], Owner], place: str, text: str, words: str
):
    owner = owner_at(place)
    owner.home.put(CONFIG, text)
    shown = owner.fails()
    assert words in shown
    assert "To find out, start without them." in shown
    if "sys.exit" not in text:
        return
    page = owner.hub.browser.get(f"{owner.hub.base}/hub/spawn-pending/{owner.hub.person}", timeout=60)
    (form,) = BeautifulSoup(page.text, "html.parser").select("form#without")
    fields = {str(field["name"]): str(field["value"]) for field in form.select("input")}
    address = f"{owner.hub.settings.url}{form['action']}"
    answer = owner.hub.browser.post(address, data=fields, headers={"Referer": address}, timeout=60)
    assert answer.ok, answer.text
    wait_until(owner.hub.ready, timeout=sessions.START, what="the session without her settings")
    assert owner.hub.open().ok
    told = owner.ask("settings")
    assert told["without"]
    assert told["left_out"] == ["~/.jupyter"]
    assert told["broken"] == [{"path": f"~/{CONFIG}", "why": "ends whatever reads it (exit code 3)"}]


@pytest.mark.parametrize("place", ["hpc", "htc"])
def test_a_folder_of_settings_that_is_a_link_to_nothing_is_named(
    owner_at: Callable[[str], Owner], place: str
):
    owner = owner_at(place)
    owner.home.run("ln -s /nowhere/jupyter .jupyter && ln -s /nowhere/ipython .ipython && touch .local")
    owner.begin()
    assert owner.computes()
    why = {found["path"]: found["why"] for found in owner.ask("settings")["broken"]}  # type: ignore[attr-defined]
    assert why["~/.jupyter"] == "is a link to /nowhere/jupyter, which does not exist"
    assert why["~/.ipython"] == "is a link to /nowhere/ipython, which does not exist"
    assert why["~/.local"] == "is not a folder"


@pytest.mark.parametrize("place", ["hpc", "htc-login", "htc-container"])
def test_a_start_without_own_settings_uses_none_of_them_once(owner_at: Callable[[str], Owner], place: str):
    owner = owner_at(place)
    owner.home.put(".ipython/profile_default/startup/00-mine.py", "mine = 1\n")
    owner.home.put(".bash_profile", "exit 1\n")
    owner.home.put(KERNEL, json.dumps({"argv": ["/bin/false"], "display_name": "Mine"}))
    owner.begin(without_settings=True)
    told = owner.ask("settings")
    assert told["left_out"] == ["~/.ipython", "~/.local/share/jupyter", "~/.bash_profile"]
    assert told["broken"] == [{"path": "~/.bash_profile", "why": "ends whatever reads it (exit code 1)"}]
    ask = "import os; print('mine' in dir(), os.environ.get('PYTHONNOUSERSITE'), os.getcwd())"
    assert traffic.run(owner.hub, owner.hub.kernel(), ask) == f"False 1 {owner.home.path}"
    sessions.end(owner.hub)
    owner.home.remove(KERNEL)
    owner.begin()  # the next one has them again
    assert traffic.run(owner.hub, owner.hub.kernel(), "print('mine' in dir())") == "True"
