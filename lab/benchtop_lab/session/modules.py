"""Modules of Lmod in a session: for its kernels, for bash in them, and for JupyterLab's sidebar.

The same as lab/config/modules.sh does for shells, without starting one: a session's start would wait for it.
Nothing but the standard library.
"""

from collections.abc import Iterable, MutableMapping
from pathlib import Path

LMOD = Path("/usr/share/lmod/lmod")
SHELL = "/etc/benchtop/modules.sh"  # by which each bash that runs a script has `module`
AREA = Path("/software")
OWN = ("modules", "privatemodules")  # in a home


def offer(env: MutableMapping[str, str], groups: Iterable[str], lmod: Path = LMOD, area: Path = AREA) -> None:
    """Say where Lmod and its modulefiles are, unless the session's job has loaded some already.

    groups: of the person, whose modules go before the facility's
    """
    if env.get("LOADEDMODULES") or not (lmod / "libexec/lmod").exists():
        return
    known = [env["MODULEPATH"]] if env.get("MODULEPATH") and "LMOD_CMD" not in env else []
    env["LMOD_ROOT"], env["LMOD_PKG"], env["MODULESHOME"] = str(lmod.parent), str(lmod), str(lmod)
    env["LMOD_DIR"], env["LMOD_CMD"] = str(lmod / "libexec"), str(lmod / "libexec/lmod")
    env["LMOD_SETTARG_FULL_SUPPORT"] = "no"
    own = [str(Path(env["HOME"], name)) for name in OWN]
    theirs = [str(path) for group in groups if (path := area / "groups" / group / "modules").is_dir()]
    env["MODULEPATH"] = ":".join([*known, *own, *theirs, str(area / "modules")])
    env.setdefault("BASH_ENV", SHELL)
