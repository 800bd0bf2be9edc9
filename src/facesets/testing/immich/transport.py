"""HTTP/1.1 on a loopback socket, with the last byte under our control so that a test can break it on command.

Knows requests, responses and how to deliver (or spoil) them; nothing of Immich. One thread a connection.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

MAX_BODY = 64 * 1024 * 1024
MAX_HEAD_LINES = 200
COPIED_BELOW = 1 << 16  # bytes
COMPRESS_FROM = 1024  # bytes; what Express's compression leaves alone
REASONS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    206: "Partial Content",
    302: "Found",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    413: "Payload Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass
class Request:
    """One request as it came in; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    path: str = ""
    query: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)  # filled by the router

    def __post_init__(self) -> None:
        parts = urlsplit(self.target)
        self.path = unquote(parts.path)
        self.query = dict(parse_qsl(parts.query, keep_blank_values=True))

    def json(self) -> Any:
        """The body as JSON; ``None`` where there is none. Raises ValueError."""
        return json.loads(self.body) if self.body else None


@dataclass
class Response:
    """What to answer. A ``stream`` is sent chunked; ``compress`` lets large text be gzipped where the client takes it."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    stream: Iterator[bytes] | None = None
    compress: bool = False


@dataclass(frozen=True)
class Delivery:
    """How a response goes out. The default is a faithful delivery; every other field is damage done on purpose."""

    delay: float = 0.0  # seconds before the first byte
    drop: bool = False  # close without an answer
    reset: bool = False  # end the connection by RST instead of FIN wherever it ends early
    cut_after: int | None = None  # send this many bytes of the body, then end the connection
    stall_after: int | None = None  # send this many bytes of the body, wait ``stall``, then end the connection
    stall: float = 0.0
    length: int | None = None  # announce this Content-Length instead of the true one
    extra: bytes = b""  # sent after the body
    close: bool = False  # end the connection after the answer without having said so

    @property
    def spoils_body(self) -> bool:
        """True where the body does not go out as it is."""
        return self.cut_after is not None or self.stall_after is not None or self.length is not None or bool(self.extra)


Handler = Callable[[Request], tuple[Response, Delivery]]


class HttpServer:
    """Serves ``handle`` on 127.0.0.1 until ``stop``; ``keep_alive`` seconds of silence end a connection."""

    def __init__(self, handle: Handler, *, port: int = 0, keep_alive: float = 5.0, on_idle: Callable[[], None] | None = None) -> None:
        self._handle, self._on_idle = handle, on_idle
        self.keep_alive = keep_alive
        self.accepted = 0  # connections so far
        self.busiest = 0  # most requests at work at one time, from their arrival to their answer's last byte
        self._busy = 0
        self._away = False
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._stopping = threading.Event()
        self._lock = threading.RLock()
        self._connections: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._start(self._accept, self._listener)

    def _start(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=self._work, args=(work, *args), name="testing-immich", daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def _work(self, work: Callable[..., None], *args: object) -> None:
        try:
            work(*args)
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def stop(self) -> None:
        """Close the listener and every connection, and wait for their threads."""
        self._stopping.set()
        self.hang_up()
        with self._lock:
            threads = tuple(self._threads)
        for thread in threads:
            thread.join(10)

    def hang_up(self) -> None:
        """Refuse new connections and end every open one at once."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = tuple(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def restart(self, seconds: float) -> None:
        """Be away for so long, then listen on the same port again; comes back at once, the absence goes on behind it."""
        with self._lock:  # so that nobody comes back in between
            self.hang_up()
            if self._away:
                return
            self._away = True
        self._start(self._return_after, seconds)

    def _return_after(self, seconds: float) -> None:
        self._wait(seconds)
        with self._lock:
            self._away = False
            if self._stopping.is_set():
                return
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._accept(self._listener)

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.accepted += 1
                self._connections.add(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as reader:
                while not self._stopping.is_set():
                    connection.settimeout(self.keep_alive or None)
                    try:
                        reader.peek(1)
                    except TimeoutError:
                        return self._on_idle() if self._on_idle else None
                    request = read_request(reader)
                    if request is None:
                        return None
                    connection.settimeout(60)
                    if not self._exchange(connection, request):
                        return None
        except (OSError, ValueError):
            return None  # the client went away or spoke no HTTP: nobody is left to tell
        finally:
            with self._lock:
                self._connections.discard(connection)
        return None

    def _exchange(self, connection: socket.socket, request: Request) -> bool:
        """Answer one request; True where the connection lives on."""
        with self._lock:
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
        try:
            response, delivery = self._handle(request)
            return self._send(connection, request, response, delivery)
        finally:
            with self._lock:
                self._busy -= 1

    def _send(self, connection: socket.socket, request: Request, response: Response, delivery: Delivery) -> bool:
        """Send; True where the connection lives on."""
        if delivery.delay:
            self._wait(delivery.delay)
        if delivery.drop:
            return self._end(connection, delivery)
        keep_alive = request.headers.get("connection", "").lower() != "close"
        head, body = self._frame(request, response, delivery, keep_alive=keep_alive)
        if response.stream is not None:
            connection.sendall(head)
            packed = b"Content-Encoding: gzip" in head
            for chunk in blocks(gzip_stream(response.stream) if packed else response.stream):
                connection.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            connection.sendall(b"0\r\n\r\n")
            return keep_alive
        for limit, pause in ((delivery.cut_after, 0.0), (delivery.stall_after, delivery.stall)):
            if limit is not None:
                connection.sendall(head + body[:limit])
                self._wait(pause)
                return self._end(connection, delivery)
        for piece in (head + body,) if len(body) < COPIED_BELOW else (head, body):  # a file is not copied once more
            connection.sendall(piece)
        connection.sendall(delivery.extra)
        return keep_alive and not delivery.close and not delivery.extra

    def _frame(self, request: Request, response: Response, delivery: Delivery, *, keep_alive: bool) -> tuple[bytes, bytes]:
        headers = dict(response.headers)
        body = response.body
        if request.method == "HEAD" or response.status in (204, 304):
            if response.status not in (204, 304):
                headers.setdefault("Content-Length", str(len(body)))
            body = b""
        elif response.stream is not None:
            headers["Transfer-Encoding"] = "chunked"
            if response.compress and "gzip" in request.headers.get("accept-encoding", ""):
                headers["Content-Encoding"] = "gzip"
        elif response.compress and len(body) >= COMPRESS_FROM and "gzip" in request.headers.get("accept-encoding", ""):
            headers.update({"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"})
            packed = gzip(body)
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed)
        else:
            headers["Content-Length"] = str(len(body) if delivery.length is None else delivery.length)
        headers["Date"] = formatdate(usegmt=True)
        headers["Connection"] = "keep-alive" if keep_alive else "close"
        if keep_alive:
            headers["Keep-Alive"] = f"timeout={self.keep_alive:g}"
        lines = [f"HTTP/1.1 {response.status} {REASONS.get(response.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join((*lines, "", "")).encode("latin-1"), body

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._stopping.wait(min(left, 0.5)):
            pass

    @staticmethod
    def _end(connection: socket.socket, delivery: Delivery) -> bool:
        if delivery.reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


def gzip(data: bytes) -> bytes:
    """Gzip without a time stamp: the same bytes every time."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def gzip_stream(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same for a stream."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    for chunk in chunks:
        yield packer.compress(chunk)
    yield packer.flush()


def blocks(chunks: Iterable[bytes], size: int = 1 << 16) -> Iterator[bytes]:
    """Small chunks joined to pieces of about ``size`` bytes, none empty."""
    held: list[bytes] = []
    length = 0
    for chunk in chunks:
        held.append(chunk)
        length += len(chunk)
        if length >= size:
            yield b"".join(held)
            held, length = [], 0
    if length:
        yield b"".join(held)


def read_request(reader: Any) -> Request | None:
    """The next request of a connection; None where it ended. Raises ValueError for what is not HTTP/1.1, OSError on timeout."""
    line = reader.readline(65537)
    if not line:
        return None
    words = line.decode("latin-1").split()
    if len(words) != 3:
        raise ValueError("not a request line")
    headers: dict[str, str] = {}
    for _ in range(MAX_HEAD_LINES):
        line = reader.readline(65537)
        if line in (b"\r\n", b"\n", b""):
            break
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return Request(words[0], words[1], headers, read_body(reader, headers))


def read_body(reader: Any, headers: dict[str, str]) -> bytes:
    """A request's body, by length or chunked. Raises ValueError where it is too large or broken."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        parts: list[bytes] = []
        total = 0
        while (size := int(reader.readline(64).split(b";")[0], 16)) > 0:
            total += size
            if total > MAX_BODY:
                raise ValueError("body too large")
            parts.append(reader.read(size))
            reader.readline(64)
        reader.readline(64)
        return b"".join(parts)
    size = int(headers.get("content-length", "0"))
    if size > MAX_BODY:
        raise ValueError("body too large")
    return reader.read(size) if size else b""
