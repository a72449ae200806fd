"""What an image adds to the start of a kernel.

floor: the same kernel of the same Python outside: the question to JupyterLab until the kernel's first reply
image: the same inside an image of Apptainer, which is a folder
setup: the same outside, with a setup.sh that does nothing

In turn, in one session.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median

from benchtop.settings import Settings
from benchtop.stack import compose
from figures import Figure, p95
from round_trip import stands_at
from starts import PERSON
from support import images, traffic
from support.hub import Hub

ROUNDS, WARM = 10, 2
IMAGE = "bench-image"
FOLDER = ".local/share/jupyter/kernels"
PYTHON = ("/opt/lab/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}")
KERNELS: Mapping[str, tuple[str, ...]] = {
    "bench-outside": PYTHON,
    "bench-image": (images.OPEN, f"/home/{PERSON}/{IMAGE}", *PYTHON),
    "bench-setup": PYTHON,
}


def measure(settings: Settings, own: Hub) -> list[Figure]:
    """Starts of kernels; `own` has a session that runs, and was opened."""
    taken: dict[str, list[float]] = {name: [] for name in KERNELS}
    with kernels(settings, own):
        for _ in range(ROUNDS + WARM):
            for name, known in taken.items():
                known.append(start(own, name))
    outside, image, setup = (known[WARM:] for known in taken.values())
    return [
        Figure("kernel: started until its first reply", seconds(outside)),
        Figure(
            "the same inside an image, above the same outside",
            f"{median(image) - median(outside):.2f} s (in all {seconds(image)})",
            bar="≤ 1 s",
        ),
        Figure(
            "the same after an empty setup.sh, above the same without",
            f"{median(setup) - median(outside):.3f} s (in all {seconds(setup)})",
        ),
    ]


def seconds(values: list[float]) -> str:
    """The median and the 95th percentile."""
    return f"{median(values):.2f} s (p95 {p95(values):.2f})"


def start(own: Hub, name: str) -> float:
    """Seconds until a new kernel has run a cell."""
    began = time.perf_counter()
    answer = own.jupyter("POST", "kernels", {"name": name})
    answer.raise_for_status()
    kernel = answer.json()["id"]
    traffic.run(own, kernel, "print(1)")
    taken = time.perf_counter() - began
    own.jupyter("DELETE", f"kernels/{kernel}").raise_for_status()
    return taken


@contextmanager
def kernels(settings: Settings, own: Hub) -> Iterator[None]:
    """These kernels are in the home meanwhile."""
    node, _ = stands_at(own)
    become = ("setpriv", f"--reuid={own.person}", "--regid=people", "--init-groups")
    shell = ("exec", "-T", node, *become, "env", f"HOME=/home/{own.person}", "sh", "-c")
    for name, argv in KERNELS.items():
        spec = json.dumps({"argv": argv, "display_name": name, "language": "python", "env": images.BOUND})
        write = f"mkdir -p ~/{FOLDER}/{name} && cat >~/{FOLDER}/{name}/kernel.json"
        compose.run(settings, *shell, write, input=spec.encode())
    compose.run(settings, *shell, f"cd && {images.MAKE}", "sh", IMAGE)
    compose.run(settings, *shell, f"touch ~/{FOLDER}/bench-setup/setup.sh")
    try:
        yield
    finally:
        compose.run(settings, *shell, f"rm -r ~/{IMAGE} ~/{FOLDER}/bench-*")
