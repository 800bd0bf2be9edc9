"""Queries for pages that show the faces of a person, a part of a long list at a time, and one face with its photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from facesets.records import Box, Reason
from facesets.registry.database import Registry
from facesets.registry.gallery import own_images
from facesets.registry.photos import first_taken

_TAKEN = first_taken("f.photo_id")
_DATED = "CROSS JOIN faces AS f ON f.id = s.face_id "
_RANKED = (
    "LEFT JOIN sets AS t ON t.person_id = s.person_id AND t.kind = 'canonical' "
    "LEFT JOIN measurements AS m ON m.face_id = s.face_id AND m.pack = s.pack "
    "LEFT JOIN set_faces AS k ON k.measurement_id = m.id AND k.set_id = t.id "
)
#: Name -> how the faces of one standing are sorted.
ORDERS: Final[Mapping[str, str]] = {
    "best": "k.rank IS NULL, k.rank, s.distance, s.face_id",
    "near": "s.distance IS NULL, s.distance, s.face_id",
    "far": "s.distance DESC, s.face_id",
    "doubtful": "s.ambiguous DESC, s.runner_up_distance IS NULL, s.runner_up_distance - s.distance, s.distance DESC, s.face_id",
    "old": "taken IS NULL, taken, s.face_id",
    "new": "taken DESC, s.face_id",
}


@dataclass(frozen=True, slots=True)
class ListedFace:
    """A face as a list shows it. ``other`` is the nearest other person's set."""

    key: str
    distance: float | None
    other: str | None
    other_distance: float | None
    ambiguous: bool
    taken_at: str | None


@dataclass(frozen=True, slots=True)
class Era:
    """An era set of a person."""

    name: str
    year_from: int
    year_to: int


@dataclass(frozen=True, slots=True)
class InPhoto:
    """A face of a photo, and whose it is: the name, or the set's."""

    key: str
    box: Box
    standing: str
    set_name: str | None
    person: str | None


@dataclass(frozen=True, slots=True)
class Photo:
    """A face's photo: size in oriented pixels, file (relative to the workspace, or absolute), and the asset that shows it."""

    id: int
    width: int | None
    height: int | None
    path: str | None
    label: str | None
    source: str | None
    asset_id: str | None
    file_name: str | None
    taken_at: str | None


def faces(
    registry: Registry, person: int, standing: Reason, *, order: str, years: tuple[int, int] | None, first: int, most: int
) -> tuple[int, list[ListedFace]]:
    """How many faces have this standing with a person (by its id), within ``years``, and those from the one at ``first`` on.

    The images of its owner's own come last among its members.
    """
    within = "" if years is None else f" AND substr({_TAKEN}, 1, 4) BETWEEN ? AND ?"
    values = [person, str(standing), *(() if years is None else (f"{years[0]:04d}", f"{years[1]:04d}"))]
    where = f"WHERE s.person_id = ? AND s.standing = ?{within}"
    sql = f"SELECT count(*) FROM memberships AS s {_DATED if years else ''} {where}"
    (total,) = registry.db.execute(sql, values).fetchone()
    found = []
    if first < total:
        # of all only what they are sorted by is read, and the rest of those that are shown: a measurement fills a page of the file
        by = ORDERS[order]
        joined = (_RANKED if "k.rank" in by else "") + (_DATED if years or "taken" in by else "")
        sql = (
            f"SELECT m.key, s.distance, o.name, s.runner_up_distance, s.ambiguous, {_TAKEN} FROM (SELECT s.face_id, s.pack, "
            f"s.distance, s.runner_up_id, s.runner_up_distance, s.ambiguous, {_TAKEN if 'taken' in by else 'NULL'} AS taken "
            f"FROM memberships AS s {joined} {where} ORDER BY {by} LIMIT ? OFFSET ?) AS s "
            f"CROSS JOIN measurements AS m ON m.face_id = s.face_id AND m.pack = s.pack {_DATED} "
            "LEFT JOIN sets AS o ON o.person_id = s.runner_up_id AND o.kind = 'canonical'"
        )
        for key, distance, other, other_distance, ambiguous, day in registry.db.execute(sql, [*values, most, first]):
            found.append(ListedFace(key, distance, other, other_distance, bool(ambiguous), day))
    if standing is Reason.MEMBER and years is None:
        images = own_images(registry, [person]).get(person, [])
        start = max(0, first - total)
        found += [
            ListedFace(sha, None, None, None, ambiguous=False, taken_at=None) for _, sha in images[start : start + most - len(found)]
        ]
        total += len(images)
    return total, found


def years(registry: Registry, person: int) -> dict[int, int]:
    """Year -> how many faces of a person (members and recognised ones) are in photos of it, by year."""
    sql = (
        f"SELECT substr({_TAKEN}, 1, 4) AS year, count(*) FROM memberships AS s {_DATED} "
        "WHERE s.person_id = ? AND s.standing IN ('member', 'recognised') GROUP BY 1 ORDER BY 1"
    )
    return {int(year): count for year, count in registry.db.execute(sql, (person,)) if year and year.isascii() and year.isdigit()}


def eras(registry: Registry, person: int) -> list[Era]:
    """The era sets of a person, by their years."""
    sql = (
        "SELECT name, year_from, year_to FROM sets WHERE person_id = ? AND kind = 'era' AND retired = 0 AND year_from IS NOT NULL "
        "AND year_to IS NOT NULL ORDER BY year_from, name"
    )
    return [Era(*row) for row in registry.db.execute(sql, (person,))]


def photo(registry: Registry, key: str) -> Photo | None:
    """The photo of the face with exactly this id; None where there is no such face."""
    row = registry.db.execute(
        "SELECT p.id, p.width, p.height, p.path, a.label, a.source, a.asset_id, a.file_name, a.taken_at FROM measurements AS m "
        "JOIN photos AS p ON p.id = m.photo_id LEFT JOIN assets AS a ON a.id = "
        "(SELECT id FROM assets WHERE photo_id = p.id ORDER BY kept_id IS NOT NULL, id LIMIT 1) WHERE m.key = ?",
        (key,),
    ).fetchone()
    return None if row is None else Photo(*row)


def in_photo(registry: Registry, photo_id: int) -> list[InPhoto]:
    """All faces of a photo, from left to right, by the measurement that decided on each."""
    rows = registry.db.execute(
        "SELECT m.key, f.x1, f.y1, f.x2, f.y2, s.standing, t.name, p.name FROM faces AS f JOIN memberships AS s ON s.face_id = f.id "
        "JOIN measurements AS m ON m.face_id = f.id AND m.pack = s.pack LEFT JOIN people AS p ON p.id = s.person_id "
        "LEFT JOIN sets AS t ON t.person_id = p.id AND t.kind = 'canonical' WHERE f.photo_id = ? ORDER BY f.x1, f.id",
        (photo_id,),
    )
    return [InPhoto(key, (x1, y1, x2, y2), standing, name, person) for key, x1, y1, x2, y2, standing, name, person in rows]
