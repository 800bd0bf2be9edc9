"""Queries about the bytes of assets: whose they are, which assets are copies of each other, which picture of one is here."""

from __future__ import annotations

from facesets.records import Reason, State
from facesets.registry import photos
from facesets.registry.assets import REASONS_OF, ROW, ROWS, TO_BE_HAD, AssetRow, row_of
from facesets.registry.database import Registry

_UNDECODED = (Reason.UNREADABLE, Reason.TRUNCATED, Reason.UNSUPPORTED, Reason.TOO_LARGE)
_GOOD = (Reason.STAGED, Reason.EMBED_ERROR, Reason.EMBEDDED, Reason.EMBEDDED_NO_FACE, *REASONS_OF[State.FAILED])


def relist_orphans(registry: Registry, label: str) -> None:
    """Decide again about duplicates whose kept twin has gone, or has other bytes now."""
    duplicate, alive = REASONS_OF[State.DUPLICATE], (*_GOOD, Reason.LISTED, *REASONS_OF[State.RETRY])
    registry.db.execute(
        "UPDATE assets SET reason = 'listed', detail = NULL, kept_id = NULL WHERE label = ? AND seen_run > 0 AND kept_id IS NOT NULL "
        f"AND reason IN ({', '.join('?' * len(duplicate))}) "
        "AND NOT EXISTS (SELECT 1 FROM assets AS kept WHERE kept.id = assets.kept_id "
        f"AND kept.photo_id = assets.photo_id AND kept.reason IN ({', '.join('?' * len(alive))}))",
        (label, *duplicate, *alive),
    )


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
    photos.set_bytes(registry, row_id, sha256)
    registry.db.execute(
        "UPDATE assets SET reason = ?, detail = ?, kept_id = ?, previewed_with = NULL WHERE id = ?",
        (reason, detail, kept_id, row_id),
    )
    if kept_id is None:
        registry.db.execute("UPDATE photos SET path = NULL WHERE sha256 = ?", (sha256,))


def take_over(registry: Registry, row: AssetRow, kept: AssetRow) -> None:
    """``row`` becomes the asset that stands for the photo, in the place of ``kept``, which becomes its duplicate. No file moves."""
    assert kept.sha256 is not None
    photos.set_bytes(registry, row.id, kept.sha256)
    registry.db.execute(
        "UPDATE assets SET reason = ?, detail = ?, pixels = ?, kept_id = NULL WHERE id = ?",
        (kept.reason, kept.detail, kept.pixels, row.id),
    )
    registry.db.execute("UPDATE assets SET kept_id = ? WHERE kept_id = ?", (row.id, kept.id))
    settle_duplicate(registry, kept.id, Reason.DUP_STAGED, f"same bytes as {row.asset.asset_id}", kept.sha256, row.id)


def settle_bytes(registry: Registry, sha256: str, reason: Reason, detail: str | None = None) -> None:
    """Give every asset whose bytes are kept under this hash the reason that embedding ended with."""
    registry.db.execute(
        "UPDATE assets SET reason = ?, detail = ?, attempts = attempts + ? "
        f"WHERE photo_id = (SELECT id FROM photos WHERE sha256 = ?) AND reason IN ({', '.join('?' * len(_GOOD))})",
        (reason, detail, reason.state is State.RETRY, sha256, *_GOOD),
    )


def with_bytes(registry: Registry, *, sha256: str | None = None, sha1: str | None = None) -> AssetRow | None:
    """The asset whose bytes are kept for this hash: staged or through, not itself a duplicate; the first listed of several."""
    column, value = ("p.sha256", sha256) if sha256 is not None else ("a.sha1", sha1)
    row = registry.db.execute(
        f"{ROWS} WHERE {column} = ? AND p.sha256 IS NOT NULL AND a.reason IN ({', '.join('?' * len(_GOOD))}) ORDER BY a.id LIMIT 1",
        (value, *_GOOD),
    ).fetchone()
    return None if row is None else row_of(row)


def with_look(registry: Registry, size_bytes: int, thumbhash: str) -> AssetRow | None:
    """The asset whose original is kept and has this size and thumbnail hash; the first listed of several."""
    row = registry.db.execute(
        f"{ROWS} WHERE a.size_bytes = ? AND a.thumbhash = ? AND a.photo_id IS NOT NULL AND a.kept_id IS NULL AND p.path IS NOT NULL "
        f"AND a.pixels = 'original' AND a.reason IN ({', '.join('?' * len(_GOOD))}) ORDER BY a.id LIMIT 1",
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


def byte_copies(registry: Registry, row_id: int) -> list[AssetRow]:
    """The assets that have the same bytes as this one, which stands for them."""
    duplicate = REASONS_OF[State.DUPLICATE]
    sql = f"{ROWS} WHERE a.kept_id = ? AND a.reason IN ({', '.join('?' * len(duplicate))}) ORDER BY a.id"
    return [row_of(row) for row in registry.db.execute(sql, (row_id, *duplicate))]


def want_pixels(registry: Registry, row_id: int, pixels: str) -> None:
    """Have another picture of an asset brought in place of the one that is here."""
    registry.db.execute("UPDATE assets SET reason = 'listed', pixels = ? WHERE id = ?", (pixels, row_id))


def settle_pixels(registry: Registry, row: AssetRow, pixels: str, sha256: str, path: str) -> None:
    """Another picture of an asset is here, and stands for it and for its duplicates."""
    photo_id = photos.set_bytes(registry, row.id, sha256, path=path, pixels=pixels)
    registry.db.execute(
        "UPDATE assets SET reason = 'staged', detail = NULL, pixels = ?, kept_id = NULL WHERE id = ?",
        (pixels, row.id),
    )
    registry.db.execute("UPDATE assets SET photo_id = ? WHERE kept_id = ?", (photo_id, row.id))


def ask_for_bytes(registry: Registry, row_id: int) -> None:
    """The file that is here is not the photo's (any more): have its bytes fetched again."""
    registry.db.execute("UPDATE photos SET path = NULL WHERE id = (SELECT photo_id FROM assets WHERE id = ?)", (row_id,))
    registry.db.execute("UPDATE assets SET reason = 'listed' WHERE id = ?", (row_id,))


def asset_by_key(registry: Registry) -> dict[str, AssetRow]:
    """Photo hash, or what stands for it -> the asset that stands for the photo: one by which it may be had, the first listed of
    several; else one whose owner threw it away, archived it or took it offline since.
    """
    order = " ".join(f"WHEN '{reason}' THEN {place}" for place, reason in enumerate(TO_BE_HAD))
    found: dict[str, AssetRow] = {}
    for column in ("sha256", "source_key"):
        # the best comes last, and is the one that stays
        sql = f"{ROWS} WHERE p.{column} IS NOT NULL ORDER BY CASE a.reason {order} ELSE 99 END DESC, a.id DESC"
        found |= {key: row for row in map(row_of, registry.db.execute(sql)) if (key := getattr(row, column)) is not None}
    return found


def changed_asset_by_key(registry: Registry) -> dict[str, AssetRow]:
    """Hash of a photo that no asset shows any more, or what stood for it -> the asset that did, whose file changed since."""
    found: dict[str, AssetRow] = {}
    for column in ("sha256", "source_key"):
        sql = (
            f"SELECT was.{column}, {ROW} FROM earlier_photos AS e JOIN photos AS was ON was.id = e.photo_id "
            f"JOIN assets AS a ON a.id = e.asset LEFT JOIN photos AS p ON p.id = a.photo_id WHERE was.{column} IS NOT NULL "
            "AND NOT EXISTS (SELECT 1 FROM assets AS now WHERE now.photo_id = was.id) ORDER BY a.id DESC"
        )
        found |= {key: row_of(row) for key, *row in registry.db.execute(sql)}
    return found


def taken_at_by_sha256(registry: Registry) -> dict[str, str | None]:
    """Photo hash, or what stands for it -> when the photo was taken, of all that are here or measured: what a plan needs.

    Of bytes that no asset shows any more, as a tag was written into its file since, by what is known of the asset now.
    """
    wanted = (*_GOOD, Reason.MEASURED)
    found: dict[str, str | None] = {}
    for column in ("sha256", "source_key"):
        sql = (
            f"SELECT p.{column}, a.taken_at FROM assets AS a JOIN photos AS p ON p.id = a.photo_id "
            f"WHERE p.{column} IS NOT NULL AND a.reason IN ({', '.join('?' * len(wanted))}) ORDER BY a.id DESC"
        )
        was = (
            f"SELECT p.{column}, a.taken_at FROM earlier_photos AS e JOIN photos AS p ON p.id = e.photo_id JOIN assets AS a "
            f"ON a.id = e.asset WHERE p.{column} IS NOT NULL ORDER BY a.id DESC"
        )
        found |= {**dict(registry.db.execute(was).fetchall()), **dict(registry.db.execute(sql, wanted).fetchall())}
    return found
