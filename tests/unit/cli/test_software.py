"""A wrong recipe of an environment is refused with file, line and reason, before anything is built."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchtop.console import Problem
from benchtop.settings import Settings
from benchtop.software import groups, index, module, publish, recipes
from benchtop.software.area import Published

GOOD = """\
title: Tiny
description: Nothing but a kernel.
version: 2026.1
"""
LOCK = """\
# by make lock
ipykernel==7.1.0 \\
    --hash=sha256:00 \\
    --hash=sha256:01
    # via -r requirements.in
jupyter_client==8.6.3 ; python_version >= "3.10" \\
    --hash=sha256:02
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a recipe into a folder of recipes, and returns that; further files by name, None for none."""
    monkeypatch.chdir(tmp_path)

    def make(name: str = "tiny", text: str = GOOD, **files: str | None) -> Path:
        folder = tmp_path / "environments" / name
        folder.mkdir(parents=True)
        content = {"environment.yaml": text, "requirements.lock": LOCK}
        content |= {key.replace("_", "."): value for key, value in files.items()}
        for file, words in content.items():
            if words is not None:
                (folder / file).write_text(words)
        return folder.parent

    return make


def mistakes(folder: Path) -> list[str]:
    """What is said of the recipes of a folder, without the folder's name."""
    with pytest.raises(recipes.Invalid) as refused:
        recipes.load(folder, ["usatlas"])
    return [line.removeprefix("environments/") for line in refused.value.details]


def test_a_recipe_gives_an_environment_with_a_kernel_of_its_name(write: Write):
    recipe = recipes.load(write(), ["usatlas"])["tiny"]
    assert recipe.label == "tiny 2026.1"
    (kernel,) = recipe.kernels
    spec = recipe.kernel_json(kernel)
    assert spec["argv"][:3] == ["/software/tiny/2026.1/bin/python", "-m", "ipykernel_launcher"]
    assert spec["metadata"]["benchtop"] == {"environment": "tiny", "version": "2026.1", "title": "Tiny"}
    described = recipe.environment_json("support@example.org")
    assert described["clusters"] == ["hpc", "htc"]
    assert described["groups"] == []
    assert described["support"] == "support@example.org"
    assert described["session"] is False


def test_no_folder_of_recipes_is_no_mistake(tmp_path: Path):
    assert recipes.load(tmp_path / "none", []) == {}


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "is empty: it must describe an environment: `title:`, `description:`, `version:` …"),
        (GOOD + "groups: [usatlas, cms]\n", 4, "there is no group “cms” in accounts/people.yaml (usatlas)"),
        (GOOD + "clusters: [hpc, cloud]\n", 4, "“cloud” is not one of hpc or htc"),
        (GOOD + "colour: red\n", 4, "is not known here (a typing error?)"),
        (GOOD.replace("2026.1", "../../etc"), 3, "must be like 2026.1"),
        (GOOD + "python: 2.7\n", 4, "“2.7” cannot be had: choose 3.13 or 3.11"),
        (GOOD + "kind: conda\n", 4, "“conda” is not one of venv or container"),
        (GOOD + "kernels: [{name: other}]\n", 4, "“other” must be tiny or tiny-SOMETHING"),
        (
            GOOD + "kernels:\n  - name: tiny\n    logo: ../logo.svg\n",
            6,
            "is not a file of the recipe's folder",
        ),
        (
            GOOD + "kernels:\n  - name: tiny\n    logo: mine.svg\n",
            6,
            "there is no environments/tiny/mine.svg",
        ),
        (
            GOOD + "kernels:\n  - name: tiny\n    argv: [../../bin/sh, '{connection_file}']\n",
            6,
            "leads out of the environment",
        ),
        (GOOD + "kernels:\n  - name: tiny\n    argv: [/bin/sh, '{connection_file}']\n", 6, "leads out of"),
        (GOOD + "kernels:\n  - name: tiny\n    argv: [bin/python, -c]\n", 6, "has no “{connection_file}”"),
        (GOOD + "kernels:\n  - name: tiny-cpp\n    language: c++\n", 5, "argv is missing: a kernel of c++"),
        (GOOD + "title: Again\n", 4, "“title” is here a second time (first in line 1)"),
        ("title: [\n", 2, "this is not YAML"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number_and_a_reason(
    write: Write, text: str, line: int, reason: str
):
    found = mistakes(write(text=text))
    assert any(entry.startswith(f"tiny/environment.yaml:{line}: ") and reason in entry for entry in found), (
        found
    )


@pytest.mark.parametrize(
    ("lock", "line", "reason"),
    [
        (None, 1, "is missing: `make lock` writes it from requirements.in"),
        ("ipykernel==7.1.0\n", 1, "has no hash"),
        (LOCK + "numpy>=2 --hash=sha256:03\n", 8, "is not NAME==VERSION"),
        (LOCK + "--extra-index-url https://elsewhere.example\n", 8, "is not NAME==VERSION"),
        (LOCK + "-e .\n", 8, "is not NAME==VERSION"),
        ("numpy==2.0 --hash=sha256:03\n", 1, "has no ipykernel"),
    ],
)
def test_a_lock_file_that_pins_not_everything_is_refused(
    write: Write, lock: str | None, line: int, reason: str
):
    found = mistakes(write(requirements_lock=lock))
    assert any(entry.startswith(f"tiny/requirements.lock:{line}: ") and reason in entry for entry in found), (
        found
    )


def test_a_container_needs_no_lock_file_but_a_dockerfile(write: Write):
    folder = write(text=GOOD + "kind: container\n", requirements_lock=None)
    assert mistakes(folder) == ["tiny/Dockerfile:1: is missing: a recipe of kind container is built from one"]
    (folder / "tiny/Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n")
    recipe = recipes.load(folder, [])["tiny"]
    argv = recipe.kernel_json(recipe.kernels[0])["argv"]
    assert argv[:3] == ["/usr/local/bin/benchtop-container", "/software/tiny/2026.1/rootfs", "python3"]


@pytest.mark.parametrize("name", ["Tiny", "a--b", "1st", "modules", "groups"])
def test_a_name_that_cannot_be_one_is_refused(write: Write, name: str):
    found = mistakes(write(name))
    assert any(entry.startswith(f"{name}/environment.yaml:1: “{name}” is ") for entry in found), found


def test_two_environments_share_no_title_and_no_kernel(write: Write):
    write("tiny", GOOD + "kernels: [{name: tiny-two}]\n")
    folder = write("tiny-two")
    assert mistakes(folder) == [
        "tiny-two/environment.yaml:1: kernels.0.name: “tiny-two” is a kernel of tiny already",
        "tiny-two/environment.yaml:1: title: “Tiny” is the title of tiny already",
    ]


def test_a_recipe_that_lies_elsewhere_is_refused(write: Write, tmp_path: Path):
    folder = write()
    (tmp_path / "elsewhere").mkdir()
    (folder / "tiny").rename(tmp_path / "elsewhere/tiny")
    (folder / "tiny").symlink_to(tmp_path / "elsewhere/tiny")
    assert "tiny:1: is a link that leads out of the recipe's folder" in mistakes(folder)


def test_a_published_version_never_changes(write: Write):
    folder = write()
    before = recipes.load(folder, [])["tiny"]
    there = {"tiny": Published("2026.1", {"2026.1": before.digest})}
    publish.refuse_other_content([before], there)
    (folder / "tiny/environment.yaml").write_text("# only a comment\n" + GOOD)
    (folder / "tiny/requirements.lock").write_text("# another comment\n" + LOCK)
    publish.refuse_other_content([recipes.load(folder, [])["tiny"]], there)
    (folder / "tiny/requirements.lock").write_text(LOCK.replace("7.1.0", "7.2.0"))
    with pytest.raises(recipes.Invalid) as refused:
        publish.refuse_other_content([recipes.load(folder, [])["tiny"]], there)
    (line,) = refused.value.details
    assert line.endswith(
        "tiny/environment.yaml:4: tiny 2026.1 is published with other content: "
        "give the changed recipe another version"
    )
    (folder / "tiny/environment.yaml").write_text(GOOD.replace("2026.1", "2026.2"))
    publish.refuse_other_content([recipes.load(folder, [])["tiny"]], there)


def test_whatever_a_description_says_a_modulefile_quotes_it(write: Write):
    for description, quoted in (
        ("a kernel", "[[a kernel]]"),
        ("a ]] b", "[=[a ]] b]=]"),
        ("]] a ]=", "[==[]] a ]=]==]"),
    ):
        assert module._quoted(description) == quoted
    recipe = recipes.load(write(text=GOOD.replace("a kernel.", "]] kernel")), [])["tiny"]
    assert module.text(recipe).splitlines()[0] == "help([=[Nothing but ]] kernel]=])"
    assert 'prepend_path("PATH", [[/software/tiny/2026.1/bin]])' in module.text(recipe)


# ---- groups ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "content", "mistake"),
    [
        ("cms/kernels/a/kernel.json", '{"argv": ["a"]}', "lab/groups/cms:1: there is no group “cms”"),
        ("usatlas/software/x", "", "lab/groups/usatlas/software:1: is neither of kernels and modules"),
        (
            "usatlas/kernels/a/kernel.json",
            '{\n "argv": [}',
            "lab/groups/usatlas/kernels/a/kernel.json:2: this is",
        ),
        (
            "usatlas/kernels/a/kernel.json",
            "[]",
            "lab/groups/usatlas/kernels/a/kernel.json:1: has no list `argv`",
        ),
    ],
)
def test_what_is_no_groups_own_kernel_is_refused(settings: Settings, file: str, content: str, mistake: str):
    path = settings.root / "lab/groups" / file
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(recipes.Invalid) as refused:
        groups.judge(settings, ["usatlas"])
    assert any(line.startswith(mistake) for line in refused.value.details), refused.value.details
    path.write_text(json.dumps({"argv": ["a"]}))


def test_a_groups_own_kernel_is_taken(settings: Settings):
    path = settings.root / "lab/groups/usatlas/kernels/a/kernel.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"argv": ["a"]}))
    groups.judge(settings, ["usatlas"])


# ---- the host's index -----------------------------------------------------------------------------


def of_host(tmp_path: Path, **variables: str) -> index.Index:
    """What a host with these variables, and nothing else, hands in."""
    empty = {"PIP_CONFIG_FILE": "/dev/null", "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    return index.of_host({**empty, **variables}, tmp_path)


def test_the_index_of_the_hosts_pip_is_handed_in(tmp_path: Path):
    found = of_host(
        tmp_path,
        PIP_INDEX_URL="https://mirror.example/simple",
        PIP_EXTRA_INDEX_URL="https://one.example https://two.example",
        PIP_FIND_LINKS=f"{tmp_path} https://links.example",
        HTTPS_PROXY="http://proxy.example:3128",
    )
    assert found.variables["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert found.variables["UV_INDEX"] == "https://one.example https://two.example"
    assert found.variables["UV_FIND_LINKS"] == f"{tmp_path},https://links.example"
    assert found.variables["https_proxy"] == "http://proxy.example:3128"
    assert found.folders == (tmp_path,)
    assert "index-url = https://mirror.example/simple" in found.pip_conf


def test_that_of_its_pip_configuration_file_too(tmp_path: Path):
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://file.example/simple\n")
    found = of_host(tmp_path, PIP_CONFIG_FILE=str(file))
    assert found.variables["UV_DEFAULT_INDEX"] == "https://file.example/simple"


def test_uvs_own_settings_win(tmp_path: Path):
    (tmp_path / ".config/uv").mkdir(parents=True)
    (tmp_path / ".config/uv/uv.toml").write_text(
        '[[index]]\nurl = "https://toml.example/simple"\ndefault = true\n'
    )
    assert of_host(tmp_path, PIP_INDEX_URL="https://pip.example").variables["UV_DEFAULT_INDEX"] == (
        "https://toml.example/simple"
    )
    found = of_host(tmp_path, UV_DEFAULT_INDEX="https://variable.example")
    assert found.variables["UV_DEFAULT_INDEX"] == "https://variable.example"


def test_a_host_without_any_hands_none_in(tmp_path: Path):
    assert "UV_DEFAULT_INDEX" not in of_host(tmp_path).variables


# ---- make up --------------------------------------------------------------------------------------


def test_make_up_goes_on_when_an_environment_cannot_be_built(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def away(*_: object) -> None:
        raise Problem("The package index cannot be reached.")

    monkeypatch.setattr(publish, "judge", away)
    publish.by_default(settings)
    printed = capsys.readouterr().out
    assert "The package index cannot be reached." in printed
    assert "`make software` tries again" in printed
