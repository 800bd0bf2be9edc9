"""Staging room: whose bytes are kept when several assets have the same. Pure.

Of byte duplicates of one user the first in canonical order is kept (registry.assets.place: taken first, then by asset id; in a
folder by path), whatever order the downloads end in. Between users, and against external caches, what was there first stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..records import Reason
from ..registry.assets import AssetRow, place


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The bytes are here already: in ``kept``, or in an external cache (None). ``first``: this one should be kept instead."""

    reason: Reason
    detail: str
    sha256: str
    kept: AssetRow | None
    first: bool = False


def same_bytes(row: AssetRow, kept: AssetRow | None, sha256: str | None, external: Mapping[str, str]) -> Duplicate | None:
    """What it means for ``row`` that ``kept`` holds its bytes, or that an external cache knows ``sha256``; None: it is new."""
    if kept is not None and kept.id != row.id:
        assert kept.sha256 is not None
        if kept.label != row.label:
            return Duplicate(Reason.DUP_EXISTING, f"same bytes as {kept.asset.asset_id} of {kept.label}", kept.sha256, kept)
        # a later one may be kept only because this one's download failed when its turn came
        first = row.attempts > 0 and place(row) < place(kept)
        return Duplicate(Reason.DUP_STAGED, f"same bytes as {kept.asset.asset_id}", kept.sha256, kept, first)
    if sha256 is not None and sha256 in external:
        return Duplicate(Reason.DUP_EXISTING, f"in {external[sha256]}", sha256, None)
    return None
