"""Another Python than the node's: Debian's, of an earlier release, unpacked in the environment that wants it.

It runs on the libraries of the node, whose names are the same in both releases. Which packages come, and that
they are Debian's, is what apt checks by Debian's signatures, as for every image.
"""

import re
import tempfile
from pathlib import Path

from software_area import Failure, build

SUITES = {"3.11": "bookworm"}  # version → the release whose own it is
NODES_SUITE = "trixie"
APT = Path("/etc/apt")


def unpack(version: str, place: Path) -> Path:
    """Put Python `version` below `place`, and return its interpreter."""
    if version not in SUITES:
        raise Failure(f"Python {version} cannot be had: choose {', '.join(SUITES)}, or leave it to the node.")
    packages = [
        f"python{version}",
        f"python{version}-minimal",
        f"libpython{version}-minimal",
        f"libpython{version}-stdlib",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        options = _apt(Path(scratch), SUITES[version])
        message = f"Python {version} could not be fetched"
        build.run(["apt-get", *options, "update", "-qq"], message)
        script = 'cd "$1" && shift && exec apt-get "$@"'  # apt-get downloads into the folder that it is in
        build.run(["sh", "-c", script, "sh", scratch, *options, "download", "-qq", *packages], message)
        for package in sorted(Path(scratch).glob("*.deb")):
            build.run(
                ["dpkg-deb", "--extract", str(package), str(place)], f"{package.name} could not be unpacked"
            )
    return place / f"usr/bin/python{version}"


def _apt(scratch: Path, suite: str) -> list[str]:
    """Options by which apt works in a folder of ours, with the sources of this image for another release."""
    (scratch / "lists/partial").mkdir(parents=True)
    (scratch / "archives/partial").mkdir(parents=True)
    files = [APT / "sources.list", *sorted((APT / "sources.list.d").glob("*"))]
    for file in (file for file in files if file.is_file()):
        text = re.sub(rf"\b{NODES_SUITE}\b", suite, file.read_text())
        (scratch / f"of-{suite}{file.suffix}").write_text(text)
    (scratch / "status").touch()
    settings = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": scratch,
        "Dir::State::lists": scratch / "lists",
        "Dir::State::status": scratch / "status",
        "Dir::Cache": scratch,
        "Acquire::https::CaInfo": "/etc/benchtop/host-ca.pem",
        "APT::Sandbox::User": "",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
