"""What became of a map: waiting ends when nothing more will come, and says what to do about a component."""

import re
import shutil
import sys
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import classad
import htcondor
import htmap
from htmap import (
    ComponentStatus,
    condor,
    exceptions,
    htio,
    management,
    mapping,
    maps,
    names,
    state,
    tags,
    utils,
)

from benchtop_batch.maps import making, words
from benchtop_batch.maps.waiting import Progress

OVER = (ComponentStatus.COMPLETED, ComponentStatus.ERRORED, ComponentStatus.REMOVED)
IN_QUEUE = 5.0  # seconds between two looks whether a map that is removed has left the queue

_save, _load, _read = state.MapState.save, state.MapState.load, state.MapState._read_events
_load_output = maps.Map._load_output
_cleanup, _map_dir_path = maps.Map._cleanup_local_data, mapping.map_dir_path
_lines: weakref.WeakKeyDictionary[Any, tuple[object, Progress]] = weakref.WeakKeyDictionary()


def put_in() -> None:
    """In place of HTMap's own."""
    state.MapState.save, state.MapState._read_events = save, read_events
    state.MapState.load = staticmethod(load)
    mapping.map_dir_path = management.mapping.map_dir_path = map_dir_path
    maps.Map.is_active = property(is_active, doc=maps.Map.is_active.__doc__)
    for name, function in {
        "_act": act,
        "_cleanup_local_data": cleanup_local_data,
        "_load_output": load_output,
        "_query": query,
        "_requirements": requirements,
        "_submit": submit,
        "_wait_for_component": wait_for_component,
    }.items():
        setattr(maps.Map, name, function)
    maps.MapStdX.get = printed
    for function in (rerun, wait):
        function.__doc__ = getattr(maps.Map, function.__name__).__doc__
        setattr(maps.Map, function.__name__, maps._protector(function))


# ---- the state, of a map's log -------------------------------------------------------------------------


def save(self: Any) -> Any:
    """Kept for speed alone: that there is no space for it ends no wait."""
    try:
        return _save(self)
    except OSError as error:
        if error.errno not in words.FULL:
            raise
        with suppress(OSError):
            (self.map._map_dir / names.MAP_STATE).with_suffix(".working").unlink()
        return None


def load(of: Any) -> Any:
    """What cannot be read, of whatever version, is made again of the log."""
    try:
        return _load(of)
    except Exception as error:
        raise FileNotFoundError(str(error)) from error


def read_events(self: Any) -> None:
    """A map whose making was cut off has no log, and another notebook may have removed one."""
    folder = self.map._map_dir
    if not folder.exists():
        raise exceptions.MapWasRemoved(f"The map “{self.map.tag}” was removed meanwhile.")
    if self._event_log_path.exists():
        _read(self)
    elif not (folder / names.CLUSTER_IDS).exists():
        raise exceptions.NeverSubmitted(words.never_submitted(self.map.tag))


def map_dir_path(uid: Any) -> Path:
    """Status as JSON and CSV takes a tag for a map's number, and finds no such folder."""
    path: Path = _map_dir_path(uid)
    tag = str(uid)
    return mapping.tag_to_map_dir(tag) if not path.exists() and tags.tag_file_path(tag).is_file() else path


# ---- waiting -------------------------------------------------------------------------------------------


def wait(
    self: Any,
    timeout: Any = None,
    show_progress_bar: bool = False,
    holds_ok: bool = False,
    errors_ok: bool = False,
) -> None:
    began, seconds = time.monotonic(), utils.timeout_to_seconds(timeout)
    done = {ComponentStatus.COMPLETED}
    done |= ({ComponentStatus.HELD} if holds_ok else set()) | (
        {ComponentStatus.ERRORED} if errors_ok else set()
    )
    progress = Progress(self, asked=show_progress_bar)
    try:
        while True:
            statuses = self.component_statuses
            progress.update(statuses)
            if all(one in done for one in statuses):
                return
            _check(self, range(len(statuses)), done)
            _pause(self, progress, began, seconds, f"Timeout while waiting for {self}")
    finally:
        progress.close()


def wait_for_component(self: Any, component: int, timeout: Any = None) -> None:
    """HTMap waits for ever for what was removed from the queue."""
    began, seconds = time.monotonic(), utils.timeout_to_seconds(timeout)
    progress = _line_of(self)
    while True:
        statuses = self.component_statuses
        if statuses[component] in {ComponentStatus.COMPLETED, ComponentStatus.ERRORED}:
            if all(one in OVER for one in statuses):
                progress.update(statuses)
            return
        _check(self, [component], {ComponentStatus.ERRORED})
        if seconds is not None and seconds <= 0:
            raise exceptions.OutputNotFound(f"Output for component {component} of map {self.tag} not found")
        progress.update(statuses)
        what = f"Timed out while waiting for component {component} of map {self.tag}"
        _pause(self, progress, began, seconds, what)


def load_output(self: Any, component: int, timeout: Any = None) -> Any:
    """The error comes first, and then the long report."""
    if component not in self.components:
        raise IndexError(f"Component {component} is not in the map “{self.tag}”: it has {len(self)}, from 0.")
    self._wait_for_component(component, timeout)
    if self._peek_status(component) == "ERR":
        raise exceptions.MapComponentError(_failed(self, component))
    return _load_output(self, component, timeout)


def _check(self: Any, numbers: Iterable[int], fine: set[Any]) -> None:
    """Raises what keeps one of these from ever being done."""
    statuses, gone = self._state._component_statuses, []
    for number in numbers:
        if statuses[number] in fine:
            continue
        if statuses[number] is ComponentStatus.HELD:
            raise exceptions.MapComponentHeld(_held(self, number))
        if statuses[number] is ComponentStatus.ERRORED:
            raise exceptions.MapComponentError(_failed(self, number))
        if statuses[number] is ComponentStatus.REMOVED:
            gone.append(number)
    if gone:
        raise exceptions.MapComponentRemoved(words.removed(self.tag, gone))


def _failed(self: Any, number: int) -> str:
    error = self._load_error(number)
    return words.failed(self.tag, number, error.exception_msg, error.report())


def _held(self: Any, number: int) -> str:
    holds, printed = self._state._holds, ""
    with suppress(OSError):
        printed = self._stderr_file_path(number).read_text(errors="replace")
    memory = re.sub(r"\D", "", str(htio.load_submit(self._map_dir).get("request_memory", "")))
    reason = holds[number].reason if number in holds else ""
    return words.held(self.tag, number, len(holds) - 1, reason, memory=memory, printed=printed)


def _pause(self: Any, progress: Progress, began: float, seconds: float | None, what: str) -> None:
    if seconds is not None and time.monotonic() >= began + seconds:
        raise exceptions.TimeoutError(what)
    if progress.queue.vanished and not any(
        one in {*OVER, ComponentStatus.HELD} for one in self.component_statuses
    ):
        raise exceptions.MapComponentError(words.vanished(self.tag))
    time.sleep(htmap.settings["WAIT_TIME"])


def _line_of(self: Any) -> Progress:
    """One line for all components of a map that one cell waits for."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    cell = getattr(shell, "execution_count", None)
    known = _lines.get(self)
    if known is None or known[0] != cell:
        known = _lines[self] = (cell, Progress(self, asked=False))
    return known[1]


def printed(self: Any, component: int, timeout: Any = None) -> str:
    """What a component prints is in the home from its beginning; HTMap waits for the file alone."""
    if component not in self.map.components:
        raise IndexError(f"Component {component} is not in the map “{self.map.tag}”.")
    began, seconds = time.monotonic(), utils.timeout_to_seconds(timeout)
    path: Path = getattr(self.map, f"_{self._func}_file_path")(component)
    while True:
        known = self.map.component_statuses[component]
        late = seconds is not None and time.monotonic() >= began + seconds
        if path.exists() and (late or known in {*OVER, ComponentStatus.HELD}):
            shown: str = utils.rstr(path.read_text(errors="replace"))
            return shown
        if known is ComponentStatus.REMOVED:
            raise exceptions.MapComponentRemoved(words.removed(self.map.tag, [component]))
        if late:
            raise exceptions.TimeoutError(f"Component {component} of the map “{self.map.tag}” has not begun.")
        time.sleep(htmap.settings["WAIT_TIME"])


# ---- the queue -----------------------------------------------------------------------------------------


def is_active(self: Any) -> bool:
    """HTMap takes what was removed from the queue for active, for ever."""
    return any(one not in OVER for one in self.component_statuses)


def submit(self: Any, components: Iterable[int] | None = None) -> None:
    """HTMap removes jobs whose number it cannot write down, and goes on as if there were some."""
    wanted = set(self.components if components is None else components)
    items = [item for item in htio.load_itemdata(self._map_dir) if int(item["component"]) in wanted]
    cluster = mapping.execute_submit(htio.load_submit(self._map_dir), items)
    try:
        htio.append_cluster_id(self._map_dir, cluster)
    except BaseException:
        condor.get_schedd().act(htcondor.JobAction.Remove, f"ClusterId == {cluster}")
        raise


def rerun(self: Any, components: Iterable[int] | None = None) -> None:
    wanted = set(self.components if components is None else components)
    if unknown := sorted(wanted - set(self.components)):
        raise exceptions.CannotRerunComponents(
            f"Cannot rerun components {unknown} because they are not in the map"
        )
    if active := sorted(number for number in wanted if self.component_statuses[number] not in OVER):
        raise exceptions.CannotRerunComponents(
            f"Cannot rerun components {active} of map {self.tag} because they are not complete"
        )
    for number in wanted:
        self._output_file_path(number).unlink(missing_ok=True)
        shutil.rmtree(self._user_output_files_path(number), ignore_errors=True)
    self._submit(components=wanted)


def requirements(self: Any, more: str | None = None) -> str:
    """HTMap fails where nothing was submitted, and takes the further condition without brackets."""
    try:
        clusters = self._cluster_ids
    except FileNotFoundError:
        clusters = []
    own = " || ".join(f"ClusterId == {cluster}" for cluster in clusters) or "false"
    return f"({own})" + (f" && ({more})" if more else "")


def query(self: Any, more: str | None = None, projection: list[str] | None = None) -> Iterator[Any]:
    """The call that HTMap makes is deprecated, and says so in each notebook."""
    yield from condor.get_schedd().query(constraint=self._requirements(more), projection=projection or [])


def act(self: Any, action: Any, more: str | None = None) -> Any:
    """Nothing is done about a map that was never submitted; a queue that is away is said in words."""
    with suppress(exceptions.NeverSubmitted):
        if self.is_active:
            try:
                return condor.get_schedd().act(action, self._requirements(more))
            except making.TROUBLES as error:
                raise exceptions.CannotSubmit(words.unreachable(str(error), "nothing was changed")) from error
    return classad.ClassAd()


def cleanup_local_data(self: Any, force: bool = False) -> None:
    """HTMap waits for ever for the end of a map whose log does not tell it."""
    look = time.monotonic() + IN_QUEUE
    while not force:
        try:
            statuses = self.component_statuses
        except (exceptions.NeverSubmitted, exceptions.CorruptEventLog):
            break
        if all(one in OVER or one is ComponentStatus.UNMATERIALIZED for one in statuses):
            break
        if time.monotonic() >= look:
            look += IN_QUEUE
            if not any(self._query(projection=["ClusterId"])):
                break
        time.sleep(htmap.settings["WAIT_TIME"])
    _cleanup(self, force=True)
