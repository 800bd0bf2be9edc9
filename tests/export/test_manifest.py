from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facesets.errors import CorruptFile, FacesetsError
from facesets.export.manifest import MANIFEST, ManifestEntry, files_hash, merge_manifest, read_manifest
from facesets.registry.sets import FileFact

FILES = [FileFact("faces/0001.png", 3, "aa"), FileFact("faceset.json", 4, "bb")]


def entry(number: int, person: str | None = None, files: list[FileFact] = FILES) -> ManifestEntry:
    return ManifestEntry(f"faceset_{number:03d}", number, 9, "open@1", person, files)


def document(folder: Path) -> Any:
    return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))


def test_a_first_manifest_is_private_and_says_what_it_is(tmp_path: Path) -> None:
    assert merge_manifest(tmp_path, [entry(2, "Zoë"), entry(1)])
    assert document(tmp_path)["schema"] == "facesets.manifest/1"
    assert [(e["name"], e["number"], e["faces"], e["model"], e.get("person")) for e in document(tmp_path)["facesets"]] == [
        ("faceset_001", 1, 9, "open@1", None), ("faceset_002", 2, 9, "open@1", "Zoë"),
    ]  # fmt: skip
    assert "Zoë" in (tmp_path / MANIFEST).read_text(encoding="utf-8")
    assert stat.S_IMODE((tmp_path / MANIFEST).stat().st_mode) == 0o600


def test_a_manifest_of_other_scripts_keeps_its_fields_and_order(tmp_path: Path) -> None:
    listed: list[Any] = [{"z": 1, "name": "faceset_009", "a": [1.5, None]}, {"id": 3}, "x", {"name": "faceset_001"}]
    foreign = {"made_by": "script", "facesets": listed, "n": 1}
    path = tmp_path / MANIFEST
    path.write_text("\ufeff" + json.dumps(foreign), encoding="utf-8")
    path.chmod(0o644)
    merge_manifest(tmp_path, [entry(10), entry(9, "Ann")])
    got = document(tmp_path)
    assert list(got) == ["made_by", "facesets", "n", "schema"]
    assert got["facesets"][1:4] == listed[1:]
    assert list(got["facesets"][0])[:3] == ["z", "name", "a"]
    assert got["facesets"][0]["person"] == "Ann"
    assert [e["name"] for e in got["facesets"][4:]] == ["faceset_010"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_what_does_not_change_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / MANIFEST
    merge_manifest(tmp_path, [entry(1, "Ann")])
    path.write_text(json.dumps(document(tmp_path)))  # another layout, the same content
    before = path.stat()
    assert not merge_manifest(tmp_path, [entry(1)])
    assert not merge_manifest(tmp_path, [])
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert document(tmp_path)["facesets"][0]["person"] == "Ann"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b'{"facesets": {}}', b"\xff\xfe", b'{"facesets": [], "facesets": [1]}', b"[" * 100_000,
        b'{"schema": "facesets.manifest/2", "facesets": []}',
    ],
)  # fmt: skip
def test_a_manifest_that_cannot_be_trusted_is_named_and_left_alone(tmp_path: Path, data: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(data)
    with pytest.raises(CorruptFile, match=r"manifest\.json"):
        merge_manifest(tmp_path, [entry(1)])
    assert (tmp_path / MANIFEST).read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]


def test_a_failed_write_leaves_the_old_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    merge_manifest(tmp_path, [entry(1)])
    before = (tmp_path / MANIFEST).read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("facesets.files.os.fsync", full)
    with pytest.raises(FacesetsError, match="disk is full"):
        merge_manifest(tmp_path, [entry(2)])
    assert (tmp_path / MANIFEST).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]


def test_the_files_hash_changes_with_any_file_and_not_with_their_order() -> None:
    assert files_hash(FILES) == files_hash(FILES[::-1])
    assert files_hash(FILES) != files_hash(FILES[:1])
    assert files_hash(FILES) != files_hash([FileFact("faces/0002.png", 3, "aa"), FILES[1]])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@settings(deadline=None)  # each example is synced to the disk
@given(extra=st.dictionaries(st.text(), json_values, max_size=3), listed=st.lists(json_values, max_size=4))
def test_nothing_of_a_foreign_manifest_is_ever_lost(
    tmp_path_factory: pytest.TempPathFactory, extra: dict[str, Any], listed: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("m")
    foreign = {k: v for k, v in extra.items() if k != "schema"} | {"facesets": listed}
    (folder / MANIFEST).write_text(json.dumps(foreign))
    merge_manifest(folder, [entry(1)])
    got = read_manifest(folder)
    assert got is not None
    assert json.dumps(got["facesets"][:-1]) == json.dumps(listed)
    assert json.dumps({k: v for k, v in got.items() if k not in ("schema", "facesets")}) == json.dumps(
        {k: v for k, v in foreign.items() if k != "facesets"}
    )
