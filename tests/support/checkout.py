"""Edit the checkout as an admin does, run `make apply`, and leave everything as it was."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from benchtop.settings import Settings
from benchtop.stack import compose

ROOT = Path(__file__).parents[2]


@dataclass
class Checkout:
    """The files that an admin edits; `give_up` puts back each one that was touched."""

    settings: Settings
    touched: list[str] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    live: bool = False  # whether something of it may run

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace the one place in a file that says `old`. Refuses a file that somebody is at work on."""
        self._touch(name)
        file = ROOT / name
        text = file.read_text()
        assert text.count(old) == 1, f"{name} says {old!r} {text.count(old)} times"
        file.write_text(text.replace(old, new))

    def append(self, name: str, line: str) -> None:
        """Add a line at the end of a file."""
        self._touch(name)
        with (ROOT / name).open("a") as file:
            file.write(f"{line}\n")

    def create(self, name: str, text: str) -> None:
        """Make a file that is none of the checkout's."""
        file = ROOT / name
        assert not file.exists(), f"{name} is there already"
        file.write_text(text)
        self.created.append(name)

    def _touch(self, name: str) -> None:
        if name not in self.touched:
            clean = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", name], cwd=ROOT, check=False)
            assert clean.returncode == 0, f"{name} has changes that git does not know: commit or undo them"
            self.touched.append(name)

    def give_up(self) -> None:
        """`git checkout` of what was touched, and nothing that was not there before."""
        for name in self.created:
            (ROOT / name).unlink(missing_ok=True)
        self.created.clear()
        if self.touched:
            subprocess.run(
                ["git", "checkout", "--quiet", "HEAD", "--", *self.touched],
                cwd=ROOT,
                check=True,
                capture_output=True,
            )
            self.touched.clear()

    def applied(self) -> str:
        """`make apply`, which works; what it said."""
        self.live = True
        said = made(self.settings, "apply")
        self.live = bool(self.touched)
        return said

    def refused(self) -> str:
        """`make apply`, which refuses; what it said."""
        before, self.live = self.live, True
        code, said = make(self.settings, "apply")
        assert code != 0, said
        self.live = before
        return said

    def leave(self) -> None:
        """Have the files, and what runs, as they were before; what was refused never ran."""
        self.give_up()
        if self.live:
            self.applied()


def made(settings: Settings, verb: str) -> str:
    """Run `make VERB`, which works; what it said."""
    code, said = make(settings, verb)
    assert code == 0, f"make {verb}:\n{said}"
    return said


def make(settings: Settings, verb: str) -> tuple[int, str]:
    """Run `make VERB` as an admin does: its exit code and all that it said."""
    done = subprocess.run(
        ["make", verb],
        cwd=ROOT,
        env=compose.environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
        check=False,
    )
    return done.returncode, done.stdout
