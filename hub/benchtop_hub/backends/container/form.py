"""What may be asked of a container, by the settings: no scheduler grants it."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field

from benchtop_hub import wording
from benchtop_hub.backends import request
from benchtop_hub.backends.request import ENVIRONMENT, WITHOUT_SETTINGS, Problem, Refused
from benchtop_hub.wording import listed, quote

FIELDS = {
    "where": "Run on",
    "image": "Image",
    "environment": ENVIRONMENT,
    "cpus": "CPUs",
    "memory": "Memory",
    "runtime": "Runtime",
    "without_settings": WITHOUT_SETTINGS,
}


class Request(request.Request):
    """What somebody asks for; None, or "", is the default."""

    where: str = "container"
    image: str = Field("", max_length=256)


@dataclass(frozen=True)
class Granted:
    """What a container gets: memory in MB, runtime in minutes."""

    image: str
    cpus: int
    memory: int
    runtime: int


@dataclass(frozen=True)
class Rules:
    """What the site says: what whoever does not say gets, the most of each field, the images, whom to ask."""

    usual: Granted
    most: Mapping[str, int]
    images: Mapping[str, str]
    support: str


def check(asked: Request, rules: Rules) -> Granted:
    """The request with its open parts filled. Raises Refused with the first field that cannot be had."""
    image = asked.image or rules.usual.image
    if image not in rules.images:
        sentence = (
            f"Image: “{quote(image)}” is not one of the choices, or not any more. "
            f"Choose {listed(rules.images)}, or ask {rules.support}."
        )
        raise Refused(Problem("image", quote(image), "container_images", sentence))
    sizes = {name: getattr(asked, name) or getattr(rules.usual, name) for name in rules.most}
    for name, most in rules.most.items():
        if sizes[name] > most:
            unit = wording.UNITS[name]
            sentence = (
                f"{FIELDS[name]}: {sizes[name]}{unit} is more than a container may have ({most}{unit}). "
                f"Choose less, or ask {rules.support}."
            )
            raise Refused(Problem(name, str(sizes[name]), f"container/{name}", sentence))
    return Granted(image, **sizes)
