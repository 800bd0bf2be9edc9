"""The doctor: the Immich: reachability, TLS, version, clock; whose key it is and what the key may do."""

from __future__ import annotations

import ipaddress
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType

from ..connections import Url
from ..errors import FacesetsError, MissingPermission, ServerError, WrongKey
from ..immich import Client, Server
from ..immich import server as api
from ..records import User
from ..settings import Settings
from ..sources import immich_vectors
from ..sources.immich import ImmichSource
from ..sources.immich_db import ImmichDbSource
from .findings import NOTE, OK, PROBLEM, Finding

_SKEW = 60.0  # seconds; changes since the last run are asked for by the server's clock, and logs are read by ours
_NEWEST = 3  # the newest major that this was tested with

# what each thing needs, by Immich's names
NEEDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "run and stage": api.PERMISSIONS,
        "previews (a second look, and photos that cannot be decoded here)": ("asset.view",),
        "faces of edited photos on 3.x": ("asset.edit.get",),
        "names of people": ("person.read",),
        "proof that the listing is whole, a second opinion": ("asset.statistics",),
        "writing back people": ("person.read", "person.create", "person.update", "face.create", "face.update"),
        "writing back tags": ("tag.read", "tag.create", "tag.asset"),
        "writing back albums": ("album.read", "album.create", "albumAsset.create"),
    }
)
_READING = sorted({name for what in list(NEEDS)[:5] for name in NEEDS[what]})


@dataclass(frozen=True, slots=True)
class Granted:
    """What a key may do. ``stages``: enough for staging; ``owner``: whose it is, where that is known."""

    findings: list[Finding]
    stages: bool
    owner: api.Person | None = None


def reached(client: Client, version: Server, settings: Settings) -> list[Finding]:
    """That it answers, how fast, how safely, in which dialect, and by which clock."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        client.get("/server/ping")
        times.append(time.perf_counter() - begun)
    delay = statistics.median(times)
    found = [
        Finding("server", OK, f"Immich {version} answers at {client.shown} in {delay * 1e3:.0f} ms", "", {"latency_s": delay}),
        _dialect(version),
    ]
    found += tls(client.api, settings)
    found += clock(client)
    return found


def tls(api: Url, settings: Settings) -> list[Finding]:
    """How safely key and photos travel; nothing to say of plain HTTP within a house."""
    if api.scheme == "https":
        trust = settings.immich.ca_file or "the system's authorities"
        return [Finding("server", OK, f"TLS: the certificate is verified against {trust}")]
    if _near((api.host or "").strip("[]")):
        return []
    fix = "put it behind https before you use it over the internet"
    return [Finding("server", NOTE, "no TLS: the key and the photos travel readable for everybody in between", fix)]


def _dialect(version: Server) -> Finding:
    facts = {"version": str(version), "major": version.major, "minor": version.minor}
    if version.major < 2 or version.major > _NEWEST:
        what = f"version {version} is none that this facesets was made for (2.7 to {_NEWEST}.x); it is tried as the nearest"
        return Finding("server", NOTE, what, facts=facts)
    if version.major == 2:
        return Finding("server", OK, "dialect 2.x: face boxes come with the listing", facts=facts)
    how = "numbered pages" if version.minor < 2 else "filter and cursor"
    what = f"dialect {version.major}.{version.minor}: search by {how}; face boxes are asked for photo by photo"
    return Finding("server", OK, what, "facesets login --user NAME  gets them in bulk", facts)


def _near(host: str) -> bool:
    """Whether an address is this computer, or of a network at home."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".lan", ".home.arpa", ".internal", ".localhost"))


def clock(client: Client) -> list[Finding]:
    """Whether the clock of its last answer agrees with ours."""
    if client.server_time is None:
        return []
    skew = (client.server_time - datetime.now(UTC)).total_seconds()
    if abs(skew) < _SKEW:
        return [Finding("server", OK, "its clock agrees with this computer's", facts={"skew_s": round(skew, 1)})]
    what = f"its clock is {abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} this computer's"
    return [Finding("server", NOTE, what, "set both by a time server (NTP)", {"skew_s": round(skew, 1)})]


def whose(client: Client, label: str, bound: str | None) -> tuple[list[Finding], Granted]:
    """Whose key it is, whether that is who the label stands for, and what the key may do."""
    part, owner = f"user {label}", None
    try:
        owner = api.whoami(client)
    except WrongKey as err:
        return [Finding(part, PROBLEM, str(err))], Granted([], stages=False)
    except MissingPermission:
        found = [Finding(part, PROBLEM, "the key may not say whose it is (user.read)", "tick user.read")]
    except ServerError as err:
        return [Finding(part, PROBLEM, str(err))], Granted([], stages=False)
    else:
        facts = {"user_id": owner.user_id, "name": owner.name}
        found = [Finding(part, OK, f"the key belongs to {owner.name!r} ({owner.user_id})", facts=facts)]
        if bound not in (None, owner.user_id):
            fix = f"give {label} a key of their own, or correct [users] {label} in facesets.toml"
            found = [Finding(part, PROBLEM, f"the key belongs to {owner.name!r} ({owner.user_id}), and {label} is {bound}", fix, facts)]
    return found, replace(_granted(client, part), owner=owner)


def database(client: Client, label: str, owner: api.Person, url: str) -> Finding:
    """Whether Immich's database can be read, and is this Immich's."""
    part = f"user {label}"
    source = ImmichDbSource(ImmichSource(client, User(label, owner.user_id, owner.name)), url)
    try:
        count = source.check()
    except FacesetsError as err:
        return Finding(part, PROBLEM, f"[sources.immich_db]: {err}", "docs/how-to/immich-database.md shows how to give read access")
    return Finding(part, OK, f"Immich's database can be read: {count:,} assets of {owner.name!r}", facts={"database_assets": count})


def vectors(label: str, owner: api.Person, url: str, *, wanted: bool) -> Finding:
    """Whether Immich's own vectors can be read, of which model they are, and how many faces have one; ``wanted``: a run needs them."""
    part = f"user {label}"
    try:
        with immich_vectors.vectors(url) as source:
            configured = source.configured()
            faces, measured = source.count(User(label, owner.user_id, owner.name))
    except FacesetsError as err:
        fix = "" if wanted else "only that pack needs them"
        return Finding(part, PROBLEM if wanted else NOTE, f"Immich's own vectors (pack immich-db) cannot be read: {err}", fix)
    facts = {"database_faces": faces, "database_vectors": measured, "model": configured.model, "model_seen": configured.seen}
    what = f"Immich's own vectors can be read: {measured:,} of {faces:,} faces have one (pack immich-db, model {configured.model}"
    if configured.seen:
        return Finding(part, OK, f"{what})", facts=facts)
    fix = 'where it is another one, pack = "immich-db:MODEL" under [embed] says so'
    return Finding(part, NOTE, f"{what}, its default: the role may not see which)", fix, facts)


def _granted(client: Client, part: str) -> Granted:
    try:
        granted = api.permissions(client)
    except ServerError as err:  # a login's token is no key and may do all that its user may
        return Granted([Finding(part, NOTE, f"what the key may do cannot be asked ({err})")], stages=True)
    found = []
    for what, names in NEEDS.items():
        lacking = api.missing(granted, names)
        needed = what == "run and stage"
        level = OK if not lacking else PROBLEM if needed else NOTE
        said = f"{what}: permitted" if not lacking else f"{what}: lacks {', '.join(lacking)}"
        fix = "In Immich: Account settings > API keys > edit the key, and tick them" if lacking and needed else ""
        found.append(Finding(part, level, said, fix, {"needs": list(names), "lacks": list(lacking)}))
    if "all" in granted:
        least = f"a key that can only read is enough: Account settings > API keys > New API key, and tick {', '.join(_READING)}"
        found.append(Finding(part, NOTE, "the key may do everything, deleting included", least, {"least": _READING}))
    return Granted(found, stages=not api.missing(granted))
