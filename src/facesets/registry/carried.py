"""Queries that carry what followed from decisions over from one registry to an older one of the same workspace.

Rows are known by what no registry gives twice: people and their sets by number, eras by name, faces by the ids of their measurements.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from facesets.registry import changes, people, rows
from facesets.registry.changes import Change
from facesets.registry.database import Registry

_KINDS = ("act", "revision", "eras", "publish")


class NotKnown(Exception):
    """A registry does not know what a change is about."""


@contextmanager
def attempt(registry: Registry) -> Iterator[None]:
    """Part of a unit of work that leaves nothing where it fails. Raises NotKnown, also where rows do not fit each other."""
    registry.db.execute("SAVEPOINT attempt")
    try:
        yield
    except BaseException as err:
        registry.db.execute("ROLLBACK TO attempt")
        registry.db.execute("RELEASE attempt")
        if isinstance(err, sqlite3.IntegrityError):
            raise NotKnown from err
        raise
    registry.db.execute("RELEASE attempt")


def changes_since(source: Registry, target: Registry) -> Iterator[tuple[Change, bool]]:
    """Changes that follow from decisions in their order, with whether ``target`` has them and what became of them is new."""
    sql = f"SELECT id, kind, decision_id, at, state, payload FROM changes WHERE kind IN {_KINDS} ORDER BY id"
    known = {row[0]: tuple(row) for row in target.db.execute(sql)}
    for row in source.db.execute(sql).fetchall():
        there = known.get(row[0])
        if there != tuple(row):
            yield changes.get(source, row[0]), there is not None and there[1:4] == tuple(row)[1:4]


def put(source: Registry, target: Registry, change: Change, *, known: bool) -> None:
    """Record a change with its steps in ``source``, and by its own id where that is free; of a ``known`` one what became of it."""
    payload, inverse = (json.dumps(part, sort_keys=True) for part in (change.payload, change.inverse))
    own = change.id
    if known:
        sql = "UPDATE changes SET payload = ?, state = ?, reason = ? WHERE id = ?"
        target.db.execute(sql, (payload, change.state, change.reason, own))
        target.db.execute("DELETE FROM change_steps WHERE change_id = ?", (own,))
    else:
        taken = target.db.execute("SELECT 1 FROM changes WHERE id = ?", (own,)).fetchone()
        (at,) = source.db.execute("SELECT at FROM changes WHERE id = ?", (own,)).fetchone()
        row = (change.kind, payload, inverse, change.state, change.reason, change.decision_id, change.run_id, at)
        columns = "id, kind, payload, inverse, state, reason, decision_id, run_id, at"
        cursor = target.db.execute(
            f"INSERT INTO changes ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (None if taken else own, *row)
        )
        assert cursor.lastrowid is not None
        own = cursor.lastrowid
    steps = source.db.execute("SELECT n, action, arguments, state FROM change_steps WHERE change_id = ?", (change.id,)).fetchall()
    target.db.executemany("INSERT INTO change_steps VALUES (?, ?, ?, ?, ?)", ((own, *step) for step in steps))


def put_published(source: Registry, target: Registry) -> None:
    """What Immich was told is what the newer registry knows of it."""
    told = source.db.execute("SELECT * FROM published").fetchall()
    if told:
        target.db.executemany(f"INSERT OR REPLACE INTO published VALUES ({', '.join('?' * len(told[0]))})", map(tuple, told))


def put_exported(source: Registry, target: Registry) -> None:
    """What services were sent, by which name of this workspace files are its own, and which exports were made: all of it is outside."""
    facts = source.db.execute("SELECT key, value FROM facts WHERE key LIKE 'export:%' OR key = 'exports:workspace'").fetchall()
    target.db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", map(tuple, facts))
    sql = "SELECT at, event, data FROM journal WHERE event = 'exported' ORDER BY id"
    known = set(map(tuple, target.db.execute(sql)))
    made = [row for row in map(tuple, source.db.execute(sql)) if row not in known]
    target.db.executemany("INSERT INTO journal (at, event, data) VALUES (?, ?, ?)", made)


def put_revisions(source: Registry, target: Registry) -> None:
    """A set's revision is the one that its folder has: a number stands for the same bytes as before."""
    found = source.db.execute("SELECT revision, name FROM sets").fetchall()
    target.db.executemany("UPDATE sets SET revision = max(revision, ?) WHERE name = ?", map(tuple, found))


def do_again(source: Registry, target: Registry, difference: rows.Difference) -> rows.Difference:
    """Make in ``target`` what a decision did to rows of ``source``; returns what this changed there. Raises NotKnown, in an attempt."""
    new = _new_people(target, difference)
    there = [_row(source, target, *row) for row in difference]
    created = {(table, str(number)) for numbers in new for table, number in zip(("people", "sets"), numbers, strict=True)}
    forward = [[table, key, after, before] for table, key, before, after in there if (table, key) not in created]
    return [[*row] for row in there if (row[0], row[1]) in created] + rows.put_back(target, forward)


def _new_people(target: Registry, difference: rows.Difference) -> list[tuple[int, int]]:
    """Rows of the people, and their sets, whom a decision brought up, and who get a set that is still to be written."""
    sets_of = {after[0]: after for table, _, before, after in difference if table == "sets" and before is None and after}
    made = []
    for table, key, before, after in difference:
        if table != "people" or before is not None or not after or people.of_number(target, after[0]) is not None:
            continue
        if (own := sets_of.get(int(key))) is None:
            raise NotKnown
        person = people.add(target, own[1], after[0], own[3], person_name=after[1], run_id=own[5])
        (set_id,) = target.db.execute("SELECT id FROM sets WHERE person_id = ?", (person,)).fetchone()
        made.append((person, set_id))
    return made


def _row(
    source: Registry, target: Registry, table: str, key: str, before: list[Any] | None, after: list[Any] | None
) -> tuple[str, str, list[Any] | None, list[Any] | None]:
    first, _, second = key.partition(":")
    if table == "people":
        own = str(_person(source, target, int(first)))
    elif table == "sets":
        own = str(_set(source, target, int(first)))
    elif table == "memberships":
        own = str(_face(source, target, int(first)))
    else:
        own = f"{_set(source, target, int(first))}:{_measurement(source, target, int(second))}"
    return table, own, _values(source, target, table, before, needed=False), _values(source, target, table, after, needed=True)


_PEOPLE_IN = {"people": (3,), "sets": (0,), "memberships": (0, 4)}  # where values name a person: merged_into, person_id, runner_up_id


def _values(source: Registry, target: Registry, table: str, values: list[Any] | None, *, needed: bool) -> list[Any] | None:
    if values is None:
        return None
    own = list(values)
    for at in _PEOPLE_IN.get(table, ()):
        if own[at] is None:
            continue
        try:
            own[at] = _person(source, target, own[at])
        except NotKnown:
            if needed and not (table == "memberships" and at):  # a runner-up may be nobody
                raise
            own[at] = None
    return own


def _person(source: Registry, target: Registry, person: int) -> int:
    row = source.db.execute("SELECT number FROM people WHERE id = ?", (person,)).fetchone()
    return _one(target, "SELECT id FROM people WHERE number = ?", row)


def _set(source: Registry, target: Registry, set_id: int) -> int:
    sql = "SELECT p.number, s.kind, s.name FROM sets AS s JOIN people AS p ON p.id = s.person_id WHERE s.id = ?"
    row = source.db.execute(sql, (set_id,)).fetchone()
    sql = (
        "SELECT s.id FROM sets AS s JOIN people AS p ON p.id = s.person_id WHERE p.number = ?1 AND s.kind = ?2 "
        "AND (?2 = 'canonical' OR s.name = ?3)"
    )
    return _one(target, sql, row)


def _measurement(source: Registry, target: Registry, measurement: int) -> int:
    row = source.db.execute("SELECT key FROM measurements WHERE id = ?", (measurement,)).fetchone()
    return _one(target, "SELECT id FROM measurements WHERE key = ?", row)


def _face(source: Registry, target: Registry, face: int) -> int:
    keys = [row[0] for row in source.db.execute("SELECT key FROM measurements WHERE face_id = ? ORDER BY id", (face,))]
    sql = "SELECT m.face_id FROM json_each(?) AS k JOIN measurements AS m ON m.key = k.value ORDER BY k.key LIMIT 1"
    return _one(target, sql, (json.dumps(keys),))


def _one(registry: Registry, sql: str, values: Any) -> int:
    row = None if values is None else registry.db.execute(sql, tuple(values)).fetchone()
    if row is None:
        raise NotKnown
    return int(row[0])
