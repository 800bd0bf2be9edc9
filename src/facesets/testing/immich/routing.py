"""The table of routes, and what a route is called with. Knows HTTP and the library, nothing of a single route."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from facesets.testing.immich.auth import Caller
from facesets.testing.immich.dialects import Dialect
from facesets.testing.immich.library import Library
from facesets.testing.immich.records import User
from facesets.testing.immich.transport import Request, Response


@dataclass
class SyncMemory:
    """What the sync stream has told so far: every row's last content, in order of change, and how far each session has got."""

    rows: dict[tuple[str, str, str], tuple[bytes, int]] = field(default_factory=dict)  # (user, entity, id) -> (digest, number)
    gone: dict[tuple[str, str, str], int] = field(default_factory=dict)  # rows that were there once
    acks: dict[str, dict[str, str]] = field(default_factory=dict)  # session -> entity type -> last acknowledgement
    changes: int = 0


@dataclass
class State:
    """What a server remembers beyond its library: open sessions, sync checkpoints."""

    sessions: dict[str, str] = field(default_factory=dict)  # token -> user id
    sync: SyncMemory = field(default_factory=SyncMemory)


@dataclass(frozen=True)
class Call:
    """One request on its way through a route; ``caller`` is None on public routes."""

    request: Request
    library: Library
    dialect: Dialect
    state: State
    correlation: str = ""
    caller: Caller | None = None

    @property
    def user(self) -> User:
        """The caller's account."""
        assert self.caller is not None
        return self.caller.user

    @property
    def thumbnails(self) -> bool:
        """Whether a thumbnail is made of a person: 2.x makes none while machine learning is off."""
        return self.dialect.modern or self.library.machine_learning

    @property
    def params(self) -> dict[str, str]:
        """The path's variables."""
        return self.request.params

    @property
    def query(self) -> dict[str, str]:
        """The query string's values."""
        return self.request.query

    def json(self) -> dict[str, Any]:
        """The body as an object; anything else is an empty one, as Nest's body parser leaves it."""
        try:
            body = self.request.json()
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}


@dataclass(frozen=True)
class Route:
    """A method and path with ``{variables}``; ``permission`` is what a key needs, ``majors`` and ``since`` say where it exists."""

    method: str
    pattern: str
    handler: Callable[[Call], Any]
    permission: str | None = None
    public: bool = False
    admin: bool = False
    status: int = 200
    majors: tuple[int, ...] = (2, 3)
    since: tuple[int, int] = (0, 0)
    regex: re.Pattern[str] = re.compile("")

    @property
    def name(self) -> str:
        """As counted: ``GET /api/assets/{id}``."""
        return f"{self.method} {self.pattern}"


ROUTES: list[Route] = []


def route(
    method: str,
    pattern: str,
    permission: str | None = None,
    *,
    public: bool = False,
    admin: bool = False,
    status: int = 200,
    majors: tuple[int, ...] = (2, 3),
    since: tuple[int, int] = (0, 0),
) -> Callable[[Callable[[Call], Any]], Callable[[Call], Any]]:
    """Enter a handler into the table. It returns JSON, or a :class:`Response`; None is an empty body."""
    regex = re.compile("^" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern) + "/?$")

    def enter(handler: Callable[[Call], Any]) -> Callable[[Call], Any]:
        ROUTES.append(Route(method, pattern, handler, permission, public, admin, status, majors, since, regex))
        ROUTES.sort(key=lambda one: one.pattern.count("{"))  # what is spelt out goes before what a variable would take
        return handler

    return enter


def find(method: str, path: str, dialect: Dialect) -> tuple[Route, dict[str, str]] | None:
    """The route of a request, with the path's variables. HEAD is answered by GET's route."""
    method = "GET" if method == "HEAD" else method
    major = 3 if dialect.modern else 2
    for one in ROUTES:
        if one.method == method and major in one.majors and dialect.parts >= one.since and (hit := one.regex.match(path)):
            return one, hit.groupdict()
    return None


def json_response(body: Any, status: int = 200, *, content_type: str = "application/json; charset=utf-8") -> Response:
    """JSON as Express sends it, with its strong ETag."""
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, {"Content-Type": content_type, "ETag": json_etag(data), "Vary": "Accept-Encoding"}, data, compress=True)


def json_etag(data: bytes) -> str:
    """Express's strong ETag of a body: its length in hex and the start of its SHA-1 in base64."""
    return f'"{len(data):x}-{b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()[:27]}"'
