"""A registry that cannot be opened or written says why, and never asks to be moved away."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from facesets.errors import CorruptFile, FacesetsError, WorkspaceInUse
from facesets.records import Asset
from facesets.registry import Registry, assets, backups, database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Registry.open(tmp_path / "registry.sqlite") as registry:
        assets.add_listed(registry, "anna", "immich", [Asset("owner", "1")], 1)
    return tmp_path / "registry.sqlite"


def test_one_that_another_process_keeps_locked_is_in_use(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_WAIT", 0.05)

    def write() -> None:
        with Registry.open(path) as second, second.transaction():
            pass

    with Registry.open(path) as first, first.transaction(), pytest.raises(WorkspaceInUse, match="wait for it"):
        write()


def test_a_full_disk_is_called_that_and_what_was_there_stays(path: Path) -> None:
    def fill() -> None:
        with Registry.open(path) as registry:
            (pages,) = registry.db.execute("PRAGMA page_count").fetchone()
            registry.db.execute(f"PRAGMA max_page_count = {pages + 2}")  # SQLite then says what a full disk makes it say
            with registry.transaction():
                assets.add_listed(registry, "anna", "immich", [Asset("owner", f"{n:04d}" * 50) for n in range(500)], 1)

    with pytest.raises(FacesetsError, match=r"disk full.*make room"):
        fill()
    with Registry.open(path) as registry:
        assert len(list(assets.select(registry))) == 1


def test_a_damaged_one_names_restore_and_is_left_as_it_is(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[:100] = b"\xff" * 100
    path.write_bytes(data)
    with pytest.raises(CorruptFile, match="facesets restore") as err:
        Registry.open(path)
    assert "move" not in str(err.value)
    assert path.read_bytes() == data


def test_damage_that_shows_only_while_reading_names_restore_too(path: Path) -> None:
    with Registry.open(path) as registry:
        registry.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = registry.db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'assets'").fetchone()
    data = bytearray(path.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    path.write_bytes(data)
    with pytest.raises(CorruptFile, match="facesets restore"), Registry.open(path) as registry:
        list(assets.select(registry))


_READ = """
import os, sys
from pathlib import Path
from facesets.registry import Registry, assets
if os.getuid() == 0:  # who may write anywhere
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
with Registry.read(Path(sys.argv[1])) as registry:
    print(len(list(assets.select(registry))))
"""


def test_a_snapshot_that_nobody_may_write_can_be_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    import tempfile  # noqa: PLC0415 - a place that others may enter

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Registry.open(folder / "registry.sqlite") as registry:
            assets.add_listed(registry, "anna", "immich", [Asset("owner", "1")], 1)
        (folder / "registry.sqlite").chmod(0o444)
        folder.chmod(0o555)
        ran = subprocess.run(
            [sys.executable, "-c", _READ, str(folder / "registry.sqlite")], capture_output=True, text=True, check=False, env=os.environ
        )
        folder.chmod(0o755)
        assert ran.stdout == "1\n", ran.stderr
        assert [path.name for path in folder.iterdir()] == ["registry.sqlite"]


def test_a_backup_of_a_day_is_made_once_and_old_ones_go(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = path.parent / backups.FOLDER
    folder.mkdir()
    for day in range(1, 9):
        backups.copy(path, folder / f"registry-2020-01-0{day}.sqlite")
    today = backups.make(path)
    before = today.stat().st_mtime_ns
    assert backups.make(path) == today
    assert today.stat().st_mtime_ns == before
    assert len(backups.listed(path)) == 5
    assert backups.listed(path)[-1].path == today
    db = sqlite3.connect(today)
    assert db.execute("SELECT count(*) FROM assets").fetchone() == (1,)
    db.close()
