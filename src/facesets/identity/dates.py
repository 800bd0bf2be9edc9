"""Identity: which dates of photos say when a face looked so. Pure.

Unknown are: none, 1970-01-01 (a clock that was never set), before the first photo ever, days to come, and days on which so many photos
are dated that they were scanned then and not taken.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

FIRST_PHOTO = 1826
_EPOCH = "1970-01-01"


def known_date(taken_at: str | None, *, today: str = "", scan_days: Collection[str] = ()) -> str | None:
    """``taken_at`` (ISO 8601) where it says something, else None. ``today`` and ``scan_days`` as ISO dates; "": no day is to come."""
    if taken_at is None or year_of(taken_at) is None:
        return None
    day = taken_at[:10]
    return None if day in scan_days or (today and day > today) else taken_at


@lru_cache(maxsize=1 << 16)  # asked of each face several times
def year_of(taken_at: str | None) -> int | None:
    """The year of an ISO 8601 date; None where there is none, or one that says nothing by itself."""
    text = (taken_at or "")[:4]
    if not (text.isascii() and text.isdigit() and len(text) == 4) or (taken_at or "")[:10] == _EPOCH:
        return None
    return int(text) if int(text) >= FIRST_PHOTO else None
