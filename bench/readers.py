"""People of tests/people.yaml as people of the facility, for as long as a measurement takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchtop.people import accounts, enrol, roster
from benchtop.settings import Settings

COUNTED = 10.0  # seconds that the front door counts an address's steps for: apache/conf/throttle.conf


@contextmanager
def readers(settings: Settings, count: int) -> Iterator[list[str]]:
    """The names of so many who are enrolled and may use both clusters."""
    everybody = roster.load(settings.root / accounts.PEOPLE, settings.root / "tests/people.yaml")
    ours = accounts.load(settings)
    names = sorted(set(everybody.people) - set(ours.people))[:count]
    accounts.follow(settings, everybody)
    try:
        chosen = {name: everybody.people[name] for name in names}
        if enrol.enrol_missing(settings, everybody.model_copy(update={"people": chosen})):
            time.sleep(COUNTED)  # an enrolment is a login too, and they come to a door that has rested
        yield names
    finally:
        accounts.follow(settings, ours)
