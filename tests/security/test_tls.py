"""The public port's TLS, looked at by sslyze, which knows Mozilla's recommendations."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchtop.settings import Settings

LOCK = Path(__file__).parents[1] / "tls.lock"


@pytest.fixture(scope="module")
def sslyze(settings: Settings) -> Path:
    """Its Python, in an environment of its own, made once for each lock."""
    home = settings.state / "sslyze"
    python, stamp = home / "bin/python", home / "lock.sha256"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([*pip, "--requirement", LOCK], check=True)
        stamp.write_text(wanted)
    return python


def scan(sslyze: Path, settings: Settings, name: str, against: str, report: Path) -> tuple[int, str]:
    """Look at the port under one of its names, against one of Mozilla's levels."""
    words = [sslyze, "-m", "sslyze", "--certinfo_ca_file", settings.state / "ca/ca.pem"]
    words += ["--sni", name, "--mozilla_config", against, "--json_out", report]
    words += [f"{settings.bind}:{settings.port}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("which", ["name", "login_name"])
def test_the_public_port_is_what_mozilla_calls_modern(
    which: str, sslyze: Path, settings: Settings, tmp_path: Path
):
    code, said = scan(sslyze, settings, getattr(settings, which), "modern", tmp_path / "report.json")
    verdict = said[said.find("COMPLIANCE AGAINST") :]
    assert code == 0, verdict
    assert "Compliant" in verdict
    (server,) = json.loads((tmp_path / "report.json").read_text())["server_scan_results"]
    found = server["scan_result"]
    accepted = {
        version: found[f"{version}_cipher_suites"]["result"]["accepted_cipher_suites"]
        for version in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2", "tls_1_3")
    }
    assert [version for version, suites in accepted.items() if suites] == ["tls_1_3"]
    assert not found["heartbleed"]["result"]["is_vulnerable_to_heartbleed"]
    assert not found["tls_compression"]["result"]["supports_compression"]
    (chain,) = found["certificate_info"]["result"]["certificate_deployments"]
    assert chain["verified_certificate_chain"]
