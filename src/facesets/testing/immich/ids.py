"""Ids and times that follow from a seed, so that the same library is the same everywhere. Pure."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from datetime import UTC, datetime, timedelta

UUID4 = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", re.IGNORECASE)
EPOCH = datetime(2020, 1, 1, 12, tzinfo=UTC)  # the first photo's date where a test gives none


def digest(*parts: object) -> bytes:
    """32 bytes that follow from ``parts`` alone."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()


def make_uuid(*parts: object) -> str:
    """A UUID of the version 4 shape that Immich checks for, made from ``parts`` instead of chance."""
    raw = bytearray(digest(*parts)[:16])
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    h = raw.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def make_secret(*parts: object) -> str:
    """A string that looks like an API key or session token."""
    return base64.b64encode(digest("secret", *parts), b"ab").decode().rstrip("=")[:43]


def make_thumbhash(*parts: object) -> str:
    """Base64 of 21 bytes, as a thumbhash is; not of the picture."""
    return base64.b64encode(digest("thumbhash", *parts)[:21]).decode()


def as_time(value: str | datetime | None, default: datetime) -> datetime:
    """``value`` as an aware UTC time; a string is ISO 8601, without an offset it means UTC."""
    if value is None:
        return default
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


@functools.lru_cache(maxsize=4096)  # an asset's five times are often one
def js_time(value: datetime) -> str:
    """As JavaScript's toISOString: milliseconds and Z."""
    return value.isoformat(timespec="milliseconds")[:23] + "Z"


@functools.lru_cache(maxsize=4096)
def pg_time(value: datetime, *, offset: str = "+00:00") -> str:
    """As Postgres writes a timestamp into JSON: microseconds without trailing zeros, and an offset (or none)."""
    fraction = f".{value.microsecond:06d}".rstrip("0") if value.microsecond else ""
    return value.isoformat(timespec="seconds")[:19] + fraction + offset


def hours(count: float) -> timedelta:
    """``count`` hours."""
    return timedelta(hours=count)
