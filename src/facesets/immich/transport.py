"""Immich room: one HTTP client, one retry policy, one place where statuses become errors. Touches the network only.

The key travels in the ``x-api-key`` header of requests to the API's own origin and nowhere else: not in URLs, not across
redirects to another origin, not in messages.
"""

from __future__ import annotations

import json
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypedDict, TypeVar
from urllib.parse import urlencode, urljoin

from urllib3.util import make_headers

from facesets import __version__
from facesets.connections import (
    LONGEST_RETRY_AFTER,
    TOLD_FROM,
    Connections,
    HTTPError,
    Url,
    address,
    describe,
    is_permanent,
    read_date,
    timed_out,
)
from facesets.errors import BadAnswer, IncompleteBody, Unreachable, WrongKey
from facesets.immich.limits import AdaptiveLimiter, BandwidthLimiter, CircuitBreaker
from facesets.immich.response import Redirected, Response, TemporaryFailure, error_of, not_immich, path_of

log = logging.getLogger(__name__)

T = TypeVar("T")
_MEASURED = re.compile(r"/(faces|original)$")  # requests that come in thousands and are all of a kind: their latency shows the load
AGENT = f"facesets/{__version__}"
_GET_HEADERS = {"User-Agent": AGENT, "Accept": "application/json", **make_headers(accept_encoding=True)}
_POST_HEADERS = {**_GET_HEADERS, "Content-Type": "application/json"}
_SHORT_PATIENCE = 2  # answers of 500, or of other bytes than promised: an original missing on disk gives 500 on 2.x, every time
_FIRST_PAUSE = 0.5  # before the second attempt; doubled before each further one
_LONGEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went over the wire: requests sent (attempts included), attempts beyond the first, body bytes received."""

    requests: int = 0
    retries: int = 0
    bytes: int = 0


class Options(TypedDict, total=False):
    """The options of a :class:`Client`; the defaults are its own."""

    timeout: float
    attempts: int
    ca_file: str
    connections: int
    session: bool
    bandwidth: float
    sleep: Callable[[float], object] | None


class Client:
    """A thread-safe client of one Immich API with one key. Use as a context manager.

    ``api`` is the address of the API itself (ends in ``/api``); ``session`` says that ``key`` is the token
    of a login; ``bandwidth`` in MB/s limits what comes, 0 does not; ``sleep`` is a seam for tests. :meth:`stop` may come from any
    thread.
    """

    def __init__(
        self,
        api: str,
        key: str,
        *,
        timeout: float = 30.0,
        attempts: int = 5,
        ca_file: str = "",
        connections: int = 32,
        session: bool = False,
        bandwidth: float = 0.0,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self.api = address(api.rstrip("/"))
        self.attempts = max(1, attempts)
        self.version: tuple[int, int, int] | None = None  # the server's, once somebody has asked
        self.server_time: datetime | None = None  # of the last answer, by the server's clock, in whole seconds
        self._date = ""  # as that answer wrote it
        self._connections = Connections(connections, timeout, ca_file)
        self._key, self._sleep = key, sleep or self._connections.stopped.wait
        self.credential = "login" if session else "API key"  # as messages call it
        self._auth = {} if not key else {"Authorization": f"Bearer {key}"} if session else {"x-api-key": key}
        self._lock, self._traffic = threading.Lock(), Traffic()
        self._waits_until = 0.0  # as told last
        self._limiter, self._breaker = AdaptiveLimiter(connections, start=8), CircuitBreaker(self._is_alive, self._sleep)
        self._bandwidth = BandwidthLimiter(bandwidth * 1e6, self._sleep) if bandwidth > 0 else None
        self._jitter = random.Random()  # noqa: S311 - spreads retries, decides nothing

    @property
    def shown(self) -> str:
        """The API's address as messages may show it: without user name and password."""
        return _shown(self.api)

    @property
    def traffic(self) -> Traffic:
        """What went over the wire so far."""
        with self._lock:
            return self._traffic

    @property
    def at_a_time(self) -> int:
        """How many requests it sends at a time at present."""
        return int(self._limiter.limit)

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """The JSON answer to GET ``path``. Raises as :meth:`exchange`, and NotImmich or BadAnswer where it is no JSON."""
        return self.exchange("GET", path, self.read_json, params=params)

    def search(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer to a POST that only asks, and may therefore be repeated. Raises as :meth:`get`."""
        return self.exchange("POST", path, self.read_json, body=body, repeatable=True)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer to a POST that does something: sent once, since a lost answer does not say that nothing was done."""
        return self.exchange("POST", path, self.read_json, body=body)

    def exchange(
        self,
        method: str,
        path: str,
        consume: Callable[[Response], T],
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        repeatable: bool | None = None,
    ) -> T:
        """What ``consume`` makes of a good answer, whose body it reads. What is ``repeatable`` (None: a GET is) is tried again by the
        one retry policy: exponential pauses with jitter, the server's Retry-After honoured; so ``consume`` must start anew each time.

        Raises Unreachable once every attempt failed, else the error of the status (:func:`error_of`), else what ``consume``
        raises (its Unreachable counts as a failed attempt).
        """
        attempts = self.attempts if repeatable or (repeatable is None and method == "GET") else 1
        url = self._url(path, params)
        attempt = tried_in_vain = 0
        while True:
            if self._connections.stopped.is_set():
                raise Unreachable(f"{self.shown}: stopped")
            self._breaker.pass_through()
            attempt += 1
            pause = min(_FIRST_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE) * self._jitter.uniform(0.5, 1.0)
            try:
                with self._answer(method, url, body, headers) as response:
                    return consume(response)
            except HTTPError as err:  # the transport broke, or the body could not be decompressed
                self._breaker.failed()
                if attempt >= attempts or is_permanent(err) or self._connections.stopped.is_set():
                    raise Unreachable(f"{self.shown} does not answer: {describe(err)}") from err
            except TemporaryFailure as err:
                tried_in_vain += err.status == 500
                if attempt >= attempts or tried_in_vain >= _SHORT_PATIENCE:
                    raise
                if err.retry_after > pause:
                    pause = min(err.retry_after, LONGEST_RETRY_AFTER)
                    self._say_that_it_waits(err, pause)
            except IncompleteBody:
                tried_in_vain += 1
                if attempt >= attempts or tried_in_vain >= _SHORT_PATIENCE:
                    raise
            except Unreachable:
                if attempt >= attempts:
                    raise
            self._count(retries=1)
            self._sleep(pause)

    def _say_that_it_waits(self, err: TemporaryFailure, pause: float) -> None:
        """Once for all requests that wait at the same time."""
        until = time.monotonic() + pause
        with self._lock:
            new, self._waits_until = until > self._waits_until + 1, max(until, self._waits_until)
        if new:
            text = "%s is busy (status %d) and asks for %.0f s of patience: waiting %.0f s, then it goes on"
            log.warning(text, self.shown, err.status, err.retry_after, pause, extra={"told": pause >= TOLD_FROM})

    def read_json(self, response: Response) -> Any:
        """A JSON answer, as :meth:`exchange` is told to read it. Raises NotImmich or BadAnswer where it is none."""
        if "json" not in response.content_type:
            raise not_immich(response, self.shown + path_of(response))
        try:
            return json.loads(response.read())
        except (ValueError, RecursionError) as err:
            raise BadAnswer(f"{self.shown}{path_of(response)}: not JSON, though it says so") from err

    @contextmanager
    def _answer(self, method: str, url: Url, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> Iterator[Response]:
        """A good answer with its body still to be read. Redirects are followed within the API's own origin."""
        with self._limiter.slot():
            for _ in range(4):
                response = self._send(method, url, body, headers)
                self._read_clock(response.headers.get("date", ""))
                try:
                    if not response.redirect_target:
                        if not response.ok:
                            raise error_of(response, self.shown, self._key, self.credential)
                        yield response
                        return
                    url = self._followed(method, url, response.redirect_target)
                finally:
                    response.close()
                    self._count(bytes_=response.received)
            raise BadAnswer(f"{self.shown}: too many redirects")

    def _followed(self, method: str, url: Url, location: str) -> Url:
        """Where a redirect leads, if it stays within the API's own origin. Raises Redirected, BadAnswer."""
        try:
            target = address(urljoin(url.url, location))
        except ValueError as err:
            raise BadAnswer(f"{self.shown}: invalid redirect target") from err
        if origin(target) != origin(self.api) or method != "GET":
            raise Redirected(
                f"{self.shown} redirects to {origin(target)}, and your key is not sent there. If that is your server, give its "
                "address as url; if it is a login page (Authelia, Cloudflare Access or the like), make an exception there for paths "
                "below /api.",
                target,
            )
        return target

    def _send(self, method: str, url: Url, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> Response:
        """Send it, and learn how the server is doing from how long that takes."""
        if not (self._key.isascii() and self._key.isprintable()):
            raise WrongKey(f"the {self.credential} for {self.shown} holds characters that no key of Immich has: copy it anew")
        self._count(requests=1)
        sent = None if body is None else json.dumps(body).encode()
        begun = time.monotonic()
        try:
            response = self._connections.send(
                method, url, {**(_GET_HEADERS if body is None else _POST_HEADERS), **headers, **self._auth}, sent
            )
        except HTTPError as err:
            log.debug("%s %s: %s", method, _shown(url), describe(err))
            if timed_out(err):
                self._limiter.back_off()
            raise
        seconds = time.monotonic() - begun
        log.debug("%s %s: %d in %.0f ms", method, _shown(url), response.status, seconds * 1e3)
        if response.status in (429, 503):
            self._limiter.back_off()
        elif alike := _MEASURED.search(url.path or ""):
            self._limiter.answered(alike[1], seconds)
        if response.status in (502, 503, 504):
            self._breaker.failed()
        else:
            self._breaker.worked()
        return Response(method, url, response, self._bandwidth)

    def _read_clock(self, date: str) -> None:
        if date != self._date:  # a thousand requests a second share one
            self._date, self.server_time = date, read_date(date) or self.server_time

    def _is_alive(self) -> bool:
        """Whether the server gives a sign of life; asked without the key."""
        self._count(requests=1)
        try:
            answer = Response("GET", url := self._url("/server/ping"), self._connections.send("GET", url, _GET_HEADERS))
        except HTTPError:
            return False
        answer.close()
        return answer.status < 500

    def _url(self, path: str, params: Mapping[str, str] | None = None) -> Url:
        return self.api._replace(path=(self.api.path or "").rstrip("/") + path, query=urlencode(params) if params else None)

    def _count(self, *, requests: int = 0, retries: int = 0, bytes_: int = 0) -> None:
        with self._lock:
            old = self._traffic
            self._traffic = Traffic(old.requests + requests, old.retries + retries, old.bytes + bytes_)

    @contextmanager
    def threads(self, workers: int) -> Iterator[ThreadPoolExecutor]:
        """Threads for requests of this client. Who leaves by Ctrl-C does not wait for them."""
        pool = ThreadPoolExecutor(workers, thread_name_prefix="immich")
        try:
            yield pool
        except KeyboardInterrupt:
            self.stop()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def pause(self, seconds: float) -> None:
        """Wait so long, or until :meth:`stop`."""
        self._sleep(seconds)

    def stop(self) -> None:
        """End every request at once, and every one to come, with Unreachable; for who must leave and not wait."""
        self._connections.stop()

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def origin(url: Url) -> str:
    """Scheme, host and port: what a key is for."""
    port = url.port or {"http": 80, "https": 443}.get(url.scheme or "")
    return f"{url.scheme}://{url.host}:{port}"


def _shown(url: Url) -> str:
    return url._replace(auth=None).url
