"""What a decision does to rows of people, sets, members and standings: taken down before and after, and put back for an undo."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from facesets.registry.database import Registry

_COLUMNS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # table -> its key, and what a decision may alter there
    "people": (("id",), ("number", "name", "standing", "merged_into")),
    "sets": (("id",), ("person_id", "name", "origin", "pack", "retired", "run_id")),
    "memberships": (
        ("face_id",),
        (
            "person_id", "standing", "pack", "distance", "runner_up_id", "runner_up_distance", "ambiguous", "group_number",
            "group_size", "gate_has", "gate_needs", "better_key", "was_for", "note", "evidence", "decided_by",
        ),
    ),
    "set_faces": (("set_id", "measurement_id"), ("rank", "distance", "file")),
}  # fmt: skip
# what of a row says whether it still is as a decision left it; runs and new revisions of the folder alter the rest
_SAME: Mapping[str, tuple[str, ...]] = {"people": ("name", "standing", "merged_into"), "sets": ("name", "retired")}
_MEMBER = "member"

Rows = dict[tuple[str, str], list[Any]]  # (table, key) -> values
Difference = list[list[Any]]  # [table, key, values before or None, values after or None]


def take_down(registry: Registry, people: Collection[int], faces: Iterable[str]) -> Rows:
    """The rows of these people (by their ids) and their sets, and of ``faces`` (keys of measurements) where they are and stand."""
    rows: Rows = {}
    for person in people:
        _read(registry, rows, "people", "id = ?", person)
        _read(registry, rows, "sets", "person_id = ?", person)
    if keys := list(faces):
        ids = "face_id IN (SELECT m.face_id FROM json_each(?) AS k JOIN measurements AS m ON m.key = k.value)"
        _read(registry, rows, "set_faces", f"measurement_id IN (SELECT id FROM measurements WHERE {ids})", json.dumps(keys))
        _read(registry, rows, "memberships", ids, json.dumps(keys))
    return rows


def difference(before: Rows, after: Rows) -> Difference:
    """What changed, in the order of tables and keys."""
    return [
        [*key, before.get(key), after.get(key)] for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)
    ]


def one_after_the_other(first: Difference, second: Difference) -> Difference:
    """Two differences as one."""
    found = {(row[0], row[1]): row for row in first}
    for table, key, before, after in second:
        found[table, key] = [table, key, found[table, key][2] if (table, key) in found else before, after]
    return [*found.values()]


def touched(changed: Difference) -> set[tuple[str, str]]:
    """The rows that a difference is about."""
    return {(table, key) for table, key, _, _ in changed}


def put_back(registry: Registry, changed: Difference, into: int | None = None) -> Difference:
    """Give rows the values they had before, where they still are as the change left them; returns what this changed.

    A number that was given stays used: a person who was not there before is ``into`` (a person's id) from now on, their set retired.
    """
    done: Difference = []
    order, moved = list(_COLUMNS), set[str]()
    for table, key, was, after in sorted(changed, key=lambda one: order.index(one[0])):
        keys, columns = _COLUMNS[table]
        where = " AND ".join(f"{column} = ?" for column in keys)
        values = key.split(":")
        row = registry.db.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE {where}", values).fetchone()
        now = None if row is None else list(row)
        decided = [columns.index(column) for column in _SAME.get(table, ())]
        if (now is None) != (after is None) or (now and after and any(now[i] != after[i] for i in decided)):
            continue  # it was said or done otherwise meanwhile, and that stays
        if table == "memberships" and now and after and now[0] != after[0] and now[1] == _MEMBER:
            moved.add(key)  # a run has made it a member of another set, which stays
            continue
        if table == "set_faces" and _face(registry, values[1]) in moved:
            continue
        before = was
        if before is None and now is not None and table in ("people", "sets"):
            before = [*now]
            if table == "people":
                before[2:] = ["merged", into]
                free = "UPDATE memberships SET standing = 'new', person_id = NULL WHERE person_id = ? AND standing <> ?"
                registry.db.execute(free, (*values, _MEMBER))  # what runs recognised as them since is looked at anew
            else:
                before[4] = 1  # retired
        if before is None:
            registry.db.execute(f"DELETE FROM {table} WHERE {where}", values)
        elif now is None:
            if table == "set_faces":
                before = [_free_rank(registry, values[0], before[0]), *before[1:]]
            names = (*keys, *columns)
            sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
            registry.db.execute(sql, (*values, *before))
        else:
            if table == "set_faces" and before[0] != now[0]:
                is_free = _free_rank(registry, values[0], before[0]) == before[0]
                before = [before[0] if is_free else now[0], *before[1:]]
            registry.db.execute(f"UPDATE {table} SET {', '.join(f'{c} = ?' for c in columns)} WHERE {where}", (*before, *values))
        done.append([table, key, now, before])
    return done


def _face(registry: Registry, measurement: str) -> str:
    row = registry.db.execute("SELECT face_id FROM measurements WHERE id = ?", (measurement,)).fetchone()
    return "" if row is None else str(row[0])


def _free_rank(registry: Registry, set_id: str, wanted: int) -> int:
    taken = registry.db.execute("SELECT 1 FROM set_faces WHERE set_id = ? AND rank = ?", (set_id, wanted)).fetchone()
    if taken is None:
        return wanted
    (highest,) = registry.db.execute("SELECT max(rank) FROM set_faces WHERE set_id = ?", (set_id,)).fetchone()
    return int(highest) + 1


def _read(registry: Registry, rows: Rows, table: str, where: str, value: object) -> None:
    keys, columns = _COLUMNS[table]
    found: Iterable[Sequence[Any]] = registry.db.execute(f"SELECT {', '.join((*keys, *columns))} FROM {table} WHERE {where}", (value,))
    for row in found:
        rows[table, ":".join(map(str, row[: len(keys)]))] = list(row[len(keys) :])
