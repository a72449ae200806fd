"""Cells as jobs, and tables; with what stands for IPython's shell and for the batch systems."""

import threading
from pathlib import Path
from typing import Any

import pytest

from benchtop_batch import magics
from benchtop_batch.calls.failed import OptionError
from benchtop_batch.calls.futures import Future
from benchtop_batch.magics import cell, line, tables
from support import batch_stand_in
from support.wait import wait_until

SOON = 60  # seconds, on a busy machine


class Shell:
    """What the magics use of IPython."""

    def __init__(self, **variables: object) -> None:
        self.user_ns: dict[str, Any] = dict(variables)
        self.execution_count = 5
        self.magics: dict[tuple[str, str], Any] = {}

    def transform_cell(self, text: str) -> str:
        """Of syntax of its own."""
        return text

    def register_magic_function(self, function: object, kind: str, name: str) -> None:
        """What an extension calls."""
        self.magics[kind, name] = function


def test_the_magics_are_there_once_the_extension_is_loaded():
    shell = Shell()
    magics.load_ipython_extension(shell)
    assert {("cell", "slurm"), ("cell", "condor"), ("line", "squeue"), ("line", "condor_history")} <= set(
        shell.magics
    )
    assert "--array 0-9" in shell.magics["cell", "slurm"].__doc__


def test_a_cell_gets_variables_and_gives_some_back(
    cluster: str, batch: batch_stand_in.Queue, capsys: pytest.CaptureFixture[str]
):
    shell = Shell(x=20, y="y")
    cell.run(
        cluster, "--in x,y --out result,half", "result = x + 1\nhalf = x / 2\nprint(y, 'printed')\n6*7", shell
    )
    assert (shell.user_ns["result"], shell.user_ns["half"]) == (21, 10)
    said = capsys.readouterr()
    assert said.out == "y printed\n42\n"
    assert "job 100: done in" in said.err


def test_the_tasks_of_an_array_know_their_numbers_and_give_lists(
    batch: batch_stand_in.Queue, capsys: pytest.CaptureFixture[str]
):
    shell = Shell()
    cell.run("slurm", "--array 2-6:2 --out square", "square = task**2\nprint('task', task)", shell)
    assert shell.user_ns["square"] == [4, 16, 36]
    assert sorted(capsys.readouterr().out.splitlines()) == ["[2] task 2", "[4] task 4", "[6] task 6"]


def test_an_error_shows_the_job_s_traceback_with_the_cell_s_own_lines(
    cluster: str, batch: batch_stand_in.Queue
):
    with pytest.raises(KeyError) as raised:
        cell.run(cluster, "", "def look(x):\n    return {}[x]\nlook('key')\n", Shell())
    shown = raised.value._render_traceback_()
    assert '  File "In[5]", line 3, in look' in shown  # the magic is the first line
    assert "    return {}[x]" in shown
    assert not [text for text in shown if "benchtop_batch/" in text and "log" not in text]


def test_in_the_background_a_cell_is_a_future(batch: batch_stand_in.Queue):
    shell = Shell()
    cell.run("condor", "--background later --out value", "value = 1", shell)
    later = shell.user_ns["later"]
    assert isinstance(later, Future)
    assert later.result(SOON) == 1


def test_output_comes_as_it_is_printed(batch: batch_stand_in.Queue):
    shell = Shell()
    cell.run("slurm", "--background later", "import time\nprint('first')\ntime.sleep(60)", shell)
    log = shell.user_ns["later"].log
    wait_until(lambda: log.exists() and log.read_text() == "first\n", timeout=SOON, what="the first line")
    shell.user_ns["later"].cancel()


def test_of_much_output_at_the_end_the_first_part_is_shown_and_where_the_rest_is(
    batch: batch_stand_in.Queue, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cell, "AT_ONCE", 1000)
    cell.run("slurm", "", "print('much' * 100_000)", Shell())
    shown = capsys.readouterr().out
    assert "much" * 250 in shown
    assert "… and more, in /" in shown
    assert "much" * 99_999 not in shown


def test_an_interrupt_cancels_the_job(batch: batch_stand_in.Queue, monkeypatch: pytest.MonkeyPatch):
    def interrupted(_printed: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cell.Printed, "show", interrupted)
    with pytest.raises(KeyboardInterrupt) as raised:
        cell.run("slurm", "", "import time\ntime.sleep(60)", Shell())
    assert raised.value._render_traceback_() == ["KeyboardInterrupt: Slurm job 100 is cancelled."]
    wait_until(lambda: batch.get("100")["state"] == "CANCELLED", timeout=SOON, what="the end of the job")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "--gpu 1",
            "%%slurm has no option “--gpu”. Did you mean “--gpus”? The options are --account, --array",
        ),
        ("--in countt", "The notebook has no variable “countt”. Did you mean “count”?"),
        ("--time", "--time needs a value, like --time 10m"),
        ("--time --keep", "--time needs a value"),
        ("--keep=no", "--keep takes no value: leave it out, and the job ends with the notebook."),
        ("--array 5-2", "the first number has to be the smaller one"),
        ("--out 'not a name'", "“not a name” is no name of a variable"),
        ("--mem '1G", "The options cannot be read: No closing quotation"),
        ("--in lock", "“lock” cannot be sent to another machine (it is of type _thread.lock)"),
    ],
)
def test_what_is_wrong_is_a_sentence_and_nothing_is_submitted(
    words: str, told: str, batch: batch_stand_in.Queue, home: Path
):
    with pytest.raises((OptionError, TypeError)) as raised:
        cell.run("slurm", words, "1", Shell(count=1, lock=threading.Lock()))
    (shown,) = raised.value._render_traceback_()
    assert told in shown
    assert not batch.all()
    assert not list((home / ".local/share/benchtop_batch").glob("*"))


def test_options_are_taken_with_and_without_a_sign_in_between():
    request = line.parse("condor", "-c 2 --mem=1G --requirements 'Machine != \"a b\"' --count 3 --keep")
    assert request.asked == {"cpus": 2, "memory": 1024, "requirements": 'Machine != "a b"'}
    assert (request.ids, request.keep) == ((0, 1, 2), True)
    assert line.parse("slurm", "-a 0-9%3").limit == 3


# ---- tables --------------------------------------------------------------------------------------------


def test_a_command_s_options_reach_it_as_they_are(batch: batch_stand_in.Queue):
    assert tables._slurm("squeue", ["--name=a b"])[1:] == ["--name=a b"]
    assert tables._slurm("squeue", ["-o", "%i"]) == ["-o", "%i"]
    assert tables._condor("condor_q", ["-allusers"])[:2] == ["-allusers", "-json"]
    with pytest.raises(tables.TableError, match="To change something, use !sacctmgr"):
        tables._slurm("sacctmgr", ["delete", "account", "x"])


def test_what_a_command_says_of_an_error_is_shown_alone(batch: batch_stand_in.Queue):
    program = batch.folder / "bin/sinfo"
    program.write_text("#!/bin/sh\necho 'sinfo: error: no such option' >&2\nexit 1\n")
    with pytest.raises(tables.TableError) as raised:
        tables.said("sinfo", "--wrong")
    assert raised.value._render_traceback_() == ["sinfo: error: no such option"]
    with pytest.raises(tables.TableError, match="not installed here"):
        tables.said("no-such-command")


def test_without_pandas_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(tables.TableError, match="has no pandas"):
        tables.table("squeue", "")
