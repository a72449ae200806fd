"""Others' packages are mended when they are imported, and nothing is loaded before."""

import subprocess
import sys
from pathlib import Path

BATCH = Path(__file__).parents[3] / "lab/batch"
MENDER = """
def mend(module, load):
    module.before = True
    load()
    module.seen = module.own + 1
"""
PROGRAM = """
import sys
sys.path[:0] = [{batch!r}, {folder!r}]
from benchtop_batch import at_import
at_import.MENDERS.clear()
at_import.MENDERS.update(mended="mender")
at_import.begin()
at_import.begin()
assert "mender" not in sys.modules and len([one for one in sys.meta_path if one is at_import._Finder]) == 1
import plain
assert "mender" not in sys.modules
import mended, inspect
print(mended.seen, mended.before, inspect.getsource(mended).strip(), type(mended.__loader__).__name__)
"""


def run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_a_module_is_mended_as_it_is_imported(tmp_path: Path):
    (tmp_path / "mender.py").write_text(MENDER)
    (tmp_path / "mended.py").write_text("own = 1")
    (tmp_path / "plain.py").write_text("")
    said = run(PROGRAM.format(batch=str(BATCH), folder=str(tmp_path)))
    assert said.strip() == "2 True own = 1 SourceFileLoader"


def test_what_every_python_begins_with_loads_none_of_it():
    program = f"import sys; sys.path.insert(0, {str(BATCH)!r}); before = set(sys.modules)\n"
    program += "from benchtop_batch import at_import; at_import.begin()\n"
    program += "print(sorted(name for name in sys.modules if name.startswith('benchtop_batch')))"
    assert run(program).strip() == "['benchtop_batch', 'benchtop_batch.at_import']"
