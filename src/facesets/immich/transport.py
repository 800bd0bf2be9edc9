"""Immich room: one HTTP client, one retry policy, one place where statuses become errors. Touches the network only.

The key travels in the ``x-api-key`` header of requests to the API's own origin and nowhere else: not in URLs, not across
redirects to another origin, not in messages.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, TypeVar
from urllib.parse import urlencode, urljoin

from urllib3.util import make_headers

from .. import __version__
from ..connections import Connections, HTTPError, Url, address, hopeless, timed_out, why
from ..errors import BadAnswer, NotImmich, Unreachable, WrongKey
from .answer import Answer
from .pace import Breaker, Meter, Pace
from .refusals import Failed, Garbled, Redirected, errors_of, path_of, read_date

T = TypeVar("T")
_ALIKE = re.compile(r"/(faces|original)$")  # requests that come in thousands and are all of a kind: their latency tells how it goes
AGENT = f"facesets/{__version__}"
_ASKING = {"User-Agent": AGENT, "Accept": "application/json", **make_headers(accept_encoding=True)}
_SENDING = {**_ASKING, "Content-Type": "application/json"}
_SHORT_PATIENCE = 2  # answers of 500, or of other bytes than promised: an original missing on disk gives 500 on 2.x, every time
_FIRST_PAUSE = 0.5  # before the second attempt; doubled before each further one
_LONGEST_PAUSE = 30.0
_LONGEST_ASKED = 300.0  # a Retry-After beyond this is cut: the item is better left for the next run


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went over the wire: requests sent (attempts included), attempts beyond the first, body bytes received."""

    requests: int = 0
    retries: int = 0
    bytes: int = 0


class Options(TypedDict, total=False):
    """What a :class:`Client` can be told; the defaults are its own."""

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
        self._own = {} if not key else {"Authorization": f"Bearer {key}"} if session else {"x-api-key": key}
        self._lock, self._traffic = threading.Lock(), Traffic()
        self._pace, self._breaker = Pace(connections, start=8), Breaker(self._is_there, self._sleep)
        self._meter = Meter(bandwidth * 1e6, self._sleep) if bandwidth > 0 else None
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
        return int(self._pace.limit)

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """The JSON answer to GET ``path``. Raises as :meth:`exchange`, and NotImmich or BadAnswer where it is no JSON."""
        return self.exchange("GET", path, self._json, params=params)

    def search(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer to a POST that only asks, and may therefore be repeated. Raises as :meth:`get`."""
        return self.exchange("POST", path, self._json, body=body)

    def exchange(
        self,
        method: str,
        path: str,
        consume: Callable[[Answer], T],
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Callable[[], Mapping[str, str]] = dict,
    ) -> T:
        """What ``consume`` makes of a good answer, whose body it reads. Everything is tried again by the one retry policy:
        exponential pauses with jitter, the server's Retry-After honoured; so ``consume`` must start anew each time, from what
        ``headers`` then asked for.

        Raises Unreachable once every attempt failed, else the error of the status (:func:`errors_of`), else what ``consume``
        raises (its Unreachable counts as a failed attempt).
        """
        url = self._url(path, params)
        attempt = tried_in_vain = 0
        while True:
            if self._connections.stopped.is_set():
                raise Unreachable(f"{self.shown}: stopped")
            self._breaker.pass_through()
            attempt += 1
            pause = min(_FIRST_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE) * self._jitter.uniform(0.5, 1.0)
            try:
                with self._answer(method, url, body, headers()) as response:
                    return consume(response)
            except HTTPError as err:  # the transport broke, or the body could not be decompressed
                self._breaker.failed()
                if attempt >= self.attempts or hopeless(err) or self._connections.stopped.is_set():
                    raise Unreachable(f"{self.shown} does not answer: {why(err)}") from err
            except Failed as err:
                tried_in_vain += err.status == 500
                if attempt >= self.attempts or tried_in_vain >= _SHORT_PATIENCE:
                    raise
                pause = max(pause, min(err.asked, _LONGEST_ASKED))
            except Garbled:
                tried_in_vain += 1
                if attempt >= self.attempts or tried_in_vain >= _SHORT_PATIENCE:
                    raise
            except Unreachable:
                if attempt >= self.attempts:
                    raise
            self._count(retries=1)
            self._sleep(pause)

    def _json(self, response: Answer) -> Any:
        if "json" not in response.kind:
            raise NotImmich(f"{self.shown} is not an Immich API: it sent {response.kind or 'something untyped'} instead of JSON")
        try:
            return json.loads(response.read())
        except ValueError as err:
            raise BadAnswer(f"{self.shown}{path_of(response)}: not JSON, though it says so") from err

    @contextmanager
    def _answer(self, method: str, url: Url, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> Iterator[Answer]:
        """A good answer with its body still to be read. Redirects are followed within the API's own origin."""
        with self._pace.turn():
            for _ in range(4):
                response = self._send(method, url, body, headers)
                self._read_clock(response.headers.get("date", ""))
                try:
                    if not response.elsewhere:
                        if not response.good:
                            raise errors_of(response, self.shown, self._key)
                        yield response
                        return
                    url = self._followed(method, url, response.elsewhere)
                finally:
                    response.close()
                    self._count(bytes_=response.received)
            raise BadAnswer(f"{self.shown}: redirects without end")

    def _followed(self, method: str, url: Url, location: str) -> Url:
        """Where a redirect leads, if it stays within the API's own origin. Raises Redirected, BadAnswer."""
        try:
            target = address(urljoin(url.url, location))
        except ValueError as err:
            raise BadAnswer(f"{self.shown}: redirects to an address that is none") from err
        if _origin(target) != _origin(self.api) or method != "GET":
            raise Redirected(
                f"{self.shown} redirects to {_origin(target)}, and your key is not sent there. "
                "If that is your server, give its address as url.",
                target,
            )
        return target

    def _send(self, method: str, url: Url, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> Answer:
        """Send it, and learn how the server is doing from how long that takes."""
        if not (self._key.isascii() and self._key.isprintable()):
            raise WrongKey(f"the key for {self.shown} holds characters that no key of Immich has: copy it anew")
        self._count(requests=1)
        sent = None if body is None else json.dumps(body).encode()
        begun = time.monotonic()
        try:
            response = self._connections.send(method, url, {**(_ASKING if body is None else _SENDING), **headers, **self._own}, sent)
        except HTTPError as err:
            if timed_out(err):
                self._pace.too_much()
            raise
        if response.status in (429, 503):
            self._pace.too_much()
        elif alike := _ALIKE.search(url.path or ""):
            self._pace.answered(alike[1], time.monotonic() - begun)
        if response.status in (502, 503, 504):
            self._breaker.failed()
        else:
            self._breaker.worked()
        return Answer(method, url, response, self._meter)

    def _read_clock(self, date: str) -> None:
        if date != self._date:  # a thousand requests a second share one
            self._date, self.server_time = date, read_date(date) or self.server_time

    def _is_there(self) -> bool:
        """Whether the server gives a sign of life; asked without the key."""
        self._count(requests=1)
        try:
            answer = Answer("GET", url := self._url("/server/ping"), self._connections.send("GET", url, _ASKING))
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
    def side_by_side(self, workers: int) -> Iterator[ThreadPoolExecutor]:
        """Threads for requests of this client. Who leaves by Ctrl-C does not wait for them."""
        pool = ThreadPoolExecutor(workers, thread_name_prefix="immich")
        try:
            yield pool
        except KeyboardInterrupt:
            self.stop()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

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


def _origin(url: Url) -> str:
    port = url.port or {"http": 80, "https": 443}.get(url.scheme or "")
    return f"{url.scheme}://{url.host}:{port}"


def _shown(url: Url) -> str:
    return url._replace(auth=None).url
