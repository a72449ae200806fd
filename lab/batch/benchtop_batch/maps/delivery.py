"""How a component gets to a node: by the notebook's own Python, which each node has by the same path.

Files stay where they are, in the home, which each node has, too; unless the map's author wants some brought.
"""

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import htmap
from htmap import exceptions, names, options

from benchtop_batch import place
from benchtop_batch.maps import mended, notebook, words

LARGE = 200  # components of a map of which the queue is given this many at a time
# Descriptors that are about bringing files to a node and back
_TRANSFER = re.compile(r"transfer_(input_files|output_files|output_remaps|plugins)|when_to_transfer_output")
_PYTHON = "-X faulthandler"  # where it crashed is in the component's standard error

_described = options.create_submit_object_and_itemdata


def put_in() -> None:
    """Have HTMap know it."""
    options.register_delivery_method(mended.DELIVERY, _descriptors, _set_up)
    options.create_submit_object_and_itemdata = describe


def _descriptors(tag: str, map_dir: Path) -> dict[str, Any]:
    python = place.python()
    if not notebook.on_nodes(Path(python), Path.home(), os.environ):
        raise exceptions.CannotSubmit(words.inside_image(python))
    return {
        "universe": "vanilla",
        "executable": python,
        "transfer_executable": "False",
        "arguments": f"{_PYTHON} {names.RUN_SCRIPT} $(component)",
        "transfer_input_files": [str(map_dir / names.RUN_SCRIPT), str(map_dir / "sys_path")],
        "environment": notebook.environment(os.environ),
        "on_exit_hold_reason": words.HOLD_REASON,
    }


def _set_up(tag: str, map_dir: Path) -> None:
    shutil.copyfile(Path(__file__).with_name("component.py"), map_dir / names.RUN_SCRIPT)
    (map_dir / "sys_path").write_text("\n".join(notebook.own_path(sys.path, Path.home())))


def describe(tag: str, map_dir: Path, number: int, wanted: Any) -> tuple[Any, list[dict[str, str]]]:
    """HTMap's description of the jobs, without bringing files where none are to be brought."""
    submit, items = _described(tag, map_dir, number, wanted)
    if htmap.settings["DELIVERY_METHOD"] != mended.DELIVERY:
        return submit, items
    lines = dict(submit)
    if not (wanted.fixed_input_files or any(wanted.input_files or ()) or wanted.output_remaps):
        lines = {name: value for name, value in lines.items() if not _TRANSFER.fullmatch(name.lower())}
        lines["arguments"] = f"{_PYTHON} {map_dir / names.RUN_SCRIPT} $(component) {map_dir}"
        lines["should_transfer_files"] = "NO"
    if number > LARGE and not {"max_idle", "max_materialize"} & {name.lower() for name in lines}:
        # a queue takes a limited number of jobs of each person
        lines["max_materialize"] = str(LARGE)
    return type(submit)(lines), items
