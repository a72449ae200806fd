"""Keycloak's realm: keycloak/realm.json."""

from __future__ import annotations

import json
from collections.abc import Mapping

from benchtop.config.part import Part, Plan
from benchtop.console import say
from benchtop.keys import changed, secrets
from benchtop.people import realm
from benchtop.people.roster import People
from benchtop.settings import Settings
from benchtop.stack import compose

_FILE = "keycloak/realm.json"


class Realm(Part):
    """Judged by the running Keycloak, which makes a realm of another name of it; taken up as it runs."""

    def check(self, settings: Settings, files: list[str], everybody: People) -> Plan:
        """See Part."""
        text, former = (settings.root / _FILE).read_text(), settings.live_file(_FILE).read_text()
        realm.refuse_reborn(text, former)
        rendered = [secrets.realm(settings, each) for each in (text, former)]
        understood = realm.judge(settings, rendered[0], text, rendered[1])
        # what the live file says and the new one does not: Keycloak's own value comes back
        dropped = json.loads(former).keys() - json.loads(text).keys()
        own = {key: understood[key] for key in dropped if key in understood}
        notice = "Keycloak takes it up as it runs; nobody is logged out, second factors stay"
        return Plan(self, files, notice, lambda: _follow(settings, own))

    def go_back(self, settings: Settings, plan: Plan) -> None:
        """See Part."""
        _follow(settings, {})


def _follow(settings: Settings, dropped: Mapping[str, object]) -> None:
    # whoever else has new keys, because a certificate was renewed, takes them up with the next `make up`
    changed.note(settings, secrets.ensure(settings) - {"keys-keycloak"})
    compose.run(settings, "run", "--rm", "--no-deps", "volumes")  # for the day when Keycloak starts empty
    for sentence in realm.follow(settings, dropped):
        say(sentence)


REALM = Realm("realm", (_FILE,))
