"""Staging room: which assets are worth their bytes, and whose bytes are kept when several have the same. Pure.

Of byte duplicates of one user the first in canonical order is kept (registry.canonical_order: own before a partner's, an upload before
an external file, then by date), whatever order the downloads end in.
Between users, and against external caches, what was there first stays.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from facesets.records import Asset, FaceBox, Reason
from facesets.registry import AssetRow, canonical_order

_TYPES = frozenset(("IMAGE", "VIDEO", "AUDIO", "OTHER"))
_VISIBILITIES = frozenset(("timeline", "archive", "hidden", "locked"))


def path_filter(patterns: Sequence[str]) -> Callable[[str], bool]:
    """A test whether a path matches one of the globs, whole and in its case.

    ``**`` stands for any number of folders, ``*`` and ``?`` stay within one name, ``[...]`` is a set of characters; a pattern
    without a slash matches names anywhere. Windows' backslashes count as slashes, and a leading slash does not count.
    """
    # without patterns: one that matches nothing
    matches = re.compile("|".join(f"(?:{_regex(pattern)})" for pattern in patterns) or r"(?!)", re.DOTALL).fullmatch
    return lambda path: matches(path.replace("\\", "/").lstrip("/")) is not None


def _regex(pattern: str) -> str:
    parts = pattern.replace("\\", "/").lstrip("/").split("/")
    if len(parts) == 1:
        parts = ["**", *parts]
    regex = ""
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        if part == "**":
            regex += ".+" if last else "(?:[^/]*/)*"
        else:
            regex += _segment(part) + ("" if last else "/")
    return regex


def _segment(glob: str) -> str:
    pieces = re.findall(r"\[[!^]?.[^\]]*\]|.", glob, re.DOTALL)
    return "".join({"*": "[^/]*", "?": "[^/]"}.get(piece) or (_set(piece) if len(piece) > 1 else re.escape(piece)) for piece in pieces)


def _set(piece: str) -> str:
    """``[...]`` as a regular expression; taken literally where it makes no set (``[z-a]``)."""
    inner = piece[1:-1]
    negated = len(inner) > 1 and inner[0] in "!^"
    inner = inner[1:] if negated else inner
    between = [0 < i < len(inner) - 1 and "-" not in (inner[i - 1], inner[i + 1]) for i in range(len(inner))]
    spelt = "".join(c if c == "-" and makes_range else re.escape(c) for c, makes_range in zip(inner, between, strict=True))
    regex = f"(?!/)[{'^' if negated else ''}{spelt}]"
    try:
        re.compile(regex)
    except re.error:
        return re.escape(piece)
    return regex


def by_listing(
    asset: Asset, owner_id: str, *, archived: bool, stacked: bool = False, excluded: Callable[[str], bool]
) -> tuple[Reason, str | None] | None:
    """Why an asset is left aside without looking at its faces, and the detail; None where it is taken.

    ``archived``: archived ones are taken; ``stacked``: it lies beneath another one, and such are not taken.
    """
    if asset.owner_id != owner_id:
        return Reason.OTHER_OWNER, f"belongs to {asset.owner_id}"
    odd = unknown(asset)
    for against, reason in (
        (asset.is_offline, Reason.OFFLINE),
        (asset.is_trashed, Reason.TRASHED),
        (asset.visibility == "locked", Reason.LOCKED),
        (asset.visibility == "hidden", Reason.HIDDEN),
        (asset.type != "IMAGE", Reason.NOT_IMAGE),
        (asset.visibility == "archive" and not archived, Reason.ARCHIVED),
        (stacked, Reason.STACKED),
    ):
        if against:
            return reason, odd if reason is Reason.NOT_IMAGE else None
    if odd is not None:
        return Reason.HIDDEN, odd
    return (Reason.EXCLUDED_PATH, None) if excluded(asset.original_path) else None


def unknown(asset: Asset) -> str | None:
    """What a newer server says of an asset that is not known here: such a one is left aside, since it may be anything."""
    for what, value, known in (("type", asset.type, _TYPES), ("visibility", asset.visibility, _VISIBILITIES)):
        if value not in known:
            return f"{what} {value[:40]!r}, which this version of facesets does not know"
    return None


def face_short(asset: Asset, boxes: Sequence[FaceBox]) -> float:
    """The largest face's short side in oriented pixels of the original; 0 without a face, infinite where it cannot be known.

    Unknown are a box whose frame has no size, and all boxes of an original whose own size the source does not tell: then the
    photo is worth a look, since embedding measures again.
    """
    best = 0.0
    for box in boxes:
        if not (box.image_width > 0 and box.image_height > 0 and asset.width and asset.height):
            return math.inf
        scaled = box.scaled_to(asset.width, asset.height)
        if scaled is not None:
            best = max(best, min(scaled[2] - scaled[0], scaled[3] - scaled[1]))
    return best


def is_unplaced(asset: Asset, boxes: Sequence[FaceBox]) -> bool:
    """Whether an edited asset has faces, and none of them a place in the original: its edits were not understood."""
    return asset.is_edited and bool(boxes) and all(min(box.image_width, box.image_height) <= 0 for box in boxes)


def by_size(asset: Asset, min_face_short: float) -> tuple[Reason, str | None] | None:
    """Why an asset is left aside for its own size, too small for any face that counts; None where it could hold one."""
    if not asset.width or not asset.height or min(asset.width, asset.height) >= min_face_short:
        return None
    return Reason.NO_BIG_FACE, f"the whole photo is {asset.width} x {asset.height} px, wanted {min_face_short:g}"


def by_faces(
    asset: Asset, boxes: Sequence[FaceBox], min_face_short: float, scanned: Callable[[Asset], bool] = lambda _: True
) -> tuple[Reason, str | None] | None:
    """Why an asset is left aside for its faces; None where at least one is big enough. ``scanned``: whether its source has looked."""
    if not boxes:
        return (Reason.NO_FACES if scanned(asset) else Reason.NOT_SCANNED), None
    short = face_short(asset, boxes)
    if short < min_face_short or short == 0:
        return Reason.NO_BIG_FACE, f"largest face {short:.0f} px, wanted {min_face_short:g}"
    return None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The bytes are here already: in ``kept``, or in an external cache (None). ``first``: this one should be kept instead."""

    reason: Reason
    detail: str
    sha256: str
    kept: AssetRow | None
    first: bool = False


def same_bytes(row: AssetRow, kept: AssetRow | None, sha256: str | None, external: Mapping[str, str], user_id: str) -> Duplicate | None:
    """What it means for ``row`` of the user with this id that ``kept`` holds its bytes, or that an external cache knows ``sha256``.

    None: it is new.
    """
    if kept is not None and kept.id != row.id:
        assert kept.sha256 is not None
        if kept.label != row.label:
            return Duplicate(Reason.DUP_EXISTING, f"same bytes as {kept.asset.asset_id} of {kept.label}", kept.sha256, kept)
        # a later one may be kept only because this one's download failed when its turn came
        first = row.attempts > 0 and canonical_order(row, user_id) < canonical_order(kept, user_id)
        return Duplicate(Reason.DUP_STAGED, f"same bytes as {kept.asset.asset_id}", kept.sha256, kept, first)
    if sha256 is not None and sha256 in external:
        return Duplicate(Reason.DUP_EXISTING, f"in {external[sha256]}", sha256, None)
    return None
