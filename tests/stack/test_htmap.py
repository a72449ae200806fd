"""HTMap in a session with nothing set: what comes back, what one is told, and that nothing is left."""

import json

import pytest

from support import maps
from support.hub import Hub
from support.maps import run

pytestmark = [
    pytest.mark.needs("htc/bob", throughout=True),
    pytest.mark.shares("condor", throughout=True),
    pytest.mark.together("htmap"),
]

own = maps.own  # a fixture


def test_a_function_with_what_the_notebook_has_defined_runs_in_its_environment_on_nodes(own: Hub):
    shown = run(
        own,
        "import sys, json\nfactor = 3\n"
        "def scaled(number):\n    return number * factor, sys.executable, os.uname().nodename\n"
        "squares = htmap.map(scaled, range(4), tag='test-squares')\n"
        "squares.wait(show_progress_bar=True)\n"
        "print(json.dumps([list(squares), sys.executable]))",
        "print(htmap.load('test-squares').get(3)[0])",
    )
    results, python = json.loads(shown[0].stdout.splitlines()[-1])
    assert [result[0] for result in results] == [0, 3, 6, 9]
    assert {result[1] for result in results} == {python}
    assert {result[2] for result in results} <= {"condor-ep-1", "condor-ep-2"}
    assert shown[0].texts[-1] == "test-squares: 4 of 4 done"


def test_results_outlive_the_kernel_and_the_command_knows_them(own: Hub):
    cell = "print(list(htmap.map(abs, [-1, -2], tag='kept-by-a-test')))"
    assert run(own, "htmap.remove('kept-by-a-test')", cell)[1].stdout.endswith("[1, 2]")
    shown = run(  # another kernel
        own,
        "print(list(htmap.load('kept-by-a-test')))",
        "subprocess.run(['htmap', 'components', 'kept-by-a-test', '--no-color'], check=True)\n"
        "print(subprocess.check_output(['htmap', 'status', '--no-color'], text=True))\n"
        "gone = subprocess.run(['htmap', 'remove', '-p', 'kept-by-*'], capture_output=True, text=True)\n"
        "print(gone.returncode, htmap.get_tags('kept-by-*'))",
    )
    assert shown[0].stdout == "[1, 2]"
    assert "kept-by-a-test" in shown[1].stdout
    assert shown[1].stdout.endswith("0 ()")


def test_a_failure_comes_back_with_the_traceback_of_the_node(own: Hub):
    (shown,) = run(
        own,
        "def invert(number):\n    return 1 / number\n"
        "halves = htmap.map(invert, [2, 0], tag='test-halves')\n"
        "print(halves.get(0))\n"
        "message(lambda: halves.get(1))\n",
    )
    lines = shown.stdout.splitlines()
    assert "0.5" in lines
    failed = (
        "MapComponentError Component 1 of the map “test-halves” failed: ZeroDivisionError: division by zero"
    )
    assert failed in lines
    assert "in invert" in shown.stdout


def test_what_is_on_hold_or_removed_is_said_with_what_to_do(own: Hub):
    (shown,) = run(
        own,
        "def leave(code):\n    print('about to leave', flush=True)\n    os.write(2, b'no licence')\n"
        "    os._exit(code)\n"
        "leaves = htmap.map(leave, [3], tag='test-leaves')\n"
        "message(leaves.wait)\n"
        "waits = htmap.map(abs, [1], tag='test-waits',\n"
        "    map_options=htmap.MapOptions(request_memory='999999MB'))\n"
        "subprocess.run(['condor_rm', '-constraint', 'JobBatchName == \"test-waits\"'], check=True)\n"
        "message(waits.wait)\n",
    )
    assert "“test-leaves” is on hold: its Python ended with exit code 3" in shown.stdout
    assert "    no licence" in shown.stdout
    assert 'htmap.load("test-leaves").release()' in shown.stdout
    assert "Component 0 of the map “test-waits” was removed from the queue" in shown.stdout
    assert 'htmap.load("test-waits").rerun([0])' in shown.stdout


def test_what_cannot_be_sent_is_named_and_leaves_nothing(own: Hub):
    (shown,) = run(
        own,
        "lock, before = threading.Lock(), left()\n"
        "def locked(number):\n    with lock:\n        return number\n"
        "message(lambda: htmap.map(locked, [1], tag='test-locked'))\n"
        "message(lambda: htmap.map(abs, [1, lock], tag='test-locked'))\n"
        "print(left() == before)\n",
    )
    function, argument, same = shown.stdout.splitlines()[-3:]
    assert (
        "“locked” uses “lock”, which cannot be sent to another machine (it is of type _thread.lock)"
        in function
    )
    assert "Input 1 cannot be sent to another machine" in argument
    assert same == "True"


def test_two_notebooks_cannot_take_one_tag(own: Hub):
    (shown,) = run(
        own,
        "program = '''import sys, htmap\n"
        'try:\n    htmap.map(abs, [-1], tag="test-one")\n'
        "except htmap.exceptions.TagAlreadyExists as error:\n    print(error)\n'''\n"
        "import sys\n"
        "both = [subprocess.Popen([sys.executable, '-c', program], stdout=-1, text=True) for _ in range(2)]\n"
        "said = sorted(one.communicate()[0] for one in both)\n"
        "print(said[1].strip())\n"
        "print(list(htmap.load('test-one')), len(htmap.get_tags('test-one')))\n",
    )
    refused, result = shown.stdout.splitlines()[-2:]
    assert 'The requested tag "test-one" already exists' in refused
    assert result == "[1] 1"


def test_what_one_waits_for_is_said_in_the_notebook(own: Hub):
    (shown,) = run(
        own,
        "large = htmap.map(abs, [1], tag='test-large',\n"
        "    map_options=htmap.MapOptions(request_memory='999999MB'))\n"
        "message(lambda: large.wait(timeout=12))\n",
    )
    why = "test-large: 0 of 1 done, 1 waiting: no machine has 999999 MB of memory (the largest has"
    assert any(text.startswith(why) for text in shown.texts), shown.texts
    assert "TimeoutError" in shown.stdout


def test_without_a_credential_a_sentence_says_so_and_nothing_is_left(own: Hub):
    (shown,) = run(
        own,
        "before = left()\n"
        "folder = os.environ.pop('_CONDOR_SEC_TOKEN_DIRECTORY')\n"
        "message(lambda: htmap.map(abs, [-7], tag='test-credential'))\n"
        "print(left() == before)\n"
        "os.environ['_CONDOR_SEC_TOKEN_DIRECTORY'] = folder\n"
        "print(list(htmap.map(abs, [-7], tag='test-credential')))\n",
    )
    refused, same, *_, result = shown.stdout.splitlines()
    assert refused.startswith("CannotSubmit ")
    assert "So nothing was submitted." in refused
    assert same == "True"
    assert result == "[7]"
