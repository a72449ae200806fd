"""Scale out from a notebook to Slurm and HTCondor without writing a job script.

Importing the package loads none of its parts: each comes with the first use of its name.
"""

import importlib

_PARTS: dict[str, str] = {
    "Executor": "executor",
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
    "UnsendableError": "executor",
}  # name → the module that has it


def __getattr__(name: str) -> object:
    try:
        part = _PARTS[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(importlib.import_module(f"{__name__}.{part}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PARTS})
