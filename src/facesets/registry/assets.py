"""Queries about assets and users: what the sources listed and what became of each."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter

from ..records import Asset, FaceBox, Reason, State, User
from . import Registry

_COLUMNS = tuple(f.name for f in fields(Asset))
_MORE = ("label", "source", "reason", "detail", "attempts", "sha256", "path", "kept_id", "pixels", "content", "is_stacked")
_TOLD = attrgetter(*_COLUMNS)
_BOX = attrgetter(*(f.name for f in fields(FaceBox)))
_json = json.JSONEncoder(separators=(",", ":")).encode
_FIRST_FLAG = _COLUMNS.index("is_trashed")  # from here on booleans, but for the boxes, which come last
ROW = ", ".join(("id", *_COLUMNS, *_MORE))  # what row_of() reads, in its order
REASONS_OF = {state: tuple(r for r in Reason if r.state is state) for state in State}
_UNDECODED = (Reason.UNREADABLE, Reason.TRUNCATED, Reason.UNSUPPORTED, Reason.TOO_LARGE)
# what becomes of these does not hang on their source any more: bytes that never came can be had from nowhere else
STAYS = (Reason.EMBEDDED, Reason.EMBEDDED_NO_FACE, *REASONS_OF[State.DUPLICATE], Reason.GONE)
_GOOD = (Reason.STAGED, Reason.EMBED_ERROR, *REASONS_OF[State.DONE], *REASONS_OF[State.FAILED])  # whose bytes were here
_SETTLE = (
    "UPDATE assets SET reason = ?, detail = ?, sha256 = coalesce(?, sha256), path = coalesce(?, path), kept_id = ?, "
    "pixels = coalesce(?, pixels), attempts = attempts + ? WHERE id = ?"
)


@dataclass(frozen=True, slots=True)
class AssetRow:
    """An asset as the registry knows it."""

    id: int
    asset: Asset
    label: str
    source: str
    reason: Reason
    detail: str | None
    attempts: int
    sha256: str | None
    path: str | None  # the staged original: relative to the workspace, or absolute for a folder's photo
    kept_id: int | None  # for a duplicate: the asset whose bytes are kept
    pixels: str = "original"  # which picture of it is here, or wanted: original, fullsize, preview; none: nothing else to have
    content: str | None = None  # what stands for its bytes where its faces were told with their vectors
    is_stacked: bool = False  # beneath another photo of its stack

    @property
    def state(self) -> State:
        """The state that follows from the reason."""
        return self.reason.state


def bind_user(registry: Registry, user: User) -> None:
    """Remember a label's user id; the caller has checked that it is not bound to another."""
    registry.db.execute(
        "INSERT INTO users VALUES (?, ?, ?) ON CONFLICT (label) DO UPDATE SET name = excluded.name",
        (user.label, user.user_id, user.name),
    )


def users(registry: Registry) -> list[User]:
    """All bound labels."""
    return [User(*row) for row in registry.db.execute("SELECT label, user_id, name FROM users ORDER BY label")]


def add_listed(registry: Registry, label: str, source: str, assets: Iterable[Asset], run_id: int) -> int:
    """Record what a listing says of this user's own assets; returns how many were new.

    A new asset is LISTED. A known one keeps its reason, unless the source changed its content (SHA-1; where the source knows none,
    its size, and in a folder its time), its standing (trashed, offline, visibility), or the face boxes it was left aside for or
    measured in: then it is LISTED again. Changed content forgets the hash and path of the old. What only the bytes told (a library
    asset's SHA-1, a folder photo's date) is kept.
    """
    columns = ", ".join(_COLUMNS)
    content = (
        "((excluded.sha1 IS NOT NULL AND excluded.sha1 IS NOT sha1) "
        "OR (excluded.sha1 IS NULL AND excluded.size_bytes IS NOT size_bytes) "
        "OR (excluded.source = 'folder' AND excluded.updated_at IS NOT updated_at))"
    )
    changed = (
        f"({content} OR excluded.is_trashed <> is_trashed OR excluded.is_offline <> is_offline OR excluded.visibility <> visibility "
        "OR reason IN ('gone', 'other_owner') "
        "OR (reason IN ('no_faces', 'no_big_face', 'measured_by_source') "
        "AND excluded.boxes IS NOT NULL AND excluded.boxes IS NOT boxes) "
        "OR (reason = 'measured_by_source' AND (excluded.width IS NOT width OR excluded.height IS NOT height)))"
    )
    learnt = {"sha1", "taken_at", "width", "height"}
    updates = ", ".join(
        f"{c} = CASE WHEN {content} THEN excluded.{c} ELSE coalesce(excluded.{c}, {c}) END" if c in learnt else f"{c} = excluded.{c}"
        for c in _COLUMNS
        if c not in ("owner_id", "asset_id", "boxes")
    )
    before = _last_id(registry)
    registry.db.executemany(
        f"INSERT INTO assets ({columns}, label, source, reason, seen_run) "
        f"VALUES ({', '.join('?' * len(_COLUMNS))}, ?, ?, 'listed', ?) "
        f"ON CONFLICT (owner_id, asset_id) DO UPDATE SET reason = CASE WHEN {changed} THEN 'listed' ELSE reason END, "
        f"sha256 = CASE WHEN {content} THEN NULL ELSE sha256 END, path = CASE WHEN {content} THEN NULL ELSE path END, "
        f"pixels = CASE WHEN {content} THEN 'original' ELSE pixels END, content = CASE WHEN {content} THEN NULL ELSE content END, "
        f"boxes = coalesce(excluded.boxes, boxes), {updates}, label = excluded.label, source = excluded.source, "
        "seen_run = excluded.seen_run",
        ((*_values(asset), label, source, run_id) for asset in assets),
    )
    return _last_id(registry) - before


def add_foreign(registry: Registry, label: str, source: str, assets: Iterable[Asset], run_id: int) -> int:
    """Record assets of other owners that this user's key shows; one that its owner's own listing recorded is left to that.

    Returns how many were new.
    """
    columns = ", ".join(_COLUMNS)
    before = _last_id(registry)
    registry.db.executemany(
        f"INSERT INTO assets ({columns}, label, source, reason, seen_run) "
        f"VALUES ({', '.join('?' * len(_COLUMNS))}, ?, ?, 'other_owner', ?) "
        "ON CONFLICT (owner_id, asset_id) DO UPDATE SET seen_run = excluded.seen_run, reason = 'other_owner' "
        "WHERE label = excluded.label AND reason IN ('other_owner', 'gone')",
        ((*_values(asset), label, source, run_id) for asset in assets),
    )
    return _last_id(registry) - before


def _last_id(registry: Registry) -> int:
    """No row is ever deleted, so it goes up by one with each new row; to count all of them would take long in a large library."""
    return int(registry.db.execute("SELECT coalesce(max(id), 0) FROM assets").fetchone()[0])


def filed_elsewhere(registry: Registry, label: str, assets: Iterable[Asset]) -> set[tuple[str, str]]:
    """Which of these assets (owner, asset id) are another label's."""
    sql = "SELECT owner_id, asset_id FROM assets WHERE owner_id = ? AND asset_id = ? AND label <> ?"
    found = (registry.db.execute(sql, (asset.owner_id, asset.asset_id, label)).fetchone() for asset in assets)
    return {(row[0], row[1]) for row in found if row is not None}


def relist(registry: Registry, label: str, reasons: Sequence[Reason]) -> None:
    """Decide again about a user's assets that have one of these reasons."""
    registry.db.execute(
        f"UPDATE assets SET reason = 'listed', detail = NULL WHERE label = ? AND reason IN ({', '.join('?' * len(reasons))})",
        (label, *reasons),
    )


def relist_orphans(registry: Registry, label: str) -> None:
    """Decide again about duplicates whose kept twin has gone, or has other bytes now."""
    duplicate, alive = REASONS_OF[State.DUPLICATE], (*_GOOD, Reason.LISTED, *REASONS_OF[State.RETRY])
    registry.db.execute(
        "UPDATE assets SET reason = 'listed', detail = NULL, kept_id = NULL WHERE label = ? AND seen_run > 0 AND kept_id IS NOT NULL "
        f"AND reason IN ({', '.join('?' * len(duplicate))}) "
        "AND NOT EXISTS (SELECT 1 FROM assets AS kept WHERE kept.id = assets.kept_id "
        f"AND (kept.sha256 = assets.sha256 OR kept.content = assets.content) AND kept.reason IN ({', '.join('?' * len(alive))}))",
        (label, *duplicate, *alive),
    )


def ids_in_order(registry: Registry, label: str, source: str, reasons: Sequence[Reason]) -> array[int]:
    """Row ids in canonical order: by when the photo was taken (a folder's: by path), then by asset id. Eight bytes each."""
    sql = (
        f"SELECT id FROM assets WHERE label = ? AND source = ? AND reason IN ({', '.join('?' * len(reasons))}) "
        "ORDER BY CASE source WHEN 'folder' THEN original_path ELSE coalesce(taken_at, '') END, asset_id"
    )
    return array("q", (row[0] for row in registry.db.execute(sql, (label, source, *reasons))))


def place(row: AssetRow) -> tuple[str, str]:
    """A row's place in the canonical order of :func:`ids_in_order`."""
    return row.asset.original_path if row.source == "folder" else row.asset.taken_at or "", row.asset.asset_id


def learn(registry: Registry, row_id: int, *, sha1: str, taken_at: str | None, size_pixels: tuple[int, int] | None) -> None:
    """Keep what the bytes told of an asset; what the source said already stands."""
    width, height = size_pixels or (None, None)
    registry.db.execute(
        "UPDATE assets SET sha1 = ?, taken_at = coalesce(taken_at, ?), width = coalesce(width, ?), height = coalesce(height, ?) "
        "WHERE id = ?",
        (sha1, taken_at, width, height, row_id),
    )


def settle_duplicate(registry: Registry, row_id: int, reason: Reason, detail: str, sha256: str, kept_id: int | None) -> None:
    """An asset whose bytes (``sha256``) are kept elsewhere: by another asset, or in an external cache."""
    registry.db.execute(
        "UPDATE assets SET reason = ?, detail = ?, sha256 = ?, path = NULL, kept_id = ? WHERE id = ?",
        (reason, detail, sha256, kept_id, row_id),
    )


def take_over(registry: Registry, row: AssetRow, kept: AssetRow) -> None:
    """``row`` becomes the asset whose bytes are kept, in the place of ``kept``, which becomes its duplicate. No file moves."""
    registry.db.execute(
        "UPDATE assets SET reason = ?, detail = ?, sha256 = ?, path = ?, pixels = ?, kept_id = NULL WHERE id = ?",
        (kept.reason, kept.detail, kept.sha256, kept.path, kept.pixels, row.id),
    )
    registry.db.execute("UPDATE assets SET kept_id = ? WHERE kept_id = ?", (row.id, kept.id))
    assert kept.sha256 is not None
    settle_duplicate(registry, kept.id, Reason.DUP_STAGED, f"same bytes as {row.asset.asset_id}", kept.sha256, row.id)


def _values(asset: Asset) -> tuple[object, ...]:
    *values, boxes = _TOLD(asset)
    return (*values, None if boxes is None else _boxes(boxes))


def _boxes(boxes: Sequence[FaceBox]) -> str:
    return _json(list(map(_BOX, boxes))) if boxes else "[]"


def set_boxes(registry: Registry, row_id: int, boxes: Sequence[FaceBox]) -> None:
    """Keep an asset's face boxes as its source gave them."""
    registry.db.execute("UPDATE assets SET boxes = ? WHERE id = ?", (_boxes(boxes), row_id))


def settle(
    registry: Registry,
    row_id: int,
    reason: Reason,
    detail: str | None = None,
    *,
    sha256: str | None = None,
    path: str | None = None,
    kept_id: int | None = None,
    pixels: str | None = None,
) -> None:
    """Give an asset its reason; ``sha256``, ``path`` and ``pixels`` are kept where not given. A retryable reason counts an attempt."""
    registry.db.execute(_SETTLE, (reason, detail, sha256, path, kept_id, pixels, reason.state is State.RETRY, row_id))


def settle_many(registry: Registry, decided: Iterable[tuple[int, Reason, str | None]]) -> None:
    """:func:`settle` for many: row id, reason, detail."""
    rows = ((reason, detail, None, None, None, None, reason.state is State.RETRY, row_id) for row_id, reason, detail in decided)
    registry.db.executemany(_SETTLE, rows)


def settle_bytes(registry: Registry, sha256: str, reason: Reason, detail: str | None = None) -> None:
    """Give every asset whose bytes are kept under this hash the reason that embedding ended with."""
    kept = (Reason.STAGED, Reason.EMBED_ERROR, *REASONS_OF[State.DONE], *REASONS_OF[State.FAILED])
    registry.db.execute(
        "UPDATE assets SET reason = ?, detail = ?, attempts = attempts + ? "
        f"WHERE sha256 = ? AND reason IN ({', '.join('?' * len(kept))})",
        (reason, detail, reason.state is State.RETRY, sha256, *kept),
    )


def mark_gone(registry: Registry, label: str, source: str, run_id: int) -> int:
    """After a complete listing: assets it no longer names are GONE, unless they are through and here; returns how many."""
    keep = STAYS
    cursor = registry.db.execute(
        "UPDATE assets SET reason = 'gone' WHERE label = ? AND source = ? AND seen_run <> ? "
        f"AND reason NOT IN ({', '.join('?' * len(keep))})",
        (label, source, run_id, *keep),
    )
    registry.db.execute("UPDATE assets SET seen_run = 0 WHERE label = ? AND source = ? AND seen_run <> ?", (label, source, run_id))
    return cursor.rowcount


def select(
    registry: Registry,
    *,
    labels: Sequence[str] = (),
    reasons: Sequence[Reason] = (),
    after: int = 0,
    limit: int = -1,
) -> Iterator[AssetRow]:
    """Assets in the order they were first listed; ``after`` is a row id, so that a long walk can be taken in bounded steps."""
    where, values = ["id > ?"], [after]
    for column, wanted in (("label", labels), ("reason", reasons)):
        if wanted:
            where.append(f"{column} IN ({', '.join('?' * len(wanted))})")
            values += wanted  # type: ignore[arg-type]
    sql = f"SELECT {ROW} FROM assets WHERE {' AND '.join(where)} ORDER BY id LIMIT ?"
    return map(row_of, registry.db.execute(sql, (*values, limit)))


def find(registry: Registry, asset_id: str) -> list[AssetRow]:
    """Assets with this id (one for each owner that has it), or whose id begins with it."""
    rows = registry.db.execute(f"SELECT {ROW} FROM assets WHERE asset_id = ? ORDER BY id", (asset_id,)).fetchall()
    if not rows and len(asset_id) >= 6:
        like = asset_id.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        rows = registry.db.execute(f"SELECT {ROW} FROM assets WHERE asset_id LIKE ? ESCAPE '\\' ORDER BY id", (like,)).fetchall()
    return [row_of(row) for row in rows]


def with_bytes(registry: Registry, *, sha256: str | None = None, sha1: str | None = None) -> AssetRow | None:
    """The asset whose bytes are kept for this hash: staged or through, not itself a duplicate; the first listed of several."""
    column, value = ("sha256", sha256) if sha256 is not None else ("sha1", sha1)
    row = registry.db.execute(
        f"SELECT {ROW} FROM assets WHERE {column} = ? AND sha256 IS NOT NULL "
        f"AND reason IN ({', '.join('?' * len(_GOOD))}) ORDER BY id LIMIT 1",
        (value, *_GOOD),
    ).fetchone()
    return None if row is None else row_of(row)


def with_look(registry: Registry, size_bytes: int, thumbhash: str) -> AssetRow | None:
    """The asset whose original is kept and has this size and thumbnail hash; the first listed of several."""
    row = registry.db.execute(
        f"SELECT {ROW} FROM assets WHERE size_bytes = ? AND thumbhash = ? AND sha256 IS NOT NULL AND path IS NOT NULL "
        f"AND pixels = 'original' AND reason IN ({', '.join('?' * len(_GOOD))}) ORDER BY id LIMIT 1",
        (size_bytes, thumbhash, *_GOOD),
    ).fetchone()
    return None if row is None else row_of(row)


def undecoded(registry: Registry, label: str, source: str) -> list[int]:
    """Row ids of photos that no decoder took and of which the source may have another picture."""
    rows = registry.db.execute(
        f"SELECT id FROM assets WHERE label = ? AND source = ? AND pixels IN ('original', 'fullsize') "
        f"AND reason IN ({', '.join('?' * len(_UNDECODED))}) ORDER BY id",
        (label, source, *_UNDECODED),
    )
    return [row[0] for row in rows]


def want_pixels(registry: Registry, row_id: int, pixels: str) -> None:
    """Have another picture of an asset brought in place of the one that is here."""
    registry.db.execute("UPDATE assets SET reason = 'listed', pixels = ? WHERE id = ?", (pixels, row_id))


def settle_pixels(registry: Registry, row: AssetRow, pixels: str, sha256: str, path: str) -> None:
    """Another picture of an asset is here, and stands for it and for its duplicates."""
    registry.db.execute(
        "UPDATE assets SET reason = 'staged', detail = NULL, pixels = ?, sha256 = ?, path = ?, kept_id = NULL WHERE id = ?",
        (pixels, sha256, path, row.id),
    )
    registry.db.execute("UPDATE assets SET sha256 = ? WHERE kept_id = ?", (sha256, row.id))


def get(registry: Registry, row_id: int) -> AssetRow:
    """The asset with this row id."""
    return row_of(registry.db.execute(f"SELECT {ROW} FROM assets WHERE id = ?", (row_id,)).fetchone())


def counts(registry: Registry, labels: Sequence[str] = ()) -> dict[Reason, int]:
    """How many assets have each reason."""
    where = f"WHERE label IN ({', '.join('?' * len(labels))})" if labels else ""
    rows = registry.db.execute(f"SELECT reason, count(*) FROM assets {where} GROUP BY reason ORDER BY reason", tuple(labels))
    return {Reason(reason): count for reason, count in rows}


def staged(registry: Registry, label: str) -> int:
    """How many of a user's originals wait to be embedded."""
    return int(registry.db.execute("SELECT count(*) FROM assets WHERE label = ? AND reason = 'staged'", (label,)).fetchone()[0])


def by_state(counted: dict[Reason, int]) -> dict[str, int]:
    """Counts by reason, summed up by state."""
    total: dict[str, int] = {}
    for reason, count in counted.items():
        total[reason.state] = total.get(reason.state, 0) + count
    return dict(sorted(total.items()))


def row_of(row: sqlite3.Row) -> AssetRow:
    """A row of the table as a record; for this room's modules."""
    row_id, *values, boxes = row[: len(_COLUMNS) + 1]
    values[_FIRST_FLAG:] = map(bool, values[_FIRST_FLAG:])
    values.append(None if boxes is None else () if boxes == "[]" else tuple(FaceBox(*box) for box in json.loads(boxes)))
    label, source, reason, *rest = row[len(_COLUMNS) + 1 :]
    rest[-1] = bool(rest[-1])
    return AssetRow(row_id, Asset(*values), label, source, Reason(reason), *rest)


def kept_by_sha256(registry: Registry) -> dict[str, AssetRow]:
    """Photo hash, or what stands for it -> the asset whose bytes are kept for it, or that was measured; the first listed of several."""
    keep = (Reason.STAGED, Reason.EMBED_ERROR, *REASONS_OF[State.DONE])
    found: dict[str, AssetRow] = {}
    for column in ("sha256", "content"):
        sql = f"SELECT {ROW} FROM assets WHERE {column} IS NOT NULL AND reason IN ({', '.join('?' * len(keep))}) ORDER BY id DESC"
        found |= {row[column]: row_of(row) for row in registry.db.execute(sql, keep)}
    return found


def taken_at_by_sha256(registry: Registry) -> dict[str, str | None]:
    """Photo hash, or what stands for it -> when the photo was taken, of all that are here or measured: what a plan needs."""
    found: dict[str, str | None] = {}
    for column in ("sha256", "content"):
        where = f"WHERE {column} IS NOT NULL AND reason IN ({', '.join('?' * len(_GOOD))})"
        found |= dict(registry.db.execute(f"SELECT {column}, taken_at FROM assets {where} ORDER BY id DESC", _GOOD).fetchall())
    return found
