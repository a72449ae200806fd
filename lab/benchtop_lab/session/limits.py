"""What each process of a session may not do, whatever node it runs on."""

import resource


def no_core_files() -> None:
    """Nothing that crashes leaves its memory as a file in the home: hundreds of MB, of use to nobody."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
