"""Check the hub's configuration and templates without being a hub: `python -m benchtop_hub.check [PERSON]`.

JupyterHub itself starts with an option that nothing knows, or with a template that fails for the first
person who meets it. Prints one `file:line: reason` a mistake; exit code 1 when there is one. For a PERSON,
the scheduler itself is asked whether it would take the job of a session of theirs; nothing is started.
"""

import asyncio
import logging
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jinja2 import Environment, FileSystemLoader, PrefixLoader, StrictUndefined, TemplateError, meta
from jinja2.loaders import ChoiceLoader
from jupyterhub._data import DATA_FILES_PATH
from jupyterhub.app import JupyterHub
from jupyterhub.httpclient import JupyterHubHTTPClient
from traitlets import HasTraits, TraitError
from traitlets.config import Config, Configurable

from benchtop_hub.app import BenchtopHub, backends_of, hand_on
from benchtop_hub.backends import commands, request
from benchtop_hub.backends.backend import TROUBLES
from benchtop_hub.sessions.spawner import Session
from benchtop_hub.upstream import settings

HERE = Path("/etc/jupyterhub")
CONFIG = "jupyterhub_config.py"


def main(person: str = "") -> int:
    """Print every mistake; the exit code. person: for whom a scheduler is asked, if for anybody."""
    logging.disable()
    hub = BenchtopHub.instance()  # the configuration asks for it: get_config()
    mistakes = list(dict.fromkeys([*configuration(hub), *templates(HERE / "templates")]))
    if not mistakes and person:
        mistakes = asyncio.run(rehearsal(hub, person))
    print("\n".join(mistakes))
    return 1 if mistakes else 0


def configuration(hub: BenchtopHub) -> Iterator[str]:
    """What is wrong with jupyterhub_config.py and the file of the cluster."""
    try:
        JupyterHub.load_config_file(hub, str(HERE / CONFIG))
    except BaseException as wrong:
        yield explain(wrong)
        return
    try:
        hub.update_config(hub.config)
        chosen = [getattr(hub, name) for name in ("authenticator_class", "spawner_class", "proxy_class")]
    except TraitError as wrong:
        reason = re.sub(r" of <[^>]*> instance", "", str(wrong))
        yield f"{line_of('JupyterHub', message=reason)}: {reason}"
        return
    session = hub.spawner_class
    hand_on(hub.config, session)
    kinds = (type(hub), JupyterHubHTTPClient, *chosen, *backends_of(hub.config, session))
    classes = {base.__name__: base for kind in kinds for base in kind.__mro__}
    known = {name: base for name, base in classes.items() if issubclass(base, Configurable)}
    mistakes: list[str] = []
    for section, options in hub.config.items():
        if section in known:
            mistakes += wrong_options(known[section], options)
        else:
            mistakes.append(
                f"{line_of(section)}: there is no {section} here: its options would have no effect"
            )
    for name, sentence in settings.refused(hub.config, session):
        section, _, option = name.partition(".")
        mistakes.append(f"{line_of(section, option)}: {name}: {sentence}")
    yield from mistakes
    if not mistakes and issubclass(session, Session):  # else it may not even be possible to make one
        yield from site(hub, session)


def site(hub: BenchtopHub, session: type[Session]) -> Iterator[str]:
    """What of the site's batch script and `req_` settings cannot be read, or would do nothing."""
    spawner = trial(hub, session, "nobody")
    try:
        heeded = [backend.check_defaults(spawner.site_defaults) for backend in spawner.backends]
        script = spawner.batch_script
        spawner.check_software()
        spawner.check_places()
    except (ValueError, OSError) as wrong:
        yield f"{line_of_complaint(wrong)}: {wrong}"
        return
    unread = settings.unread(script, spawner.site_defaults, frozenset().union(*heeded))
    for option, sentence in unread:
        yield f"{line_of('', option)}: {option}: {sentence}"


async def rehearsal(hub: BenchtopHub, person: str) -> list[str]:
    """What the schedulers say against the job of a person who asks for nothing special."""
    spawner = trial(hub, hub.spawner_class, person)
    mistakes = []
    for backend in spawner.backends:
        try:
            granted = await backend.check_request(backend.parse_request({}), spawner.person)
            await backend.rehearse(granted, spawner.launch({}))
        except ValueError as wrong:
            mistakes.append(f"{line_of_complaint(wrong)}: {backend.name}: {wrong}")
        except (*TROUBLES, request.Refused) as trouble:
            if isinstance(trouble, commands.Failed) and not backend.is_silent(trouble):
                mistakes.append(f"{line_of('', 'batch_script')}: {backend.name}: {trouble}")
            else:
                print(f"{backend.name} could not be asked about it: {trouble}")
    return mistakes


def trial(hub: BenchtopHub, session: type[Session], person: str) -> Session:
    """A session of somebody, which is not to be started."""
    user: Any = SimpleNamespace(name=person, groups=[], settings={"cookie_secret": hub.cookie_secret})
    made: Session = session(
        config=hub.config, user=user, authenticator=hub.authenticator_class(config=hub.config)
    )
    return made


def wrong_options(kind: type[HasTraits], options: Config) -> Iterator[str]:
    """Options that the class does not have, and values that it does not take."""
    traits = kind.class_traits(config=True)
    for option, value in options.items():
        where = line_of(kind.__name__, option)
        if option not in traits:
            yield f"{where}: {kind.__name__} has no option {option}"
            continue
        try:
            # a bare object has no use for the lazy values that Config keeps for lists and the like
            if not hasattr(value, "get_value"):
                traits[option]._validate(kind.__new__(kind), value)
        except TraitError as wrong:
            yield f"{where}: {wrong}"
        except Exception:  # noqa: S112 - a check that needs the whole object; the hub does it then
            continue


def templates(folder: Path) -> Iterator[str]:
    """Templates that cannot be read, or that build on one which is not there."""
    own = FileSystemLoader(folder)
    theirs = FileSystemLoader(Path(DATA_FILES_PATH) / "templates")
    loader = ChoiceLoader([PrefixLoader({"templates": theirs}), own, theirs])
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    for file in sorted(folder.rglob("*.html")):
        name = str(file.relative_to(folder))
        try:
            tree = pages.parse(file.read_text(), name)
            pages.compile(tree, name)
            for other in meta.find_referenced_templates(tree):
                if other:
                    pages.get_template(other)
        except TemplateError as wrong:
            line = getattr(wrong, "lineno", None) or 1
            origin = getattr(wrong, "name", None) or name
            missing = origin != name
            reason = f"extends {origin}, which is missing or not valid" if missing else str(wrong.message)
            yield f"hub/templates/{name}:{1 if missing else line}: {reason}"


def line_of(section: str, option: str = "", message: str = "") -> str:
    """Where the configuration mentions an option: `file:line`. The last one is the one that counts."""
    names = [option] if option else re.findall(r"'(\w+)' trait", message)
    found = f"hub/jobs/{script()}:1" if option == "batch_script" else f"hub/{CONFIG}:1"
    # in whatever section it is, unless it is in this one
    for where in dict.fromkeys((r"c\.\w+" if names else section, section or r"c\.\w+")):
        pattern = re.compile(rf"\b{where}\.{names[0] if names else ''}" + (r"\b" if names else ""))
        for file in (HERE / CONFIG, *sorted((HERE / "clusters").glob("*.py"))):
            for number, line in enumerate(file.read_text().splitlines(), 1):
                if pattern.search(line.split("#")[0]):
                    found = f"{shown(str(file))}:{number}"
    return found


def line_of_complaint(wrong: Exception) -> str:
    """Where the option is set with whose name a complaint begins; else it is about the batch script."""
    option = str(wrong).partition(":")[0]
    return line_of("", option if option.isidentifier() else "batch_script")


def script() -> str:
    """The name of the batch script that comes with the hub."""
    session: Any = BenchtopHub.instance().spawner_class
    return str(getattr(session, "script", ""))


def explain(wrong: BaseException) -> str:
    """Where in the configuration an exception came from, and what it says."""
    if isinstance(wrong, SyntaxError) and wrong.filename:
        return f"{shown(wrong.filename)}:{wrong.lineno}: {wrong.msg}"
    frames = [one for one in traceback.extract_tb(wrong.__traceback__) if one.filename.startswith(str(HERE))]
    where = f"{shown(frames[-1].filename)}:{frames[-1].lineno}" if frames else f"hub/{CONFIG}:1"
    return f"{where}: {type(wrong).__name__}: {wrong}"


def shown(file: str) -> str:
    """A file of the container as it is called in the checkout."""
    return file.replace(f"{HERE}/", "hub/", 1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
