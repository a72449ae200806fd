"""A build is skipped only when nothing that goes into an image has changed, and told step by step."""

import re
from pathlib import Path

import pytest

from benchtop.console import Problem
from benchtop.host import base_image
from benchtop.stack import images

ROOT = Path(__file__).parents[3]


@pytest.fixture
def context(tmp_path):
    """A small build context with things that no image may see."""
    (tmp_path / ".dockerignore").write_text("# these\n*\n!hub\n!lab\nhub/templates\n**/__pycache__\n")
    for name in (
        "README.md",
        "hub/a.py",
        "hub/__pycache__/x.pyc",
        "hub/templates/a.html",
        "docs/a.md",
        "lab/b.py",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_only_what_images_are_made_of_is_looked_at(context):
    names = [str(path.relative_to(context)) for path in images.context_files(context)]
    assert names == ["hub/a.py", "lab/b.py"]


@pytest.mark.parametrize("name", ["README.md", "docs/a.md", "hub/templates/a.html", "hub/__pycache__/x.pyc"])
def test_a_change_outside_the_context_asks_for_no_build(context, name):
    before = images.digest(context)
    (context / name).write_text("changed")
    assert images.digest(context) == before


@pytest.mark.parametrize("name", ["README.md", "docs/README.md", "compose.yaml", "hub/templates/page.html"])
def test_in_this_repository_an_edit_of_words_or_configuration_starts_no_build(name):
    assert ROOT / name not in set(images.context_files(ROOT))
    assert (ROOT / name).is_file()


def test_in_this_repository_all_that_a_dockerfile_copies_starts_one():
    seen = {str(path.relative_to(ROOT)) for path in images.context_files(ROOT)}
    for file in ROOT.glob("images/*/Dockerfile"):
        text = file.read_text().replace("\\\n", " ")
        for words in re.findall(r"^COPY ((?!.*--from=).*)$", text, re.MULTILINE):
            *sources, _ = (word for word in words.split() if not word.startswith("--"))
            for source in sources:
                assert any(name == source or name.startswith(f"{source}/") for name in seen), source


def test_a_changed_a_new_a_renamed_and_a_newly_executable_file_each_ask_for_a_build(context):
    seen = {images.digest(context)}
    (context / "hub/a.py").write_text("changed")
    seen.add(images.digest(context))
    (context / "hub/new.py").write_text("")
    seen.add(images.digest(context))
    (context / "hub/new.py").rename(context / "hub/other.py")
    seen.add(images.digest(context))
    (context / "hub/other.py").chmod(0o755)
    seen.add(images.digest(context))
    assert len(seen) == 5


def test_three_nodes_of_one_image_are_built_once():
    node = {"image": "b/node", "build": {}}
    parsed = {"name": "b", "services": {"gpu-1": node, "gpu-2": node, "cpu-1": node, "own": {"build": {}}}}
    assert images.one_service_an_image(parsed) == {"b/node": "gpu-1", "b-own": "own"}


BUILD = """\
#1 [hub internal] load build definition from Dockerfile
#1 DONE 0.0s
#7 [hub build 1/3] RUN apt-get install gcc
#8 [hub stage-1 1/2] RUN useradd hub
#8 CACHED
#7 1.234 Reading package lists...
#7 ...

#8 [hub stage-1 1/2] RUN useradd hub
#8 DONE 0.1s

#7 [hub build 1/3] RUN apt-get install gcc
#7 2.345 E: Unable to locate package gcc
#7 ERROR: process "/bin/sh -c apt-get install gcc" did not complete successfully: exit code: 100
------
failed to solve: process did not complete successfully
"""


def test_a_failed_build_is_told_by_its_step_and_the_last_lines_of_it():
    progress = images.Progress()
    for line in BUILD.splitlines():
        progress.read(line)
    what, said = progress.failure()
    assert what == "[hub build 1/3] RUN apt-get install gcc"
    assert said == ["Reading package lists...", "E: Unable to locate package gcc"]


def test_a_build_that_fails_before_any_step_shows_what_was_said():
    progress = images.Progress()
    progress.read("invalid compose project")
    assert progress.failure() == ("its start", ["invalid compose project"])


def test_progress_shows_the_steps_that_run_and_counts_those_done():
    progress = images.Progress()
    for line in BUILD.splitlines()[:5]:
        progress.read(line)
    assert progress.now() == "[hub build 1/3] RUN apt-get install gcc"
    assert (progress.done, progress.cached) == (1, 1)


def test_the_host_s_own_choice_of_ca_bundle_comes_first(settings, tmp_path, monkeypatch):
    bundle = tmp_path / "own.pem"
    bundle.write_text("own CA")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    images.write_host_ca(settings)
    assert (settings.state / "host-ca.pem").read_text() == "own CA"


def test_the_base_is_pinned_by_digest_in_one_place(tmp_path):
    folder = tmp_path / "images/base"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(f"ARG DEBIAN=debian:trixie-slim@sha256:{'a' * 64}\nFROM ${{DEBIAN}}\n")
    assert base_image.pinned(tmp_path) == f"debian:trixie-slim@sha256:{'a' * 64}"
    (folder / "Dockerfile").write_text("ARG DEBIAN=debian:trixie-slim\nFROM ${DEBIAN}\n")
    with pytest.raises(Problem, match="digest"):
        base_image.pinned(tmp_path)
