"""Which of a person's kernels work: each is started as JupyterLab would start it, and asked something."""

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from jupyter_client import AsyncKernelManager
from jupyter_client.provisioning import KernelProvisionerFactory
from traitlets.config import Config

from benchtop_lab.home import reading, settings
from benchtop_lab.kernels import failures, places, provisioner
from benchtop_lab.kernels.specs import KernelSpecs

ANSWERS = 30.0  # seconds that a kernel has to answer once it runs
CONFIG = Config(
    {
        "KernelProvisionerFactory": {"default_provisioner_name": provisioner.NAME},
        "Provisioner": {"copy_to": -1},  # what a kernel prints is in the report
    }
)


async def check(names: Collection[str]) -> int:
    """Print a line for each kernel, and more for those that fail. names: these alone; none: all

    0 when all of them work, 1 when one does not or is not known.
    """
    reading.install()
    provisioner.install()
    KernelProvisionerFactory.instance(config=CONFIG)
    specs = KernelSpecs()
    known = specs.find_kernel_specs()
    wrong = 0
    for folder, why in _unreadable(specs):
        if not names or folder.name in names:
            wrong += 1
            _report(
                folder.name,
                folder,
                f"{failures.shown(folder / 'kernel.json')} {why}. Mend it or remove the folder.",
            )
    for name in names:
        if name not in known and not any(folder.name == name for folder, _ in _unreadable(specs)):
            wrong += 1
            print(f"✗ {name}: you have no kernel of this name here. `benchtop-kernels doctor` lists yours.")
    for name, path in sorted(known.items()):
        if names and name not in names:
            continue
        began = time.monotonic()
        if why := await _try(name, specs):
            wrong += 1
            _report(name, Path(path), why)
        else:
            print(
                f"✓ {name}: works, ready in {time.monotonic() - began:.1f} s ({failures.shown(path)})",
                flush=True,
            )
    return 1 if wrong else 0


def _report(name: str, folder: Path, why: str) -> None:
    print(f"✗ {name}: does not work ({failures.shown(folder)})", flush=True)
    for line in why.splitlines():
        print(f"    {line}".rstrip(), flush=True)


def _unreadable(specs: KernelSpecs) -> Iterator[tuple[Path, str]]:
    """Folders whose kernel.json cannot be read, and what is wrong with it."""
    folders = [*places.shared(os.environ), *map(Path, specs.kernel_dirs), *places.published(os.environ)]
    for folder in dict.fromkeys(folders):
        with contextlib.suppress(OSError):
            for entry in sorted(folder.iterdir()):
                if entry.is_dir() and (why := settings.fault(entry / "kernel.json")):
                    yield entry, why


async def _try(name: str, specs: KernelSpecs) -> str:
    """Why a kernel does not work, in sentences; "" where it does."""
    with tempfile.TemporaryDirectory(prefix="benchtop.kernel.") as folder:
        manager = AsyncKernelManager(
            kernel_name=name, kernel_spec_manager=specs, transport="ipc", autorestart=False,
            connection_file=f"{folder}/kernel.json", config=CONFIG,
        )  # fmt: skip
        try:
            await manager.start_kernel()
        except failures.KernelFailedError as failed:
            return str(failed)
        except Exception as error:
            return f"It cannot be started: {error}"
        client = manager.client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=ANSWERS)
        except RuntimeError as error:
            code = await manager.provisioner.poll()
            why = f"It runs and does not answer: {error}."
            if code is not None:
                why = failures.died_at_start(manager.kernel_spec.display_name, code, manager.provisioner.env)
            return failures.with_lines(why, manager.provisioner.last_lines)
        finally:
            client.stop_channels()
            with contextlib.suppress(asyncio.CancelledError):
                await manager.shutdown_kernel(now=True)
    return ""
