"""Check the hub's configuration and templates without being a hub: `python -m benchtop_hub.check`.

JupyterHub itself starts with an option that nothing knows, or with a template that fails for the first
person who meets it. Prints one `file:line: reason` a mistake; exit code 1 when there is one.
"""

import logging
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, PrefixLoader, StrictUndefined, TemplateError, meta
from jinja2.loaders import ChoiceLoader
from jupyterhub import app as jupyterhub
from jupyterhub._data import DATA_FILES_PATH
from jupyterhub.httpclient import JupyterHubHTTPClient
from traitlets import HasTraits, TraitError
from traitlets.config import Config, Configurable

HERE = Path("/etc/jupyterhub")
CONFIG = "jupyterhub_config.py"


def main() -> int:
    """Print every mistake; the exit code."""
    logging.disable()
    mistakes = list(dict.fromkeys([*configuration(), *templates(HERE / "templates")]))
    print("\n".join(mistakes))
    return 1 if mistakes else 0


def configuration() -> Iterator[str]:
    """What is wrong with jupyterhub_config.py and the file of the cluster."""
    hub = jupyterhub.JupyterHub.instance()  # the configuration asks for it: get_config()
    try:
        hub.load_config_file(str(HERE / CONFIG))
    except BaseException as wrong:
        yield told(wrong)
        return
    try:
        hub.update_config(hub.config)
        chosen = [getattr(hub, name) for name in ("authenticator_class", "spawner_class", "proxy_class")]
    except TraitError as wrong:
        reason = re.sub(r" of <[^>]*> instance", "", str(wrong))
        yield f"{place('JupyterHub', said=reason)}: {reason}"
        return
    kinds = (type(hub), JupyterHubHTTPClient, *chosen)
    classes = {base.__name__: base for kind in kinds for base in kind.__mro__}
    known = {name: base for name, base in classes.items() if issubclass(base, Configurable)}
    for section, options in hub.config.items():
        if section not in known:
            yield f"{place(section)}: there is no {section} here: its options would have no effect"
            continue
        yield from wrong_options(known[section], options)


def wrong_options(kind: type[HasTraits], options: Config) -> Iterator[str]:
    """Options that the class does not have, and values that it does not take."""
    traits = kind.class_traits(config=True)
    for option, value in options.items():
        where = place(kind.__name__, option)
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


def place(section: str, option: str = "", said: str = "") -> str:
    """Where the configuration mentions an option: `file:line`."""
    names = [option] if option else re.findall(r"'(\w+)' trait", said)
    pattern = re.compile(rf"\b{section}\.{names[0] if names else ''}")
    found = f"hub/{CONFIG}:1"
    for file in (HERE / CONFIG, *sorted((HERE / "clusters").glob("*.py"))):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if pattern.search(line.split("#")[0]):
                found = f"{shown(str(file))}:{number}"  # the last one is the one that counts
    return found


def told(wrong: BaseException) -> str:
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
    sys.exit(main())
