"""Where kernels are found, and what is said of one that cannot be started."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchtop_lab import groups
from benchtop_lab.kernels import failures, places
from benchtop_lab.session import modules
from benchtop_lab.session.deaths import Deaths, explain_end
from support import software_examples as examples
from support.software_examples import put

TRACKED = Path(__file__).parents[3] / "lab/config/kernel-paths.yaml"
RUN = Path(places.__file__).with_name("run.bash")


# ---- the map --------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "own_groups", lambda: ["people", "usatlas"])


def test_a_groups_folder_goes_first_and_an_accounts_after_it():
    found = places.shared({"BENCHTOP_ACCOUNT": "tier3"}, TRACKED)
    assert found == [
        Path("/software/groups/people/kernels"),
        Path("/software/groups/usatlas/kernels"),
        Path("/software/accounts/tier3/kernels"),
    ]
    assert places.shared({}, TRACKED) == found[:2], "a session that no account pays for"


@pytest.mark.parametrize(
    ("rules", "names", "found"),
    [
        ({"us(.*)": [r"/a/\1", "/b"]}, ["usatlas", "uscms"], ["/a/atlas", "/b", "/a/cms"]),
        ({"atlas": ["/a"]}, ["usatlas", "atlas2"], []),  # of the whole name
        ({"(": ["/a"], "b": ["/b"]}, ["b"], ["/b"]),  # no expression: that rule alone is left out
        ({"a": [r"/\9"], "b": ["/b"]}, ["a", "b"], ["/b"]),
    ],
)
def test_a_rule_fits_whole_names_and_a_wrong_one_costs_no_other(
    rules: Mapping[str, list[str]], names: list[str], found: list[str]
):
    assert places.mapped(rules, names) == list(map(Path, found))


@pytest.mark.parametrize(
    "text", ["", "[]", "groups: 3", "groups: [a]", "groups: {a: 3}", "groups: {a: [3]}", "{", "groups:"]
)
def test_a_map_that_cannot_be_used_is_none(tmp_path: Path, text: str):
    assert places.read_map(put(tmp_path / "map", text)) == {}
    assert places.read_map(tmp_path / "none") == {}


def test_the_kernels_of_an_environment_are_those_of_its_version(tmp_path: Path):
    examples.make(tmp_path)
    found = places.published({"BENCHTOP_CLUSTER": "hpc"}, tmp_path)
    assert found == [
        tmp_path / path / "share/jupyter/kernels" for path in ("base/2026.2", "hep/2026.1", "root/6.40")
    ]


def test_the_page_gets_what_the_widgets_of_environments_need(tmp_path: Path):
    examples.make(tmp_path)
    has_some = tmp_path / "root/6.40/share/jupyter/labextensions"
    has_some.mkdir(parents=True)
    assert places.widgets({"BENCHTOP_CLUSTER": "hpc"}, tmp_path) == [has_some]


def test_ones_own_groups_have_names():
    assert all(isinstance(name, str) for name in groups.own_groups())


# ---- setup.sh -------------------------------------------------------------------------------------


def run_setup(tmp_path: Path, setup: str, *command: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """What run.bash does with a setup.sh, and what it says when it is ready."""
    reading, writing = os.pipe()
    file = put(tmp_path / "setup.sh", setup)
    done = subprocess.run(
        ["/bin/bash", str(RUN), str(writing), str(file), *command],
        pass_fds=[writing], capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    os.close(writing)
    with os.fdopen(reading) as ready:
        return done, ready.read()


def test_a_kernel_has_what_its_setup_has_made_and_its_own_words(tmp_path: Path):
    setup = 'export A="1 2"; ulimit -n 100; cd /; [ $# = 0 ] || exit 9'
    done, ready = run_setup(
        tmp_path, setup, "sh", "-c", 'echo "$A|$(ulimit -n)|$PWD|$1|$2"', "sh", "a b", "*"
    )
    assert (done.stdout, ready) == ("1 2|100|/|a b|*\n", "ready\n")


@pytest.mark.parametrize(
    ("setup", "code"),
    [("exit 3", 3), ("return 4", 4), ("false", 1), ("set -e; false; true", 1), ("exit 0", 0), ("if", 2)],
)
def test_a_setup_that_fails_starts_nothing(tmp_path: Path, setup: str, code: int):
    done, ready = run_setup(tmp_path, setup, "echo", "started")
    assert (done.returncode, done.stdout, ready) == (code, "", "")


def test_a_program_that_is_not_on_the_path_is_named(tmp_path: Path):
    done, ready = run_setup(tmp_path, "PATH=/nowhere", "python3")
    assert (done.returncode, ready) == (127, "")
    assert "python3: not found on the PATH that setup.sh has set" in done.stderr


# ---- words ----------------------------------------------------------------------------------------


def test_the_last_lines_are_kept_and_nothing_else():
    lines = failures.LastLines()
    lines.add(b"x" * 100_000 + b"\n")
    for number in range(30):
        lines.add(f"line {number}\n".encode())
    lines.add(b"\x1b[31mred\x1b[0m\n\n  \nhalf of\xff one")
    kept = lines.text().splitlines()
    assert len(kept) == failures.KEPT
    assert kept[-3:] == ["line 29", "[31mred[0m", "half of� one"]
    lines.add(b" more\n")
    assert lines.text().endswith("half of� one more")


def test_what_is_missing_is_named_and_what_is_there_is_not(tmp_path: Path):
    env = {"PATH": "/usr/bin:/bin"}
    assert failures.missing("A", ["sh"], env) == ""
    assert "there is no program “no-such”" in failures.missing("A", ["no-such"], env)
    gone = failures.missing("A", [f"{tmp_path}/bin/python"], env)
    assert f"{tmp_path}/bin/python does not exist" in gone
    assert "removed or renamed" in gone
    assert "may not be run" in failures.missing("A", [str(put(tmp_path / "plain", "x"))], env)
    program = put(tmp_path / failures.CONTAINER, "#!/bin/sh\n")
    program.chmod(0o755)
    assert "its image /software/gone/rootfs does not exist" in failures.missing(
        "A", [str(program), "/software/gone/rootfs", "python3"], env
    )
    assert failures.missing("A", [str(program), str(tmp_path), "python3"], env) == ""


def test_a_failed_setup_says_how_it_ended_and_where_it_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/alice")
    setup = Path("/home/alice/.local/share/jupyter/kernels/a/setup.sh")
    assert "~/.local/share/jupyter/kernels/a/setup.sh failed: it ended with exit code 3." in (
        failures.setup_failed("A", setup, 3)
    )
    assert "it ended with signal 9, killed" in failures.setup_failed("A", setup, -9)
    assert "Use “return” there instead" in failures.setup_failed("A", setup, 0)
    assert "within 8 seconds" in failures.setup_hangs("A", setup, 8.0)


def test_a_path_of_libraries_is_named_where_there_is_one():
    assert "LD_LIBRARY_PATH is /broken" in failures.died_at_start("A", 127, {"LD_LIBRARY_PATH": "/broken"})
    assert "LD_LIBRARY_PATH" not in failures.died_at_start("A", 1, {})


def test_a_death_says_whether_it_is_the_end():
    deaths = Deaths()
    deaths.note("a", explain_end("it ended with exit code 1."), memory=False, final=True, lines="last")
    death = deaths.of("a")
    assert death
    assert death["final"] is True
    assert death["lines"] == "last"
    assert "3 times in a row" in str(death["reason"])
    deaths.note("a", "it crashed.", memory=False)
    assert (deaths.of("a") or {})["final"] is False


# ---- modules --------------------------------------------------------------------------------------


def test_ones_own_modules_go_before_the_groups_and_those_before_the_facilitys(tmp_path: Path):
    put(tmp_path / "lmod/libexec/lmod", "")
    (tmp_path / "software/groups/usatlas/modules").mkdir(parents=True)
    env = {"HOME": "/home/alice"}
    modules.offer(env, ["people", "usatlas"], tmp_path / "lmod", tmp_path / "software")
    assert env["MODULEPATH"].split(":") == [
        "/home/alice/modules",
        "/home/alice/privatemodules",
        f"{tmp_path}/software/groups/usatlas/modules",
        f"{tmp_path}/software/modules",
    ]
    assert env["BASH_ENV"] == modules.SHELL


def test_what_a_job_has_loaded_stays_and_without_lmod_there_is_nothing(tmp_path: Path):
    put(tmp_path / "lmod/libexec/lmod", "")
    loaded = {"HOME": "/home/alice", "LMOD_CMD": "/x", "MODULEPATH": "/y", "LOADEDMODULES": "root/6.40"}
    env = dict(loaded)
    modules.offer(env, [], tmp_path / "lmod")
    assert env == loaded
    env = {"HOME": "/home/alice", "LMOD_CMD": "/x", "MODULEPATH": "/of/a/job/that/knew/no/home"}
    modules.offer(env, [], tmp_path / "lmod")
    assert "/of/a/job" not in env["MODULEPATH"]
    env = {"HOME": "/home/alice", "MODULEPATH": "/of/the/site"}
    modules.offer(env, [], tmp_path / "lmod")
    assert env["MODULEPATH"].startswith("/of/the/site:/home/alice/modules:")
    env = {"HOME": "/home/alice"}
    modules.offer(env, [], tmp_path)
    assert env == {"HOME": "/home/alice"}
