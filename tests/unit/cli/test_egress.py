"""What this machine uses to reach the internet is found where its own tools have it, and handed on."""

from pathlib import Path

import pytest

from benchtop.host import egress
from benchtop.settings import Settings
from benchtop.stack import compose

NAMES = {
    "public.example": ["93.184.216.34"],
    "index.corp.example": ["10.1.2.3"],
    "files.corp.example": ["10.1.2.4"],
    "both.example": ["93.184.216.34", "192.168.1.1"],
}


def leads(host: str) -> list[str]:
    """Where a name leads on this machine."""
    return NAMES.get(host, [])


@pytest.fixture
def handed_on(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A checkout on a machine without an index and a proxy of its own."""
    monkeypatch.setattr(egress, "pip_settings", dict)
    monkeypatch.setattr(egress, "getproxies", dict)
    monkeypatch.setattr(egress.compose, "config", lambda *_: {"services": {"apache": {}, "gpu-1": {}}})
    settings.state.mkdir()
    (settings.state / "host-ca.pem").write_text(CERTIFICATE)
    return settings


CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def test_pips_settings_are_read_and_the_environment_wins():
    listed = "global.index-url='https://a.example/simple'\n:env:.index-url='https://b.example/simple'\nodd\n"
    assert egress.read_pip(listed) == {"index-url": "https://b.example/simple"}
    assert egress.read_pip("install.trusted-host='a b'\nglobal.timeout=oops oops\n") == {
        "trusted-host": "a b"
    }


def test_an_index_on_a_private_address_is_let_through_with_the_hosts_of_its_files(monkeypatch, tmp_path):
    page = ["https://files.corp.example/packages", "https://public.example/packages"]
    monkeypatch.setattr(egress, "_linked", lambda *_: iter(page * 100))
    pip = {"index-url": "https://index.corp.example:8443/simple"}
    found = [("index.corp.example", 8443), ("files.corp.example", 443)]
    assert egress.own_index(pip, tmp_path, leads) == found
    assert egress.own_index({"default-index": pip["index-url"]}, tmp_path, leads) == found, (
        "pip's own default"
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://public.example/simple",
        "https://unknown.example/simple",
        "/opt/wheels",
        "file:///srv/index",
        "https://[/",
    ],
)
def test_no_other_index_asks_for_an_exception(url: str, tmp_path: Path):
    with_default = {"find-links": url, "default-index": "https://public.example/simple"}
    assert egress.own_index(with_default, tmp_path, leads) == []


def test_one_that_leads_to_both_is_no_public_one(monkeypatch, tmp_path):
    monkeypatch.setattr(egress, "_linked", lambda *_: iter(()))
    assert egress.own_index({"index-url": "http://both.example/"}, tmp_path, leads) == [("both.example", 80)]
    assert egress.own_index({"index-url": "http://10.1.2.3:81/"}, tmp_path, leads) == [("10.1.2.3", 81)]


def test_sessions_are_told_where_the_index_is_and_no_password_of_this_machine(settings: Settings):
    pip = {
        "index-url": "https://user:secret@index.corp.example/simple",
        "find-links": "/opt https://a.example/f",
    }
    found = egress.environment(settings, ["gpu-1"], pip)
    assert found["PIP_INDEX_URL"] == found["UV_DEFAULT_INDEX"] == "https://index.corp.example/simple"
    assert found["PIP_FIND_LINKS"] == "https://a.example/f"
    assert "secret" not in str(found)


def test_whatever_is_the_facilitys_own_is_reached_without_the_proxy(settings: Settings):
    direct = egress.environment(settings, ["apache", "gpu-1"], {})["no_proxy"].split(",")
    assert {
        "apache",
        "gpu-1",
        "localhost",
        "jupyter.localhost",
        "login.jupyter.localhost",
        "10.0.0.0/8",
    } <= set(direct)
    with_index = egress.environment(settings, [], {}, ["10.1.2.3"])["no_proxy"].split(",")
    assert "10.0.0.0/8" not in with_index, "an index that is an address there goes by the proxy"


def test_what_a_shell_would_take_for_a_command_is_not_handed_on(settings: Settings):
    found = egress.environment(settings, [], {"index-url": "https://a.example/$(id)", "trusted-host": "a'b"})
    assert not {"PIP_INDEX_URL", "PIP_TRUSTED_HOST"} & set(found)
    assert found["http_proxy"] == "http://egress:3128"


def test_everything_is_written_once_and_for_everybody_to_read(handed_on: Settings):
    folder = handed_on.state / "egress"
    assert egress.prepare(handed_on) == {
        "own": [],
        "refused": sorted(egress.own_addresses()),
        "upstream": None,
    }
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert set(before) == {"ca.pem", "environment", "profile.sh", "condor.conf"}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    pems = (folder / "ca.pem").read_text()
    assert pems.startswith(CERTIFICATE)
    assert pems.count("BEGIN CERTIFICATE") > 50, "and the public ones"
    egress.prepare(handed_on)
    assert before == {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_switched_off_it_asks_for_nothing_and_leaves_a_sentence(handed_on: Settings):
    egress.prepare(handed_on)
    off = Settings(**{**vars(handed_on), "egress": False})
    assert egress.prepare(off) == {}
    folder = off.state / "egress"
    assert (
        folder / "refusal"
    ).read_text() == "The internet is switched off here: ask support@benchtop.example.\n"
    assert "http_proxy=http://127.0.0.1:3128\n" in (folder / "environment").read_text()
    egress.prepare(handed_on)
    assert not (folder / "refusal").exists()


def test_this_machines_own_proxy_is_handed_on_with_its_password_to_the_proxy_alone(settings: Settings):
    proxies = {
        "https": "http://me:s%40crt@proxy.corp.example:8080",
        "no": "localhost, *.corp.example,10.0.0.0/8",
    }
    assert egress.upstream(proxies) == {
        "host": "proxy.corp.example", "port": 8080, "login": "me:s%40crt", "tls": False,
        "direct": ["localhost", ".corp.example"],
    }  # fmt: skip
    assert egress.upstream({}) is None


def test_a_proxy_that_no_container_reaches_is_left_out_with_a_sentence(capsys: pytest.CaptureFixture[str]):
    assert egress.upstream({"https": "http://127.0.0.1:3129"}) is None
    assert "no container reaches it" in " ".join(capsys.readouterr().out.split())


def test_switched_off_there_is_no_container(settings: Settings):
    off = Settings(**{**vars(settings), "egress": False})
    assert "egress" in compose.environment(settings)["COMPOSE_PROFILES"].split(",")
    assert "egress" not in compose.environment(off)["COMPOSE_PROFILES"].split(",")
