"""The doctor: the Immich: reachability, TLS, version, clock; whose key it is and what the key may do."""

from __future__ import annotations

import ipaddress
import statistics
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from facesets.connections import Url
from facesets.doctor.features import Feature, asked_for
from facesets.doctor.findings import NOTE, OK, PROBLEM, Finding
from facesets.errors import FacesetsError, MissingPermission, ServerError, WrongKey
from facesets.immich import Client, Server
from facesets.immich import server as api
from facesets.records import User
from facesets.settings import Settings
from facesets.sources import ImmichDbSource, ImmichSource, immich_vectors, open_dump
from facesets.wording import count_of
from facesets.workspace import Workspace

_SKEW = 60.0  # seconds; changes since the last run are asked for by the server's clock, and logs are read by ours
_NEWEST = 3  # the newest major that this was tested with

_WHERE = "In Immich: Account settings > API Keys"


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
    if _is_local((api.host or "").strip("[]")):
        return []
    fix = "put it behind https before you use it over the internet"
    return [Finding("server", NOTE, "no TLS: the key and the photos travel readable for everybody in between", fix)]


def _dialect(version: Server) -> Finding:
    facts = {"version": str(version), "major": version.major, "minor": version.minor}
    if version.major < 2 or version.major > _NEWEST:
        what = f"version {version} is none that this facesets was made for (2.7 to {_NEWEST}.x); it is tried as the nearest"
        return Finding("server", NOTE, what, facts=facts)
    if version.major == 2:
        return Finding("server", OK, "Immich 2.x: face boxes come with the listing", facts=facts)
    how = "numbered pages" if version.minor < 2 else "filter and cursor"
    what = f"Immich {version.major}.{version.minor}: search by {how}; face boxes are asked for photo by photo"
    return Finding("server", OK, what, "facesets login --user NAME  gets them in bulk", facts)


def _is_local(host: str) -> bool:
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


def whose(
    client: Client, label: str, bound: str | None, settings: Settings, named: Collection[str] = ()
) -> tuple[list[Finding], Granted]:
    """Whose key (or login) it is, whether that is who the label stands for (``bound``), and what the key lacks for what the settings
    ask for, and for the features that are ``named``.
    """
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
        what = f"the {client.credential} belongs to {owner.name!r} ({owner.user_id})"
        found = [Finding(part, OK, what, facts=facts)]
        if bound not in (None, owner.user_id):
            fix = (
                f"give {label} a {client.credential} of their own, or correct [users] {label} in facesets.toml; where the server was "
                f"set up anew: facesets run --user {label} --new-server"
            )
            found = [Finding(part, PROBLEM, f"{what}, and {label} is {bound}", fix, facts)]
    return found, replace(_granted(client, part, asked_for(settings, named), named, owner), owner=owner)


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


def dump(workspace: Workspace, label: str) -> Finding:
    """Whether there is a dump to read, and of when; what it holds is seen by the run that reads it."""
    part, named = f"user {label}", workspace.settings.immich_dump.file
    try:
        with open_dump(workspace, named) as found:
            facts = {"dump": found.name, "dump_bytes": found.size, "dump_of": found.made_at}
            said = f"Immich's dump {found.name} ({found.size / 1e6:,.1f} MB) is of {found.made_at}"
            return Finding(part, OK, said, facts=facts)
    except FacesetsError as err:
        said = f"[sources.immich_dump] {str(err).removeprefix('[sources.immich_dump] ')}"
        return Finding(part, PROBLEM, said, "docs/how-to/immich-database.md shows which dump, and which key")


def _granted(client: Client, part: str, features: Sequence[Feature], named: Collection[str], owner: api.Person | None) -> Granted:
    """What a key lacks for each of the ``features``, and the list to tick; one that was ``named`` is wanted for sure."""
    if client.credential == "login":
        return Granted([Finding(part, OK, "a login may do all that its user may")], stages=True)
    try:
        granted = api.permissions(client)
    except ServerError as err:
        return Granted([Finding(part, NOTE, f"what the key may do cannot be asked ({err})")], stages=True)
    found, every, to_tick = list[Finding](), dict[str, None](), dict[str, None]()
    for feature in features:
        lacking = api.missing(granted, feature.needs)
        wanted = PROBLEM if feature.name == "run" or feature.name in named else NOTE
        facts = {"feature": feature.name, "needs": [*feature.needs], "lacks": [*lacking]}
        if feature.for_admins and owner is not None and owner.is_admin is False:  # nothing that could be ticked would help
            what = f"{feature.what}: {owner.name!r} is no administrator, so this key cannot"
            found.append(Finding(part, wanted, what, "give one user here, or IMMICH_API_KEY, the key of an administrator", facts))
            continue
        every |= dict.fromkeys(feature.needs)
        to_tick |= dict.fromkeys(lacking)
        level = OK if not lacking else wanted
        said = f"{feature.what}: permitted" if not lacking else f"{feature.what}: lacks {', '.join(lacking)}"
        found.append(Finding(part, level, said, facts=facts))
    if to_tick:
        n = len(to_tick)
        what = f"in all the key lacks {count_of(n, 'permission')}"
        fix = f"{_WHERE} > edit this key, and tick: {', '.join(sorted(to_tick))}"
        found.append(Finding(part, NOTE, what, fix, {"tick": sorted(to_tick), "least": sorted(every)}))
    elif "all" in granted:
        least = f"fewer are enough. {_WHERE} > New API Key, and tick: {', '.join(sorted(every))}"
        found.append(Finding(part, NOTE, "the key may do everything, deleting included", least, {"tick": [], "least": sorted(every)}))
    return Granted(found, stages=not api.missing(granted))
