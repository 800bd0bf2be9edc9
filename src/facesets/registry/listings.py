"""Queries about listings: which assets a source is known to have, and how far its last listing got.

An asset is *present* while its source is known to have it: ``seen_run`` is the run that last saw it, and 0 once it is gone, even where
it is through and keeps its reason.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass

from facesets.records import Reason
from facesets.registry.assets import ROWS, STAYS, AssetRow, row_of
from facesets.registry.database import Registry

_LEFT_ASIDE = (Reason.NO_FACES, Reason.NO_BIG_FACE)  # for what the source said of their faces
# what becomes of these, or whose faces they are, hangs on what the source says of their faces
_BY_FACES = (
    *(*_LEFT_ASIDE, Reason.NOT_SCANNED, Reason.LISTED, Reason.STAGED, Reason.EMBED_ERROR),
    *(Reason.EMBEDDED, Reason.EMBEDDED_NO_FACE, Reason.MEASURED),
    *(Reason.DUP_STAGED, Reason.DUP_EXISTING, Reason.PROBABLE_DUP),  # whose copies' faces these are
)

# Knuth's multiplicative hash: what alternates in a library (a JPEG and its RAW) does not in the shards
_SHARD = "(id * 2654435761 % 4294967296 / 65536)"
_ONLY = "(? OR asset_id IN (SELECT value FROM json_each(?)))"


@dataclass(frozen=True, slots=True)
class Refresh:
    """``photos`` are asked for their faces again, a shard of them in each run: ``asked`` by the last one, ``unanswered`` in vain."""

    photos: int
    asked: int
    unanswered: int


def cursor(registry: Registry, label: str, source: str) -> str | None:
    """How far the last listing of a user's photos from this source has told; None where there was none that can be taken up."""
    fact = registry.fact(f"listing:{label}")
    known = json.loads(fact) if fact else {}
    return known.get("mark") if known.get("source") == source else None


def set_cursor(registry: Registry, label: str, source: str, marked: str | None) -> None:
    """Keep how far a listing has told."""
    registry.set_fact(f"listing:{label}", json.dumps({"source": source, "mark": marked}))


def present(registry: Registry, labels: Collection[str]) -> int:
    """How many assets the sources of these users have, as far as is known."""
    sql = f"SELECT count(*) FROM assets WHERE label IN ({', '.join('?' * len(labels))}) AND seen_run > 0"
    return int(registry.db.execute(sql, tuple(labels)).fetchone()[0])


def counts(registry: Registry, owner_id: str, source: str) -> dict[tuple[str, str, bool], int]:
    """How many of the owner's present assets there are for each (month, visibility, trashed or not)."""
    sql = (
        "SELECT substr(coalesce(taken_at, ''), 1, 7), visibility, is_trashed, count(*) FROM assets "
        "WHERE owner_id = ? AND source = ? AND seen_run > 0 GROUP BY 1, 2, 3"
    )
    return {(row[0], row[1], bool(row[2])): row[3] for row in registry.db.execute(sql, (owner_id, source))}


def ids(registry: Registry, owner_id: str, source: str, bucket: tuple[str, str, bool]) -> set[str]:
    """The owner's present assets of one (month, visibility, trashed or not)."""
    sql = "SELECT asset_id FROM assets WHERE owner_id = ? AND source = ? AND seen_run > 0 AND visibility = ? AND is_trashed = ? AND "
    month, *rest = bucket
    # a time begins with its month, and "~" comes after all that may follow
    sql, within = (sql + "taken_at BETWEEN ? AND ?", [month, month + "~"]) if month else (sql + "taken_at IS NULL", [])
    return {row[0] for row in registry.db.execute(sql, (owner_id, source, *rest, *within))}


def stacked(registry: Registry, owner_id: str, source: str) -> dict[tuple[str, str, bool], int]:
    """How many of the owner's present assets lie beneath another of their stack, for each (month, visibility, trashed: False)."""
    sql = (
        "SELECT substr(coalesce(taken_at, ''), 1, 7), visibility, count(*) FROM assets "
        "WHERE owner_id = ? AND source = ? AND is_stacked = 1 AND seen_run > 0 AND is_trashed = 0 GROUP BY 1, 2"
    )
    return {(row[0], row[1], False): row[2] for row in registry.db.execute(sql, (owner_id, source))}


def set_stacked(registry: Registry, owner_id: str, source: str, asset_ids: Iterable[str], bucket: tuple[str, str, bool] | None) -> None:
    """These, and no others of the bucket (None: of all), lie beneath another of their stack. Whoever's lot changes is LISTED again,
    unless it is through.
    """
    sql = "SELECT asset_id FROM assets WHERE owner_id = ? AND source = ? AND is_stacked = 1"
    before = {row[0] for row in registry.db.execute(sql, (owner_id, source))}
    now = set(asset_ids)
    if bucket is not None:
        before &= ids(registry, owner_id, source, bucket)
    registry.db.executemany(
        f"UPDATE assets SET is_stacked = 1 - is_stacked, reason = CASE WHEN reason IN ({', '.join('?' * len(STAYS))}) THEN reason "
        "ELSE 'listed' END WHERE owner_id = ? AND source = ? AND asset_id = ?",
        ((*STAYS, owner_id, source, asset_id) for asset_id in before ^ now),
    )


def in_timelines(registry: Registry, owner_ids: Collection[str]) -> int:
    """How many present assets of these owners stand in their timelines."""
    sql = (
        f"SELECT count(*) FROM assets WHERE owner_id IN ({', '.join('?' * len(owner_ids))}) "
        "AND seen_run > 0 AND visibility = 'timeline' AND is_trashed = 0"
    )
    return int(registry.db.execute(sql, tuple(owner_ids)).fetchone()[0])


def mark_gone(registry: Registry, owner_id: str, asset_ids: Iterable[str]) -> int:
    """The source has these no longer: they are GONE; returns how many became so."""
    return registry.db.executemany(
        "UPDATE assets SET reason = 'gone', seen_run = 0 WHERE owner_id = ? AND asset_id = ? AND reason <> 'gone'",
        ((owner_id, asset_id) for asset_id in asset_ids),
    ).rowcount


def left_aside_for_faces(
    registry: Registry, label: str, source: str, *, only: Collection[str] | None = None, limit: int = -1, skip: int = 0
) -> list[AssetRow]:
    """Assets left aside for what the source said of their faces; changed last come first: a detector gets to them last.

    ``only``: of those with these ids.
    """
    sql = (
        f"{ROWS} WHERE a.label = ? AND a.source = ? AND a.boxes IS NOT NULL AND {_ONLY} "
        f"AND a.reason IN ({', '.join('?' * len(_LEFT_ASIDE))}) ORDER BY a.updated_at DESC, a.id LIMIT ? OFFSET ?"
    )
    return [row_of(row) for row in registry.db.execute(sql, (label, source, *_these(only), *_LEFT_ASIDE, limit, skip))]


def refreshable(
    registry: Registry, label: str, source: str, shard: int = 0, shards: int = 1, *, only: Collection[str] | None = None
) -> array[int]:
    """Row ids of the present assets whose faces were asked for and matter; those of one ``shard`` out of ``shards``.

    A row has its shard for good, so that of any ``shards`` shards in a row each row is in one. ``only``: as above.
    """
    sql = (
        f"SELECT id FROM assets WHERE label = ? AND source = ? AND {_ONLY} AND reason IN ({', '.join('?' * len(_BY_FACES))}) "
        f"AND boxes IS NOT NULL AND seen_run > 0 AND {_SHARD} % ? = ? ORDER BY id"
    )
    values = (label, source, *_these(only), *_BY_FACES, shards, shard % shards)
    return array("q", (row[0] for row in registry.db.execute(sql, values)))


def refresh_shard(registry: Registry, label: str) -> int:
    """The shard that is to be asked for their faces next."""
    return int(registry.fact(f"drift_turn:{label}") or 0)


def set_refresh(registry: Registry, label: str, shard: int, last: Refresh | None) -> None:
    """The next shard, and what the ``last`` came to; None: the source tells of changes itself."""
    registry.set_fact(f"drift_turn:{label}", str(shard))
    registry.set_fact(f"boxes_refresh:{label}", json.dumps(None if last is None else asdict(last)))


def last_refresh(registry: Registry, label: str) -> Refresh | None:
    """What the last shard came to; None where the source tells of changes itself."""
    known = json.loads(registry.fact(f"boxes_refresh:{label}") or "null")
    return None if known is None else Refresh(**known)


def unanswered(registry: Registry, label: str) -> list[int]:
    """Row ids of those that gave no answer when they were asked."""
    return list(json.loads(registry.fact(f"boxes_unanswered:{label}") or "[]"))


def set_unanswered(registry: Registry, label: str, row_ids: Iterable[int]) -> None:
    """These gave no answer."""
    registry.set_fact(f"boxes_unanswered:{label}", json.dumps(list(row_ids)))


def unnamed(registry: Registry, label: str, source: str, run_id: int) -> list[AssetRow]:
    """Present assets that the listing of this run has not named."""
    sql = f"{ROWS} WHERE a.label = ? AND a.source = ? AND a.seen_run NOT IN (0, ?) ORDER BY a.id"
    return [row_of(row) for row in registry.db.execute(sql, (label, source, run_id))]


def owned(registry: Registry, owner_id: str, asset_ids: Iterable[str]) -> list[AssetRow]:
    """The rows of these assets, as far as they are known."""
    sql = f"{ROWS} WHERE a.owner_id = ? AND a.asset_id = ?"
    found = (registry.db.execute(sql, (owner_id, asset_id)).fetchone() for asset_id in asset_ids)
    return [row_of(row) for row in found if row is not None]


def forget_faces(registry: Registry, label: str, source: str, *, only: Collection[str] | None = None) -> int:
    """Ask anew about everything that was left aside for its faces (``only``: as above); returns how many."""
    return registry.db.execute(
        f"UPDATE assets SET reason = 'listed', detail = NULL, boxes = NULL WHERE label = ? AND source = ? AND {_ONLY} "
        f"AND reason IN ({', '.join('?' * len(_LEFT_ASIDE))})",
        (label, source, *_these(only), *_LEFT_ASIDE),
    ).rowcount


def _these(only: Collection[str] | None) -> tuple[bool, str]:
    return only is None, json.dumps(list(only or ()))
