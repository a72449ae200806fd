"""What several files of these share."""

from collections.abc import Callable, Iterator

import pytest
import requests

from benchtop.settings import Settings
from support.owners import Owner, owners


@pytest.fixture(scope="module")
def owner_at(
    settings: Settings, signed_in: Callable[[str], requests.Session]
) -> Iterator[Callable[[str], Owner]]:
    """`owner_at("htc")`: somebody without a session there, and without the files that these tests make."""
    with owners(settings, signed_in) as meet:
        yield meet
