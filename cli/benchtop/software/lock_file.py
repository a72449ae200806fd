"""Lock files of environments, as `make lock` writes them: what is in them, and whether it is pinned."""

from __future__ import annotations

import re
from collections.abc import Iterator

_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*==\s*[^\s;\\]+")


def _statements(lock: str) -> Iterator[tuple[int, str]]:
    """The statements of a lock file without comments, and the line where each begins."""
    begun, text = 0, ""
    for number, line in enumerate(lock.splitlines(), 1):
        bare = re.sub(r"(^|\s)#.*", "", line).strip()
        begun = begun if text else number
        text = f"{text} {bare.removesuffix(chr(92))}".strip()
        if text and not bare.endswith(chr(92)):
            yield begun, text
            text = ""


def packages(lock: str) -> Iterator[tuple[str, int]]:
    """The packages of a lock file by their normalized names, and the line of each."""
    for line, text in _statements(lock):
        if match := _REQUIREMENT.match(text):
            yield re.sub(r"[-_.]+", "-", match[1]).lower(), line


def judge(lock: str) -> Iterator[tuple[int, str]]:
    """The lines that an installer must not get, and why: each package has one version and its hashes."""
    for line, text in _statements(lock):
        if not _REQUIREMENT.match(text):
            yield line, f"“{text[:60]}” is not NAME==VERSION: let `make lock` write this file"
        elif "--hash=sha256:" not in text:
            yield line, f"“{text[:60]}” has no hash: let `make lock` write this file"
