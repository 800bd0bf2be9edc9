"""Immich room: an answer of the server, its body still to be read. Touches the network only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..connections import HTTPResponse, Url
from .pace import Meter

_PIECE = 1 << 18  # bytes: with more at a time the allocator's work eats the gain, with fewer the interpreter's


class Answer:
    """The answer to a request of ``method`` for ``url``. A body that breaks off, or cannot be decompressed, raises HTTPError."""

    def __init__(self, method: str, url: Url, response: HTTPResponse, meter: Meter | None = None) -> None:
        self.method, self.url = method, url
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response, self._meter = response, meter

    @property
    def kind(self) -> str:
        """Its content type, without parameters; "" where it has none."""
        return self.headers.get("content-type", "").partition(";")[0].strip()

    @property
    def good(self) -> bool:
        """Whether it is what was asked for, or says that there is no more of it (304, 416)."""
        return 200 <= self.status < 300 or self.status in (304, 416)

    @property
    def elsewhere(self) -> str:
        """Where a redirect points; "" where it is none."""
        return self.headers.get("location", "") if self.status in (301, 302, 303, 307, 308) else ""

    @property
    def received(self) -> int:
        """Bytes of the body that came so far, as they went over the wire."""
        return self._response.tell()

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes, no faster than the meter lets it."""
        packed = "content-encoding" in self.headers
        while piece := self._response.read1(_PIECE, decode_content=packed):
            if self._meter is not None:
                self._meter.take(len(piece))
            yield piece

    def lines(self) -> Iterator[bytes]:
        """The body line by line, as it comes; without empty ones."""
        rest = b""
        for piece in self.pieces():
            *whole, rest = (rest + piece).split(b"\n")
            yield from filter(bytes.strip, whole)
        if rest.strip():
            yield rest

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self.pieces())

    def close(self) -> None:
        """Its connection is free for another request, or closed where bytes are still to come."""
        self._response.close()
        self._response.release_conn()
