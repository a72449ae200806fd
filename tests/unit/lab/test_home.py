"""A person's home and settings files, in every state that they may be in."""

import os
from pathlib import Path

import pytest

from benchtop_lab.home import log, own, room, settings, trial
from benchtop_lab.home.largest import largest

THEMES = "user-settings/themes.jupyterlab-settings"
SOUND = {
    THEMES: '{"theme": "JupyterLab Dark"} // with a comment',
    "empty/themes.jupyterlab-settings": "",
    "page_config.json": '{"disabledExtensions": {"a": true}}',
    "default.jupyterlab-workspace": '{"data": {}, "metadata": {"id": "/default"}}',
    "kernels/mine/kernel.json": '{"argv": ["python", "-m", "x"], "display_name": "Mine"}',
    "labextensions/a/package.json": '{"name": "a", "version": "1", "jupyterlab": {"_build": {"load": "x"}}}',
    "jupyter_server_config.json": '{"ServerApp": {"jpserver_extensions": {"a": true}}}',
    "jupyter_server_config.py": "c.ServerApp.open_browser = False\n",
}
BROKEN = {
    THEMES: ['{"theme": "Jupy', "[1]", "3", "null", "\x00\x01", "[" * 100_000],
    "page_config.json": ["[]", '{"disabledExtensions": []}', '{"disabledExtensions": 1}'],
    "default.jupyterlab-workspace": ["", "{}", '{"data": {}}', '{"data": [], "metadata": {}}'],
    "kernels/mine/kernel.json": ["", "{}", '{"argv": null}', '{"argv": []}', '{"argv": [1]}'],
    "labextensions/mine/package.json": ["{}", '{"name": "mine", "version": 1}'],
    "jupyter_server_config.json": ["{", '{"ServerApp": []}'],
    "jupyter_server_config.py": ["x =", "a\x00b"],
}


def put(path: Path, text: str) -> Path:
    """A file with this text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture(autouse=True)
def _json5(monkeypatch: pytest.MonkeyPatch) -> None:
    """JupyterLab's reader of comments, as far as this needs it: only sessions have that."""

    def read(text: str) -> object:
        if text == SOUND[THEMES]:
            return {}
        raise ValueError("no JSON with comments either")

    monkeypatch.setattr(settings, "_json5", read)


@pytest.mark.parametrize("name", SOUND)
def test_a_file_that_can_be_read_has_no_fault(tmp_path: Path, name: str):
    assert settings.fault(put(tmp_path / name, SOUND[name])) == ""


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BROKEN.items() for text in texts])
def test_a_file_that_cannot_be_read_has_one(tmp_path: Path, name: str, text: str):
    assert settings.fault(put(tmp_path / name, text))


def test_what_is_no_file_is_never_waited_for(tmp_path: Path):
    pipe, folder, link = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "c.json"
    os.mkfifo(pipe)
    folder.mkdir()
    link.symlink_to("/nowhere")
    assert settings.fault(pipe) == "is not a file, but a pipe or a device"
    assert settings.fault(folder) == "is a folder, not a file"
    assert settings.fault(link) == "is a link to /nowhere, which does not exist"
    assert settings.fault(tmp_path / "none.json") == ""


def test_a_huge_file_is_not_read(tmp_path: Path):
    huge = tmp_path / "jupyter_server_config.py"
    with huge.open("wb") as file:
        file.truncate(5_000_000_000)
    assert settings.fault(huge) == "is too large (5000 MB)"


def test_all_faults_of_a_home_are_found_with_their_folders(tmp_path: Path):
    (tmp_path / ".ipython").symlink_to("/nowhere")
    put(tmp_path / ".local/share/jupyter", "")
    kernel = put(tmp_path / ".jupyter/lab/user-settings/@a/b/c.jupyterlab-settings", "{")
    put(tmp_path / ".jupyter/custom/unread.json", "{")
    found = settings.faults(tmp_path)
    assert set(found) == {tmp_path / ".ipython", tmp_path / ".local/share/jupyter", kernel}


def test_a_home_that_is_away_is_a_sentence(tmp_path: Path):
    assert room.unusable(tmp_path) == ""
    assert "does not exist on" in room.unusable(tmp_path / "away")
    assert "is not a folder" in room.unusable(put(tmp_path / "file", ""))


def test_a_home_of_somebody_else_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)
    assert "not to you" in room.unusable(tmp_path)


def test_what_a_home_takes_is_tried_and_nothing_is_left(tmp_path: Path):
    assert room.refuses(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []
    assert room.refuses(Path("/proc")) != ""


def test_a_file_system_that_is_nearly_full_is_told_of(monkeypatch: pytest.MonkeyPatch):
    def of(free: int, files: int) -> room.Usage:
        names = {"f_blocks": 1000, "f_bfree": free + 50, "f_bavail": free, "f_frsize": 4096}
        counts = {"f_files": 100, "f_ffree": files, "f_favail": files}
        about = type("About", (), {**names, **counts})
        monkeypatch.setattr(os, "statvfs", lambda _: about)
        return room.usage(Path("/home/alice"))

    assert not of(500, 50).nearly_full
    assert of(90, 50).nearly_full
    assert not of(90, 50).files
    assert of(500, 5).nearly_full
    assert of(500, 5).files


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/nowhere/log")])
def test_a_log_is_elsewhere_where_the_home_takes_none(tmp_path: Path, make):
    wanted, folder = tmp_path / "log", tmp_path / "run"
    folder.mkdir()
    make(wanted)
    handle = log.open_log(str(wanted), str(folder))
    os.write(handle, b"told")
    os.close(handle)
    assert (folder / "log").read_text() == "told"


def test_a_log_is_elsewhere_where_the_home_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "run").mkdir()
    put(tmp_path / "log", "of an earlier session")
    handle = log.open_log(str(tmp_path / "log"), str(tmp_path / "run"))
    os.write(handle, b"fits")
    os.close(handle)
    assert (tmp_path / "log").read_text() == "fits", "the control: it begins anew where it should be"
    monkeypatch.setattr(log, "fill", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
    os.close(log.open_log(str(tmp_path / "log"), str(tmp_path / "run")))
    assert (tmp_path / "run/log").exists()


def test_a_start_without_own_settings_has_folders_of_its_own(tmp_path: Path):
    env = {own.WITHOUT: "yes", "PYTHONSTARTUP": "mine.py", "BASH_ENV": "mine"}
    own.prepare(env, tmp_path, Path("/run-folder"))
    assert {name: env[name] for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")} == {
        "JUPYTER_CONFIG_DIR": "/run-folder/config", "JUPYTER_DATA_DIR": "/run-folder/data",
        "IPYTHONDIR": "/run-folder/ipython",
    }  # fmt: skip
    assert env["PYTHONNOUSERSITE"] == "1"
    assert not {"PYTHONSTARTUP", "BASH_ENV"} & set(env)


def test_another_start_has_those_of_the_home_unless_they_cannot_be_used(tmp_path: Path):
    env: dict[str, str] = {}
    own.prepare(env, tmp_path, Path("/run-folder"))
    assert not {"JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR", own.REFUSES} & set(env)
    (tmp_path / ".jupyter").symlink_to("/nowhere")
    own.prepare(env, tmp_path, Path("/run-folder"))
    assert env["JUPYTER_CONFIG_DIR"] == "/run-folder/config"


def test_a_first_kernel_starts_in_a_home_that_has_become_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    env = {"JUPYTER_RUNTIME_DIR": "/run-folder/jupyter"}
    own.prepare_kernel(env, tmp_path)
    assert "IPYTHONDIR" not in env, "the control: there is room"
    monkeypatch.setattr(room, "refuses", lambda _: "it is full")
    for name in ("db", "log", "pid", "security", "startup"):
        (tmp_path / ".ipython/profile_default" / name).mkdir(parents=True)
    own.prepare_kernel(env, tmp_path)
    assert "IPYTHONDIR" not in env, "the control: nothing is to be made"
    (tmp_path / ".ipython/profile_default/startup").rmdir()
    own.prepare_kernel(env, tmp_path)
    assert env["IPYTHONDIR"] == "/run-folder/ipython"


def test_what_is_left_out_is_what_is_there(tmp_path: Path):
    put(tmp_path / ".jupyter/x", "")
    put(tmp_path / ".bashrc", "")
    assert own.left_out(tmp_path) == [tmp_path / ".jupyter", tmp_path / ".bashrc"]
    assert own.shown(tmp_path / ".bashrc", tmp_path) == "~/.bashrc"


def test_shell_files_that_end_or_hold_up_a_shell_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trial, "PATIENCE", 1.0)
    put(tmp_path / ".bashrc", "exit 3\n")
    put(tmp_path / ".profile", "sleep 60\n")
    put(tmp_path / ".bash_profile", "export A=1; read x; echo hi; false\n")
    ends = put(tmp_path / ".local/lib/python3.13/site-packages/usercustomize.py", "raise SystemExit(4)\n")
    assert trial.failing(tmp_path) == {
        tmp_path / ".bashrc": "ends whatever reads it (exit code 3)",
        tmp_path / ".profile": "does not come to an end within 1 seconds",
        ends: "ends whatever reads it (exit code 4)",
    }


def test_what_is_large_is_found_with_the_folders_that_it_is_in(tmp_path: Path):
    put(tmp_path / "a/b/large", "x" * 200_000)
    put(tmp_path / "a/small", "x" * 5000)
    (tmp_path / "a/b/c").mkdir()
    os.link(tmp_path / "a/b/large", tmp_path / "a/b/c/again")
    (tmp_path / "link").symlink_to("/")
    found = largest(tmp_path)
    assert found.complete
    assert [path for path, _ in found.folders] == ["a", "a/b"]
    assert found.total < 300_000, "once, whatever names it has"
    assert {path for path, _ in found.files} >= {"a/small"}


def test_a_look_at_a_huge_home_is_bounded(tmp_path: Path):
    for number in range(50):
        put(tmp_path / f"{number}/file", "x")
    ticks = iter(range(1000))
    found = largest(tmp_path, patience=10, clock=lambda: float(next(ticks)), rest=lambda _: None)
    assert not found.complete
    assert len(found.files) < 50


def test_folders_of_sessions_that_were_killed_are_removed_and_no_others(tmp_path: Path):
    kept = [tmp_path / f"benchtop.{os.getpid()}.a", tmp_path / "benchtop.x.a", tmp_path / "other"]
    dead = tmp_path / "benchtop.999999999.a"
    for folder in (*kept, dead):
        put(folder / "log", "")
    log.remove_left((str(tmp_path),))
    assert [folder.exists() for folder in (*kept, dead)] == [True, True, True, False]
