"""What a session's job is called, where its files are, and how it is started on a node."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from prometheus_client import Counter
from traitlets import Unicode, default

from benchtop_hub import wording
from benchtop_hub.backends import commands, environments, marks, run
from benchtop_hub.backends.backend import AnyBackend, Launch
from benchtop_hub.backends.queue import Job
from benchtop_hub.sessions import certificates
from benchtop_hub.sessions.asking import Asked

STARTED = Counter(
    "benchtop_sessions_started_total", "Sessions that came up, by what they run in.", ["environment"]
)
WITHOUT_SETTINGS = "BENCHTOP_WITHOUT_SETTINGS"  # of its environment: lab/benchtop_lab/home/own.py


class Described(Asked):
    """The third part of a session: what every backend needs to know of it."""

    lab_python = Unicode("/opt/lab/bin/python", help="The Python of sessions, on the nodes.").tag(config=True)
    log_name = Unicode(".benchtop-session.log", help="In the home: the log of the latest session.").tag(
        config=True
    )

    jobs = Unicode("/etc/jupyterhub/jobs", help="Folder of the batch scripts that come with the hub.").tag(
        config=True
    )

    granted: Mapping[str, object] = {}  # what the running job was asked for
    last_end = ""  # why the last session ended, until the next one starts
    lacked_memory = 0  # MB that it had asked for, when the last session ended for want of it
    begun = False  # has there ever been a session? Until then, its name is nobody's (pages/servers.py)

    tls_name = ""  # by which its job proves that it is this one: certificates.py
    in_environment = ""  # the session that was started: "", NAME/VERSION, or a path
    without_settings = False  # does the session that starts leave out what its owner has set themselves?

    _ended = ""

    script: ClassVar[str]  # the one that is the site's own until it sets another

    @default("batch_script")
    def _of_the_facility(self) -> str:
        return Path(self.jobs, self.script).read_text()

    @default("req_homedir")
    def _home_on_the_nodes(self) -> str:
        return str(self.home.format(username=self.user.name))  # upstream asks the hub's passwd

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        """Who and where; upstream looks into the hub's passwd, which knows nobody."""
        name = self.user.name
        env.update(USER=name, LOGNAME=name, HOME=self.home.format(username=name), SHELL="/bin/bash")
        return env

    def environment_of(self, backend: AnyBackend, granted: Any) -> dict[str, str]:  # noqa: ANN401 each backend's own
        """The whole environment of a session that is to be started, secrets included."""
        path = f"{Path(self.lab_python).parent}:{commands.PATH}"
        env: dict[str, str] = {**self.get_env(), "LANG": "C.UTF-8", "PATH": path}
        # for JupyterLab's status bar, and for who watches over the memory (benchtop_lab/session)
        env |= {"BENCHTOP_MEMORY": str(granted.memory), "BENCHTOP_PLACE": backend.describe_place(granted)}
        env |= {"BENCHTOP_ENVIRONMENT": self.in_environment, "BENCHTOP_SOFTWARE": self.software}
        if self.without_settings:
            env[WITHOUT_SETTINGS] = "yes"
        runtime = timedelta(minutes=granted.runtime)
        env[certificates.VARIABLE] = certificates.authority(self.keys).issue(self.tls_name, runtime)
        return env

    @property
    def environment_name(self) -> str:
        """For the log, for who counts, and for administrators: "facility", "own", or NAME/VERSION."""
        return environments.counted_as(self.in_environment)

    @property
    def path(self) -> str:
        """Of the server; a hub that was restarted knows it some moments later."""
        return str(self.server.base_url)

    @property
    def log_file(self) -> str:
        """In the home: the log of this server, beside those of the person's other servers."""
        path = Path(self.log_name)
        return f"{path.stem}-{self.name}{path.suffix}" if self.name else self.log_name

    @property
    def job_number(self) -> str:
        """The job's number, as people know it; "" where there is none."""
        return str(self.job_id) if self.backend.numbered else ""

    def job_name(self) -> str:
        """Tells in the queue whose session of which cell a job is."""
        return "-".join(filter(None, ("jh", self.cell, self.user.name, self.name)))

    def mark(self) -> str:
        """Tells this cell, and nobody else can make it believe, that a job is a session of its own."""
        return marks.mark(self.user.settings["cookie_secret"], self.cell, self.user.name)

    @property
    def ended(self) -> str:
        """Why the last session ended, until its owner has read it on a page of the hub."""
        return self._ended

    @ended.setter
    def ended(self, sentence: str) -> None:
        self._ended = sentence
        self.last_end = sentence or self.last_end

    def note_started(self, at: str, steps: str) -> None:
        """Log and count a session that came up. at: NODE:PORT; steps: how long each took"""
        self.log.info(
            "session started user=%s cell=%s job=%s at=%s environment=%s %s",
            self.user.name, self.cell, self.job_id, at, self.environment_name, steps,
        )  # fmt: skip
        STARTED.labels(self.environment_name).inc()

    def note_end(self, job: Job | None) -> None:
        """Keep why the session ended, for whoever asks; None: its job is not in the queue any more."""
        self.ended = wording.ended(self.backend.explain_end(job, self.granted))
        if self.backend.lacked_memory(job):
            self.lacked_memory = int(str(self.granted.get("memory", 0)))
        self.save_state()

    def launch(self, env: Mapping[str, str]) -> Launch:
        """What a backend needs to start it with this environment."""
        return Launch(
            person=self.user.name, name=self.job_name(), mark=self.mark(),
            home=self.home.format(username=self.user.name), log=self.log_file, env=env,
            script=lambda values: self.render_script(values, env),
            command=run.command(self.lab_python, self.get_args()),
            prologue=self.req_prologue, epilogue=self.req_epilogue, keep=self.req_keepvars_extra,
            server=self.name,
        )  # fmt: skip
