"""The modulefile of a version, for Lmod: `module load NAME` in a shell or a job script."""

from __future__ import annotations

from benchtop.software.recipes import CONTAINER_PROGRAM, Recipe


def text(recipe: Recipe) -> str:
    """The modulefile, in Lua."""
    described = recipe.described
    head = [
        f"help({_quoted(described.description)})",
        f"whatis({_quoted(f'Name: {recipe.name}')})",
        f"whatis({_quoted(f'Version: {recipe.version}')})",
        f"whatis({_quoted(f'Description: {described.title}')})",
        # a second environment would hide half of the first
        'family("environment")',
    ]
    if described.kind == "container":
        rootfs = f"{recipe.prefix}/rootfs"
        body = [
            f'setenv("BENCHTOP_CONTAINER", {_quoted(rootfs)})',
            # a word of the shell: `in-container python3 script.py`
            f'set_shell_function("in-container", [[{CONTAINER_PROGRAM} {rootfs} "$@"]], "")',
        ]
    else:
        body = [
            f'setenv("VIRTUAL_ENV", {_quoted(recipe.prefix)})',
            f'prepend_path("PATH", {_quoted(f"{recipe.prefix}/bin")})',
        ]
    return "\n".join([*head, *body]) + "\n"


def _quoted(words: str) -> str:
    """A string of Lua: in brackets that the words do not have themselves."""
    level = ""
    while f"]{level}]" in words or words.endswith(f"]{level}"):
        level += "="
    return f"[{level}[{words}]{level}]"
