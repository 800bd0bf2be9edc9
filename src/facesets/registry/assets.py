"""Queries about assets and users: what the sources listed and what became of each."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter

from facesets.records import Asset, FaceBox, Reason, State, User
from facesets.registry import photos, source_people
from facesets.registry.database import Registry
from facesets.wording import folded

_COLUMNS = tuple(f.name for f in fields(Asset))
_MORE = (
    "a.label", "a.source", "a.reason", "a.detail", "a.attempts", "p.sha256", "CASE WHEN a.kept_id IS NULL THEN p.path END", "a.kept_id",
    "a.pixels", "p.source_key", "a.photo_id", "a.previewed_with", "a.is_stacked",
)  # fmt: skip
_facts = attrgetter(*_COLUMNS)
_BOX = attrgetter(*(f.name for f in fields(FaceBox)))
_WHOSE = [f.name for f in fields(FaceBox)].index("person_id")  # what comes before says which face it is, and where
_json = json.JSONEncoder(separators=(",", ":")).encode
_FIRST_FLAG = _COLUMNS.index("is_trashed")  # from here on booleans, but for the boxes, which come last
# what row_of() reads, in its order, and from where
ROW = ", ".join(("a.id", *(f"a.{column}" for column in _COLUMNS), *_MORE))
ROWS = f"SELECT {ROW} FROM assets AS a LEFT JOIN photos AS p ON p.id = a.photo_id"
REASONS_OF = {state: tuple(r for r in Reason if r.state is state) for state in State}
# what becomes of these does not hang on their source any more: bytes that never came can be had from nowhere else
STAYS = (Reason.EMBEDDED, Reason.EMBEDDED_NO_FACE, *REASONS_OF[State.DUPLICATE], Reason.GONE)
# of which a photo may still be had, the best first
TO_BE_HAD = (
    *(Reason.EMBEDDED, Reason.EMBEDDED_NO_FACE, Reason.STAGED, Reason.EMBED_ERROR, Reason.MEASURED, Reason.LISTED),
    *(*REASONS_OF[State.RETRY], *REASONS_OF[State.DUPLICATE]),
)
# whose bytes were here
_SETTLE = (
    "UPDATE assets SET reason = ?, detail = ?, kept_id = ?, pixels = coalesce(?, pixels), attempts = attempts + ?, "
    "previewed_with = ? WHERE id = ?"
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
    source_key: str | None = None  # what stands for its bytes where its faces were told with their vectors
    photo_id: int | None = None
    previewed_with: str | None = None  # the pack that found no face worth a download on its preview
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
    measured in: then it is LISTED again. Changed content is another photo. What only the bytes told (a library
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
    assets = list(assets)
    others = _with_other_boxes(registry, assets)
    before = _last_id(registry)
    registry.db.executemany(
        f"INSERT INTO assets ({columns}, label, source, reason, seen_run) "
        f"VALUES ({', '.join('?' * len(_COLUMNS))}, ?, ?, 'listed', ?) "
        f"ON CONFLICT (owner_id, asset_id) DO UPDATE SET reason = CASE WHEN {changed} THEN 'listed' ELSE reason END, "
        f"photo_id = CASE WHEN {content} THEN NULL ELSE photo_id END, pixels = CASE WHEN {content} THEN 'original' ELSE pixels END, "
        f"boxes = coalesce(excluded.boxes, boxes), {updates}, label = excluded.label, source = excluded.source, "
        "seen_run = excluded.seen_run",
        ((*_values(asset), label, source, run_id) for asset in assets),
    )
    _told_others(registry, others)
    return _last_id(registry) - before


def _with_other_boxes(registry: Registry, assets: Iterable[Asset]) -> dict[int, bool]:
    """The photos of those assets whose face boxes are others than were known, and whether that is more than whose they are."""
    sql = "SELECT photo_id, boxes FROM assets WHERE owner_id = ? AND asset_id = ? AND photo_id IS NOT NULL AND boxes IS NOT ?"
    found = dict[int, bool]()
    for owner_id, asset_id, now in ((a.owner_id, a.asset_id, _boxes(a.boxes)) for a in assets if a.boxes is not None):
        if (row := registry.db.execute(sql, (owner_id, asset_id, now)).fetchone()) is not None:
            found[row[0]] = found.get(row[0], False) or _places(row[1]) != _places(now)
    return found


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


def of_other_labels(registry: Registry, label: str, assets: Iterable[Asset]) -> set[tuple[str, str]]:
    """Which of these assets (owner, asset id) are another label's."""
    sql = "SELECT owner_id, asset_id FROM assets WHERE owner_id = ? AND asset_id = ? AND label <> ?"
    found = (registry.db.execute(sql, (asset.owner_id, asset.asset_id, label)).fetchone() for asset in assets)
    return {(row[0], row[1]) for row in found if row is not None}


def relist(registry: Registry, label: str, reasons: Sequence[Reason]) -> None:
    """Decide again about a user's assets that have one of these reasons."""
    registry.db.execute(
        "UPDATE assets SET reason = 'listed', detail = NULL, previewed_with = NULL "
        f"WHERE label = ? AND reason IN ({', '.join('?' * len(reasons))})",
        (label, *reasons),
    )


def ids_in_order(registry: Registry, label: str, source: str, reasons: Sequence[Reason]) -> array[int]:
    """Row ids in canonical order: one's own before a partner's, an upload before an external file, then by when the photo was taken (a
    folder's: by path), then by asset id. Eight bytes each.
    """
    sql = (
        f"SELECT id FROM assets WHERE label = ? AND source = ? AND reason IN ({', '.join('?' * len(reasons))}) "
        "ORDER BY owner_id IS NOT (SELECT user_id FROM users WHERE users.label = assets.label), library_id IS NOT NULL, "
        "CASE source WHEN 'folder' THEN original_path ELSE coalesce(taken_at, '') END, asset_id"
    )
    return array("q", (row[0] for row in registry.db.execute(sql, (label, source, *reasons))))


def canonical_order(row: AssetRow, user_id: str) -> tuple[bool, bool, str, str]:
    """A row's place in the canonical order of :func:`ids_in_order` for the label whose ``user_id`` this is."""
    when = row.asset.original_path if row.source == "folder" else row.asset.taken_at or ""
    return row.asset.owner_id != user_id, row.asset.library_id is not None, when, row.asset.asset_id


def _values(asset: Asset) -> tuple[object, ...]:
    *values, boxes = _facts(asset)
    return (*values, None if boxes is None else _boxes(boxes))


def _boxes(boxes: Sequence[FaceBox]) -> str:
    return _json(list(map(_BOX, boxes))) if boxes else "[]"


def set_boxes(registry: Registry, row_id: int, boxes: Sequence[FaceBox]) -> None:
    """Keep an asset's face boxes as its source gave them."""
    now = _boxes(boxes)
    photo_id, before = registry.db.execute("SELECT photo_id, boxes FROM assets WHERE id = ?", (row_id,)).fetchone()
    registry.db.execute("UPDATE assets SET boxes = ? WHERE id = ?", (now, row_id))
    if photo_id is not None:
        _told_others(registry, {photo_id: _places(before) != _places(now)})


def _told_others(registry: Registry, photo_ids: Mapping[int, bool]) -> None:
    """What the source says of the faces of these photos, or of a copy of them, is other than it was: whose they are is found anew;
    where they are others (True), their vectors are to be asked again.
    """
    source_people.identify(registry, photo_ids)
    moved = ((photo_id,) for photo_id, others in photo_ids.items() if others)
    registry.db.executemany("UPDATE embedded SET digest = NULL WHERE photo_id = ? AND by_source = 1", moved)


def _places(boxes: str | None) -> list[list[object]]:
    """Which faces, and where, whosever they are."""
    return [box[:_WHOSE] for box in json.loads(boxes or "[]")]


def forget_boxes(registry: Registry, row_ids: Iterable[int]) -> None:
    """Ask anew where faces are on these, and decide again."""
    registry.db.executemany("UPDATE assets SET boxes = NULL, reason = 'listed', detail = NULL WHERE id = ?", ((i,) for i in row_ids))


def settle(
    registry: Registry,
    row_id: int,
    reason: Reason,
    detail: str | None = None,
    *,
    sha256: str | None = None,
    path: str | None = None,
    size: int | None = None,
    kept_id: int | None = None,
    pixels: str | None = None,
    previewed_with: str | None = None,
) -> None:
    """Give an asset its reason; ``sha256``, ``path`` and ``pixels`` are kept where not given. A retryable reason counts an attempt."""
    if sha256 is not None:
        photos.set_bytes(registry, row_id, sha256, path=path, pixels=pixels or "original", size=size)
    retry = reason.state is State.RETRY
    registry.db.execute(_SETTLE, (reason, detail, kept_id, pixels, retry, previewed_with, row_id))


def settle_many(registry: Registry, decided: Iterable[tuple[int, Reason, str | None]]) -> None:
    """:func:`settle` for many: row id, reason, detail."""
    rows = ((reason, detail, None, None, reason.state is State.RETRY, None, row_id) for row_id, reason, detail in decided)
    registry.db.executemany(_SETTLE, rows)


def mark_unseen_gone(registry: Registry, label: str, source: str, run_id: int) -> int:
    """After a complete listing: assets it no longer names are GONE; returns how many became so."""
    gone = registry.db.execute(
        "UPDATE assets SET reason = 'gone', seen_run = 0 WHERE label = ? AND source = ? AND seen_run <> ? AND reason <> 'gone'",
        (label, source, run_id),
    ).rowcount
    registry.db.execute("UPDATE assets SET seen_run = 0 WHERE label = ? AND source = ? AND seen_run <> ?", (label, source, run_id))
    return gone


def select(
    registry: Registry,
    *,
    labels: Sequence[str] = (),
    reasons: Sequence[Reason] = (),
    after: int = 0,
    limit: int = -1,
) -> Iterator[AssetRow]:
    """Assets in the order they were first listed; ``after`` is a row id, so that a long walk can be taken in bounded steps."""
    where, values = ["a.id > ?"], [after]
    for column, wanted in (("label", labels), ("reason", reasons)):
        if wanted:
            where.append(f"a.{column} IN ({', '.join('?' * len(wanted))})")
            values += wanted  # type: ignore[arg-type]
    sql = f"{ROWS} WHERE {' AND '.join(where)} ORDER BY a.id LIMIT ?"
    return map(row_of, registry.db.execute(sql, (*values, limit)))


def find(registry: Registry, asset_id: str) -> list[AssetRow]:
    """Assets with this id (one for each owner that has it), or whose id begins with it."""
    rows = registry.db.execute(f"{ROWS} WHERE a.asset_id = ? ORDER BY a.id", (asset_id,)).fetchall()
    if not rows and len(asset_id) >= 6:
        like = asset_id.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        rows = registry.db.execute(f"{ROWS} WHERE a.asset_id LIKE ? ESCAPE '\\' ORDER BY a.id", (like,)).fetchall()
    return [row_of(row) for row in rows]


def named(registry: Registry, text: str) -> list[AssetRow]:
    """Assets with this file name (in any case), path at the source, or path of the staged original."""
    sql = f"{ROWS} WHERE a.file_name = ? COLLATE NOCASE OR a.original_path = ? OR p.path = ? ORDER BY a.id"
    return [row_of(row) for row in registry.db.execute(sql, (text, text, text))]


def called_alike(registry: Registry, name: str) -> list[AssetRow]:
    """Assets with this file name in any case and any of Unicode's forms: a Mac writes an umlaut as two characters.

    What is plain ASCII has one form, which :func:`named` finds.
    """
    if name.isascii():
        return []
    names = registry.db.execute("SELECT id, file_name FROM assets ORDER BY id")
    return [get(registry, row_id) for row_id, file_name in names if folded(file_name or "") == folded(name)]


def get(registry: Registry, row_id: int) -> AssetRow:
    """The asset with this row id."""
    return row_of(registry.db.execute(f"{ROWS} WHERE a.id = ?", (row_id,)).fetchone())


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
