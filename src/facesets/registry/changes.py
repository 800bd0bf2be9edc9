"""Queries about decisions of users and about changes to sets: what is under way, done, undone or given up."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from facesets.registry.database import Registry


@dataclass(frozen=True, slots=True)
class Step:
    """One step on disk: an ``action`` of :mod:`facesets.changes.steps` with its arguments, paths below the folder of sets."""

    action: str
    arguments: Mapping[str, str]
    done: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done to sets, and what would take it back."""

    id: int
    kind: str
    payload: Mapping[str, Any]
    inverse: Mapping[str, Any]
    state: str  # planned, applied, undone, given_up
    reason: str | None
    decision_id: int | None
    run_id: int | None


def decide(registry: Registry, act: str, payload: Mapping[str, Any]) -> int:
    """Record what a user said, in terms of content keys and set numbers; returns the decision's id."""
    cursor = registry.db.execute(
        "INSERT INTO decisions (act, payload, at) VALUES (?, ?, ?)", (act, json.dumps(payload, sort_keys=True), now())
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def add(
    registry: Registry,
    kind: str,
    payload: Mapping[str, Any],
    *,
    inverse: Mapping[str, Any] | None = None,
    steps: Sequence[Step] = (),
    decision_id: int | None = None,
    run_id: int | None = None,
) -> int:
    """Record a change as planned, with its steps; returns its id."""
    cursor = registry.db.execute(
        "INSERT INTO changes (kind, payload, inverse, decision_id, run_id, at) VALUES (?, ?, ?, ?, ?, ?)",
        (kind, json.dumps(payload, sort_keys=True), json.dumps(inverse or {}, sort_keys=True), decision_id, run_id, now()),
    )
    assert cursor.lastrowid is not None
    rows = ((cursor.lastrowid, n, step.action, json.dumps(dict(step.arguments), sort_keys=True)) for n, step in enumerate(steps))
    registry.db.executemany("INSERT INTO change_steps (change_id, n, action, arguments) VALUES (?, ?, ?, ?)", rows)
    return cursor.lastrowid


def planned(registry: Registry, kind: str | None = None) -> list[Change]:
    """Changes that are still to be carried through, oldest first."""
    sql = "SELECT * FROM changes WHERE state = 'planned' AND (?1 IS NULL OR kind = ?1) ORDER BY id"
    return [_change(row) for row in registry.db.execute(sql, (kind,)).fetchall()]


def decided_files(acts: Iterable[Mapping[str, Any]], name: str, files: dict[str, str]) -> dict[str, str]:
    """``files`` (path -> SHA-256) of a set, with what acts by their payloads, oldest first, took out or brought."""
    for act in acts:
        for path in act["out"].get(name, ()):
            files.pop(path, None)
        files |= act["in"].get(name, {})
    return files


def brought(registry: Registry, name: str) -> set[str]:
    """The paths of all files that acts ever brought into a set."""
    sql = (
        "SELECT DISTINCT j.key FROM changes AS c, json_each(c.payload, ?) AS j WHERE c.kind = 'act' "
        "AND c.state IN ('planned', 'applied') AND instr(c.payload, ?)"
    )
    return {row[0] for row in registry.db.execute(sql, (f"$.in.{json.dumps(name)}", json.dumps(name)))}


def under_way(registry: Registry) -> list[Change]:
    """Changes with steps on disk that are still to be carried through, oldest first."""
    steps = "EXISTS (SELECT 1 FROM change_steps AS s WHERE s.change_id = c.id)"
    rows = registry.db.execute(f"SELECT * FROM changes AS c WHERE state = 'planned' AND {steps} ORDER BY id").fetchall()
    return [_change(row) for row in rows]


def of_kind(registry: Registry, kind: str, state: str = "applied") -> list[Change]:
    """Changes of one kind in a state, oldest first."""
    rows = registry.db.execute("SELECT * FROM changes WHERE kind = ? AND state = ? ORDER BY id", (kind, state)).fetchall()
    return [_change(row) for row in rows]


def of_decision(registry: Registry, decision: int, kind: str) -> Change | None:
    """What followed from a decision, by its kind."""
    sql = "SELECT * FROM changes WHERE decision_id = ? AND kind = ? ORDER BY id LIMIT 1"
    row = registry.db.execute(sql, (decision, kind)).fetchone()
    return None if row is None else _change(row)


def of_decisions(registry: Registry, first: int, last: int, kind: str) -> dict[int, Change]:
    """Decision -> what followed from it, by its kind, of those from ``first`` to ``last``."""
    sql = "SELECT * FROM changes WHERE decision_id BETWEEN ? AND ? AND kind = ? ORDER BY id DESC"
    return {change.decision_id: change for row in registry.db.execute(sql, (first, last, kind)) if (change := _change(row)).decision_id}


def decided_on(registry: Registry, name: str) -> bool:
    """Whether a set's folder is still to follow a decision."""
    return any(change.kind == "act" and name in change.payload["sets"] for change in planned(registry, "act"))


def set_payload(registry: Registry, change_id: int, payload: Mapping[str, Any]) -> None:
    """What is still to be done of a change."""
    registry.db.execute("UPDATE changes SET payload = ? WHERE id = ?", (json.dumps(payload, sort_keys=True), change_id))


def get(registry: Registry, change_id: int) -> Change:
    """The change with this id."""
    return _change(registry.db.execute("SELECT * FROM changes WHERE id = ?", (change_id,)).fetchone())


def steps(registry: Registry, change_id: int) -> list[Step]:
    """A change's steps in their order."""
    sql = "SELECT action, arguments, state = 'done' FROM change_steps WHERE change_id = ? ORDER BY n"
    return [Step(action, json.loads(arguments), bool(done)) for action, arguments, done in registry.db.execute(sql, (change_id,))]


def set_step(registry: Registry, change_id: int, n: int, *, done: bool) -> None:
    """A step is done on disk, or taken back."""
    registry.db.execute(
        "UPDATE change_steps SET state = ? WHERE change_id = ? AND n = ?", ("done" if done else "planned", change_id, n)
    )


def settle(registry: Registry, change_id: int, state: str, reason: str | None = None) -> None:
    """A change is applied, undone, or given up for a reason."""
    registry.db.execute("UPDATE changes SET state = ?, reason = ? WHERE id = ?", (state, reason, change_id))


def _change(row: sqlite3.Row) -> Change:
    return Change(
        row["id"], row["kind"], json.loads(row["payload"]), json.loads(row["inverse"]), row["state"], row["reason"], row["decision_id"],
        row["run_id"],
    )  # fmt: skip


def now() -> str:
    """This moment in UTC, as rows keep it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
