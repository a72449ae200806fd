"""The list of people: accounts/people.yaml."""

from __future__ import annotations

from benchtop.config.part import Part, Plan
from benchtop.people import accounts
from benchtop.people.roster import People
from benchtop.settings import Settings


class ListOfPeople(Part):
    """Judged as it was read (people/roster.py); what follows it is all of people/accounts.py."""

    def check(self, settings: Settings, files: list[str], everybody: People) -> Plan:
        """See Part; `everybody` is the new list, which is right or would not be here."""
        notice = "the directory, homes and Slurm's accounting follow; who is taken off the list is out"

        def make_live() -> None:
            accounts.follow(settings, everybody)
            accounts.enrol_missing(settings, everybody)

        return Plan(self, files, notice, make_live)

    def go_back(self, settings: Settings, plan: Plan) -> None:
        """Nothing is to be taken back: each service takes the whole list or none of it."""


# a new partitions.conf is checked against the new list, and names what accounting has only then
PEOPLE = ListOfPeople("people", ("accounts/people.yaml",), takes_along="slurm")
