"""The engine's and the base image's archives are those of the machine, with another suite."""

from benchtop.host import apt
from benchtop.host.apt import Source

DEB822 = """\
# the machine's own
Types: deb
# a comment between fields
URIs: http://mirror.example.org/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://mirror.example.org/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""

ONE_LINE = """\
# deb cdrom:[Debian]/ bookworm main
deb [arch=amd64 signed-by=/usr/share/own.gpg] https://mirror.example.org/debian bookworm main non-free
deb-src https://mirror.example.org/debian bookworm main
deb https://mirror.example.org/security bookworm-security main  # fixes
"""


def test_deb822_stanzas_are_read():
    first, second = apt.parse(DEB822)
    assert first == Source(
        "http://mirror.example.org/debian",
        ("bookworm", "bookworm-updates"),
        ("main", "contrib"),
        (("Signed-By", "/usr/share/keyrings/debian-archive-keyring.gpg"),),
    )
    assert second.suites == ("bookworm-security",)


def test_a_key_written_into_a_stanza_is_kept_whole():
    key = " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBFw\n -----END PGP PUBLIC KEY BLOCK-----"
    text = (
        f"Types: deb\nURIs: http://a.example/debian\nSuites: bookworm\nComponents: main\nSigned-By:\n{key}\n"
    )
    written = apt.deb822(apt.for_suite(apt.parse(text), "bookworm", "trixie"))
    assert key in written
    assert apt.parse(written)[0].suites == ("trixie",)


def test_one_line_entries_are_read():
    first, second = apt.parse(ONE_LINE)
    assert first.uri == "https://mirror.example.org/debian"
    assert first.components == ("main", "non-free")
    assert first.options == (("Signed-By", "/usr/share/own.gpg"),)
    assert second == Source("https://mirror.example.org/security", ("bookworm-security",), ("main",))


def test_disabled_and_source_only_stanzas_are_left_out():
    stanza = "Types: deb\nURIs: http://a.example\nSuites: bookworm\nComponents: main\nEnabled: no\n"
    assert apt.parse(stanza) == []
    assert apt.parse(stanza.replace("Types: deb", "Types: deb-src").replace("no", "yes")) == []


def test_the_next_release_comes_from_the_same_mirror_with_its_updates_and_security():
    text = apt.deb822(apt.for_suite(apt.parse(DEB822), "bookworm", "trixie"))
    assert text == (
        "Types: deb\nURIs: http://mirror.example.org/debian\nSuites: trixie trixie-updates\n"
        "Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        "\n"
        "Types: deb\nURIs: http://mirror.example.org/debian-security\nSuites: trixie-security\n"
        "Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )


def test_archives_of_others_and_backports_are_not_rewritten():
    theirs = [
        Source("https://vendor.example/apt", ("stable",)),
        Source("http://mirror.example.org/debian", ("bookworm-backports",)),
        Source("http://mirror.example.org/debian", ("bookworm",), ("contrib",)),
    ]
    assert apt.for_suite(theirs, "bookworm", "trixie") == []


def test_an_archive_that_is_named_twice_is_used_once():
    twice = [Source("http://a.example", ("bookworm",)), Source("http://a.example", ("bookworm",))]
    assert apt.for_suite(twice, "bookworm", "trixie") == [Source("http://a.example", ("trixie",))]


def test_one_line_entries_for_mmdebstrap():
    assert apt.one_line(Source("http://a.example", ("trixie", "trixie-updates"))) == [
        "deb http://a.example trixie main",
        "deb http://a.example trixie-updates main",
    ]


def test_sources_are_read_from_every_file_in_force(tmp_path):
    (tmp_path / "sources.list").write_text("deb http://a.example bookworm main\n")
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "b.sources").write_text(DEB822)
    (tmp_path / "sources.list.d" / "c.list.disabled").write_text("deb http://c.example bookworm main\n")
    uris = [source.uri for source in apt.in_force(tmp_path)]
    assert uris == [
        "http://a.example",
        "http://mirror.example.org/debian",
        "http://mirror.example.org/debian-security",
    ]


def test_os_release_is_read_with_and_without_quotes():
    release = apt.release('ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian 12"\n')
    assert (release.id, release.number, release.codename, release.title) == (
        "debian",
        12,
        "bookworm",
        "Debian 12",
    )


def test_a_rolling_release_has_no_number():
    assert apt.release("ID=debian\nVERSION_CODENAME=forky\n").number == 0
