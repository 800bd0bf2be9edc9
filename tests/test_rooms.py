"""The house: rooms import only what stands before them, and only through each other's doors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import facesets

ROOT = Path(facesets.__file__).parent
# each room may import those before it; modules of the top floor and rooms alike
ORDER = (
    "records", "thresholds", "reason_texts", "wording", "errors", "extras", "interrupt", "progress", "files", "processes", "secrets",
    "connections", "settings", "registry", "workspace",
    "photos", "clustering", "models", "immich", "sources", "staging", "exchange", "faces",
    "identity", "export", "changes", "people", "report", "targets", "publish", "review", "doctor", "pipeline", "demo", "cli",
)  # fmt: skip
TESTING = "testing"  # stands beside the house; demo and tests alone use it


def room_of(path: Path) -> str:
    """The room a module is in: its folder, or its own name where it stands on the top floor."""
    first, *rest = path.relative_to(ROOT).parts
    return first if rest else first.removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, str, bool]]:
    """``(room, what, inside)`` of each import of ours: what is asked for, and whether past the room's door."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0 or room_of(path) == TESTING or path.parent == ROOT / "cli", f"{path}: imports are absolute"
            names = [node.module or ""] if node.level == 0 else []
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            ours, _, rest = name.partition(".")
            if ours == "facesets" and rest:
                room, _, inner = rest.partition(".")
                yield room, name, bool(inner)


MODULES = sorted(path for path in ROOT.rglob("*.py") if path.name not in ("__main__.py",) and path.parent != ROOT / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_uses_earlier_rooms_only_and_only_through_their_doors(path: Path) -> None:
    own = room_of(path)
    if own == "__init__":
        return
    for room, what, inside in imports(path):
        if room == own:
            continue
        if room == TESTING:
            assert own == "demo", f"{what}: only demo and tests use {TESTING}"
            continue
        assert not inside, f"{what}: past the door of {room}"
        if own == TESTING:
            continue
        assert ORDER.index(room) < ORDER.index(own), f"{own} stands before {room}"


def test_every_room_has_its_place_in_the_order() -> None:
    there = {room_of(path) for path in MODULES} - {"__init__", TESTING}
    assert there == set(ORDER)


@pytest.mark.parametrize("room", [room for room in ORDER if (ROOT / room).is_dir()])
def test_a_door_shows_what_it_says(room: str) -> None:
    door = __import__(f"facesets.{room}", fromlist=["__all__"])
    assert [name for name in getattr(door, "__all__", ()) if not hasattr(door, name)] == []


def _module(name: str) -> Path | None:
    """The file of a module of ours; None for a room's door and for what is no module."""
    path = ROOT.joinpath(*name.split(".")[1:]).with_suffix(".py")
    return path if path.is_file() else None


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[Path, set[Path]] = {}
    for path in MODULES:
        named = graph.setdefault(path, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):  # imports inside functions, and those for types alone, too
            if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                named.update(module for name in names if name.startswith("facesets.") and (module := _module(name)))
    TopologicalSorter(graph).prepare()  # raises CycleError, with the circle
