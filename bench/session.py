"""How long from the click on Start until JupyterLab answers, beside its floor.

floor:  a stock `jupyterhub-singleuser` of the same versions on the same node, started by hand,
        until its /api/status answers 200; no scheduler, no hub to start it, nothing trimmed
click:  POST to the hub's API as the form does, until /api/status of the person's server answers
        200 through Apache and the proxy

Both in turn, so that whatever else the machine does meets both. Also: unique bytes of all images
of the stack, and memory while nobody works. Prints a table; `--write` puts it into docs/benchmarks.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import requests

from benchtop import compose, enrol
from benchtop.console import Problem
from benchtop.settings import Settings

ROOT = Path(__file__).parents[1]
PERSON, NODE, FLOOR_PORT = "alice", "gpu-1", 18888
HUB = "/jupyterhub/hpc/hub"
SERVER = f"/jupyterhub/hpc/user/{PERSON}"
PATIENCE = 120  # seconds for one start

# Runs on the node, as the person: start the stock server, ask it until it answers, end it.
FLOOR = """
import os, signal, subprocess, sys, time, urllib.request
url = f"http://127.0.0.1:{sys.argv[1]}{sys.argv[2]}/api/status"
ask = urllib.request.Request(url, headers={"Authorization": "token " + os.environ["JUPYTERHUB_API_TOKEN"]})
began = time.monotonic()
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
server = subprocess.Popen(["/opt/lab/bin/jupyterhub-singleuser"], **quiet)
try:
    while True:
        try:
            if urllib.request.urlopen(ask, timeout=5).status == 200:
                break
        except OSError as error:
            if server.poll() is not None or time.monotonic() - began > 60:
                sys.exit(f"the stock server did not answer: {error}")
            time.sleep(0.02)
    print(time.monotonic() - began)
finally:
    server.send_signal(signal.SIGKILL)
"""


def api(
    browser: requests.Session, settings: Settings, method: str, path: str, body: object = None
) -> requests.Response:
    """Call the hub's API as the page does."""
    xsrf = browser.cookies.get("_xsrf", path=f"{HUB}/") or ""
    headers = {"X-XSRFToken": xsrf, "Referer": settings.url}
    answer = browser.request(
        method, f"{settings.url}{HUB}/api{path}", json=body, headers=headers, timeout=PATIENCE
    )
    if not answer.ok and answer.status_code != 404:
        raise Problem(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
    return answer


def until(condition: Callable[[], bool], what: str) -> None:
    """Ask again and again, closely: the answer's time is what is measured."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise Problem(f"Waited {PATIENCE} s for {what}.")
        time.sleep(0.02)


def stop(browser: requests.Session, settings: Settings) -> None:
    """End the person's server and wait until the hub has forgotten it."""
    api(browser, settings, "DELETE", f"/users/{PERSON}/server")
    until(
        lambda: not api(browser, settings, "GET", f"/users/{PERSON}").json()["servers"],
        "the end of a session",
    )


def click(browser: requests.Session, settings: Settings, token: str) -> float:
    """Seconds from the request to an answering JupyterLab."""
    began = time.monotonic()
    options = {"partition": "debug", "gpu": "pascal:1", "runtime": 10}
    api(browser, settings, "POST", f"/users/{PERSON}/server", options)

    def answers() -> bool:
        ready = api(browser, settings, "GET", f"/users/{PERSON}").json()["servers"].get("", {}).get("ready")
        if not ready:
            return False
        status = browser.get(
            f"{settings.url}{SERVER}/api/status",
            headers={"Authorization": f"token {token}"},
            timeout=PATIENCE,
        )
        return status.status_code == 200

    until(answers, "JupyterLab")
    took = time.monotonic() - began
    stop(browser, settings)
    return took


def floor(settings: Settings, token: str) -> float:
    """Seconds of the stock server on the node; the token goes over stdin, not into a process list."""
    environment = {
        "JUPYTERHUB_USER": PERSON,
        "JUPYTERHUB_SERVICE_PREFIX": f"{SERVER}/",
        "JUPYTERHUB_BASE_URL": "/jupyterhub/hpc/",
        "JUPYTERHUB_CLIENT_ID": f"jupyterhub-user-{PERSON}",
        "JUPYTERHUB_API_URL": f"https://apache:8444/_cell/hpc-1{HUB}/api",
        "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{FLOOR_PORT}{SERVER}/",
        "JUPYTERHUB_HOST": "",
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps([f"access:servers!user={PERSON}"]),
        "SSL_CERT_FILE": "/etc/benchtop/trust/bundle.pem",
        "HOME": f"/home/{PERSON}",
        "PATH": "/opt/lab/bin:/usr/bin:/bin",
    }
    words = [f"{key}={value}" for key, value in environment.items()]
    become = [
        "setpriv",
        f"--reuid={PERSON}",
        "--regid=people",
        "--init-groups",
        "env",
        "--chdir",
        f"/home/{PERSON}",
    ]
    run = 'read -r JUPYTERHUB_API_TOKEN; export JUPYTERHUB_API_TOKEN; exec python -c "$1" "$2" "$3"'
    done = compose.run(
        settings, "exec", "-T", NODE, *become, *words, "sh", "-c", run, "sh", FLOOR, str(FLOOR_PORT), SERVER,
        input=f"{token}\n".encode(),
    )  # fmt: skip
    return float(done.stdout)


def memory(settings: Settings) -> float:
    """MiB of all services that a person needs, as the engine counts them."""
    ids = [
        one.id
        for one in compose.containers(settings.project)
        if one.state == "running" and one.service != "browser"
    ]
    lines = (
        compose.docker("stats", "--no-stream", "--format", "{{.MemUsage}}", *ids).stdout.decode().splitlines()
    )
    units = {"B": 2**-20, "KiB": 2**-10, "MiB": 1.0, "GiB": 2**10}
    total = 0.0
    for line in lines:
        used = line.split("/")[0].strip()
        unit = used.lstrip("0123456789.")
        total += float(used[: -len(unit)]) * units[unit]
    return total


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--write", action="store_true", help="also write docs/benchmarks.md")
    options = parser.parse_args()
    settings = Settings.load(Path(os.environ.get("BENCHTOP_ROOT", ROOT)))
    idle = memory(settings)
    browser = enrol.login(settings, PERSON, path=f"{HUB}/home")
    stop(browser, settings)
    token = api(browser, settings, "POST", f"/users/{PERSON}/tokens", {"expires_in": 7200}).json()["token"]
    floors, clicks = [], []
    for number in range(options.rounds):
        floors.append(floor(settings, token))
        clicks.append(click(browser, settings, token))
        print(
            f"{number + 1}/{options.rounds}: floor {floors[-1]:.2f} s, click {clicks[-1]:.2f} s",
            file=sys.stderr,
        )
    ratio = statistics.median(clicks) / statistics.median(floors)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    rows = [
        ("floor: stock `jupyterhub-singleuser` on the node, until `/api/status` is 200", floors),
        ("click → JupyterLab answers through the front door (Slurm)", clicks),
    ]
    lines = [
        "# Benchmarks",
        "",
        f"Measured by `make bench` at {commit.stdout.strip()} with {os.cpu_count()} cores:",
        f"{options.rounds} rounds, floor and click in turn.",
        "",
        "| what | min | median | max |",
        "|---|---|---|---|",
    ]
    for what, seconds in rows:
        figures = (min(seconds), statistics.median(seconds), max(seconds))
        lines.append(f"| {what} | {' | '.join(f'{figure:.2f} s' for figure in figures)} |")
    lines.append(f"| click ÷ floor, of the medians (bar 1.5, aim 1.0) | | {ratio:.2f} | |")
    lines.append(f"| idle memory of all services (bar 3 GiB) | | {idle:.0f} MiB | |")
    table = "\n".join(lines) + "\n"
    print(table)
    if options.write:
        (ROOT / "docs" / "benchmarks.md").write_text(table)
    json.dump({"floor": floors, "click": clicks, "idle_mib": idle}, (settings.state / "bench.json").open("w"))


if __name__ == "__main__":
    main()
