"""The facility's tutorials beside somebody's copies of them, as JupyterLab's list shows them."""

from pathlib import Path

from benchtop_lab.tutorials import copies, notebooks


class Shelf:
    """The facility's tutorials, and somebody's copies of them. Its methods read files: not in the loop.

    folder: of the copies; paths that are answered begin with its name
    """

    def __init__(self, shipped: Path, folder: Path) -> None:
        self._shipped, self._folder = shipped, folder

    def _path(self, file: Path | None) -> str:
        return f"{self._folder.name}/{file.name}" if file else ""

    def listed(self) -> list[dict[str, object]]:
        """All of them, with what there is of each."""
        found = []
        for name, tutorial in notebooks.shipped(self._shipped).items():
            state = copies.look(self._folder, name, tutorial)
            unreadable = [f"~/{self._folder.name}/{file} {why}." for file, why in state.unreadable.items()]
            found.append({
                **notebooks.described(name, tutorial),
                "path": self._path(state.file), "newer": state.newer, "edited": state.edited,
                "unreadable": unreadable,
            })  # fmt: skip
        return found

    def difference(self, name: str) -> dict[str, object]:
        """How the copy of one differs from it: copies.difference. Raises KeyError where there is none."""
        tutorial = notebooks.shipped(self._shipped)[name]
        state = copies.look(self._folder, name, tutorial)
        if state.file is None:
            raise KeyError(name)
        try:
            lines = copies.difference(notebooks.read(state.file), tutorial)
        except notebooks.UnreadableError:  # it went meanwhile
            raise KeyError(name) from None
        return {"path": self._path(state.file), "lines": lines}

    def open(self, name: str, *, new: bool) -> dict[str, str]:
        """The path of the copy of one, which is made where there is none, or where a new one is wanted.

        Answers {"path", "message"}: one of them is empty. Raises KeyError.
        """
        tutorial = notebooks.shipped(self._shipped)[name]
        file = None if new else copies.look(self._folder, name, tutorial).file
        try:
            return {"path": self._path(file or copies.make(self._folder, name, tutorial)), "message": ""}
        except copies.NoCopyError as error:
            return {"path": "", "message": str(error)}
