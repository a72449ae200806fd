"""Make a browser or this machine trust the facility's CA; nothing is done unless asked for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from benchtop.console import Problem, say
from benchtop.host import engine
from benchtop.settings import Settings


def trust(settings: Settings, *, install: bool) -> None:
    """Say how to make this machine trust the facility's CA, or do it where asked to."""
    ca = settings.state / "ca" / "ca.pem"
    if not ca.is_file():
        raise Problem("The facility has no CA yet: `make up` makes it.")
    name = "benchtop-" + settings.project
    store = Path("/usr/local/share/ca-certificates") / f"{name}.crt"
    nss = Path.home() / ".pki" / "nssdb"
    if not install:
        say("The facility's certificate is signed by its own CA, which can vouch for its names alone:")
        say(f"  {ca}")
        say("To trust it on another machine, copy that file there first.")
        say()
        say("Chrome, Chromium and Edge on Linux (package libnss3-tools):")
        say(f"  certutil -d sql:{nss} -A -t C,, -n {name} -i {ca}")
        say("Chrome, Edge and Safari on macOS:")
        say(f"  security add-trusted-cert -r trustRoot -k ~/Library/Keychains/login.keychain-db {ca}")
        say("Chrome and Edge on Windows:")
        say("  certutil -user -addstore Root ca.pem")
        say("Firefox on every system:")
        say("  Settings → Privacy & Security → View Certificates → Authorities → Import")
        say("curl, Python and the like on Debian and Ubuntu:")
        say(f"  sudo cp {ca} {store} && sudo update-ca-certificates")
        say()
        say("`make trust INSTALL=1` runs the first and the last of these on this machine.")
        return
    done = []
    if shutil.which("certutil"):
        nss.mkdir(parents=True, exist_ok=True)
        if not (nss / "cert9.db").exists():
            _command("certutil", "-d", f"sql:{nss}", "-N", "--empty-password")
        subprocess.run(["certutil", "-d", f"sql:{nss}", "-D", "-n", name], check=False, capture_output=True)
        _command("certutil", "-d", f"sql:{nss}", "-A", "-t", "C,,", "-n", name, "-i", str(ca))
        done.append(f"{nss} (Chromium)")
    if engine.is_root() and shutil.which("update-ca-certificates"):
        store.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ca, store)
        _command("update-ca-certificates")
        done.append(f"{store} (the system)")
    if not done:
        raise Problem(
            "Cannot install the CA: install libnss3-tools for Chromium, or run this as root for the system."
        )
    for place in done:
        say(f"Now trusted in {place}")


def _command(*words: str) -> None:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        raise Problem(
            f"`{' '.join(words)}` failed (exit {done.returncode}).", done.stderr.strip().splitlines()[-5:]
        )
