"""Sources room: the month by which assets are counted."""

from __future__ import annotations

from typing import NamedTuple


class Month(NamedTuple):
    """The owner's assets of one month (``2020-05``, local time; "" for those without a date), visibility, and in the trash or not."""

    month: str
    visibility: str
    trashed: bool
