"""What an environment adds to the start of a session: click → JupyterLab answers.

facility: the facility's own JupyterLab, as everybody gets it who chooses nothing
venv:     the same JupyterLab by the Python of an environment of the software area
image:    the same inside an image of Apptainer, which is a folder of the software area

All of the same packages, in turn, on the first cluster.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from statistics import median

import starts
from benchtop.people import enrol
from benchtop.settings import Settings
from figures import Figure
from support import software
from support.hub import Hub

ROUNDS = 5  # at most: three starts each
KINDS: Mapping[str, str] = {"": "", "bench-venv": "venv", "bench-image": "container"}


def measure(settings: Settings, rounds: int) -> list[Figure]:
    """Starts of all kinds."""
    course = starts.COURSES[settings.clusters[0]]
    own = Hub(settings, enrol.login(settings, starts.PERSON), starts.PERSON, course.cluster)
    token = starts.token(own)
    taken: dict[str, list[float]] = {name: [] for name in KINDS}
    with ExitStack() as stack:
        stack.callback(lambda: own.api("DELETE", f"users/{own.person}/tokens/{token['id']}"))
        for name, kind in KINDS.items():
            if name:
                stack.enter_context(software.published(settings, name, "1", kind=kind))
        starts.stop(own)
        for _ in range(min(rounds, ROUNDS)):
            for name, known in taken.items():
                began, _, answered = starts.click(
                    own, {**course.options, "environment": name}, token["token"]
                )
                known.append(answered - began)
                starts.stop(own)
    plain, venv, image = taken.values()
    return [
        Figure("session in an environment, above a plain one", f"{median(venv) - median(plain):.2f} s"),
        Figure(
            "session inside an image, above one in an environment",
            f"{median(image) - median(venv):.2f} s (in all {starts.seconds(image)})",
            bar="≤ 2 s",
        ),
    ]
