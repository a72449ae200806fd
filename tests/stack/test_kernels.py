"""Kernels of one's own, of a group and inside an image, in sessions of both clusters and on a login node."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from benchtop.settings import Settings
from support import images, sessions, traffic
from support.homes import Home
from support.hub import Hub
from support.wait import wait_until

pytestmark = [pytest.mark.shares("slurm", "condor"), pytest.mark.long]

ROOT = Path(__file__).parents[2]
KERNELS = ".local/share/jupyter/kernels"
FACILITY = ["/opt/lab/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
IMAGE = "my-image"
TOLD = 10  # seconds until somebody reads what failed
WHO = "heidi"
PLACES = [
    pytest.param(
        (cluster, where),
        id=f"{cluster}-{where}",
        marks=pytest.mark.needs(f"{cluster}/{WHO}", throughout=True),
    )
    for cluster, where in (("hpc", "batch"), ("htc", "batch"), ("hpc", "login"))
]


@pytest.fixture(scope="module", params=PLACES)
def own(
    request: pytest.FixtureRequest, settings: Settings, signed_in: Callable[[str], requests.Session]
) -> Iterator[Hub]:
    """A session, which all tests of one place share."""
    cluster, where = request.param
    hub = Hub(settings, signed_in(WHO), WHO, cluster)
    sessions.end(hub)
    wanted = sessions.SMALL[cluster] if where == "batch" else {"runtime": 20}
    sessions.begin(hub, **{**wanted, "where": where})
    yield hub
    sessions.end(hub)


@pytest.fixture
def in_an_image(home: Home) -> Iterator[dict[str, Any]]:
    """What makes a kernel of the facility's Python run in an image, in its kernel.json."""
    home.run(images.MAKE, IMAGE)
    yield {"argv": [images.OPEN, f"{home.path}/{IMAGE}", *FACILITY], "env": images.BOUND}
    home.remove(IMAGE)


@pytest.fixture
def home(own: Hub, settings: Settings) -> Iterator[Home]:
    """The person's, without kernels and modules of their own, before and after."""
    theirs = Home(settings, own.person)
    theirs.remove(KERNELS, "modules")
    yield theirs
    theirs.remove(KERNELS, "modules")


def put(home: Home, name: str, setup: str | None = None, **more: Any) -> None:
    """A kernel of one's own; `more` goes into its kernel.json."""
    spec = {"argv": FACILITY, "display_name": f"Kernel {name}", "language": "python", **more}
    home.put(f"{KERNELS}/{name}/kernel.json", json.dumps(spec))
    if setup is not None:
        home.put(f"{KERNELS}/{name}/setup.sh", setup)


def start(own: Hub, name: str) -> requests.Response:
    """Start it, as JupyterLab does."""
    return own.jupyter("POST", "kernels", {"name": name})


def told(own: Hub, name: str) -> str:
    """Why it does not start, within TOLD seconds, and that nothing is left of it."""
    began = time.monotonic()
    notebook = {"path": f"{name}.ipynb", "name": "", "type": "notebook", "kernel": {"name": name}}
    answer = own.jupyter("POST", "sessions", notebook)
    assert time.monotonic() - began < TOLD
    assert answer.status_code == 500, answer.text
    assert name not in [kernel["name"] for kernel in own.jupyter("GET", "kernels").json()]
    return str(answer.json()["message"])


def runs(own: Hub, name: str, code: str) -> str:
    """What a cell of a new kernel prints, which is ended."""
    answer = start(own, name)
    assert answer.ok, answer.text
    kernel = answer.json()["id"]
    try:
        return traffic.run(own, kernel, code)
    finally:
        own.jupyter("DELETE", f"kernels/{kernel}")


def shell(own: Hub, *lines: str) -> str:
    """What a terminal shows."""
    return traffic.type_into_terminal(own, *lines)


def test_nobody_is_offered_what_another_group_has(own: Hub):
    specs = own.jupyter("GET", "kernelspecs").json()["kernelspecs"]
    assert "python3" in specs
    assert "usatlas" not in specs


# ---- kernels of one's own -------------------------------------------------------------------------


def test_a_setup_is_read_before_the_kernel_of_ones_own(own: Hub, home: Home):
    setup = (
        'export MINE="a b"; PATH=$PWD/none:/opt/lab/bin:$PATH; ulimit -n 777; module --version 2>/dev/null'
    )
    put(home, "mine", setup, argv=["python3", *FACILITY[1:]])
    known = own.jupyter("GET", "kernelspecs").json()["kernelspecs"]
    assert known["mine"]["spec"]["metadata"]["benchtop"]["source"] == "own"
    code = "import os, resource; print(os.environ['MINE'], resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    assert runs(own, "mine", code) == "a b 777"


def test_a_kernel_that_cannot_be_read_costs_no_other(own: Hub, home: Home):
    put(home, "sound")
    home.put(f"{KERNELS}/broken/kernel.json", '{"argv": [')
    known = own.jupyter("GET", "kernelspecs").json()["kernelspecs"]
    assert {"sound", "python3"} <= set(known)
    assert "broken" not in known


def test_a_kernel_runs_inside_an_image(own: Hub, home: Home, in_an_image: dict[str, Any]):
    put(home, "image", "export FROM_SETUP=yes", **in_an_image)
    home.put("seen-in-an-image", "home")
    code = (
        "import os, pathlib; print(os.environ['APPTAINER_CONTAINER'], os.environ['FROM_SETUP'], os.getuid(), "
        "pathlib.Path('~/seen-in-an-image').expanduser().read_text(), os.path.isdir('/software'))"
    )
    uid = home.run("id -u").strip()
    try:
        assert runs(own, "image", code) == f"{home.path}/{IMAGE} yes {uid} home True"
    finally:
        home.remove("seen-in-an-image")


def test_a_kernel_in_an_image_is_interrupted_and_ended(own: Hub, home: Home, in_an_image: dict[str, Any]):
    put(home, "image", **in_an_image)
    kernel = start(own, "image").json()["id"]
    pid = traffic.run(own, kernel, "import os; print(os.getpid())")
    assert own.jupyter("POST", f"kernels/{kernel}/interrupt").status_code == 204
    assert traffic.run(own, kernel, "print('there')") == "there"
    own.jupyter("DELETE", f"kernels/{kernel}")
    assert "gone\r" in shell(own, f"ls -d /proc/{pid} 2>/dev/null || echo go''ne")


# ---- failures -------------------------------------------------------------------------------------


def test_a_setup_that_fails_is_told_with_its_last_lines(own: Hub, home: Home):
    put(home, "fails", "echo 'no licence server' >&2; exit 3")
    message = told(own, "fails")
    assert f"~/{KERNELS}/fails/setup.sh failed: it ended with exit code 3" in message
    assert message.endswith("Its last lines:\nno licence server")


def test_a_setup_that_hangs_is_ended(own: Hub, home: Home):
    put(home, "hangs", "echo 'waiting for the tape' >&2; sleep 300")
    message = told(own, "hangs")
    assert "did not come to an end within 8 seconds" in message
    assert "waiting for the tape" in message
    assert "gone\r" in shell(own, "pgrep -u $(id -u) -fx 'sleep 300' || echo go''ne")


def test_what_is_gone_is_named(own: Hub, home: Home):
    put(home, "gone", argv=["/software/gone/1/bin/python", "-m", "x"])
    assert "/software/gone/1/bin/python does not exist on" in told(own, "gone")
    image = [images.OPEN, "/software/gone/1/rootfs", "python3"]
    put(home, "gone", argv=image)
    assert "its image /software/gone/1/rootfs does not exist on" in told(own, "gone")
    put(home, "gone", "true", argv=image)
    assert "the image /software/gone/1/rootfs cannot be opened on" in told(own, "gone")


def test_libraries_that_break_python_are_named(own: Hub, home: Home):
    home.put("broken-libraries/libz.so.1", "no library")
    home.run("cp broken-libraries/libz.so.1 broken-libraries/libexpat.so.1")
    home.run("cp broken-libraries/libz.so.1 broken-libraries/libm.so.6")
    put(home, "broken", env={"LD_LIBRARY_PATH": f"{home.path}/broken-libraries"})
    try:
        message = told(own, "broken")
    finally:
        home.remove("broken-libraries")
    assert "ended while it was starting (exit code" in message
    assert f"LD_LIBRARY_PATH is {home.path}/broken-libraries" in message
    assert "file too short" in message


# A second after it has begun, it ends, and says something where a crash does
DIES = """
import os, sys, threading
def end():
    os.write(sys.stderr._original_stdstream_copy, b"out of luck\\n")
    os._exit(5)
threading.Timer(1, end).start()
"""
STARTUP = ".ipython/profile_default/startup/99-dies.py"


def test_a_kernel_that_dies_again_and_again_is_left_dead(own: Hub, home: Home):
    put(home, "dies", env={"DIES": DIES})
    home.put(STARTUP, "import os\nexec(os.environ.get('DIES', ''))\n")
    try:
        kernel = start(own, "dies").json()["id"]
        assert traffic.run(own, kernel, "print('there')") == "there"
        death = wait_until(lambda: last_death(own, kernel), timeout=TOLD, what="the end of the kernel")
    finally:
        home.remove(STARTUP)
    assert "is not started again" in death["reason"]
    assert "exit code 5" in death["reason"]
    assert death["lines"].endswith("out of luck")
    assert kernel not in [known["id"] for known in own.jupyter("GET", "kernels").json()]


def last_death(own: Hub, kernel: str) -> dict[str, Any] | None:
    """Of a kernel that is not started again."""
    answer = own.facility("GET", f"kernels/{kernel}")
    death: dict[str, Any] = answer.json() if answer.ok else {}
    return death if death.get("final") else None


def test_one_that_dies_before_it_answers_is_not_tried_again(own: Hub, home: Home):
    put(home, "dies", env={"DIES": "import os; os._exit(5)"}, argv=["python3", *FACILITY[1:]])
    home.put(STARTUP, "import os\nexec(os.environ.get('DIES', ''))\n")
    try:
        answer = start(own, "dies")
        reason = answer.json().get("message")
        if answer.ok:  # its sockets were there a moment before it ended
            kernel = answer.json()["id"]
            death = wait_until(lambda: last_death(own, kernel), timeout=TOLD, what="the end of the kernel")
            reason = death["reason"]
    finally:
        home.remove(STARTUP)
    assert "ended while it was starting (exit code 5), and is not started again" in reason


def test_the_doctor_names_what_is_wrong_and_with_what(own: Hub, home: Home):
    put(home, "sound")
    shown = shell(own, "benchtop-kernels doctor sound python3; echo exit=$?")
    assert "✓ sound: works, ready in" in shown
    assert "✓ python3: works" in shown
    assert "exit=0\r" in shown
    put(home, "fails", "echo 'no licence server' >&2; return 3")
    put(home, "image", argv=[images.OPEN, "/software/gone/rootfs", "python3"])
    home.put(f"{KERNELS}/broken/kernel.json", "{")
    shown = shell(own, "benchtop-kernels doctor; echo exit=$?")
    assert "✓ sound: works" in shown
    assert "✗ fails: does not work" in shown
    assert "no licence server" in shown
    assert "its image /software/gone/rootfs does not exist" in shown
    assert f"~/{KERNELS}/broken/kernel.json is not JSON" in shown
    assert "exit=1\r" in shown


# ---- modules --------------------------------------------------------------------------------------


def test_modules_are_in_terminals_scripts_kernels_and_the_sidebar(own: Hub, home: Home):
    home.put("modules/mine/1.0.lua", 'setenv("MINE_VERSION", "1.0")\n')
    shown = shell(
        own, "module load mine && echo version=$MINE_VERSION", "bash -c 'ml mine; echo in=$MINE_VERSION'"
    )
    assert "version=1.0\r" in shown
    assert "in=1.0\r" in shown
    put(home, "with-module", "module load mine/1.0")
    assert runs(own, "with-module", "import os; print(os.environ['MINE_VERSION'])") == "1.0"
    listed = own._call(f"{own.lab}lab", "module/modules", "GET")
    assert "mine/1.0" in listed.json()
    if own.cluster == "hpc":  # jobs can be submitted from there
        home.put("job.sh", "#!/bin/bash\nmodule load mine && echo in-job=$MINE_VERSION\n")
        words = "sbatch --wait --partition=debug --mem=64M --time=1 --output=job.out job.sh >/dev/null"
        assert "in-job=1.0\r" in shell(own, f"cd; {words}; cat job.out; rm job.out job.sh")


# ---- the documentation ----------------------------------------------------------------------------


def blocks(page: str) -> list[str]:
    """What a how-to has one type into a terminal."""
    text = (ROOT / "docs/how-to" / page).read_text()
    return [block.split("\n```")[0] for block in text.split("```sh\n")[1:]]


PAGES = ("bring-your-own-kernel.md", "use-a-container-kernel.md", "offer-kernels-to-a-group.md")


@pytest.mark.parametrize(
    ("own", "page"),
    [
        pytest.param(place.values[0], page, id=f"{place.id}-{page}", marks=place.marks)
        for place, page in zip(PLACES, PAGES, strict=True)
    ],
    indirect=["own"],
)
def test_what_a_how_to_says_works(own: Hub, home: Home, page: str):
    home.run(images.MAKE, IMAGE)
    try:
        for block in blocks(page):
            home.put("how-to.sh", block)
            begin = f"cd; export APPTAINER_BIND={images.BOUND['APPTAINER_BIND']}"
            shown = shell(own, begin, "bash -e how-to.sh; echo exit=$?")
            assert "exit=0\r" in shown, shown
    finally:
        home.remove("how-to.sh", IMAGE)
