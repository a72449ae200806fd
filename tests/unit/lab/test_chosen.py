"""In what a session runs, decided on the node: what it becomes, and what is said where it cannot."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from benchtop_lab.home.log import FOLDER
from benchtop_lab.session import chosen
from support import software_examples as examples

WHY_NOT = "did not start JupyterLab"


class BecameError(Exception):
    """What the process would be from now on."""


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Of a session whose home and area are here; nothing becomes another program."""

    def become(program: str, words: list[str], env: dict[str, str]) -> None:
        raise BecameError(program, words, env)

    monkeypatch.setattr(os, "execve", become)
    for name in ("home", "run"):
        (tmp_path / name).mkdir(mode=0o700)
    area = examples.make(tmp_path / "software")
    for path in ("base/2026.2", "hep/2026.1"):
        python = examples.put(area / path / "bin/python", "#!/bin/sh\n")
        python.chmod(0o755)
    return {
        "HOME": str(tmp_path / "home"), FOLDER: str(tmp_path / "run"), "BENCHTOP_SOFTWARE": str(area),
        "PATH": "/usr/bin", "BENCHTOP_SUPPORT": "us@example.org",
    }  # fmt: skip


def enter(env: dict[str, str], environment: str) -> str:
    env[chosen.CHOSEN] = environment
    return chosen.enter(env, ["--debug"])


def why_told(env: dict[str, str]) -> str:
    return Path(env[FOLDER], "why").read_text()


def test_nothing_chosen_is_the_facilitys_own(env: dict[str, str]):
    before = dict(env)
    assert enter(env, "") == ""
    assert env == {**before, chosen.CHOSEN: ""}


def test_an_environment_is_entered_by_its_own_python(env: dict[str, str]):
    with pytest.raises(BecameError) as became:
        enter(env, "hep/2026.1")
    program, words, its = became.value.args
    folder = f"{env['BENCHTOP_SOFTWARE']}/hep/2026.1"
    assert program == f"{folder}/bin/python"
    assert words[1:3] == ["-I", "-c"]
    assert words[-2:] == ["benchtop_lab.session", "--debug"]
    assert its["PATH"] == f"{folder}/bin:/usr/bin"
    assert its[chosen.KERNEL] == "hep"
    assert WHY_NOT in why_told(env), "should it die, this is what is said"


def test_an_image_is_entered_with_what_is_ours_in_it(env: dict[str, str]):
    area = Path(env["BENCHTOP_SOFTWARE"])
    content = examples.about("image/1", {"kind": "container", "session": True})
    examples.put(area / "image/1/environment.json", json.dumps(content))
    assert "rootfs is missing" in enter(dict(env), "image/1")
    (area / "image/1/rootfs").mkdir()
    with pytest.raises(BecameError) as became:
        enter(env, "image/1")
    program, words, its = became.value.args
    assert program == chosen.CONTAINER
    assert words[:3] == [chosen.CONTAINER, f"{area}/image/1/rootfs", "python3"]
    inside = f"{chosen.SETTINGS}/inside-image:{chosen.CONTAINER}:ro"
    assert its["APPTAINER_BIND"] == f"/opt/lab:/opt/lab:ro,/etc/benchtop:/etc/benchtop:ro,{inside}"
    assert its[chosen.IMAGE] == f"{area}/image/1/rootfs"


def test_one_without_jupyterlab_gives_the_kernel_to_begin_with(env: dict[str, str]):
    assert enter(env, "image/1") == ""
    assert env[chosen.KERNEL] == "image"


def test_one_whose_python_is_too_old_for_a_session_does_as_well(env: dict[str, str]):
    about = examples.about("hep/2026.1", {"python": "3.9.2"})
    examples.put(Path(env["BENCHTOP_SOFTWARE"], "hep/2026.1/environment.json"), json.dumps(about))
    assert enter(env, "hep/2026.1") == ""
    assert env[chosen.KERNEL] == "hep"


def test_one_that_is_gone_or_broken_is_told(env: dict[str, str]):
    area = Path(env["BENCHTOP_SOFTWARE"])
    (area / "hep/2026.1/bin/python").unlink()
    assert f"{area}/hep/2026.1/bin/python is missing" in enter(env, "hep/2026.1")
    shutil.rmtree(area / "hep/2026.1")
    gone = enter(env, "hep/2026.1")
    assert "its environment hep/2026.1 is no longer in the software area" in gone
    assert gone.endswith("Choose another one, or ask us@example.org")
    assert "is broken" in enter(env, "cut-off/1")


def test_a_home_in_which_nobody_can_live_is_said_by_the_session_itself(env: dict[str, str]):
    env["HOME"] = "/nonexistent"
    assert enter(env, "hep/2026.1") == ""


# ---- a virtual environment of one's own -------------------------------------------------------------


@pytest.fixture
def own(env: dict[str, str]) -> Path:
    """One in which nothing is installed."""
    path = Path(env["HOME"], "my-env")
    venv.create(path, symlinks=True)
    return path


def install(own: Path, **versions: str) -> None:
    """As far as its Python can tell."""
    (packages,) = own.glob("lib/python3*/site-packages")
    for name, version in versions.items():
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        examples.put(packages / f"{name}-{version}.dist-info/METADATA", about)


@pytest.fixture
def facility(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"jupyterlab": "4.6.6", "jupyterhub": "6.1.1", "jupyter_server": "2.21.1"}
    monkeypatch.setattr(chosen.metadata, "version", known.__getitem__)


@pytest.mark.usefixtures("facility")
def test_ones_own_is_entered_where_jupyterlab_is_in_it(env: dict[str, str], own: Path):
    install(own, jupyterlab="4.7.0", jupyterhub="6.2.0", jupyter_server="2.30", ipykernel="7.0")
    with pytest.raises(BecameError) as became:
        enter(env, str(own))
    assert became.value.args[0] == str(own / "bin/python")
    assert became.value.args[2]["PATH"] == f"{own}/bin:/usr/bin"


@pytest.mark.usefixtures("facility")
@pytest.mark.parametrize("hub", [{}, {"jupyterhub": "4.1.0"}])
def test_else_it_is_the_kernel_that_notebooks_begin_with(env: dict[str, str], own: Path, hub: dict[str, str]):
    install(own, jupyterlab="4.7.0", jupyter_server="2.30", ipykernel="7.0", **hub)
    assert enter(env, str(own)) == ""
    assert env[chosen.KERNEL] == chosen.OWN_KERNEL
    spec = json.loads(Path(env["JUPYTER_PATH"], "kernels", chosen.OWN_KERNEL, "kernel.json").read_text())
    assert spec["argv"][:3] == [str(own / "bin/python"), "-m", "ipykernel_launcher"]
    assert spec["display_name"] == "Python of ~/my-env"


def test_without_a_kernel_it_says_what_to_install(env: dict[str, str], own: Path):
    assert enter(env, str(own)).endswith("~/my-env/bin/pip install ipykernel")


def test_what_is_none_is_told(env: dict[str, str], own: Path):
    home = Path(env["HOME"])
    assert "the virtual environment ~/gone does not exist" in enter(env, str(home / "gone"))
    (home / "empty").mkdir()
    assert "~/empty is not a virtual environment that works here" in enter(env, str(home / "empty"))
    python = own / "bin/python"
    python.unlink()
    python.symlink_to("/nowhere/python")
    assert "its bin/python cannot be run" in enter(env, str(own))
    python.unlink()
    examples.put(python, "#!/bin/sh\necho libpython is missing >&2; exit 127\n").chmod(0o755)
    assert "the Python of ~/my-env does not work: libpython is missing" in enter(env, str(own))


def test_a_python_of_ones_own_is_not_shown_the_sessions_token(env: dict[str, str], own: Path):
    python = own / "bin/python"
    python.unlink()
    examples.put(python, "#!/bin/sh\nenv >&2; echo shown $JUPYTERHUB_API_TOKEN >&2\n").chmod(0o755)
    assert enter({**env, "JUPYTERHUB_API_TOKEN": "secret"}, str(own)).endswith("does not work: shown")


def test_the_program_that_it_becomes_finds_our_package_and_our_settings(tmp_path: Path):
    """By another process: what is said to it, and what it makes of it."""
    package = tmp_path / "package/benchtop_lab/session"
    examples.put(package / "entered.py", "import sys\ndef main(settings): print(settings, sys.argv)\n")
    for folder in (package, package.parent):
        examples.put(folder / "__init__.py", "")
    program = chosen._BECOME.format(package=str(tmp_path / "package"), settings="/settings")
    words = [sys.executable, "-I", "-c", program, "benchtop_lab.session", "--debug"]
    printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert printed.split(maxsplit=1) == ["/settings", "['benchtop_lab.session', '--debug']\n"]
