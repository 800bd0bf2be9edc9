"""Files over HTTP as Express's ``sendFile`` does it: weak ETag, ranges, conditional requests. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import quote

from facesets.testing.immich.dialects import Dialect
from facesets.testing.immich.transport import Request, Response

CACHE = "private, max-age=86400, no-transform, stale-while-revalidate=2592000, stale-if-error=2592000"


def file_response(
    request: Request,
    data: bytes,
    *,
    name: str | None,
    mime: str,
    modified: datetime,
    dialect: Dialect,
    correlation: str,
    cache: str = CACHE,
) -> Response:
    """Answer with a file, a part of it, 304, or Immich's odd refusal of a range that cannot be had (500 in 2.x, 404 in 3.x)."""
    etag = f'W/"{len(data):x}-{round(modified.timestamp() * 1000):x}"'
    stamp = format_datetime(modified.astimezone(UTC).replace(microsecond=0), usegmt=True)
    headers = {
        "Cache-Control": cache,
        "Content-Type": mime,
        **({"Content-Disposition": disposition(name)} if name else {}),
        "Accept-Ranges": "bytes",
        "Last-Modified": stamp,
        "ETag": etag,
    }
    if _fresh(request, etag, modified):
        del headers["Content-Type"]
        return Response(304, headers)
    wanted = _range(request, len(data), etag, modified)
    if wanted is None:
        return Response(200, headers, data)
    start, end = wanted
    if start >= len(data):
        headers |= {"Content-Type": f"{mime}; charset=utf-8", "Content-Range": f"bytes */{len(data)}"}
        if dialect.modern:
            return Response(404, headers, b'{"message":"Not Found"}')
        return Response(500, {**headers, "Cache-Control": "none"}, internal_error(correlation))
    return Response(206, {**headers, "Content-Range": f"bytes {start}-{end}/{len(data)}"}, data[start : end + 1])


def internal_error(correlation: str) -> bytes:
    """2.x's body for what went wrong inside."""
    return b'{"message":"Internal server error","statusCode":500,"correlationId":"%b"}' % correlation.encode()


def disposition(name: str) -> str:
    """Content-Disposition with the name as Immich encodes it (JavaScript's encodeURIComponent)."""
    return "inline; filename*=UTF-8''" + quote(name, safe="!'()*-._~", errors="replace")


def _fresh(request: Request, etag: str, modified: datetime) -> bool:
    if given := request.headers.get("if-none-match"):
        return given == "*" or etag.removeprefix("W/") in (one.strip().removeprefix("W/") for one in given.split(","))
    return _not_since(request.headers.get("if-modified-since"), modified)


def _not_since(given: str | None, modified: datetime) -> bool:
    try:
        return given is not None and parsedate_to_datetime(given) >= modified.replace(microsecond=0)
    except (TypeError, ValueError):
        return False


def _range(request: Request, size: int, etag: str, modified: datetime) -> tuple[int, int] | None:
    hit = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", "").strip())
    if not hit or hit.group() == "bytes=-":
        return None
    condition = request.headers.get("if-range")
    if condition and condition != etag and not _not_since(condition, modified):
        return None
    first, last = hit.groups()
    if not first:
        return max(0, size - int(last)), size - 1
    return int(first), min(int(last) if last else size - 1, size - 1)
