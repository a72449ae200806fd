"""The form for a session on Slurm: it offers only what the person may use."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchtop_hub import wording
from benchtop_hub.backends import page
from benchtop_hub.backends.page import Places
from benchtop_hub.backends.request import Before, still_granted
from benchtop_hub.backends.slurm.form import FIELDS, NO_GPU, Granted, Offer, Rules, fill, parse
from benchtop_hub.backends.slurm.rights import ANY, Choice, Node, Shape


def render(templates: Path, offer: Offer, rules: Rules, before: Before, places: Places) -> str:
    """The form's fields as HTML."""
    values: dict[str, str] = dict.fromkeys(FIELDS, "") | {"gpu": NO_GPU}
    values["where"] = str(before.asked.get("where", "batch"))
    if offer.choices:

        def grant(asked: Mapping[str, Any]) -> tuple[dict[str, Any], Granted]:
            return fill(parse(asked).asked(), offer, rules)

        kept, (given, usual) = still_granted(before.asked, grant)
        kept = {**given, **kept}
        granted = {name: getattr(usual, name) for name in ("partition", "cpus", "memory", "runtime")}
        values |= page.as_written(granted)
        values |= {name: str(kept.get(name) or "") for name in ("account", "qos", "reservation")}
        if usual.gpu_count:
            values["gpu"] = f"{usual.gpu_kind}:{usual.gpu_count}"
    values.update(before.sent)
    free = _free(offer)
    return page.render(
        templates,
        "form.html",
        before,
        partitions=_longest(offer.choices),
        accounts=list(dict.fromkeys(choice.account for choice in offer.choices)),
        qualities=list(dict.fromkeys(choice.qos for choice in offer.choices)),
        reservations=offer.reservations,
        gpus=_gpus(offer.choices),
        most={
            name: max((choice.most(name, NO_GPU, 0).value for choice in offer.choices), default=None)
            for name in ("cpus", "memory")
        },
        free=free,
        everywhere=_everywhere(offer.nodes, free),
        values=values,
        fields=FIELDS,
        support=rules.support,
        places=places,
        lines=_lines(offer, rules.explanations),
        offers=page.script_data(_offers(offer) | {"free": free}),
    )


def _lines(offer: Offer, explanations: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Of each field, the lines of what this person may choose there."""
    theirs = {
        "partition": dict.fromkeys(choice.partition for choice in offer.choices),
        "qos": dict.fromkeys(choice.qos for choice in offer.choices),
        "gpu": dict.fromkeys(kind for kind, _ in _gpus(offer.choices)),
    }
    lines = {
        field: {name: explanations[field][name] for name in names if name in explanations.get(field, {})}
        for field, names in theirs.items()
    }
    until = "%-d %B, %H:%M UTC"
    return lines | {
        "reservation": {one.name: f"until {one.end.strftime(until)}" for one in offer.reservations}
    }


def _longest(choices: Sequence[Choice]) -> dict[str, int | None]:
    """The most minutes in each partition; None: no limit."""
    longest: dict[str, int | None] = {}
    for choice in choices:
        so_far = longest.get(choice.partition, 0)
        here = choice.minutes.value if choice.minutes else None
        longest[choice.partition] = None if here is None or so_far is None else max(so_far, here)
    return longest


def _gpus(choices: Sequence[Choice]) -> list[tuple[str, int]]:
    """Every type and number of GPUs that some choice offers."""
    most: dict[str, int] = {}
    for gpus in {id(choice.gpus): choice.offered() for choice in choices}.values():
        for kind, count in gpus.items():
            most[kind] = max(most.get(kind, 0), count)
    kinds = sorted(most, key=lambda kind: (kind != ANY, kind))
    return [(kind, count) for kind in kinds for count in range(1, most[kind] + 1)]


def _free(offer: Offer) -> dict[str, dict[str, list[int]]]:
    """Of each partition: CPUs, MB of memory and GPUs of each type, each as what is free now and all of it."""
    found: dict[str, dict[str, list[int]]] = {choice.partition: {} for choice in offer.choices}
    for node in offer.nodes:
        if node.partition in found:
            parts = {"cpus": (node.free_cpus, node.cpus), "memory": (node.free_memory, node.memory)}
            parts |= {kind: (node.free_gpus.get(kind, 0), count) for kind, count in node.gpus.items()}
            for what, (free, total) in parts.items():
                so_far = found[node.partition].setdefault(what, [0, 0])
                so_far[0] += free
                so_far[1] += total
    return found


def describe_free(offer: Offer) -> str:
    """What is free on all nodes that a person may use, as a sentence; of GPUs, of their types."""
    theirs = {choice.partition for choice in offer.choices}
    nodes = {node.name: node for node in offer.nodes if node.partition in theirs}.values()
    if not nodes:
        return ""
    gpus = _everywhere(offer.nodes, theirs)
    kinds = {kind for kind, _ in _gpus(offer.choices)} & gpus.keys() - {ANY}
    parts = [
        f"{sum(node.free_cpus for node in nodes)} of {sum(node.cpus for node in nodes)} CPUs",
        wording.of_memory(sum(node.free_memory for node in nodes), sum(node.memory for node in nodes)),
        *(f"{gpus[kind][0]} of {gpus[kind][1]} {kind} GPUs" for kind in sorted(kinds)),
    ]
    return f"Free now: {', '.join(parts)}."


def _everywhere(nodes: Sequence[Node], partitions: Iterable[str]) -> dict[str, list[int]]:
    """GPUs of each type in all these partitions together: a node may be in several."""
    found: dict[str, list[int]] = {}
    for node in {node.name: node for node in nodes if node.partition in partitions}.values():
        for kind, count in node.gpus.items():
            so_far = found.setdefault(kind, [0, 0])
            so_far[0] += node.free_gpus.get(kind, 0)
            so_far[1] += count
    return found


def _offers(offer: Offer) -> dict[str, Any]:
    """What fits with what, as short as it can be said: hundreds of accounts mostly have the same limits."""
    alike: dict[tuple[Any, ...], tuple[Choice, Shape, list[str]]] = {}
    for choice in offer.choices:
        reserved = tuple(one.name for one in offer.reservations if one.serves(choice))
        time = choice.minutes.value if choice.minutes else None
        limits = (time, choice.cpus.value, choice.memory.value, tuple(choice.offered().items()))
        for number, shape in enumerate(choice.shapes):
            key = (choice.partition, choice.qos, reserved, number, *limits)
            alike.setdefault(key, (choice, shape, []))[2].append(choice.account)
    lists: dict[tuple[str, ...], int] = {}

    def numbered(*names: str) -> int:
        return lists.setdefault(names, len(lists))

    offers = []
    for key, (choice, shape, accounts) in alike.items():
        most = {
            "cpus": min(choice.cpus.value, shape.cpus),
            "memory": min(choice.memory.value, shape.memory),
            "runtime": choice.minutes.value if choice.minutes else None,
        }
        fits = {
            "partition": numbered(choice.partition),
            "account": numbered("", *accounts),
            "qos": numbered("", choice.qos),
            "reservation": numbered("", *key[2]),
        }
        gpus = {kind: min(count, shape.gpus.get(kind, 0)) for kind, count in choice.offered().items()}
        offers.append({"fits": fits, "most": most, "gpus": gpus})
    return {"lists": list(lists), "offers": offers}
