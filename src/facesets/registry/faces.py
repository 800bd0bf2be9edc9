"""Queries about embedded photos and faces: measures and vectors, a pack each, and where each face has got to.

A face is a place in a photo and has one standing. What packs measured there are its measurements; the id by which the world knows a
face is that of any of them (``Face.face_id``), or an unambiguous beginning of it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from facesets.records import Face, Reason
from facesets.registry import photos
from facesets.registry.assets import TO_BE_HAD
from facesets.registry.database import Registry
from facesets.registry.measurements import UNKNOWN

_POINTS = msgspec.json.Decoder(tuple[tuple[float, float], ...])
_SIGNALS = msgspec.json.Decoder(Mapping[str, float])
_FLOATS = np.dtype("<f4")
T = TypeVar("T")
_UNUSABLE = (Reason.UNMEASURED, Reason.PHOTO_LOST)  # no plan can use them
_KEY = "CASE m.by_source WHEN 1 THEN p.source_key ELSE p.sha256 END"
_MEASURED = (
    f"m.key, {_KEY} AS photo, m.idx, m.x1, m.y1, m.x2, m.y2, m.landmarks, m.det_score, m.face_short, m.sharpness, m.pack, m.signals, "
    "m.vector"
)
_STANDING = (
    "s.standing, t.name AS set_name, s.distance, (SELECT name FROM sets WHERE person_id = s.runner_up_id AND kind = "
    "'canonical') AS other, "
    "s.runner_up_distance, s.ambiguous, s.group_number, s.group_size, s.gate_has, s.gate_needs, s.better_key, s.was_for, "
    "s.note, s.evidence"
)
_JOINS = "JOIN memberships AS s ON s.face_id = m.face_id LEFT JOIN sets AS t ON t.person_id = s.person_id AND t.kind = 'canonical' "
_BY_PHOTO = f"SELECT {_MEASURED}, {_STANDING} FROM photos AS p CROSS JOIN measurements AS m ON m.photo_id = p.id {_JOINS}"
_BY_PERSON = (
    f"SELECT {_MEASURED}, {_STANDING} FROM memberships AS s CROSS JOIN measurements AS m ON m.face_id = s.face_id "
    "JOIN photos AS p ON p.id = m.photo_id LEFT JOIN sets AS t ON t.person_id = s.person_id AND t.kind = 'canonical'"
)
_THEIRS = "s.person_id = (SELECT person_id FROM sets WHERE name = ?)"


@dataclass(frozen=True, slots=True)
class FaceRow:
    """A face as the registry knows it, with one of its measurements; ``vector`` is float32 [d]."""

    face: Face
    vector: NDArray[np.float32]
    reason: Reason
    set_name: str | None
    distance: float | None  # to that set's centroid
    _said: tuple[Any, ...] = field(repr=False)

    @property
    def group(self) -> tuple[int, int] | None:
        """The number of the group that the last decision found it in, and how many faces that had; None where it found none."""
        number, size = self._said[3:5]
        return None if number is None or number < 0 else (number, size)

    @property
    def detail(self) -> dict[str, Any]:
        """What is known beyond the reason: figures of the gate, the nearest other set, groups near by; empty where nothing is."""
        other, other_distance, ambiguous, group, size, has, needs, better, was_for, note, evidence = self._said
        known: dict[str, Any] = {"other_set": other, "other_distance": other_distance, "group": group, "group_size": size}
        if group is not None:
            known["ambiguous"] = bool(ambiguous)
        if has is not None:
            known["failed"] = {"has": has, "needs": needs, "better": better}
        if self.reason is Reason.UNMEASURED:
            known["lacks"] = note
        elif self.reason is Reason.PHOTO_LOST:
            known |= {"was_for": was_for, "lost": note}
        known |= json.loads(evidence) if evidence else {}
        if moved := known.get("moved"):  # kept under an older word
            known["moved"] = {"face_id" if key == "face" else key: value for key, value in moved.items()}
        return {name: value for name, value in known.items() if value not in (None, [])}


@dataclass(frozen=True, slots=True)
class Standing:
    """What a run decided about a face, by one of its measurements (``face_id``). ``evidence`` is for explain alone."""

    face_id: str
    reason: Reason
    set_name: str | None
    distance: float | None
    other: str | None = None
    other_distance: float | None = None
    ambiguous: bool = False
    group: int | None = None
    group_size: int | None = None
    gate_has: float | None = None
    gate_needs: float | None = None
    better: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)


def select(
    registry: Registry,
    *,
    pack: str | None = None,
    labels: Sequence[str] = (),
    reasons: Sequence[Reason] = (),
    set_name: str | None = None,
    sha256: str | None = None,
) -> Iterator[FaceRow]:
    """Faces in canonical order: by photo hash, then box order; each by its measure of ``pack``, or by the one that decided on it.

    ``labels``: of photos that one of these users has.
    """
    where, values = _where(pack, reasons)
    if labels:
        where.append(f"EXISTS (SELECT 1 FROM assets AS a WHERE a.photo_id = p.id AND a.label IN ({_marks(labels)}))")
        values += labels
    if set_name is not None:
        where.append(_THEIRS)
        sql = f"{_BY_PERSON} WHERE {' AND '.join(where)} ORDER BY photo, m.pack, m.idx"
        return map(_row, registry.db.execute(sql, [*values, set_name]))
    if sha256 is not None:
        where.append(f"p.{photos.column(sha256)} = ?")
        sql = f"{_BY_PHOTO} WHERE {' AND '.join(where)} ORDER BY m.pack, m.idx"
        return map(_row, registry.db.execute(sql, [*values, sha256]))
    # one index after the other gives the order without sorting vectors
    return chain.from_iterable(
        map(_row, registry.db.execute(
            f"{_BY_PHOTO} WHERE p.{column} IS NOT NULL AND m.by_source = {by_source} AND {' AND '.join(where)} "
            f"ORDER BY p.{column}, m.pack, m.idx",
            values,
        ))
        for by_source, column in enumerate(("sha256", "source_key"))
    )  # fmt: skip


def known(registry: Registry, pack: str, set_name: str, reasons: Sequence[Reason]) -> Iterator[FaceRow]:
    """The faces of a set's person that stand so and that the pack knows by a vector, in no order: several times as fast."""
    where, values = _where(pack, reasons)
    sql = f"{_BY_PERSON} WHERE {' AND '.join([*where, _THEIRS])} AND length(m.vector) > 0"
    return map(_row, registry.db.execute(sql, [*values, set_name]))


def in_no_set(registry: Registry, pack: str, labels: Sequence[str]) -> Iterator[FaceRow]:
    """The faces that a plan decides on, in no order: in no set (or likely of one), with a vector, of photos that are to be had and
    that one of these users (none: anybody) has.
    """
    where, values = _open(pack, labels)
    return map(_row, registry.db.execute(f"{_BY_PERSON} WHERE {where}", values))


def decided_in_no_set(registry: Registry, pack: str, labels: Sequence[str]) -> list[tuple[str, str]] | None:
    """``(face_id, reason)`` of the faces that :func:`in_no_set` gives, without reading a vector; None where one of them is new."""
    where, values = _open(pack, labels)
    sql = (
        "SELECT m.key, s.standing FROM memberships AS s CROSS JOIN measurements AS m ON m.face_id = s.face_id "
        f"JOIN photos AS p ON p.id = m.photo_id WHERE {where}"
    )
    if registry.db.execute(f"{sql} AND s.standing = ? LIMIT 1", [*values, Reason.NEW]).fetchone():
        return None
    return sorted((row[0], row[1]) for row in registry.db.execute(sql, values))


def _where(pack: str | None, reasons: Sequence[Reason]) -> tuple[list[str], list[str]]:
    where, values = ["m.pack = s.pack" if pack is None else "m.pack = ?"], [] if pack is None else [pack]
    if reasons:
        where.append(f"s.standing IN ({_marks(reasons)})")
        values += reasons
    return where, values


def _open(pack: str, labels: Sequence[str]) -> tuple[str, list[str]]:
    theirs = f"max(a.label IN ({_marks(labels)})) AND " if labels else ""
    return (
        f"m.pack = ? AND (s.person_id IS NULL OR s.standing = '{Reason.LIKELY}') "  # what is likely may turn out to be somebody else's
        f"AND s.standing NOT IN ({_marks(_UNUSABLE)}) AND length(m.vector) > 0 AND {_KEY} IS NOT NULL "
        f"AND (SELECT {theirs}max(a.reason IN ({_marks(TO_BE_HAD)})) FROM assets AS a WHERE a.photo_id = m.photo_id)",
        [pack, *_UNUSABLE, *labels, *TO_BE_HAD],
    )


def find(registry: Registry, face_id: str) -> FaceRow | None:
    """The face with this id, or the only one with an id that begins so (six characters at least)."""
    sql = f"SELECT {_MEASURED}, {_STANDING}, m.face_id FROM measurements AS m JOIN photos AS p ON p.id = m.photo_id {_JOINS} WHERE "
    rows = registry.db.execute(sql + "m.key = ?", (face_id,)).fetchall()
    if not rows and len(face_id) >= 6 and face_id.isalnum():
        # all that begin so lie between these in the index; more than a face has measurements is ambiguous anyway
        rows = registry.db.execute(sql + "m.key >= ? AND m.key < ? ORDER BY m.key LIMIT 20", (face_id, face_id + "~")).fetchall()
    return _row(rows[0]) if len({row["face_id"] for row in rows}) == 1 else None


def beginning_with(registry: Registry, start: str, limit: int = 9) -> list[str]:
    """The first ids of faces, in their order, that begin so; none where that is no beginning of an id."""
    if not start.isalnum():
        return []
    sql = "SELECT key FROM measurements WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
    return [row[0] for row in registry.db.execute(sql, (start, f"{start}~", limit))]


def decide(registry: Registry, pack: str, decided: Iterable[Standing]) -> None:
    """Give faces their standing, by this pack's measure."""
    people: dict[str | None, int | None] = {None: None, **dict(registry.db.execute("SELECT name, person_id FROM sets").fetchall())}
    registry.db.executemany(
        "UPDATE memberships SET standing = ?, person_id = ?, pack = ?, distance = ?, runner_up_id = ?, runner_up_distance = ?, "
        "ambiguous = ?, "
        "group_number = ?, group_size = ?, gate_has = ?, gate_needs = ?, better_key = ?, was_for = NULL, note = NULL, evidence = ?, "
        "decided_by = 'run' WHERE face_id = (SELECT face_id FROM measurements WHERE key = ?)",
        (
            (
                one.reason, people[one.set_name], pack, one.distance, people[one.other], one.other_distance, one.ambiguous, one.group,
                one.group_size, one.gate_has, one.gate_needs, one.better,
                json.dumps(one.evidence, sort_keys=True) if one.evidence else None, one.face_id,
            )
            for one in decided
        ),
    )  # fmt: skip


def counts(registry: Registry) -> dict[Reason, int]:
    """How many faces have each reason; a face counts once whatever the number of packs."""
    rows = registry.db.execute("SELECT standing, count(*) FROM memberships GROUP BY standing ORDER BY standing")
    return {Reason(reason): count for reason, count in rows}


def _row(row: sqlite3.Row) -> FaceRow:
    key, photo, index, x1, y1, x2, y2, landmarks, score, short, sharpness, pack, signals, vector, standing, name, distance, *said = row
    face = Face(
        key, photo, index, (x1, y1, x2, y2), _json(_POINTS, landmarks), _known(score), short, _known(sharpness), pack,
        _json(_SIGNALS, signals),
    )  # fmt: skip
    return FaceRow(face, np.frombuffer(vector, _FLOATS), Reason(standing), name, distance, tuple(said[:11]))


def _json(decoder: msgspec.json.Decoder[T], text: str) -> T:
    try:
        return decoder.decode(text)
    except msgspec.DecodeError:  # Python's own writes NaN, which is no JSON
        read: T = msgspec.convert(json.loads(text), decoder.type)
        return read


def _known(value: float) -> float | None:
    return None if value == UNKNOWN else value


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def recognised(registry: Registry, pack: str, standings: Sequence[Reason]) -> Iterator[tuple[str, str, str, str]]:
    """Faces that have one of these standings with a person, by this pack's measure: its key, the key of the measure that decided on the
    face, the photo's hash or what stands for it, and the set's name.
    """
    sql = (
        f"SELECT m.key, o.key, {_KEY}, t.name FROM memberships AS s JOIN measurements AS m ON m.face_id = s.face_id AND m.pack = ? "
        "JOIN measurements AS o ON o.face_id = s.face_id AND o.pack = s.pack JOIN photos AS p ON p.id = m.photo_id "
        f"JOIN sets AS t ON t.person_id = s.person_id AND t.kind = 'canonical' WHERE s.standing IN ({_marks(standings)}) "
        "ORDER BY m.key, o.key"
    )
    return (tuple(row) for row in registry.db.execute(sql, (pack, *standings)))


def open_excluded(registry: Registry, keys: Iterable[str]) -> None:
    """These faces cannot be of whom runs gave them to, as is known by now: they are anybody's."""
    registry.db.executemany(
        "UPDATE memberships SET standing = 'new', person_id = NULL, distance = NULL, runner_up_id = NULL, runner_up_distance = NULL, "
        "ambiguous = 0, group_number = NULL, group_size = NULL, gate_has = NULL, gate_needs = NULL, better_key = NULL, "
        "evidence = NULL, decided_by = 'run' WHERE face_id = (SELECT face_id FROM measurements WHERE key = ?)",
        ((key,) for key in keys),
    )
