"""An Immich on loopback: finds the route, checks who asks, answers, and counts what happened."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from facesets.testing.immich import routes as _routes  # noqa: F401  enters the routes into the table
from facesets.testing.immich.auth import identify
from facesets.testing.immich.dialects import Dialect, Problem, dialect_for
from facesets.testing.immich.faults import Faults, Strike
from facesets.testing.immich.ids import digest
from facesets.testing.immich.library import Library
from facesets.testing.immich.records import User
from facesets.testing.immich.routing import Call, Route, State, find, json_response
from facesets.testing.immich.transport import Delivery, HttpServer, Request, Response

_PAGE = b"<!doctype html>\n<html><head><title>Immich</title></head><body>Immich</body></html>\n"


@dataclass(frozen=True)
class Exchange:
    """One request that was answered, in the order of arrival; ``route`` as in the counter."""

    route: str
    method: str
    target: str
    status: int


class ImmichServer:
    """A running testing server. ``url`` is its address, ``requests`` counts by route (``GET /api/assets/{id}``)."""

    def __init__(self, library: Library, *, dialect: Dialect, faults: Faults, port: int, keep_alive: float) -> None:
        self.library = library
        self.dialect = dialect
        self.faults = faults
        self.requests: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.log: deque[Exchange] = deque(maxlen=100_000)
        self.errors: list[Exception] = []  # what a route stumbled over, in a request's fields or its own code
        self._state = State()
        self._lock = threading.Lock()
        self._count = 0
        self._http = HttpServer(self._answer, port=port, keep_alive=keep_alive, on_idle=self._idle_closed)

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``, without a path."""
        return f"http://127.0.0.1:{self._http.port}"

    def key_for(self, user: User | str) -> str:
        """The secret of a user's first key; by user, id or name."""
        return self.library.key_for(user)

    def count(self, route: str) -> int:
        """How often a route was asked, e.g. ``GET /api/faces``."""
        return self.requests[route]

    @property
    def connections(self) -> int:
        """How many connections were opened so far."""
        return self._http.accepted

    @property
    def busiest(self) -> int:
        """The most requests that were ever at work at one time."""
        return self._http.busiest

    def restart(self, seconds: float = 0.0) -> None:
        """End every connection, refuse new ones for so long, then listen on the same port. Sessions outlive it, as Immich's do."""
        self._http.restart(seconds)

    def _idle_closed(self) -> None:
        self.faults.note("idle closed")

    def close(self) -> None:
        """Stop listening and end every connection."""
        self._http.stop()

    def _answer(self, request: Request) -> tuple[Response, Delivery]:
        with self._lock:
            self._count += 1
            number = self._count
        correlation = digest("cid", self.library.seed, number).hex()[:8]
        found = find(request.method, request.path, self.dialect)
        name = found[0].name if found else f"{request.method} {'/api/*' if request.path.startswith('/api') else '/*'}"
        strike = self.faults.strike(name, request)
        response = self._route(request, found, correlation, strike)
        response.headers = {"X-Powered-By": "Express", self._correlation_header: correlation, **response.headers}
        delivery = Delivery()
        if strike:
            response, delivery = strike.spoil(response)
        with self._lock:
            self.requests[name] += 1
            self.statuses[response.status] += 1
            self.log.append(Exchange(name, request.method, request.target, response.status))
        if strike and strike.restart is not None:
            self._http.restart(strike.restart)
        return response, delivery

    @property
    def _correlation_header(self) -> str:
        return "X-Correlation-ID" if self.dialect.modern else "x-immich-cid"

    def _route(self, request: Request, found: tuple[Route, dict[str, str]] | None, correlation: str, strike: Strike | None) -> Response:
        try:
            if strike and (stand_in := strike.answer(request)):
                return stand_in
            if found is None:
                return self._no_route(request)
            route, request.params = found
            call = Call(request, self.library, self.dialect, self._state, correlation)
            if not route.public:
                call = replace(call, caller=identify(request, self.library, self._state.sessions))
                self._guard(route, call)
            return self._wrap(route.handler(call), route.status, request)
        except Exception as error:  # noqa: BLE001  a mistake in here must reach the test, and the client must get an answer
            return self._answer_to(error, correlation)

    def _answer_to(self, error: Exception, correlation: str) -> Response:
        """A refusal in Immich's words; anything that is none is kept for the end of the test and answered as 500."""
        if not isinstance(error, Problem):
            self.errors.append(error)
            problem = Problem(500, "Internal server error", bare=True)
        else:
            problem = error
        response = json_response(self.dialect.error_body(problem, correlation), problem.status)
        if not self.dialect.modern:
            response.headers |= problem.headers
        return response

    @staticmethod
    def _guard(route: Route, call: Call) -> None:
        assert call.caller is not None
        if route.admin and not call.user.is_admin:
            raise Problem(403, "Forbidden")
        if route.permission:
            call.caller.require(route.permission)

    @staticmethod
    def _wrap(result: Any, status: int, request: Request) -> Response:
        if isinstance(result, Response):
            return result
        if result is None:
            return Response(status)
        response = json_response(result, status)
        if request.method in ("GET", "HEAD") and request.headers.get("if-none-match") == response.headers["ETag"]:
            return Response(304, {k: v for k, v in response.headers.items() if k != "Content-Type"})
        return response

    @staticmethod
    def _no_route(request: Request) -> Response:
        if request.path == "/api" or request.path.startswith("/api/"):
            raise Problem(404, f"Cannot {request.method} {request.target}")
        return Response(200, {"Content-Type": "text/html; charset=utf-8"}, _PAGE, compress=True)


@contextlib.contextmanager
def immich_server(
    library: Library,
    version: str = "2.7.2",
    *,
    faults: Faults | None = None,
    port: int = 0,
    keep_alive: float = 5.0,
    lossy_paging: bool | None = None,
) -> Iterator[ImmichServer]:
    """Serve ``library`` on 127.0.0.1 as an Immich of ``version`` (2.x and 3.x speak different dialects) while the block runs.

    ``lossy_paging`` says whether paging loses and doubles rows of one instant, as 2.7.2's does and 3.1.0's does not (the default).
    ``port`` 0 takes a free one; ``keep_alive`` seconds of silence end a connection, as Immich's 5 do. Raises OSError where the
    port is taken, RuntimeError at the end where a request had fields that a route could not read (it was answered with 500).
    """
    dialect = dialect_for(version)
    if lossy_paging is not None:
        dialect = replace(dialect, ties_lost=lossy_paging)
    server = ImmichServer(library, dialect=dialect, faults=faults or Faults(), port=port, keep_alive=keep_alive)
    try:
        yield server
    finally:
        server.close()
    if server.errors:
        raise RuntimeError("the testing Immich could not answer a request") from server.errors[0]
