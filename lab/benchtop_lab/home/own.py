"""Which of a person's own settings a session uses.

All of them, or none: who chooses *Start without my own settings* gets a JupyterLab whose folders of settings
are empty ones on the node, and go with the session. What cannot be used at all, such as a ~/.jupyter that is
a link to nothing, is replaced like this in every session.
"""

from collections.abc import MutableMapping
from pathlib import Path

from benchtop_lab.home import room, settings

WITHOUT = "BENCHTOP_WITHOUT_SETTINGS"  # of the environment, from the hub
REFUSES = "BENCHTOP_HOME_REFUSES"  # …, for the server's settings: why nothing can be written to the home
SHELL_FILES = (".bash_profile", ".bash_login", ".profile", ".bashrc")
LEFT_OUT = (
    ".jupyter",
    ".ipython",
    ".local/share/jupyter",
    ".local/lib",
    ".local/benchtop",
    *SHELL_FILES,
    ".inputrc",
)
_FOLDERS = {  # of Jupyter's: variable → where it is in a home, what it is called in the session's own folder
    "JUPYTER_CONFIG_DIR": ((".jupyter",), "config"),
    "JUPYTER_DATA_DIR": ((".local", ".local/share", ".local/share/jupyter"), "data"),
    "IPYTHONDIR": ((".ipython",), "ipython"),
}
_PROFILE = ("db", "log", "pid", "security", "startup")  # folders that IPython makes, or ends


def prepare(env: MutableMapping[str, str], home: Path, folder: Path) -> None:
    """Tell all of Jupyter, by its environment, where its folders are.

    folder: the session's own, on the node
    """
    env["JUPYTER_RUNTIME_DIR"] = str(folder / "jupyter")
    refuses = room.refuses(home)
    if refuses:
        env[REFUSES] = refuses
    for variable, (places, name) in _FOLDERS.items():
        spoiled = any(settings.fault_of_place(home / place) for place in places)
        if env.get(WITHOUT) or spoiled or (refuses and _is_to_be_made(variable, home)):
            env[variable] = str(folder / name)
    if env.get(WITHOUT):
        env["PYTHONNOUSERSITE"] = "1"
        env["INPUTRC"] = "/etc/inputrc"
        for variable in ("PYTHONSTARTUP", "BASH_ENV", "ENV"):
            env.pop(variable, None)


def prepare_kernel(env: MutableMapping[str, str], home: Path) -> None:
    """Have a first kernel start in a home that has become full, where IPython would make a profile."""
    variable, runtime = "IPYTHONDIR", env.get("JUPYTER_RUNTIME_DIR")
    if runtime and variable not in env and _is_to_be_made(variable, home) and room.refuses(home):
        env[variable] = str(Path(runtime).with_name(_FOLDERS[variable][1]))


def _is_to_be_made(variable: str, home: Path) -> bool:
    """Would a program that starts have to make something there?"""
    if variable == "IPYTHONDIR":
        return not all((home / ".ipython/profile_default" / name).is_dir() for name in _PROFILE)
    return not (home / _FOLDERS[variable][0][-1]).is_dir()


def left_out(home: Path) -> list[Path]:
    """What of a home a session does without that leaves out its owner's settings."""
    return [home / name for name in LEFT_OUT if (home / name).exists() or (home / name).is_symlink()]


def shown(path: Path, home: Path) -> str:
    """A path as its owner writes it: ~/.jupyter."""
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
