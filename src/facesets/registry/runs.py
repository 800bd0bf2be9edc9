"""Queries about runs and the journal: the only place where clock times of our own are kept."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from facesets.registry.database import Registry


def start(registry: Registry, command: str) -> int:
    """Begin a run; returns its id."""
    with registry.transaction():
        cursor = registry.db.execute("INSERT INTO runs (command, pid, started_at) VALUES (?, ?, ?)", (command, os.getpid(), _now()))
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def finish(registry: Registry, run_id: int, exit_code: int, counters: Mapping[str, Any]) -> None:
    """End a run with its exit code and counters."""
    with registry.transaction():
        registry.db.execute(
            "UPDATE runs SET finished_at = ?, exit_code = ?, counters = ? WHERE id = ?",
            (_now(), exit_code, json.dumps(counters, sort_keys=True), run_id),
        )


def last(registry: Registry) -> dict[str, Any] | None:
    """The last run: command, times, exit code (None while it runs, or where it was killed) and counters."""
    row = registry.db.execute("SELECT * FROM runs ORDER BY id DESC LIMIT 1").fetchone()
    return None if row is None else {**dict(row), "counters": json.loads(row["counters"])}


def verb(command: str) -> str:
    """What its user called: the step, or ``run`` where it was several."""
    return "run" if " " in command else command


def note(registry: Registry, run_id: int | None, event: str, **data: Any) -> None:
    """Write a line into the journal."""
    registry.db.execute(
        "INSERT INTO journal (run_id, at, event, data) VALUES (?, ?, ?, ?)",
        (run_id, _now(), event, json.dumps(data, sort_keys=True)),
    )


def last_note(registry: Registry, event: str) -> dict[str, Any] | None:
    """What the journal's last line of this event says."""
    row = registry.db.execute("SELECT data FROM journal WHERE event = ? ORDER BY id DESC LIMIT 1", (event,)).fetchone()
    return None if row is None else dict(json.loads(row[0]))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
