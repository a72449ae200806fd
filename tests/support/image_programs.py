"""Programs of the images, which are files without a suffix, as modules."""

import importlib.machinery
import importlib.util
from pathlib import Path
from types import ModuleType

IMAGES = Path(__file__).parents[2] / "images"


def load(path: str) -> ModuleType:
    """The program at a path below `images/`, run as an import runs a module."""
    name = path.replace("/", "_").replace("-", "_")
    loader = importlib.machinery.SourceFileLoader(name, str(IMAGES / path))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
