"""Run one component of a map on a node: FILE COMPONENT [MAP].

A copy of it lies in each map's folder, in place of HTMap's own, which asks pip for all packages before each
function. With a third word, the function and its input are read where they are, below the home, and the
result is put there; without one, HTCondor has brought them to the folder where this runs, and fetches it.

Each component waits for what is loaded here: neither pathlib nor what only a failure or a large input needs.
The exit codes are put into words by words.py.
"""

from __future__ import annotations

import os
import pickle
import sys
import zlib

TYPE_CHECKING = False  # not typing's, which takes time to load
if TYPE_CHECKING:
    from typing import Any

NO_SPACE = 75  # exit code: no room for the result
TRANSFER = "_htmap_transfer"  # names that HTMap knows in a node's folder
USER_TRANSFER = "_htmap_user_transfer"
CURRENT, OLD = "_htmap_current_checkpoint", "_htmap_old_checkpoint"
FULL = {28, 122}  # ENOSPC, EDQUOT
LARGE = 1 << 20  # bytes: what is larger is unpacked piece by piece
GZIP = 31  # zlib's number for the format of gzip, which HTMap reads and writes


class ExecutionError:
    """What HTMap reads of a function that failed; by these names."""

    def __init__(self, **facts: object) -> None:
        self.__dict__.update(facts)


def failure(component: str, error: BaseException, scratch: str) -> ExecutionError:
    """What there is to tell of an exception that the function raised."""
    import datetime
    import getpass
    import platform
    import socket
    import traceback

    frames = list(traceback.walk_tb(error.__traceback__))[1:]  # without this file's own
    stack = [
        traceback.FrameSummary(
            frame.f_code.co_filename,
            line,
            frame.f_code.co_name,
            lookup_line=os.path.exists(frame.f_code.co_filename),
            locals=frame.f_locals,
        )
        for frame, line in frames
    ]
    name = socket.gethostname()
    return ExecutionError(
        component=component,
        exception_msg="".join(traceback.format_exception_only(type(error), error)).rstrip(),
        node_info=(name, address(name), datetime.datetime.now(datetime.UTC), getpass.getuser()),
        python_info=(sys.executable, platform.python_version(), f"those of {sys.prefix}"),
        scratch_dir_contents=sorted(name for name in os.listdir(scratch) if not name.startswith((".", "_"))),
        stack_summary=traceback.StackSummary.from_list(stack),
    )


def address(name: str) -> str:
    """Of a node, as far as it is known there."""
    import socket

    try:
        return socket.gethostbyname(name)
    except OSError:
        return "address unknown"


def take_up(kept: str, scratch: str) -> None:
    """Bring back what the function kept of itself (htmap.checkpoint) when it ran before."""
    for name in (CURRENT, OLD):
        folder = os.path.join(kept, name)
        if os.path.isdir(folder):
            import shutil

            for file in os.listdir(folder):
                shutil.copy2(os.path.join(folder, file), os.path.join(scratch, file))
            return


def hand_over(source: str, target: str) -> None:
    """Put the files that the function gave (htmap.transfer_output_files) where the map has them."""
    if os.listdir(source):
        import shutil

        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)


class Packed:
    """A file that is compressed while it is written, as gzip does it."""

    def __init__(self, file: Any) -> None:
        self._file, self._packer = file, zlib.compressobj(1, wbits=GZIP)

    def write(self, data: Any) -> int:
        """A part of it."""
        self._file.write(self._packer.compress(data))
        return len(data)

    def finish(self) -> None:
        """What is still held back, and the sum over all."""
        self._file.write(self._packer.flush())


def write(results: list[object], path: str) -> None:
    """All of a result or nothing of it."""
    import cloudpickle  # loaded by then, if the function came from a notebook

    with open(path + ".new", "wb") as file:
        packed = Packed(file)
        for result in results:
            cloudpickle.dump(result, packed)
        packed.finish()
    os.rename(path + ".new", path)


def read(path: str) -> Any:
    """What a notebook has put down."""
    if os.path.getsize(path) > LARGE:
        import gzip

        with gzip.open(path) as unpacked:
            return pickle.load(unpacked)  # noqa: S301 the person's own
    with open(path, "rb") as file:
        return pickle.loads(zlib.decompress(file.read(), GZIP))  # noqa: S301 the person's own


def run(component: str, place: str) -> None:
    """Run it, and write what became of it. place: the map's folder, "" when HTCondor brings the files."""
    os.environ["HTMAP_ON_EXECUTE"], os.environ["HTMAP_COMPONENT"] = "1", component
    scratch = os.environ.setdefault("_CONDOR_SCRATCH_DIR", os.getcwd())
    os.chdir(scratch)
    given, transfer = os.path.join(scratch, USER_TRANSFER, component), os.path.join(scratch, TRANSFER)
    os.makedirs(given, exist_ok=True)
    kept = os.path.join(place, "checkpoints", component) if place else transfer
    os.makedirs(kept, exist_ok=True)
    if place and not os.path.islink(transfer):
        os.symlink(kept, transfer)  # what htmap.checkpoint keeps is in the home at once
    take_up(kept if place else scratch, scratch)
    print(f"Component {component} on {os.uname().nodename}, in {sys.executable}\n", flush=True)
    inputs = os.path.join(place, "inputs") if place else scratch
    results = called(component, place or scratch, inputs, scratch)
    if not place:
        forget(transfer)
        os.mkdir(transfer)
    path = os.path.join(place, "outputs" if place else transfer, f"{component}.out")
    try:
        write(results, path)
    except Exception as error:
        if isinstance(error, OSError) or results[0] == "ERR":
            raise
        write(["ERR", failure(component, error, scratch)], path)  # a result that cannot be pickled
    if place:
        hand_over(given, os.path.join(place, "output_files", component))
        forget(kept)


def called(component: str, place: str, inputs: str, scratch: str) -> list[object]:
    """What HTMap reads: "OK" and the result, or "ERR" and what there is to tell."""
    try:
        with open(os.path.join(place, "sys_path")) as file:
            sys.path[1:1] = file.read().splitlines()
    except FileNotFoundError:
        pass
    sys.path[0] = ""  # the folder of this file is nobody's business
    try:
        function = read(os.path.join(place, "func"))
        args, kwargs = read(os.path.join(inputs, component + ".in"))
        print("----- MAP COMPONENT OUTPUT START -----\n", flush=True)
        result = function(*args, **kwargs)
        print("\n-----  MAP COMPONENT OUTPUT END  -----", flush=True)
    except Exception as error:
        import traceback

        print("\n-------  MAP COMPONENT ERROR  --------\n", flush=True)
        traceback.print_exc()
        return ["ERR", failure(component, error, scratch)]
    return ["OK", result]


def forget(kept: str) -> None:
    """What was kept for another try is not needed any more."""
    try:
        os.rmdir(kept)
    except OSError:
        import shutil

        shutil.rmtree(kept, ignore_errors=True)


def main() -> None:
    """Whatever the function did, the exit code is 0 when its result or its error is put down."""
    try:
        run(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
    except OSError as error:
        print(error, file=sys.stderr)
        if error.errno in FULL:
            sys.exit(NO_SPACE)
        raise


if __name__ == "__main__":
    main()
