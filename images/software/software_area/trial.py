"""Start each kernel of a version as a person would, and run a cell: what fails here is never published.

Runs as a user who owns nothing of it, with the area read-only and without a network, by the very kernel.json.
"""

import os
import queue
import tempfile
import time
from typing import IO

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from software_area import RECIPE, SOFTWARE, Failure, read, version_of

WITHIN = 180.0  # seconds: a first import of large libraries, on a machine that is busy
LINES = 15


def try_kernels(name: str) -> None:
    """Run the cell of each kernel of what was built; raises Failure with the kernel's last words."""
    place = SOFTWARE / name / version_of(name)
    specs = KernelSpecManager(kernel_dirs=[str(place / "share/jupyter/kernels")], ensure_native_kernel=False)
    for kernel, wanted in read(place / RECIPE)["trials"].items():
        print(f"trying the kernel {kernel}", flush=True)
        with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile() as log:
            os.environ["HOME"] = home
            os.chdir(home)
            manager = KernelManager(kernel_name=kernel, kernel_spec_manager=specs)
            try:
                output = _run(manager, wanted["cell"], log)
            except (OSError, RuntimeError) as error:
                raise Failure(f"The kernel {kernel} does not start: {error}.", _end(log)) from error
            finally:
                if manager.has_kernel:
                    manager.shutdown_kernel(now=True)
            if wanted["output"] not in output:
                message = f"The kernel {kernel} answers its cell without “{wanted['output']}”:"
                raise Failure(message, (output.splitlines() or ["(nothing)"])[-LINES:] + _end(log))


def _run(manager: KernelManager, cell: str, log: IO[bytes]) -> str:
    """What a cell prints, or the error that it ends with."""
    manager.start_kernel(stdout=log, stderr=log)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=WITHIN)
        asked = client.execute(cell)
        printed, until = [], time.monotonic() + WITHIN
        while True:
            try:
                message = client.get_iopub_msg(timeout=1.0)
            except queue.Empty:
                if not manager.is_alive():
                    raise RuntimeError("it died while its cell ran") from None
                if time.monotonic() > until:
                    raise RuntimeError(f"its cell had not ended after {WITHIN:.0f} s") from None
                continue
            if message["parent_header"].get("msg_id") != asked:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                printed.append(content["text"])
            elif message["msg_type"] in {"execute_result", "display_data"}:
                printed.append(str(content["data"].get("text/plain", "")))
            elif message["msg_type"] == "error":
                printed.append(f"{content['ename']}: {content['evalue']}")
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                return "\n".join(printed)
    finally:
        client.stop_channels()


def _end(log: IO[bytes]) -> list[str]:
    """The last lines that a kernel printed itself."""
    log.seek(0)
    return [line.decode(errors="replace") for line in log.read().splitlines() if line.strip()][-LINES:]
