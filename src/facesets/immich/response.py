"""Immich room: an answer of the server, its body still to be read; and which error it means where it is no good one. Touches the
network only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from facesets.connections import HTTPResponse, Url, retry_after
from facesets.errors import BadAnswer, MissingPermission, NotFound, NotImmich, ServerError, ServerFailed, WrongKey, redact
from facesets.immich.limits import BandwidthLimiter

_PIECE = 1 << 18  # bytes: with more at a time the allocator's work eats the gain, with fewer the interpreter's
_WORTH_RETRYING = frozenset({408, 425, 429, 500, 502, 503, 504})
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)


class Response:
    """The answer to a request of ``method`` for ``url``. A body that breaks off, or cannot be decompressed, raises HTTPError."""

    def __init__(self, method: str, url: Url, response: HTTPResponse, bandwidth: BandwidthLimiter | None = None) -> None:
        self.method, self.url = method, url
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response, self._bandwidth = response, bandwidth

    @property
    def content_type(self) -> str:
        """Without parameters; "" where it has none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def ok(self) -> bool:
        """Whether it is what was asked for."""
        return 200 <= self.status < 300

    @property
    def redirect_target(self) -> str:
        """Where a redirect points; "" where it is none."""
        return self.headers.get("location", "") if self.status in (301, 302, 303, 307, 308) else ""

    @property
    def received(self) -> int:
        """Bytes of the body that came so far, as they went over the wire."""
        return self._response.tell()

    def iter_bytes(self) -> Iterator[bytes]:
        """The body as it comes, no faster than the bandwidth limit lets it."""
        packed = "content-encoding" in self.headers
        while piece := self._response.read1(_PIECE, decode_content=packed):
            if self._bandwidth is not None:
                self._bandwidth.take(len(piece))
            yield piece

    def iter_lines(self) -> Iterator[bytes]:
        """The body line by line, as it comes; without empty ones."""
        rest = b""
        for piece in self.iter_bytes():
            *whole, rest = (rest + piece).split(b"\n")
            yield from filter(bytes.strip, whole)
        if rest.strip():
            yield rest

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self.iter_bytes())

    def close(self) -> None:
        """Its connection is free for another request, or closed where bytes are still to come."""
        self._response.close()
        self._response.release_conn()


class Redirected(NotImmich):
    """The server sends us to another origin (or a POST anywhere), where the key does not go. ``target`` says where."""

    def __init__(self, message: str, target: Url) -> None:
        super().__init__(message)
        self.target = target


class TemporaryFailure(ServerFailed):
    """An answer that says: not now, or not before ``retry_after`` seconds."""


def error_of(response: Response, shown: str, key: str, credential: str = "API key") -> ServerError:
    """The error for an answer that is no success: WrongKey, MissingPermission, NotFound, NotImmich, BadAnswer, TemporaryFailure.

    ``shown`` is the API's address, ``credential`` what the user gave: an API key or a login.
    """
    status, where = response.status, shown + path_of(response)
    body = response.read()
    said = redact(_message(body), key)
    if status >= 500 or status in _WORTH_RETRYING:
        failure = f"{where}: the server failed ({status}{': ' + said if said else ''})"
        return TemporaryFailure(failure, status, retry_after(response.headers.get("retry-after", "")))
    if not said and "json" not in response.content_type:
        return not_immich(response, where, redact(_title(body), key))
    if status == 401:
        advice = "log in again: facesets login" if credential == "login" else "Make one in Immich: Account settings > API keys."
        return WrongKey(f"{shown} does not accept the {credential} ({said}). {advice}")
    if status == 403:
        missing = re.search(r"Missing required permission: ([\w.]+)", said)
        return MissingPermission(missing[1]) if missing else ServerError(f"{where}: forbidden ({said})")
    if status == 404 or (status == 400 and response.method == "GET"):
        return NotFound(f"{where}: {said}")
    return BadAnswer(f"{where}: refused ({status}: {said})")


def not_immich(response: Response, where: str, title: str | None = None) -> NotImmich:
    """The error for an answer that something other than Immich gave: what it was, and what to do about it."""
    if title is None:
        title = _title(response.read()) if response.content_type == "text/html" else ""
    server = response.headers.get("server", "")[:40]
    facts = [f"status {response.status}", response.content_type or "untyped"]
    facts += [f"title {title!r}"] if title else []
    facts += [f"by {server!r}"] if server else []
    what = f"{where}: a web page came instead of Immich's answer" if response.content_type == "text/html" else (
        f"{where} is not an Immich API: something else answered"
    )  # fmt: skip
    if response.status == 413:
        advice = "A proxy in front of Immich refuses the request as too large: raise its limit (nginx: client_max_body_size)."
    elif response.status in (401, 403, 407, 429) or (title and response.content_type == "text/html"):
        advice = (
            "An access check in front of Immich (Cloudflare, Authelia, Authentik or the like) may hold it back: make an exception "
            "there for paths below /api, or give the server's address inside your network as url."
        )
    else:
        advice = "Give the address at which you open Immich in the browser as url."
    return NotImmich(f"{what} ({', '.join(facts)}). {advice}")


def _title(body: bytes) -> str:
    """A page's title, on one line."""
    found = _TITLE.search(body[:20_000])
    return " ".join(found[1].decode("utf-8", "replace").split())[:80] if found else ""


def _message(data: bytes) -> str:
    """What an error body says: its ``message``, a text or a list of texts, and on 3.x the ``errors`` of a validation."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(body, dict):
        return ""
    message = body.get("message", "")
    text = "; ".join(map(str, message)) if isinstance(message, list) else str(message)
    if body.get("errors"):
        text += f" {json.dumps(body['errors'])}"
    return text.encode("utf-8", "replace").decode()[:300]


def path_of(response: Response) -> str:
    """The path below the API, without its query."""
    return (response.url.path or "").rpartition("/api")[2]
