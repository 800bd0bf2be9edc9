"""The timeline: months with counts, and a month's assets as columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from facesets.testing.immich.auth import require_uuid
from facesets.testing.immich.dialects import Problem, invalid, no_access
from facesets.testing.immich.edits import edited_size
from facesets.testing.immich.ids import EPOCH, as_time, pg_time
from facesets.testing.immich.records import Asset
from facesets.testing.immich.routing import Call, route


def _shown(call: Call) -> list[Asset]:
    """What the timeline holds; without a visibility it is the timeline and the archive."""
    visibility = call.query.get("visibility")
    if visibility == "locked":
        raise Problem(401, "Elevated permission is required")
    owners = {call.user.id}
    if "userId" in call.query:
        owner = require_uuid(call.query["userId"], "userId")
        if owner != call.user.id and owner not in call.library.partners_of(call.user.id):
            raise no_access("timeline.read")
        owners = {owner}
    if call.query.get("withPartners") == "true":
        owners |= call.library.partners_of(call.user.id, in_timeline=True)
    kinds = {visibility} if visibility else {"timeline", "archive"}
    trashed = call.query.get("isTrashed") == "true"
    person, tag, album = (call.query.get(k) for k in ("personId", "tagId", "albumId"))
    inside = set(call.library.albums[album].asset_ids) if album in call.library.albums else set()
    primaries = {s.primary_id for s in tuple(call.library.stacks.values())}
    collapse = call.query.get("withStacked") == "true"
    return [
        a
        for a in call.library.owned_by(frozenset(owners))
        if a.visibility in kinds
        and a.is_trashed is trashed
        and (not person or person in {f.person_id for f in a.faces})
        and (not tag or tag in a.tag_ids)
        and (not album or a.id in inside)
        and not (collapse and a.stack_id and a.id not in primaries)
    ]


def _lazy(call: Call) -> bool:
    known = {"timeBucket", "order", "visibility", "isTrashed", "withPartners", "withStacked"}
    return not set(call.query) - known and call.library.rows(frozenset({call.user.id})) is not None


def _lazy_month(call: Call, month: datetime) -> Sequence[Asset]:
    following = (month.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(microseconds=1)
    return _lazy_rows(call, month, following)


def _lazy_rows(call: Call, first: datetime | None = None, last: datetime | None = None) -> Sequence[Asset]:
    """A lazy library's photos all stand in the timeline, none in the trash."""
    if call.query.get("visibility", "timeline") != "timeline" or call.query.get("isTrashed") == "true":
        return ()
    return call.library.rows(frozenset({call.user.id}), (first, last), descending=False) or ()


def _lazy_counts(call: Call) -> dict[str, int]:
    """Counts a month, found by looking at the first photo and the months' borders only."""
    counts: dict[str, int] = {}
    rows = _lazy_rows(call)
    month = rows[0].local_time.replace(day=1, hour=0, minute=0, second=0, microsecond=0) if rows else None
    while rows and month and sum(counts.values()) < len(rows):
        if found := len(_lazy_month(call, month)):
            counts[f"{month:%Y-%m-01}"] = found
        month = (month.replace(day=28) + timedelta(days=4)).replace(day=1)
    return counts


@route("GET", "/api/timeline/buckets", "asset.read")
def buckets(call: Call) -> Any:
    """Months, newest first, with how many assets each holds."""
    counts = _lazy_counts(call) if _lazy(call) else Counter(f"{a.local_time:%Y-%m-01}" for a in _shown(call))
    return [{"timeBucket": month, "count": counts[month]} for month in sorted(counts, reverse=call.query.get("order") != "asc")]


@route("GET", "/api/timeline/bucket", "asset.read")
def bucket(call: Call) -> Any:
    """One month's assets, a list a field."""
    month = call.query.get("timeBucket", "")[:7]
    if len(month) != 7:
        raise invalid("timeBucket", "type", expected="string", received="undefined")
    if _lazy(call):
        rows = list(_lazy_month(call, as_time(f"{month}-01", EPOCH)))
    else:
        rows = [a for a in _shown(call) if f"{a.local_time:%Y-%m}" == month]
    rows.sort(key=lambda a: (a.file_created_at, a.id), reverse=call.query.get("order") != "asc")
    place = {"city": [a.exif.more.get("city") for a in rows], "country": [a.exif.more.get("country") for a in rows]}
    columns = {
        "duration": [a.duration_ms if call.dialect.modern else _duration(a) for a in rows],
        "id": [a.id for a in rows],
        "visibility": [a.visibility for a in rows],
        "isFavorite": [a.is_favorite for a in rows],
        "isImage": [a.type == "IMAGE" for a in rows],
        "isTrashed": [a.is_trashed for a in rows],
        "livePhotoVideoId": [a.live_photo_video_id for a in rows],
        "fileCreatedAt": [pg_time(a.file_created_at, offset="") for a in rows],
        "localOffsetHours": [(a.local_time - a.file_created_at).total_seconds() / 3600 for a in rows],
        **({"createdAt": [pg_time(a.created_at, offset="") for a in rows]} if call.dialect.modern else {}),
        "ownerId": [a.owner_id for a in rows],
        "projectionType": [None for a in rows],
        "ratio": [_ratio(a) for a in rows],
        "status": ["trashed" if a.is_trashed else "active" for a in rows],
        "thumbhash": [a.thumbhash for a in rows],
        **({"stack": [_stack(call, a) for a in rows]} if call.query.get("withStacked") == "true" else {}),
    }
    return {**columns, **place} if call.dialect.modern else {**place, **columns}


def _duration(asset: Asset) -> str | None:
    if asset.duration_ms is None:
        return None
    seconds, ms = divmod(asset.duration_ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{ms:03d}"


def _ratio(asset: Asset) -> float:
    size = edited_size(asset)
    ratio = round(size[0] / size[1], 3) if size else 1.0
    return int(ratio) if ratio == int(ratio) else ratio


def _stack(call: Call, asset: Asset) -> list[str] | None:
    stack = call.library.stacks.get(asset.stack_id) if asset.stack_id else None
    return [stack.id, str(len(stack.asset_ids))] if stack else None
