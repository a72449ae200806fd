"""Log in as a person does: through Apache, with password and TOTP, pages and forms included.

`enrol_missing` drives the real enrolment of a TOTP once for each demo person, so that nobody types
forty QR codes; `login` gives tests and measurements a logged-in session. Neither knows a way
round the login: what they can do, a browser can.
"""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urljoin, urlsplit

import pyotp
import requests
from bs4 import BeautifulSoup, Tag
from requests.adapters import HTTPAdapter
from urllib3 import HTTPSConnectionPool
from urllib3.connection import HTTPSConnection
from urllib3.util import Retry

from benchtop import console
from benchtop.console import Problem, log
from benchtop.keys import pki, secrets
from benchtop.people import keycloak, realm
from benchtop.people.roster import People
from benchtop.settings import Settings

PERIOD = 30  # seconds that a code is shown for
_PAGES = 12  # a first login has six: more is a loop
_PATIENCE = 30  # seconds for one page
_AT_ONCE = 6  # enrolments side by side; more only queue for Keycloak's two cores


def session(settings: Settings) -> requests.Session:
    """A browser-like session that reaches the facility's two names from this host, and nothing else.

    Not every resolver knows *.localhost, so it dials the published address itself. It trusts the
    facility's CA alone, and no variable of the environment (proxies, other CAs) changes that.
    """
    made = requests.Session()
    made.trust_env = False
    made.verify = str(settings.state / "ca" / "ca.pem")
    # a connection that is kept may be closed by Apache just when the next request goes out
    made.headers["Connection"] = "close"
    made.adapters.clear()
    for name in (settings.name, settings.login_name):
        made.mount(f"https://{name}:{settings.port}/", _Dialled(settings))
    return made


class _Dialled(HTTPAdapter):
    """Connects to the published address, whatever the name: certificate and Host header keep the name."""

    def __init__(self, settings: Settings) -> None:
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound: dialled
        address = (everywhere.get(settings.bind, settings.bind), settings.port)

        class Connection(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return socket.create_connection(address, timeout=_PATIENCE)

        class Pool(HTTPSConnectionPool):
            ConnectionCls = Connection

        # as browsers do: what was asked on a kept connection, just when Apache closed it, is asked again
        super().__init__(max_retries=Retry(total=1, connect=0, read=1, status=0, redirect=False))
        self.poolmanager.pool_classes_by_scheme = {"https": Pool}


def login(settings: Settings, name: str, *, path: str = "/", code: str = "") -> requests.Session:
    """A session in which `name` is logged in and has seen `path`.

    code: of `fresh_code`, for a login that must not wait. Without, waits for one that nobody has used
    yet: Keycloak takes each one once. Raises Problem with what the page said when the login is refused.

    One at a time for each person: of two in the same instant, Keycloak's brute-force protection refuses one.
    """
    _secret_of(settings, name)
    browser = session(settings)
    with secrets.locked(settings, f"login-{name}.lock"):
        _walk(settings, browser, name, lambda _page: code or fresh_code(settings, name), path=path)
    return browser


def enrol_missing(
    settings: Settings, people: People, tell: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Enrol a TOTP for everybody who is meant to have one and whom we cannot log in; return their names.

    tell: is given what is going on
    Somebody whose TOTP is not the one in `.benchtop` (an older copy's, or enrolled by hand and
    lost) gets a new one: these are demo people, and nobody's phone depends on it.
    """
    meant = [name for name, person in people.people.items() if person.enrolled and not person.disabled]
    for sentence in realm.follow(settings):
        console.say(sentence)
    factors = keycloak.second_factors(settings, meant)
    kept = secrets.logins(settings, meant)
    wanting = [
        name
        for name in meant
        if kept[name].totp_secret is None or [kept[name].totp_credential] != factors[name]
    ]
    lost = [name for name in wanting if factors[name]]
    if lost:
        keycloak.reset(settings, *lost)
    if wanting:
        tell(", ".join(wanting))
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        enrolled = dict(zip(wanting, pool.map(lambda name: _enrol(settings, name), wanting), strict=True))
    for name, credentials in keycloak.second_factors(settings, wanting).items() if wanting else ():
        secrets.remember_totp(settings, name, enrolled[name], next(iter(credentials), None))
    return wanting


def password(settings: Settings, name: str) -> str:
    """What a demo person types first."""
    return _login_of(settings, name).password


def code(settings: Settings, name: str) -> str:
    """The code that an authenticator shows for `name` now; the next one when that is used up."""
    secret = _secret_of(settings, name)
    return _digits(secret, _reserve(settings, name, early=False))


def fresh_code(settings: Settings, name: str) -> str:
    """A code of `name` that nobody has used; waits, when all are used, until Keycloak takes the next."""
    secret = _secret_of(settings, name)
    return _digits(secret, _reserve(settings, name, early=True))


def next_step(last: int, now: float, *, early: bool = True) -> int:
    """The period whose code to use next: after `last`, and accepted now or as soon as possible.

    Keycloak takes the codes of the period before, of this one and of the next. The one before is
    for a program that sends it at once (`early`), and not when this period is about to end.
    """
    this, left = int(now // PERIOD), PERIOD - now % PERIOD
    return max(last + 1, this - 1 if early and left > 5 else this)


def _enrol(settings: Settings, name: str) -> str:
    """Enrol `name`; return the base32 secret."""
    found: list[str] = []

    def answer(page: BeautifulSoup) -> str:
        raw = page.select_one("input[name=totpSecret]")
        if raw is None:
            raise Problem(f"{name} already has a second factor: `make reset-otp USER={name}` removes it.")
        found.append(base64.b32encode(str(raw["value"]).encode()).decode().rstrip("="))
        step = int(time.time() // PERIOD)
        _remember(settings, name, step)  # enrolling uses the code up
        return _digits(found[-1], step)

    began = time.monotonic()
    _walk(settings, session(settings), name, answer)
    log.info("enrolled person=%s seconds=%.1f", name, time.monotonic() - began)
    if not found:
        raise Problem(f"{name} got in without a TOTP: keycloak/realm.json must require it. See `make test`.")
    return found[-1]


def _walk(
    settings: Settings,
    browser: requests.Session,
    name: str,
    answer: Callable[[BeautifulSoup], str],
    *,
    path: str = "/",
) -> requests.Response:
    """Fill in one form after the other until a page of the facility itself comes back.

    answer: gives the code for the page that asks for one
    """
    reply = _get(browser, f"{settings.url}{path}")
    asked: set[str] = set()
    for _ in range(_PAGES):
        page = BeautifulSoup(reply.text, "html.parser")
        fields = {str(field["name"]) for field in page.select("form [name]")}
        if "SAMLResponse" in fields:
            reply = _submit(browser, reply, page, "SAMLResponse", {})
            continue
        if urlsplit(reply.url).hostname == settings.name:
            if not reply.ok:
                raise Problem(f"{name} logged in, but {path} answered {reply.status_code}.", _said(page))
            return reply
        question = next((field for field in ("password", "totp", "otp") if field in fields), None)
        if question is None or question in asked:
            raise Problem(f"The login of {name} was refused ({reply.status_code}).", _said(page))
        asked.add(question)
        if question == "password":
            values = {"username": name, "password": password(settings, name)}
        else:
            values = {question: answer(page)} | ({"userLabel": "benchtop"} if question == "totp" else {})
        reply = _submit(browser, reply, page, question, values)
    raise Problem(f"The login of {name} went through {_PAGES} pages without an end: last {reply.url}.")


def _submit(
    browser: requests.Session,
    reply: requests.Response,
    page: BeautifulSoup,
    field: str,
    values: dict[str, str],
) -> requests.Response:
    """Send the form that has `field`, with its hidden fields and our values."""
    form = next(form for form in page.find_all("form") if form.select_one(f"[name={field}]"))
    hidden = {str(i["name"]): str(i.get("value", "")) for i in form.select("input[type=hidden][name]")}
    return _get(browser, urljoin(reply.url, str(form["action"])), hidden | values)


def _get(browser: requests.Session, url: str, form: dict[str, str] | None = None) -> requests.Response:
    try:
        if form is None:
            return browser.get(url, timeout=_PATIENCE)
        return browser.post(url, data=form, timeout=_PATIENCE)
    except requests.exceptions.InvalidSchema as error:
        raise Problem(f"The login led away from the facility: {error}.") from error
    except requests.RequestException as error:
        raise Problem(f"{urlsplit(url).netloc} does not answer: see `make status`.", [str(error)]) from error


def _said(page: BeautifulSoup) -> list[str]:
    """What a page that refuses says to its reader."""
    places = page.select("[id^=input-error], .kc-feedback-text, #kc-error-message, main, body")
    texts = (place.get_text(" ", strip=True) for place in places if isinstance(place, Tag))
    return [text[:300] for text in texts if text][:1]


def _login_of(settings: Settings, name: str) -> secrets.Login:
    known = secrets.logins(settings)
    if name not in known:
        raise Problem(f"Unknown user “{name}”: see `make people`.")
    return known[name]


def _secret_of(settings: Settings, name: str) -> str:
    secret = _login_of(settings, name).totp_secret
    if secret is None:
        raise Problem(f"{name} has no second factor that this tool knows: `make up` enrols who should.")
    return secret


def _digits(secret: str, step: int) -> str:
    return pyotp.TOTP(secret, interval=PERIOD).at(step * PERIOD)


def _reserve(settings: Settings, name: str, *, early: bool) -> int:
    """Take a period for this login, and wait until its code is accepted.

    Two programs never send the same code: Keycloak takes each one once.
    """
    with secrets.locked(settings):
        used = _used(settings)
        step = used[name] = next_step(used.get(name, 0), time.time(), early=early)
        pki.write(settings.state / "totp-steps.json", json.dumps(used).encode())
    wait = (step - 1) * PERIOD - time.time()
    if wait > 0:
        time.sleep(wait + 0.5)  # there is nothing else to wait for: the clock itself; 0.5: containers' skew
    return step


def _remember(settings: Settings, name: str, step: int) -> None:
    with secrets.locked(settings):
        pki.write(settings.state / "totp-steps.json", json.dumps(_used(settings) | {name: step}).encode())


def _used(settings: Settings) -> dict[str, int]:
    path = settings.state / "totp-steps.json"
    return dict(json.loads(path.read_bytes())) if path.is_file() else {}
