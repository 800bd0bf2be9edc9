"""Connections to servers: kept alive, through the proxy that this computer's settings name, trusting its authorities; and how to end
all that is under way at once. Touches the network only.

By urllib3: its bodies take so little of the processor that downloads keep up with a bare httpx client's, digests and all
(benchmarks/download.py).
"""

from __future__ import annotations

import functools
import os
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import BadStatusLine, IncompleteRead, RemoteDisconnected
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool, PoolManager, ProxyManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationValueError, NewConnectionError
from urllib3.exceptions import TimeoutError as TimedOut
from urllib3.util import Url, make_headers, parse_url

from facesets.errors import SettingsError

__all__ = [
    "LONGEST_RETRY_AFTER",
    "TOLD_FROM",
    "Connections",
    "HTTPError",
    "HTTPResponse",
    "Url",
    "address",
    "describe",
    "is_permanent",
    "read_date",
    "retry_after",
    "timed_out",
    "trust",
]

LONGEST_RETRY_AFTER = 300.0  # a Retry-After beyond this is cut: the item is better left for the next run
TOLD_FROM = 5.0  # seconds of waiting that whoever watches is told of

_KEEP_ALIVE = 4.0  # Immich ends an idle connection after 5 s; ending it first avoids resets
_CONNECTING = 10.0  # seconds at most until a connection is there
_UNTRUSTED, _NO_TLS = "CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER"  # OpenSSL's words


class Connections:
    """At most ``most`` connections to a server, for many threads. ``timeout``: the seconds that one may be silent. ``stopped`` is set
    once all were ended. Raises SettingsError where ``ca_file`` holds no authority.
    """

    def __init__(self, most: int, timeout: float, ca_file: str = "") -> None:
        self.stopped = threading.Event()
        self._most, self._timeout, self._trust = most, timeout, trust(ca_file)
        self._open, self._lock = weakref.WeakSet[socket.socket](), threading.Lock()
        self._managers: dict[tuple[str | None, str | None], PoolManager] = {}

    def send(
        self, method: str, url: Url, headers: Mapping[str, str], body: bytes | None = None, *, timeout: float | None = None
    ) -> HTTPResponse:
        """The answer, whatever its status, its body still to be read; no redirect is followed. Raises HTTPError, SettingsError."""
        with self._lock:
            manager = self._managers.get((url.scheme, url.netloc)) or self._managers.setdefault(
                (url.scheme, url.netloc), self._manager(url)
            )
        own = make_headers(basic_auth=unquote(url.auth)) if url.auth else {}
        silent = timeout or self._timeout
        answer = manager.urlopen(
            method, url._replace(auth=None).url, body=body, headers={**own, **headers}, redirect=False, retries=False,
            preload_content=False, timeout=Timeout(connect=min(silent, _CONNECTING), read=silent),
        )  # fmt: skip
        return cast("HTTPResponse", answer)

    def _manager(self, url: Url) -> PoolManager:
        """Straight to that server, or through a proxy."""
        proxies = {} if proxy_bypass(url.netloc or "") else getproxies()
        proxy = proxies.get(url.scheme or "", proxies.get("all", ""))
        given: dict[str, Any] = {"maxsize": self._most, "block": True, "ssl_context": self._trust}
        if not proxy:
            made = PoolManager(**given)
        else:
            try:
                parts = address(proxy if "://" in proxy else f"http://{proxy}")
                login = make_headers(proxy_basic_auth=unquote(parts.auth)) if parts.auth else None
                made = ProxyManager(parts._replace(auth=None).url, proxy_headers=login, proxy_ssl_context=self._trust, **given)
            except ValueError as err:
                raise SettingsError(
                    f"this computer's settings name a proxy that cannot be used ({_kind(proxy)}): only http:// and https:// can; "
                    f"no_proxy={url.host} in the environment leaves it out"
                ) from err
        made.pool_classes_by_scheme = {
            "http": _pools(HTTPConnectionPool, HTTPConnection, self._opened),
            "https": _pools(HTTPSConnectionPool, HTTPSConnection, self._opened),
        }
        return made

    def _opened(self, opened: socket.socket) -> None:
        with self._lock:
            self._open.add(opened)
        if self.stopped.is_set():
            _shut(opened)

    def stop(self) -> None:
        """End them all, and every one to come."""
        self.stopped.set()
        with self._lock:
            waiting = list(self._open)
        for opened in waiting:
            _shut(opened)

    def close(self) -> None:
        """Close those that nobody uses."""
        for manager in self._managers.values():
            manager.clear()


class _Kept(HTTPConnection):
    """A connection that reports its socket, and is opened anew where it may have idled for too long."""

    opened: Callable[[socket.socket], None]
    _answered = 0.0

    def connect(self) -> None:
        super().connect()
        self.opened(self.sock)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # urllib3's own answer, as in its own class
        answer = super().getresponse()
        self._answered = time.monotonic()
        return answer

    @property
    def is_connected(self) -> bool:
        return time.monotonic() - self._answered < _KEEP_ALIVE and super().is_connected


def _pools(
    pool: type[HTTPConnectionPool], connection: type[HTTPConnection], opened: Callable[[socket.socket], None]
) -> type[HTTPConnectionPool]:
    """The kind of pool whose connections are kept so, and report to ``opened``."""
    kept = type("Kept", (_Kept, connection), {"opened": staticmethod(opened)})
    return type("Pool", (pool,), {"ConnectionCls": kept})


@functools.cache  # reading the authorities costs more than a listing's request, and a run makes several clients
def trust(ca_file: str) -> ssl.SSLContext:
    """The authorities in ``ca_file``, else this system's and Mozilla's. Raises SettingsError."""
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as err:
        raise SettingsError(f"no certificate authority can be read from {ca_file!r}: {err}", key="[immich] ca_file") from err
    if not (ca_file or os.environ.get("SSL_CERT_FILE")):
        context.load_verify_locations(certifi.where())  # not every system has its own at hand
    return context


def address(text: str) -> Url:
    """A URL, taken apart. Raises ValueError."""
    parts = urlsplit(text)
    if not parts.netloc.isascii():
        text = parts._replace(netloc=parts.netloc.encode("idna").decode()).geturl()
    return parse_url(text)


def is_permanent(err: HTTPError) -> bool:
    """Whether trying again cannot help: a certificate that is not trusted, a server without TLS, an address that is none."""
    return any(what in str(err) for what in (_UNTRUSTED, _NO_TLS)) or isinstance(err, LocationValueError)


def timed_out(err: HTTPError) -> bool:
    """Whether the server was silent for too long."""
    return isinstance(err, TimedOut) and not isinstance(err, NewConnectionError)


def describe(err: HTTPError) -> str:
    """What went wrong with a connection, in words."""
    if _UNTRUSTED in str(err):
        return f"its TLS certificate is not trusted ({err}); with an authority of your own, set [immich] ca_file"
    if _NO_TLS in str(err):
        return "it speaks no TLS: is its address http:// and not https://?"
    if timed_out(err):
        return "timed out"
    cause = next((arg for arg in err.args if isinstance(arg, Exception)), err.__cause__)  # what urllib3 wraps up
    if isinstance(cause, IncompleteRead):
        return "it broke off in the middle of an answer"
    if isinstance(cause, BadStatusLine) and not isinstance(cause, RemoteDisconnected):
        return f"it does not speak HTTP, it says {str(cause)[:80]!r}"
    refused = "nothing listens there (connection refused): is the server up, and is that its address and port?"
    return refused if isinstance(cause, ConnectionRefusedError) else str(cause or err) or type(err).__name__


def retry_after(header: str) -> float:
    """How many seconds of patience a server asks for by this header (seconds, or a date); 0.0 where it is empty or odd."""
    value = header.strip()
    if value.isdecimal():
        return float(value)
    moment = read_date(value)
    return 0.0 if moment is None else max(0.0, (moment - datetime.now(UTC)).total_seconds())


def read_date(value: str) -> datetime | None:
    """An HTTP date."""
    try:
        return parsedate_to_datetime(value).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def _kind(proxy: str) -> str:
    """A proxy's scheme: the rest may hold a password."""
    return proxy.partition("://")[0] if "://" in proxy else "no address"


def _shut(opened: socket.socket) -> None:
    """End a connection under whoever uses it. The socket itself: SSLSocket.shutdown() forgets the encryption first, and what another
    thread is just sending would go out in clear.
    """
    plain = opened if isinstance(opened, socket.socket) else opened.socket  # within a proxy's TLS urllib3 has a wrapper of its own
    with suppress(OSError):  # closed already
        socket.socket.shutdown(plain, socket.SHUT_RDWR)
