"""The minter's package is not installed where tests run: it lives in an image of its own."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "minter"))
