"""Scale out from a notebook to Slurm and HTCondor without writing a job script.

Importing the package loads none of its parts: each comes with the first use of its name. A site
may have every Python import it as it begins (at_import.py), so it has to stay small.
"""

import importlib

TYPE_CHECKING = False  # not typing's: loading typing would take longer than all of this
if TYPE_CHECKING:
    from collections.abc import Callable


def lazily(package: str, parts: dict[str, str]) -> "tuple[Callable[[str], object], Callable[[], list[str]]]":
    """`__getattr__` and `__dir__` of a package whose names come with their modules. parts: name → module"""

    def get(name: str) -> object:
        if name not in parts:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{parts[name]}"), name)

    def names() -> list[str]:
        return sorted({*vars(importlib.import_module(package)), *parts})

    return get, names


__getattr__, __dir__ = lazily(
    __name__,
    {
        "Executor": "executor",
        "UnavailableError": "network",
        "UnsendableError": "unsendable",
        "jobs": "listing",
        "parsl_config": "parsl_cluster",
        **dict.fromkeys(("slurm", "condor", "collect"), "calls.function"),
        **dict.fromkeys(
            (
                "CrashedError",
                "HeldError",
                "JobCancelledError",
                "JobError",
                "NoSpaceError",
                "NodeLostError",
                "NotSubmittedError",
                "OptionError",
                "OutOfMemoryError",
                "PreemptedError",
                "RemoteError",
                "TimeLimitError",
            ),
            "calls.failed",
        ),
    },
)
