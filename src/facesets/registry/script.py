"""SQL scripts, run so that they belong to the transaction at hand; and the one that a new registry begins with."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from importlib.resources import files


def schema_7() -> str:
    """The schema that step 7 ends in; frozen."""
    return (files(__package__) / "schema_7.sql").read_text()


def execute(db: sqlite3.Connection, script: str) -> None:
    """Run a script statement by statement, since executescript() would commit the transaction it belongs to."""
    for statement in _statements(script):
        db.execute(statement)


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
