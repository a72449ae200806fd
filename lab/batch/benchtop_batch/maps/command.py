"""The command `htmap` with a click of today: HTMap was written for 7, and 8.1 took away what it uses."""

import sys
from collections.abc import Callable
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO


def mend(cli: Any, load: Callable[[], None]) -> None:
    """Have the module loaded, and put in what is different."""
    import click

    argument = click.argument

    def taken(*names: str, autocompletion: Callable[..., Any] | None = None, **more: Any) -> Any:
        """`autocompletion` was renamed in 8.0, with other parameters, and removed in 8.1."""
        if autocompletion:
            more["shell_complete"] = lambda ctx, param, incomplete: autocompletion(
                ctx, list(ctx.params.get("tags") or ()), incomplete
            )
        return argument(*names, **more)

    missing = {name: module for name, module in _animations().items() if find_spec(name) is None}
    sys.modules.update(missing)
    click.argument = taken
    try:
        load()
    finally:
        click.argument = argument
        for name in missing:
            del sys.modules[name]
    _patterns(cli)
    _completion(cli, click)
    _sentences(cli, click)


class Spinner:
    """What is being done, while it is: in place of halo, of which there is no wheel."""

    def __init__(
        self, text: str = "", *, enabled: bool = True, stream: TextIO = sys.stderr, **_: object
    ) -> None:
        self._stream = stream
        self._text = text if enabled and stream.isatty() else ""

    def __enter__(self) -> "Spinner":
        self._show(self._text)
        return self

    def __exit__(self, *_: object) -> None:
        self._show("")

    def succeed(self, text: str) -> None:
        """It is done."""
        self._show("")
        print(text, file=self._stream)

    def fail(self, text: str = "") -> None:
        """It could not be done; whoever knows why says it."""
        self._show("")
        if text:
            print(text, file=self._stream)

    def _show(self, text: str) -> None:
        if self._text:
            self._stream.write(f"\r\x1b[K{text}")
            self._stream.flush()


class _Kinds(Enum):
    dots = "…"


def _animations() -> dict[str, ModuleType]:
    halo, spinners = ModuleType("halo"), ModuleType("spinners")
    halo.Halo = Spinner  # type: ignore[attr-defined]
    spinners.Spinners = _Kinds  # type: ignore[attr-defined]
    return {"halo": halo, "spinners": spinners}


def _patterns(cli: Any) -> None:
    """Patterns are added to a tuple of tags as a list, which Python refuses."""
    before = cli._get_tags_from_patterns
    cli._get_tags_from_patterns = lambda patterns: tuple(before(patterns))


def _completion(cli: Any, click: Any) -> None:
    """8.0 turned the names round that a shell asks with; and a file that is not there yet is made."""
    lines = {
        "bash": (Path(".bashrc"), 'eval "$(_HTMAP_COMPLETE=bash_source htmap)"'),
        "zsh": (Path(".zshrc"), 'eval "$(_HTMAP_COMPLETE=zsh_source htmap)"'),
        "fish": (
            Path(".config/fish/completions/htmap.fish"),
            "eval (env _HTMAP_COMPLETE=fish_source htmap)",
        ),
    }

    def autocompletion(shell: str, force: bool, destination: str | None) -> None:
        own, line = lines[shell.lower()]
        file = Path(destination) if destination else Path.home() / own
        if not force and file.is_file() and line in file.read_text():
            click.secho(f"Autocompletion already enabled for {shell} (in {file}).", fg="yellow")
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as more:
            more.write(f"\n# enable htmap CLI autocompletion\n{line}\n")
        click.secho(
            f"Autocompletion enabled for {shell} (in {file}). Restart your shell to use it.", fg="green"
        )

    cli.cli.commands["autocompletion"].callback = autocompletion


def _sentences(cli: Any, click: Any) -> None:
    """A terminal shows what happened, not where in HTMap."""
    import htmap

    invoke = cli.cli.invoke

    def invoked(ctx: Any) -> Any:
        try:
            return invoke(ctx)
        except (htmap.exceptions.HTMapException, FileNotFoundError) as error:
            click.echo(f"ERROR: {error}", err=True)
            sys.exit(1)

    cli.cli.invoke = invoked
