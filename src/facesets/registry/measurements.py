"""Queries about what packs measured: which photos they have been through, and the faces they found there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from facesets.records import Box, Face, Reason
from facesets.registry import photos, source_people
from facesets.registry.copies import SHOWN
from facesets.registry.database import Registry
from facesets.registry.overlap import DRAWN, same_places

UNKNOWN = -1.0  # a score or sharpness that nobody knows


@dataclass(frozen=True, slots=True)
class Found:
    """A face to be recorded. ``lacks``: why its source's measure cannot be used; ``source_*``: the source's own ids."""

    face: Face
    vector: NDArray[np.float32]
    lacks: str = ""
    source_face_id: str | None = None
    source_person_id: str | None = None


def is_embedded(registry: Registry, sha256: str, pack: str) -> bool:
    """Whether this pack has been through this photo."""
    return embedded_reason(registry, sha256, pack) is not None


def failure(registry: Registry, sha256: str) -> tuple[Reason, str | None] | None:
    """Why a photo's bytes could not be decoded, and what the decoder said; None where no pack met them."""
    through = "'embedded', 'embedded_no_face'"
    sql = f"SELECT reason, detail FROM embedded WHERE photo_id = ? AND reason NOT IN ({through}) ORDER BY pack LIMIT 1"
    row = registry.db.execute(sql, (photos.find(registry, sha256),)).fetchone()
    return None if row is None else (Reason(row["reason"]), row["detail"])


def packs(registry: Registry) -> dict[str, int]:
    """The packs whose vectors are here, and the length of those."""
    # one look into the index for each pack, however many measurements it has
    names = [
        row[0]
        for row in registry.db.execute(
            "WITH RECURSIVE found (pack) AS (SELECT min(pack) FROM measurements UNION ALL "
            "SELECT (SELECT min(pack) FROM measurements WHERE pack > found.pack) FROM found WHERE pack IS NOT NULL) "
            "SELECT pack FROM found WHERE pack IS NOT NULL"
        )
    ]
    one = "SELECT length(vector) FROM measurements WHERE pack = ? AND length(vector) > 0 LIMIT 1"
    return {pack: row[0] // 4 if (row := registry.db.execute(one, (pack,)).fetchone()) else 0 for pack in names}


def embedded_reason(registry: Registry, sha256: str, pack: str | None) -> Reason | None:
    """With which reason this pack (None: any) has been through this photo; None where it has not."""
    sql = (
        f"SELECT e.reason FROM embedded AS e JOIN photos AS p ON p.id = e.photo_id WHERE p.{photos.column(sha256)} = ? "
        "AND (e.pack = ? OR (? IS NULL AND e.by_source = 0)) ORDER BY e.pack LIMIT 1"
    )
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
    orientation: int | None = None,
    engine: str = "unknown",
    digest: str | None = None,
) -> int:
    """Record that ``pack`` has been through a photo, and its faces (``vectors`` float32 [len(faces), d]); returns how many are new.

    Where it has been through before, faces where it saw one stay as they are. ``digest``: of the boxes that it was told of.
    """
    photo_id = photos.get_or_add(registry, sha256)
    if size is not None:
        photos.set_size(registry, photo_id, *size, orientation)
    have = registry.db.execute(
        "SELECT x1, y1, x2, y2, idx FROM measurements WHERE photo_id = ? AND pack = ?", (photo_id, pack)
    ).fetchall()
    known = same_places([face.box for face in faces], [tuple(row)[:4] for row in have], DRAWN) if have else {}
    follow = 1 + max(row["idx"] for row in have) if have else 0
    new = [
        (face, vector)
        for at, (face, vector) in enumerate(zip(faces, vectors if vectors is not None else (), strict=True))
        if at not in known
    ]
    registry.db.execute(
        "INSERT INTO embedded (photo_id, pack, reason, detail, digest) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
        "reason = excluded.reason, detail = excluded.detail, digest = coalesce(excluded.digest, digest)",
        (photo_id, pack, Reason.EMBEDDED if have and reason is Reason.EMBEDDED_NO_FACE else reason, detail, digest),
    )
    placed = ((replace(face, index=follow + n) if have else face, vector) for n, (face, vector) in enumerate(new))
    add(registry, (Found(face, vector) for face, vector in placed), engine=engine)
    return len(new)


@dataclass(frozen=True, slots=True)
class Measured:
    """Where a pack measured a face. ``unseen``: by its source's word alone; ``is_free``: in no set, and nobody's word is on it."""

    key: str
    box: Box
    unseen: bool
    is_free: bool


def of_photo(registry: Registry, photo_id: int, pack: str, unseen: str) -> list[Measured]:
    """What a pack measured in a photo; ``unseen`` is the name of the signal of a face that no detector saw."""
    rows = registry.db.execute(
        "SELECT m.key, m.x1, m.y1, m.x2, m.y2, json_extract(m.signals, '$.' || ?) IS NOT NULL, s.person_id IS NULL AND "
        "s.decided_by = 'run' AND NOT EXISTS (SELECT 1 FROM set_faces AS x WHERE x.measurement_id = m.id) "
        "FROM measurements AS m JOIN memberships AS s ON s.face_id = m.face_id WHERE m.photo_id = ? AND m.pack = ? ORDER BY m.idx",
        (unseen, photo_id, pack),
    )
    return [Measured(key, (x1, y1, x2, y2), bool(alone), bool(free)) for key, x1, y1, x2, y2, alone, free in rows]


def told_anew(registry: Registry, label: str, pack: str, wanted: float, after: int) -> Iterator[tuple[int, int, str, str]]:
    """A user's photos that this pack has been through here and whose source has other boxes than when that was last checked: photo id,
    row id, the digest of the boxes that the pack was told of ("": not known), and a stamp of the check. Each photo once.

    What the source says of copies of a photo counts, too. ``wanted``: another size that counts is another question. ``after``: a
    photo id, so that a long walk can be taken in steps.
    """
    rows = registry.db.execute(  # with a plus before it, a column is looked at and no index of it: the photo's is the one to use
        "SELECT e.photo_id, a.id, a.boxes, a.width, a.height, e.digest, "
        "a.label = ? AND a.kept_id IS NULL AND a.reason IN ('staged', 'embed_error', 'embedded', 'embedded_no_face') AS stands "
        "FROM embedded AS e CROSS JOIN assets AS a ON a.photo_id = e.photo_id WHERE e.photo_id > ? AND e.pack = ? AND e.by_source = 0 "
        "AND e.reason IN ('embedded', 'embedded_no_face') AND a.source = 'immich' AND a.boxes IS NOT NULL AND a.seen_run > 0 "
        f"AND +a.reason IN ({', '.join('?' * len(SHOWN))}) ORDER BY e.photo_id, stands DESC, a.boxes = '[]', a.id",
        (label, after, pack, *SHOWN),
    )
    for photo_id, group in groupby(rows, key=lambda row: row[0]):
        (_, row_id, boxes, width, height, known, stands), *others = group
        if stands:  # the first of several stands for it
            told, _, checked = (known or "").partition(":")
            said = f"{boxes} {width} {height} {wanted}" + "".join(other[2] for other in others if other[2] not in (boxes, "[]"))
            stamp = hashlib.blake2b(said.encode(), digest_size=8).hexdigest()
            if checked != stamp:
                yield photo_id, row_id, told, stamp


def count(registry: Registry, pack: str) -> int:
    """How many measurements this pack has made."""
    return int(registry.db.execute("SELECT count(*) FROM measurements WHERE pack = ?", (pack,)).fetchone()[0])


def is_known(registry: Registry, key: str) -> bool:
    """Whether there is a measurement with this id."""
    return registry.db.execute("SELECT 1 FROM measurements WHERE key = ?", (key,)).fetchone() is not None


def set_told(registry: Registry, photo_id: int, pack: str, digest: str, stamp: str) -> None:
    """This pack has been told of all these boxes, or has no need to be; checked with this stamp."""
    registry.db.execute("UPDATE embedded SET digest = ? WHERE photo_id = ? AND pack = ?", (f"{digest}:{stamp}", photo_id, pack))


def set_faceless(registry: Registry, photo_id: int, pack: str) -> None:
    """This pack has no face any more of a photo that it has been through."""
    registry.db.execute("UPDATE embedded SET reason = 'embedded_no_face' WHERE photo_id = ? AND pack = ?", (photo_id, pack))


def add(registry: Registry, found: Iterable[Found], *, engine: str = "unknown") -> None:
    """Record faces; what is there stays as it is. One where another pack has seen a face already is that face."""
    for (key, pack), of_photo in groupby(found, key=lambda one: (one.face.sha256, one.face.pack)):
        _add(registry, key, pack, list(of_photo), engine)


def _add(registry: Registry, key: str, pack: str, found: Sequence[Found], engine: str) -> None:
    db, photo_id = registry.db, photos.get_or_add(registry, key)
    others = db.execute(
        "SELECT f.id, f.x1, f.y1, f.x2, f.y2 FROM faces AS f WHERE f.photo_id = ? "
        "AND NOT EXISTS (SELECT 1 FROM measurements AS m WHERE m.face_id = f.id AND m.pack = ?) ORDER BY f.id",
        (photo_id, pack),
    ).fetchall()
    have = db.execute("SELECT key, idx FROM measurements WHERE photo_id = ? AND pack = ?", (photo_id, pack)).fetchall()
    keys, places = {row[0] for row in have}, {row[1] for row in have}
    new = [one for one in found if one.face.face_id not in keys and one.face.index not in places]
    pairs = same_places([one.face.box for one in new], [tuple(row)[1:] for row in others])
    for at, one in enumerate(new):
        face, reason = one.face, Reason.UNMEASURED if one.lacks else Reason.NEW
        if at in pairs:
            face_id = others[pairs[at]][0]
            db.execute(
                "UPDATE faces SET source_face_id = coalesce(?, source_face_id), source_person_id = coalesce(?, source_person_id) WHERE "
                "id = ?",
                (one.source_face_id, one.source_person_id, face_id),
            )
            if not one.lacks:
                db.execute(
                    "UPDATE memberships SET standing = 'new', pack = ?, note = NULL, was_for = NULL, person_id = NULL "
                    "WHERE face_id = ? AND standing IN ('not_measured', 'photo_lost')",
                    (pack, face_id),
                )
        else:
            face_id = db.execute(
                "INSERT INTO faces (photo_id, x1, y1, x2, y2, source_face_id, source_person_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (photo_id, *face.box, one.source_face_id, one.source_person_id),
            ).lastrowid
            db.execute(
                "INSERT INTO memberships (face_id, standing, pack, note) VALUES (?, ?, ?, ?)",
                (face_id, reason, pack, one.lacks or None),
            )
        db.execute(
            "INSERT INTO measurements (face_id, photo_id, pack, idx, key, by_source, engine, x1, y1, x2, y2, landmarks, det_score, "
            "face_short, sharpness, signals, vector) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                face_id, photo_id, pack, face.index, face.face_id, ":" in key, engine, *face.box, json.dumps(face.landmarks),
                UNKNOWN if face.det_score is None else face.det_score, face.face_short,
                UNKNOWN if face.sharpness is None else face.sharpness, json.dumps(dict(face.signals), sort_keys=True),
                np.ascontiguousarray(one.vector, "<f4").tobytes(),
            ),
        )  # fmt: skip
    if new and ":" not in key:
        source_people.identify(registry, [photo_id])


def measured_by(registry: Registry, face_id: str, pack: str) -> NDArray[np.float32] | None:
    """The vector of a face by this pack's measure, whichever of its measurements it is called by; None where it has none."""
    row = registry.db.execute(
        "SELECT o.vector FROM measurements AS m JOIN measurements AS o ON o.face_id = m.face_id WHERE m.key = ? AND o.pack = ? "
        "AND length(o.vector) > 0",
        (face_id, pack),
    ).fetchone()
    return None if row is None else np.frombuffer(row[0], "<f4")


def drop(registry: Registry, face_ids: Iterable[str]) -> int:
    """Forget measurements, which must be in no set, and faces of which none is left; returns how many measurements went."""
    db, dropped = registry.db, 0
    for key in face_ids:
        row = db.execute("SELECT id, face_id, pack FROM measurements WHERE key = ?", (key,)).fetchone()
        if row is None:
            continue
        measurement, face_id, pack = row
        dropped += db.execute("DELETE FROM measurements WHERE id = ?", (measurement,)).rowcount
        other = db.execute("SELECT pack FROM measurements WHERE face_id = ? ORDER BY id LIMIT 1", (face_id,)).fetchone()
        if other is None:
            db.execute("DELETE FROM memberships WHERE face_id = ?", (face_id,))
            db.execute("DELETE FROM faces WHERE id = ?", (face_id,))
            continue
        free = "person_id IS NULL AND decided_by = 'run'"  # what is known of it was by the measure that goes
        db.execute(
            f"UPDATE memberships SET pack = ?, standing = CASE WHEN {free} THEN 'new' ELSE standing END WHERE face_id = ? AND pack = ?",
            (other[0], face_id, pack),
        )
    return dropped


def vectors(registry: Registry, pack: str, keys: Collection[str]) -> tuple[list[str], NDArray[np.float32]]:
    """Those of ``keys`` that this pack measured, in their order, and their vectors float32 [n, d]."""
    rows = registry.db.execute("SELECT key, vector FROM measurements WHERE pack = ? AND length(vector) > 0 ORDER BY key", (pack,))
    found = [(key, np.frombuffer(vector, "<f4")) for key, vector in rows if key in keys]
    return [key for key, _ in found], np.stack([v for _, v in found]) if found else np.empty((0, 1), np.float32)
