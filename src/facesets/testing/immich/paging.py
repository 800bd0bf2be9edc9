"""Testing room: one page of a search, and how many there are. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from . import query
from .library import Asset, Library


def page(asked: query.Query, owners: frozenset[str], library: Library) -> tuple[Sequence[Asset], bool]:
    """The rows of the page that was asked for, and whether more follow."""
    rows = query.select(asked, owners, library)
    start = (asked.page - 1) * asked.size
    return rows[start : start + asked.size], len(rows) > start + asked.size


def count(asked: query.Query, owners: frozenset[str], library: Library) -> int:
    """How many assets a query means."""
    return len(query.select(asked, owners, library))
