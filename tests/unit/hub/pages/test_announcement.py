"""What an admin tells everybody stands on every page of a hub, at once and as plain text."""

import json

import pytest

from benchtop_hub.pages.announcement import current


@pytest.fixture
def announce(hub):
    file = hub[1] / "announcement.json"
    yield lambda text: file.write_text(json.dumps({"message": text, "since": None}))
    file.unlink(missing_ok=True)


def test_every_page_shows_it_and_stops_showing_it(announce, visitor):
    announce("Slurm is <b>down</b> & out")
    for path in ("/home", "/spawn", "/token", "/nothing"):
        page = visitor.ask(path).text
        assert (
            '<div class="bt-announcement" role="status"><p>Slurm is &lt;b&gt;down&lt;/b&gt; &amp; out</p>'
            in page
        )
    announce("")
    assert "bt-announcement" not in visitor.ask("/home").text.partition("</style>")[2]


@pytest.mark.parametrize("broken", ["", "{", "[]", "null", '{"message"', '{"since": ""}'])
def test_half_a_file_costs_nobody_a_page(tmp_path, broken):
    file = tmp_path / "announcement.json"
    assert current(file=file) == ""
    file.write_text(broken)
    assert current(file=file) == ""
