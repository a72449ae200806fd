"""Every key, password and certificate of the facility: made once, kept, copied to where it is used.

    .benchtop/ca/            the facility CA; `make clean` keeps it, since browsers trust it
    .benchtop/private/       the originals: one file a secret, one folder a certificate
    .benchtop/secrets/NAME/  what the key volume NAME is to hold: rendered from the originals
    .benchtop/secrets/id     tells one generation of secrets from another (volumes carry it too)

`ensure` may be interrupted anywhere and called again at any time: it makes what is missing,
renews what is about to end, follows changed settings, and touches nothing else.
"""

from __future__ import annotations

import fcntl
import json
import re
import secrets as random
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from pydantic import BaseModel, TypeAdapter

from benchtop import topology
from benchtop.keys import idtokens, pki, saml
from benchtop.settings import Settings

# Each cluster with every cell that it can have: one that is added later finds its keys.
CLUSTERS: Mapping[str, tuple[str, ...]] = {name: topology.every_cell(name) for name in topology.CLUSTERS}

HOST_NETWORK = "host-network.json"

# Who binds to the directory, each with a password of its own.
LDAP_SERVICES = ("keycloak", "nslcd", "apache")

# Words for passwords that a trainer reads out: short, unlike each other, hard to misspell.
# Four of them and two digits are 2^38.6: plenty behind Keycloak's brute-force lock.
_WORDS = """
acorn amber apple arrow aspen bacon badge bagel bamboo banjo barley basil beach beacon birch bison
blaze bloom bonus brass bread brick brook brush cabin cactus camel canoe canyon carbon cedar chalk
cherry cider cliff clover cobalt cocoa comet copper coral cotton crane creek crisp cumin daisy delta
denim diner domino dragon drift eagle ember fable falcon fennel fern ferry fiddle finch flame flint
flute forest fossil fox galaxy garlic gecko ginger glade globe gopher grape gravel guitar hammer
harbor hazel hedge heron honey hornet igloo indigo island ivory jacket jaguar jasmine jelly jigsaw
jungle kayak kettle kiosk kiwi koala ladder lagoon lantern lemon lilac linen lion lizard lotus
magnet mango maple marble meadow melon mint mirror mosaic mural nectar nickel noodle nutmeg oasis
ocean olive onion opal orange orbit orchid otter oyster paddle panda papaya parrot pebble pecan
pepper piano pigeon pillow pixel planet plaza plum pocket pollen poppy prairie prism puffin pumpkin
quartz rabbit radish raven river robin rocket saddle saffron sage salmon sandal satin shadow silver
sketch spruce squash stone sugar summit sunset tango temple thunder tiger timber toast tulip tundra
turtle valley vanilla velvet violin walnut willow window winter yarrow yogurt zebra zephyr
anchor button candle meteor
"""

# OWASP's smallest recommendation: a class of 30 may log in at once on two cores
_hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)


class Login(BaseModel):
    """What a demo person types, and what the directory keeps of it.

    totp_secret: base32; None for a person who has not enrolled
    totp_credential: Keycloak's id of what the secret belongs to; another one there means that ours is stale
    """

    password: str
    password_hash: str
    totp_secret: str | None = None
    totp_credential: str | None = None


_logins = TypeAdapter(dict[str, Login])


@contextmanager
def locked(settings: Settings, what: str = "lock") -> Iterator[None]:
    """Hold a lock of `.benchtop`, by default the secrets': no two programs may each make half of them."""
    settings.state.mkdir(exist_ok=True)
    settings.state.chmod(0o700)
    with (settings.state / what).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ensure(settings: Settings, *, now: datetime | None = None) -> set[str]:
    """Make `.benchtop` hold every secret; return the names of the volumes whose content changed.

    Keys and passwords are kept for ever; certificates are renewed in time, and rendered anew
    with everything else that holds the facility's name or port when that has changed.
    """
    with locked(settings):
        wanted = _volumes(settings, now or pki.today())
        root = settings.state / "secrets"
        pki.write(root / "id", _secret(settings, "id", lambda: random.token_hex(8)).encode())
        wanted["trust"][".secrets-id"] = (root / "id").read_bytes()
        changed = {name for name, files in wanted.items() if _fill(root / name, files)}
        for stale in (p for p in root.iterdir() if p.is_dir() and p.name.startswith("keys-")):
            if stale.name not in wanted:
                shutil.rmtree(stale)
        return changed


def logins(settings: Settings, names: Iterable[str] = ()) -> dict[str, Login]:
    """What each person logs in with. A name that has nothing yet gets a password; nobody is forgotten."""
    with locked(settings):
        kept = _read(settings)
        new = {name: _new_login() for name in names if name not in kept}
        if new:
            _save(settings, kept | new)
        return kept | new


def remember_totp(settings: Settings, name: str, secret: str | None, credential: str | None = None) -> None:
    """Keep the TOTP secret that a person enrolled with; None forgets it."""
    with locked(settings):
        kept = _read(settings)
        if name in kept:
            new = {"totp_secret": secret, "totp_credential": credential}
            _save(settings, kept | {name: kept[name].model_copy(update=new)})


def keep_host_network(settings: Settings, found: Mapping[str, Any]) -> None:
    """Keep what this machine itself uses to reach the internet, which may hold a password."""
    pki.write(settings.state / "private" / HOST_NETWORK, json.dumps(found, indent=1).encode())


def value(settings: Settings, name: str) -> str:
    """A secret by the name of its file in `.benchtop/private`, for the host tool's own use."""
    return (settings.state / "private" / name).read_text()


def _new_login() -> Login:
    password = "-".join([*(random.choice(_WORDS.split()) for _ in range(4)), f"{random.randbelow(100):02}"])
    return Login(password=password, password_hash="{ARGON2}" + _hasher.hash(password))


def _read(settings: Settings) -> dict[str, Login]:
    path = settings.state / "secrets" / "people.json"
    return _logins.validate_json(path.read_bytes()) if path.is_file() else {}


def _save(settings: Settings, people: Mapping[str, Login]) -> None:
    content = json.dumps({name: login.model_dump() for name, login in sorted(people.items())}, indent=1)
    pki.write(settings.state / "secrets" / "people.json", content.encode())


def _secret(settings: Settings, name: str, make: Callable[[], str]) -> str:
    """The secret `name`, made at the first call. Hex: safe in every kind of configuration file."""
    path = settings.state / "private" / name
    if not path.is_file():
        pki.write(path, make().encode())
    return path.read_text()


def _bytes(settings: Settings, name: str, length: int) -> bytes:
    path = settings.state / "private" / name
    if not path.is_file():
        pki.write(path, random.token_bytes(length))
    return path.read_bytes()


def _volumes(settings: Settings, now: datetime) -> dict[str, dict[str, bytes]]:
    """What each key volume is to hold: volume → file → content."""
    private = settings.state / "private"
    public_ca, edge, engine = settings.state / "ca", private / "ca-edge", private / "ca-engine"
    minter = {cluster: private / f"ca-minter-{cluster}" for cluster in CLUSTERS}
    names = {"localhost", settings.name, settings.login_name}
    pki.authority(public_ca, pki.FACILITY_CA, now=now, names=names)
    pki.authority(edge, "Benchtop edge CA", now=now)
    for cluster, folder in minter.items():
        pki.authority(folder, f"Benchtop minter CA {cluster}", now=now)
    pki.authority(engine, "Benchtop engine CA", now=now)
    facility_pem, edge_pem = (public_ca / "ca.pem").read_bytes(), (edge / "ca.pem").read_bytes()

    def password(name: str) -> bytes:
        return _secret(settings, name, lambda: random.token_hex(24)).encode()

    def issue(name: str, ca: Path, kind: pki.Kind, *names: str) -> tuple[bytes, bytes]:
        return pki.leaf(private / "tls" / name, ca, kind, names, now=now)

    sp_cert, sp_key = pki.self_signed(private / "saml-sp", "benchtop-sp", now=now)
    realm_cert, _ = pki.self_signed(private / "saml-realm", "benchtop", now=now)
    server_pem, server_key = issue("apache", public_ca, "public", settings.name, settings.login_name)
    gateway_pem, gateway_key = issue("apache-gateway", edge, "server", "apache")
    client = b"".join(issue("apache-client", edge, "client", "apache"))
    slurm_key, jwt_key = _bytes(settings, "slurm.key", 1024), _bytes(settings, "jwt.key", 32)
    pool_key, people_key = _bytes(settings, "condor-pool.key", 32), _bytes(settings, "condor-people.key", 32)
    minted_with = {topology.SLURM: {"jwt.key": jwt_key}, topology.CONDOR: {"people.key": people_key}}
    accounting = password("slurm-database.password")
    ldap = {name: password(f"ldap-{name}.password") for name in LDAP_SERVICES}
    way_out = {
        place: _bytes(settings, f"egress-{place}.key", 32) for place in (*topology.CLUSTERS, topology.ENGINE)
    }
    engine_ca = (engine / "ca.pem").read_bytes()
    engine_pem, engine_key = issue("engine-gateway", engine, "server", "engine-gateway")
    host = (private / HOST_NETWORK).read_bytes() if (private / HOST_NETWORK).is_file() else b"{}"

    volumes: dict[str, dict[str, bytes]] = {
        "keys-apache": {
            "server.pem": server_pem,
            "server.key": server_key,
            "ca.pem": facility_pem,
            "edge-ca.pem": edge_pem,
            "client.pem": client,
            "gateway.pem": gateway_pem,
            "gateway.key": gateway_key,
            "mellon/sp.key": pki.pem(sp_key),
            "mellon/sp.crt": pki.cert_pem(sp_cert),
            "mellon/sp.xml": saml.sp_metadata(settings, pki.der64(sp_cert)).encode(),
            "mellon/idp.xml": saml.idp_metadata(settings, pki.der64(realm_cert)).encode(),
            "secrets.conf": b"".join(
                b"Define SSO_SECRET_%s %s\n" % (_variable(c), password(f"sso-{c}.secret")) for c in CLUSTERS
            ),
            "ldap.password": ldap["apache"],
        },
        "keys-keycloak": {
            "keycloak.conf": b"db-password=%s\nbootstrap-admin-username=admin\nbootstrap-admin-password=%s\n"
            % (password("keycloak-database.password"), password("keycloak-admin.password")),
            "ca.pem": facility_pem,
        },
        "keys-postgres": {"roles/keycloak": password("keycloak-database.password")},
        "keys-ldap": {"admin.password": password("ldap-admin.password")}
        | {f"services/{name}": secret for name, secret in ldap.items()},
        "keys-nslcd": {"bind.password": ldap["nslcd"]},
        "keys-leavers": {"client.secret": password("leavers-client.secret")},
        "keys-mariadb": {"slurm.password": accounting},
        "keys-slurm": {"slurm.key": slurm_key, "egress.key": way_out[topology.SLURM]},
        "keys-slurmctld": {"slurm.key": slurm_key, "jwt.key": jwt_key},
        "keys-slurmdbd": {"slurm.key": slurm_key, "jwt.key": jwt_key, "database.password": accounting},
        "keys-condor-cm": {
            "passwords.d/POOL": idtokens.stored(pool_key),
            "passwords.d/people": idtokens.stored(people_key),
        },
        "keys-condor-ap": {"passwords.d/people": idtokens.stored(people_key)},
        "keys-condor-ep": {"egress.key": way_out[topology.CONDOR]},
        "keys-egress": {f"{place}.key": key for place, key in way_out.items()} | {"host.json": host},
        "keys-engine": {"egress.key": way_out[topology.ENGINE]},
        "keys-engine-gateway": {
            "server.pem": engine_pem,
            "server.key": engine_key,
            "engine-ca.pem": engine_ca,
        },
        "trust": {"ca.pem": facility_pem, "edge-ca.pem": edge_pem, "bundle.pem": facility_pem + edge_pem},
    }
    for machine, allowed in idtokens.AUTHORIZATIONS.items():
        make = partial(idtokens.daemon_token, pool_key, allowed)
        shown = _secret(settings, f"condor-{machine}.idtoken", make)
        volumes[f"keys-condor-{machine}"]["tokens.d/pool"] = shown.encode()
    template = settings.live_file("keycloak/realm.json").read_text()
    volumes["keys-keycloak"]["import/benchtop-realm.json"] = realm(settings, template, now).encode()

    for cluster, cells in CLUSTERS.items():
        minter_pem, minter_key = issue(f"{cluster}-minter", minter[cluster], "server", f"{cluster}-minter")
        minter_ca = (minter[cluster] / "ca.pem").read_bytes()
        volumes[f"keys-{cluster}-minter"] = {
            **minted_with[cluster],
            "server.pem": minter_pem,
            "server.key": minter_key,
            "minter-ca.pem": minter_ca,
        }
        volumes[f"keys-{cluster}-minter"] |= _peer(private, f"{cluster}-minter", now)
        ca_key, ca_public = pki.ssh_key(private / f"ssh-ca-{cluster}.key")
        host_key, host_public = pki.ssh_key(private / f"ssh-host-{cluster}.key")
        volumes[f"keys-{cluster}-minter"]["ssh.key"] = ca_key
        volumes[f"keys-{cluster}-login"] = {
            "ssh_host_ed25519_key": host_key,
            "ssh-ca.pub": ca_public,
            "egress.key": way_out[cluster],
        }
        for cell in cells:
            # The proxy also answers by the public name: Apache keeps the Host header, and SNI follows it.
            proxy_pem, proxy_key = issue(f"{cell}-proxy", edge, "server", f"{cell}-proxy", settings.name)
            token = password(f"{cell}-proxy.token")
            cookie = _secret(settings, f"{cell}-cookie.secret", lambda: random.token_hex(32))
            volumes["keys-postgres"][f"roles/{cell}"] = password(f"{cell}-database.password")
            routes = password(f"{cell}-routes.token")
            sessions = private / f"ca-sessions-{cell}"
            pki.authority(sessions, f"Benchtop sessions CA {cell}", now=now, names={"session"})
            volumes[f"keys-{cell}-proxy"] = {
                "proxy.token": token,
                "routes.token": routes,
                "server.pem": proxy_pem,
                "server.key": proxy_key,
                "edge-ca.pem": edge_pem,
                "sessions-ca.pem": (sessions / "ca.pem").read_bytes(),
            }
            volumes[f"keys-{cell}"] = {
                "cookie.secret": cookie.encode(),
                "proxy.token": token,
                "routes.token": routes,
                "database.password": password(f"{cell}-database.password"),
                "sso.secret": password(f"sso-{cluster}.secret"),
                "metrics.token": password(f"{cell}-metrics.token"),
                "minter.pem": b"".join(issue(f"{cell}-minter-client", minter[cluster], "client", cell)),
                "minter-ca.pem": minter_ca,
                "engine.pem": b"".join(issue(f"{cell}-engine-client", engine, "client", cell)),
                "engine-ca.pem": engine_ca,
                "sessions-ca.pem": (sessions / "ca.pem").read_bytes(),
                "sessions-ca.key": (sessions / "ca.key").read_bytes(),
                "known_hosts": b"%s-login %s\n" % (cluster.encode(), host_public),
            }
    return volumes


def realm(settings: Settings, template: str, now: datetime | None = None) -> str:
    """What Keycloak is to import when the realm's file is `template`; raises Problem where it is no JSON."""
    private, now = settings.state / "private", now or pki.today()
    sp_cert, _ = pki.self_signed(private / "saml-sp", "benchtop-sp", now=now)
    realm_cert, realm_key = pki.self_signed(private / "saml-realm", "benchtop", now=now)
    keys = {
        "REALM_KEY": pki.der64(realm_key),
        "REALM_CERT": pki.der64(realm_cert),
        "SP_CERT": pki.der64(sp_cert),
        "LDAP_PASSWORD": value(settings, "ldap-keycloak.password"),
        "LEAVERS_SECRET": value(settings, "leavers-client.secret"),
    }
    return saml.realm(template, settings, keys)


def _variable(cluster: str) -> bytes:
    return re.sub("[^A-Z0-9]", "_", cluster.upper()).encode()


def _peer(private: Path, minter: str, now: datetime) -> dict[str, bytes]:
    """By what one minter knows the others, and they know it: a CA that vouches for nobody else."""
    authority = private / "ca-minters"
    pki.authority(authority, "Benchtop minters CA", now=now)
    server_pem, server_key = pki.leaf(
        private / "tls" / f"{minter}-peer", authority, "server", [minter], now=now
    )
    client = pki.leaf(private / "tls" / f"{minter}-peer-client", authority, "client", [minter], now=now)
    return {
        "peer.pem": server_pem,
        "peer.key": server_key,
        "peer-client.pem": b"".join(client),
        "peers-ca.pem": (authority / "ca.pem").read_bytes(),
    }


def _fill(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Make `folder` hold exactly `files`; say whether that changed anything."""
    pki.private_folder(folder)
    changed = [name for name, content in files.items() if pki.write(folder / name, content)]
    stale = [p for p in folder.rglob("*") if p.is_file() and str(p.relative_to(folder)) not in files]
    for path in stale:
        path.unlink()
    return bool(changed or stale)
