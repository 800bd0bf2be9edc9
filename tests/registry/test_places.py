"""The list of places where a person's data lie is whole: it is held to the schema and to the workspace."""

from __future__ import annotations

from pathlib import Path

from facesets.registry import Registry, places
from facesets.workspace import Workspace

# columns that say nothing of a person: numbers, times, states, and what a pack or a source is called
_HARMLESS = frozenset((
    "id", "label", "source", "type", "mime_type", "library_id", "size_bytes", "width", "height", "taken_at", "updated_at", "visibility",
    "reason", "attempts", "server_fails", "previewed_with", "pixels", "kept_id", "seen_run", "size", "orientation", "pack", "by_source",
    "idx", "engine", "det_score", "face_short", "sharpness", "standing", "distance", "runner_up_distance", "ambiguous", "group_number",
    "group_size", "gate_has", "gate_needs", "decided_by",
    "kind", "year_from", "year_to", "thin", "revision", "origin",
    "written", "retired",
    "run_id", "rank", "mtime_ns", "inode", "n", "act", "at", "undoes", "undone_by", "state", "action", "hidden", "key",
    "event", "command", "failures", "first_at", "last_at",
    "pid", "started_at", "finished_at", "exit_code", "owner_id", "asset_id", "is_trashed", "is_offline", "is_edited", "is_stacked",
))  # fmt: skip


def test_every_column_of_every_table_is_listed_or_says_nothing_of_a_person(tmp_path: Path) -> None:
    with Registry.open(tmp_path / "registry.sqlite") as registry:
        tables = [row[0] for row in registry.db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        columns = {table: {row[1] for row in registry.db.execute("SELECT * FROM pragma_table_xinfo(?)", (table,))} for table in tables}
    assert set(tables) == places.TABLES.keys()
    for table, there in columns.items():
        listed = set(places.TABLES[table])
        assert listed <= there, table
        assert there - listed <= _HARMLESS, table


def test_every_private_folder_of_a_workspace_is_listed(tmp_path: Path) -> None:
    workspace = Workspace.init(tmp_path / "home")
    made = {path.name for path in workspace.root.iterdir() if path.is_dir()}
    assert made <= {*places.FOLDERS, "facesets"}
    assert workspace.registry_file.name in places.REGISTRY
