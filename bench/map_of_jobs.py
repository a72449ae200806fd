"""What HTMap adds to a cluster of jobs: a map of 100 trivial components, from the call to the last result.

floor: a cluster of 100 jobs by condor_submit and condor_wait, in which the same Python computes the same and
writes it into a file of the home; in turn with the maps, in the same session
"""

import json
from statistics import median

from figures import Figure
from support.hub import Hub
from support.notebooks import run_cells

COMPONENTS = 100
BEGIN = f"""
import htmap, json, subprocess, sys, tempfile, time
from pathlib import Path
COMPONENTS = {COMPONENTS}
JOB = '''
executable = {{python}}
transfer_executable = false
arguments = {{folder}}/job.py $(Process) {{folder}}
should_transfer_files = NO
initialdir = {{folder}}
log = {{folder}}/log
request_memory = 256MB
request_disk = 100MB
queue {COMPONENTS}
'''
PROGRAM = "import sys; open(sys.argv[2] + '/' + sys.argv[1] + '.out', 'w').write(str(int(sys.argv[1]) ** 2))"
def floor():
    with tempfile.TemporaryDirectory(dir=Path.home()) as name:
        folder = Path(name)
        (folder / "job.py").write_text(PROGRAM)
        (folder / "job").write_text(JOB.format(python=sys.executable, folder=folder))
        began = time.perf_counter()
        subprocess.run(["condor_submit", "-terse", folder / "job"], check=True, capture_output=True)
        subprocess.run(["condor_wait", folder / "log"], check=True, capture_output=True)
        found = sorted(int(file.read_text()) for file in folder.glob("*.out"))
        taken = time.perf_counter() - began
    assert found == [number**2 for number in range(COMPONENTS)]
    return taken
def mapped():
    began = time.perf_counter()
    squares = htmap.map(lambda number: number**2, range(COMPONENTS))
    found = list(squares)
    taken = time.perf_counter() - began
    squares.remove()
    assert found == [number**2 for number in range(COMPONENTS)]
    return taken
"""


def measure(own: Hub, rounds: int) -> list[Figure]:
    """In a session; a round is one map and one cluster."""
    # the first of all waits for the negotiator, the rest find slots that are claimed; and they take turns
    turns = ["ours, its = mapped(), floor()", "its, ours = floor(), mapped()"]
    cells = [
        BEGIN,
        "floor()",
        *(f"{turns[number % 2]}\nprint(json.dumps([ours, its]))" for number in range(rounds)),
    ]
    taken = [json.loads(shown.stdout.splitlines()[-1]) for shown in run_cells(own, "python3", cells)[2:]]
    ratios = [ours / floor for ours, floor in taken]
    ours, floor = zip(*taken, strict=True)
    return [
        Figure(
            f"HTMap: {COMPONENTS} components ÷ a cluster of {COMPONENTS} jobs",
            f"{median(ratios):.2f} ({median(ours):.1f} s)",
            f"{median(floor):.1f} s",
            bar="≤ 1.5",
        )
    ]
