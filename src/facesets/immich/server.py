"""Immich room: finding the API behind what the user typed, its version, whose key it is and what the key may do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Unpack
from urllib.parse import urljoin

from facesets.connections import Url, address
from facesets.errors import BadAnswer, MissingPermission, NotFound, NotImmich, ServerError, SettingsError, TooOld, Unreachable, WrongKey
from facesets.immich import wire
from facesets.immich.response import Redirected
from facesets.immich.transport import Client, Options, origin

PERMISSIONS = ("asset.read", "asset.download", "face.read", "user.read")  # what listing, staging and naming the owner need
BESIDE_DATABASE = ("asset.download", "user.read")  # the same where Immich's database lists, and tells faces and people

MAJORS = (2, 3)  # spoken here, each held against recordings of real servers; 1.x lists and searches by other fields


@dataclass(frozen=True, slots=True)
class Server:
    """A server's version."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @property
    def is_newer(self) -> bool:
        """Whether its major is beyond those known here: it may do, and what it does not may be missing without a word."""
        return self.major > MAJORS[-1]


@dataclass(frozen=True, slots=True)
class Person:
    """An account of the server. ``is_admin`` is None where it does not say so."""

    user_id: str
    name: str
    is_admin: bool | None = None


def connect(url: str, key: str, **options: Unpack[Options]) -> tuple[Client, Server]:
    """A client for the Immich that ``url`` means, with or without slash, ``/api`` or a page behind it, and its version.

    Looks without the key first, so that the key is never sent to something that is not Immich. Raises NotImmich, TooOld,
    Unreachable, SettingsError. A newer server than those known is let through (``is_newer``).
    """
    try:
        given = address(url.strip())
    except ValueError:
        given = Url()
    if given.scheme not in ("http", "https") or not given.host:
        raise SettingsError(
            f"{url!r} is not an address: write it as in your browser, e.g. https://photos.example.org or http://192.168.1.5:2283",
            key="[immich] url",
        )
    # two attempts are enough to learn that nobody is there; the real client is more patient
    hasty: Options = {**options, "timeout": min(options.get("timeout", 10.0), 10.0), "attempts": min(options.get("attempts", 2), 2)}
    with Client(str(given), "", **hasty) as scout:
        found, answers = None, list[ServerError]()
        for api in _candidates(scout, given):
            try:
                found = _probe(scout, api)
                break
            except Unreachable:
                raise
            except ServerError as err:
                answers.append(err)
        if found is None:
            raise NotImmich(
                f"{scout.shown} does not answer as Immich: {str(answers[0]).rstrip('.')}. "
                "Its address is what IMMICH_URL says, or url under [immich] in facesets.toml."
            )
        if found.major < MAJORS[0]:
            raise TooOld(
                f"{scout.shown} is Immich {found}, which is too old: facesets speaks with Immich {MAJORS[0]}.x and {MAJORS[-1]}.x. "
                "Update the server, or take a folder of photos: --folder DIR"
            )
        api, looked = scout.api, scout.traffic
    client = Client(str(api), key, **options)
    client._count(requests=looked.requests, retries=looked.retries, bytes_=looked.bytes)
    client.version = found.major, found.minor, found.patch
    return client, found


def _candidates(scout: Client, given: Url) -> Iterator[Url]:
    """Where the API may be: below the given address, where its well-known file says, or at its root."""
    base = given._replace(query=None, fragment=None, path=None)
    path = (given.path or "").rstrip("/")
    own = path if path.endswith("/api") else path + "/api"
    yield base._replace(path=own)
    scout.api = base
    try:
        known = wire.field(scout.get("/.well-known/immich"), "api", dict, "well-known")
        endpoint = address(urljoin(base.url, wire.field(known, "endpoint", str, "well-known")))
    except (ServerError, ValueError):
        endpoint = base  # most servers need it not; the first candidate's answer is the one to report
    if origin(endpoint) != origin(base):
        raise Redirected(
            f"{scout.shown} names {origin(endpoint)} as Immich's address, and your key is not sent to another one. "
            "If that is your server, give its address as url.",
            endpoint,
        )
    if endpoint != base:
        yield endpoint
    if own != "/api":
        yield base._replace(path="/api")


def _probe(scout: Client, api: Url) -> Server:
    scout.api = api
    try:
        return version(scout)
    except Redirected as err:
        # http://host that sends everybody to https://host: the usual proxy, and the same server
        if err.target.host != api.host or err.target.scheme != "https" or not (err.target.path or "").endswith("/server/version"):
            raise
        scout.api = err.target._replace(path=(err.target.path or "").removesuffix("/server/version"), query=None)
        return version(scout)


def version(client: Client) -> Server:
    """The server's version; needs no key. Raises BadAnswer, NotImmich."""
    try:
        answer = client.get("/server/version")
    except NotFound as err:
        try:
            answer = client.get("/server-info/version")  # where it stood before 1.107
        except ServerError:
            raise err from None
    found = Server(*(wire.field(answer, part, int, "server version") for part in ("major", "minor", "patch")))
    if min(found.major, found.minor, found.patch) < 0:
        raise BadAnswer(f"server version: {found} is none")
    return found


def whoami(client: Client) -> Person:
    """The key's owner. Raises WrongKey, MissingPermission (``user.read``)."""
    answer = client.get("/users/me")
    is_admin = answer.get("isAdmin")
    return Person(
        wire.uuid(answer, "id", "users/me"),
        wire.field(answer, "name", str, "users/me"),
        is_admin if isinstance(is_admin, bool) else None,
    )


def permissions(client: Client) -> frozenset[str]:
    """What the key may do, by Immich's names; ``all`` means everything. Any key may ask."""
    return frozenset(str(name) for name in wire.field(client.get("/api-keys/me"), "permissions", list, "api-keys/me"))


def looks_for_faces(client: Client) -> bool:
    """Whether the server's face recognition is switched on; needs no key. Raises ServerError."""
    return wire.field(client.get("/server/features"), "facialRecognition", bool, "server features") is True


def missing(granted: frozenset[str], wanted: tuple[str, ...] = PERMISSIONS) -> tuple[str, ...]:
    """Which of the ``wanted`` permissions a key lacks."""
    return () if "all" in granted else tuple(name for name in wanted if name not in granted)


def name_of(client: Client, user_id: str) -> str:
    """The name of an account, or "" where the key may not know it; for messages only."""
    try:
        accounts = client.get("/users")
    except (MissingPermission, NotFound, WrongKey, BadAnswer):
        return ""
    for account in accounts if isinstance(accounts, list) else []:
        if isinstance(account, dict) and account.get("id") == user_id:
            return wire.clean(str(account.get("name", "")))
    return ""
