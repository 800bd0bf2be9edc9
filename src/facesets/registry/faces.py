"""Queries about embedded photos and faces: vectors, signals, and where each face has got to."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..records import Face, Reason
from . import Registry

_UNKNOWN = -1.0  # a score or sharpness that nobody has told


@dataclass(frozen=True, slots=True)
class FaceRow:
    """A face as the registry knows it; ``vector`` is float32 [d]."""

    face: Face
    vector: NDArray[np.float32]
    reason: Reason
    detail: str | None
    set_name: str | None
    distance: float | None  # to that set's centroid


def is_embedded(registry: Registry, sha256: str, pack: str) -> bool:
    """Whether this pack has been through this photo."""
    sql = "SELECT 1 FROM embedded WHERE sha256 = ? AND pack = ?"
    return registry.db.execute(sql, (sha256, pack)).fetchone() is not None


def failure(registry: Registry, sha256: str) -> tuple[Reason, str | None] | None:
    """Why a photo's bytes could not be decoded, and what the decoder said; None where no pack met them."""
    row = registry.db.execute("SELECT reason, detail FROM embedded WHERE sha256 = ? ORDER BY pack LIMIT 1", (sha256,)).fetchone()
    return None if row is None else (Reason(row["reason"]), row["detail"])


def packs(registry: Registry) -> dict[str, int]:
    """The packs whose vectors are here, and the length of those."""
    names = [row[0] for row in registry.db.execute("SELECT DISTINCT pack FROM faces ORDER BY pack")]  # from an index alone
    one = "SELECT length(vector) FROM faces WHERE pack = ? AND length(vector) > 0 LIMIT 1"
    return {pack: row[0] // 4 if (row := registry.db.execute(one, (pack,)).fetchone()) else 0 for pack in names}


def embedded_reason(registry: Registry, sha256: str, pack: str | None) -> Reason | None:
    """With which reason this pack (None: any) has been through this photo; None where it has not."""
    sql = "SELECT reason FROM embedded WHERE sha256 = ? AND (pack = ? OR ? IS NULL) ORDER BY pack LIMIT 1"
    row = registry.db.execute(sql, (sha256, pack, pack)).fetchone()
    return None if row is None else Reason(row["reason"])


def add_embedded(
    registry: Registry,
    sha256: str,
    pack: str,
    reason: Reason,
    faces: Sequence[Face] = (),
    vectors: NDArray[np.float32] | None = None,
    *,
    detail: str | None = None,
    size: tuple[int, int] | None = None,
) -> None:
    """Record that ``pack`` has been through a photo, and its faces (``vectors`` float32 [len(faces), d]). Idempotent."""
    width, height = size or (None, None)
    registry.db.execute(
        "INSERT INTO embedded (sha256, pack, reason, detail, width, height) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET reason = excluded.reason, detail = excluded.detail",
        (sha256, pack, reason, detail, width, height),
    )
    found = zip(faces, vectors if vectors is not None else (), strict=True)
    add(registry, ((face, vector, Reason.NEW, None) for face, vector in found))


def add(registry: Registry, found: Iterable[tuple[Face, NDArray[np.float32], Reason, str | None]]) -> None:
    """Record faces with vector, reason and detail; one that is there stays as it is."""
    registry.db.executemany(
        "INSERT INTO faces VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL) ON CONFLICT DO NOTHING",
        (
            (
                face.face_id, face.sha256, face.pack, face.index, *face.box, json.dumps(face.landmarks),
                _UNKNOWN if face.det_score is None else face.det_score, face.face_short,
                _UNKNOWN if face.sharpness is None else face.sharpness, json.dumps(dict(face.signals), sort_keys=True),
                np.ascontiguousarray(vector, "<f4").tobytes(), reason, detail,
            )
            for face, vector, reason, detail in found
        ),
    )  # fmt: skip


def select(
    registry: Registry,
    *,
    pack: str | None = None,
    labels: Sequence[str] = (),
    reasons: Sequence[Reason] = (),
    set_name: str | None = None,
    sha256: str | None = None,
) -> Iterator[FaceRow]:
    """Faces in canonical order: by photo hash, then box order. ``labels``: of photos that one of these users has."""
    where, values = ["1"], list[str]()
    for column, value in (("pack", pack), ("set_name", set_name), ("sha256", sha256)):
        if value is not None:
            where.append(f"{column} = ?")
            values.append(value)
    if reasons:
        where.append(f"reason IN ({', '.join('?' * len(reasons))})")
        values += reasons
    if labels:
        theirs = f"FROM assets WHERE label IN ({', '.join('?' * len(labels))})"
        where.append(f"sha256 IN (SELECT sha256 {theirs} UNION ALL SELECT content {theirs})")
        values += [*labels, *labels]
    sql = f"SELECT * FROM faces WHERE {' AND '.join(where)} ORDER BY sha256, pack, idx"
    return map(_row, registry.db.execute(sql, values))


def find(registry: Registry, face_id: str) -> FaceRow | None:
    """The face with this id, or the only one whose id begins with it (six characters at least)."""
    rows = registry.db.execute("SELECT * FROM faces WHERE face_id = ?", (face_id,)).fetchall()
    if not rows and len(face_id) >= 6 and face_id.isalnum():
        rows = registry.db.execute("SELECT * FROM faces WHERE face_id LIKE ? LIMIT 2", (face_id + "%",)).fetchall()
    return _row(rows[0]) if len(rows) == 1 else None


def settle(registry: Registry, decided: Iterable[tuple[str, Reason, str | None, str | None, float | None]]) -> None:
    """Give faces their reason: ``(face_id, reason, detail, set_name, distance)``."""
    registry.db.executemany(
        "UPDATE faces SET reason = ?, detail = ?, set_name = ?, distance = ? WHERE face_id = ?",
        ((reason, detail, name, distance, face_id) for face_id, reason, detail, name, distance in decided),
    )


def counts(registry: Registry) -> dict[Reason, int]:
    """How many faces have each reason."""
    rows = registry.db.execute("SELECT reason, count(*) FROM faces GROUP BY reason ORDER BY reason")
    return {Reason(reason): count for reason, count in rows}


def _row(row: sqlite3.Row) -> FaceRow:
    face = Face(
        row["face_id"], row["sha256"], row["idx"], (row["x1"], row["y1"], row["x2"], row["y2"]),
        tuple((x, y) for x, y in json.loads(row["landmarks"])), _known(row["det_score"]), row["face_short"],
        _known(row["sharpness"]),
        row["pack"], json.loads(row["signals"]),
    )  # fmt: skip
    vector = np.frombuffer(row["vector"], "<f4")
    return FaceRow(face, vector, Reason(row["reason"]), row["detail"], row["set_name"], row["distance"])


def _known(value: float) -> float | None:
    return None if value == _UNKNOWN else value
