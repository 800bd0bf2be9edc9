"""Queries for what is handed on: people with their sets, the files of a set's faces, agreements, and exports that were made."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from facesets.registry import changes, runs
from facesets.registry.database import Registry
from facesets.registry.people import births
from facesets.wording import folded

CONSENT, WITHDRAW = "consent", "withdraw"  # acts of decisions
_EXPORTED = "exported"
_ID = "exports:workspace"
_OF, _WHOSE = "json_extract(payload, '$.person')", "json_extract(data, '$.person')"
_PART_OF = (  # numbers of those who were merged into this person, be it by way of others
    "WITH RECURSIVE part (id, number) AS (SELECT p.id, p.number FROM people AS p JOIN people AS w ON w.id = p.merged_into "
    "WHERE w.number = :number UNION SELECT p.id, p.number FROM people AS p JOIN part ON p.merged_into = part.id) "
    "SELECT number FROM part"
)


@dataclass(frozen=True, slots=True)
class Person:
    """A person with a set on disk. ``birth_dates``: the person's own, else those that their source says of people in the set, else that
    of the people of this name where these have one.
    """

    id: int
    number: int
    name: str | None
    standing: str  # active, ignored, merged, forgotten
    birth_dates: tuple[str, ...]
    set_name: str
    revision: int
    origin: str
    pack: str


@dataclass(frozen=True, slots=True)
class Said:
    """One decision of a user about a person: ``act`` is consent or withdraw."""

    id: int
    act: str
    payload: Mapping[str, Any]
    at: str


def people(registry: Registry) -> list[Person]:
    """Everybody who has a set on disk, by number."""
    rows = registry.db.execute(
        "SELECT p.id, p.number, p.name, p.standing, p.birth_date, s.name, s.revision, s.origin, s.pack FROM people AS p "
        "JOIN sets AS s ON s.person_id = p.id AND s.kind = 'canonical' WHERE s.written = 1 AND s.retired = 0 ORDER BY p.number"
    ).fetchall()
    by_name = births(registry)

    def born(person_id: int, name: str | None, own: str | None) -> tuple[str, ...]:
        known = by_name.get(folded(name or ""))
        return (own,) if own else tuple(_birth_dates(registry, person_id)) or ((known,) if known else ())

    return [
        Person(row[0], row[1], row[2], row[3], born(row[0], row[2], row[4]), *row[5:9])
        for row in rows
        if row[3] not in ("merged", "forgotten")
    ]


def numbers(registry: Registry) -> set[int]:
    """Of all who were ever a person here; a registry that was brought back lacks those of later."""
    return {row[0] for row in registry.db.execute("SELECT number FROM people WHERE number IS NOT NULL")}


def _birth_dates(registry: Registry, person_id: int) -> list[str]:
    """What sources say: of the people as whom they know this person's faces."""
    rows = registry.db.execute(
        "SELECT DISTINCT sp.birth_date FROM memberships AS m JOIN faces AS f ON f.id = m.face_id "
        "JOIN source_people AS sp ON sp.person_id = f.source_person_id "
        "WHERE m.person_id = ? AND m.standing = 'member' AND sp.birth_date IS NOT NULL ORDER BY sp.birth_date",
        (person_id,),
    )
    return [row[0] for row in rows]


def files(registry: Registry, set_name: str) -> list[tuple[str, float, str | None]]:
    """``(face_id, distance, file below the set's folder)`` of a set's faces, best first."""
    rows = registry.db.execute(
        "SELECT m.key, f.distance, f.file FROM set_faces AS f JOIN measurements AS m ON m.id = f.measurement_id "
        "WHERE f.set_id = (SELECT id FROM sets WHERE name = ?) ORDER BY f.rank",
        (set_name,),
    )
    return [tuple(row) for row in rows]


def strangers(registry: Registry, pack: str, person_id: int) -> Iterator[bytes]:
    """Vectors (float32) of faces that other people's sets have, by face id."""
    rows = registry.db.execute(
        "SELECT m.vector FROM memberships AS s JOIN measurements AS m ON m.face_id = s.face_id AND m.pack = ?1 "
        "WHERE s.person_id IS NOT NULL AND s.person_id <> ?2 AND s.standing = 'member' AND length(m.vector) > 0 ORDER BY m.key",
        (pack, person_id),
    )
    return (row[0] for row in rows)


def say(registry: Registry, act: str, person: Person, payload: Mapping[str, Any]) -> int:
    """Record what a user said of a person; decisions are only ever added."""
    return changes.decide(registry, act, {"person": person.number, **payload})


def said(registry: Registry, person: Person) -> list[Said]:
    """What stands of it, oldest first. Who turned out to be this person may have withdrawn an agreement, and gave none for them."""
    rows = registry.db.execute(
        "SELECT id, act, payload, at FROM decisions WHERE undone_by IS NULL AND (act IN (:consent, :withdraw) AND "
        f"{_OF} = :number OR act = :withdraw AND {_OF} IN ({_PART_OF})) ORDER BY id",
        {"consent": CONSENT, "withdraw": WITHDRAW, "number": person.number},
    )
    return [Said(row[0], row[1], json.loads(row[2]), row[3]) for row in rows]


def workspace_id(registry: Registry) -> str:
    """What tells this workspace's exports from another's where both go to one folder; drawn once."""
    known = registry.fact(_ID)
    if known is None:
        known = secrets.token_hex(6)
        with registry.transaction():
            registry.set_fact(_ID, known)
    return known


def numbers_sent(registry: Registry, ledger: str) -> list[int]:
    """The people of whom there is a record of what a service was sent; ``ledger`` is how their facts begin."""
    rows = registry.db.execute("SELECT substr(key, length(?1) + 1) FROM facts WHERE substr(key, 1, length(?1)) = ?1", (ledger,))
    return sorted(int(row[0]) for row in rows if row[0].isdecimal())


def note(registry: Registry, person: Person, target: str, place: str, files_sent: int) -> None:
    """Keep that an export was made."""
    runs.note(
        registry, None, _EXPORTED, person=person.number, set=person.set_name, revision=person.revision, target=target, place=place,
        files=files_sent,
    )  # fmt: skip


def made(registry: Registry, person: Person) -> list[dict[str, Any]]:
    """Exports of this person, and of those who are part of them now, the last one of each to each place, as they were made."""
    rows = registry.db.execute(
        f"SELECT at, data FROM journal WHERE event = :event AND ({_WHOSE} = :number OR {_WHOSE} IN ({_PART_OF})) ORDER BY id",
        {"event": _EXPORTED, "number": person.number},
    )
    last: dict[tuple[str, str, int], dict[str, Any]] = {}
    for at, data in rows:
        one = {"at": at, **json.loads(data)}
        last.pop(key := (one["target"], one["place"], one["person"]), None)
        last[key] = one
    return [one for one in last.values() if one["files"]]
