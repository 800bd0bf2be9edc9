"""Files of exports: the same bytes, nothing of others touched, what was rejected withdrawn, and a kill or a full disk made good."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from facesets import export_to, files
from facesets.errors import CorruptFile, FacesetsError, Refused
from facesets.registry import exports
from facesets.targets import tree
from facesets.targets.pictures import Pictures
from facesets.targets.record import RECORD
from facesets.workspace import Workspace
from tests.pipeline.world import tree as bytes_of

from .conftest import drop_face

LORA = pytest.param("lora", marks=pytest.mark.slow)
FILES = ("folder", "fsz", "imagefolder", "parquet", LORA, "frigate")


@pytest.fixture
def made(request: pytest.FixtureRequest) -> Path:
    """Drawn people; for a LoRA real ones: its pictures are cut so that only a real network sees the faces in them again."""
    target = request.node.callspec.params.get("target") if hasattr(request.node, "callspec") else None
    home: Path = request.getfixturevalue("portraits" if target == "lora" else "drawn")
    return home


def export(workspace: Workspace, target: str, out: Path, **more: Any) -> tuple[int, int, int]:
    """New, kept and withdrawn."""
    (one,) = export_to(workspace, target, ["Grandma"], out=out, **more).people
    return one.new, one.kept, one.withdrawn


@pytest.mark.parametrize("target", FILES)
def test_the_same_input_gives_the_same_bytes_and_a_second_run_writes_nothing(target: str, agreed: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert export(agreed, target, out, dry_run=True)[0] > 0
    assert not out.exists()
    new, _, _ = export(agreed, target, out)
    first, when = bytes_of(out), (out / RECORD).stat()
    assert export(agreed, target, out) == (0, new, 0)
    assert bytes_of(out) == first
    assert ((out / RECORD).stat().st_ino, (out / RECORD).stat().st_mtime_ns) == (when.st_ino, when.st_mtime_ns)
    assert export(agreed, target, out, remove=True) == (0, 0, new)
    assert not out.exists()
    export(agreed, target, out)
    assert bytes_of(out) == first


@pytest.mark.parametrize("target", [LORA, "frigate"])
def test_while_the_photos_are_away_all_of_an_export_stays(target: str, agreed: Workspace, made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    new, _, _ = export(agreed, target, out)
    first = bytes_of(out)
    away = (made / "photos").rename(made / "not mounted")
    try:
        assert export(agreed, target, out) == (0, new, 0)
        assert bytes_of(out) == first  # pictures, captions, the trainers' settings
        (one,) = export_to(agreed, target, ["Grandma"], out=out).people
        assert sum("not here now" in note for note in one.notes) == 1
        assert export(agreed, target, out, remove=True) == (0, 0, new)
        assert not out.exists()
    finally:
        away.rename(made / "photos")


def test_a_strangers_file_is_never_touched(agreed: Workspace, tmp_path: Path) -> None:
    export(agreed, "folder", tmp_path / "first")
    ours = sorted((tmp_path / "first" / "Grandma").iterdir())[0].name
    out = tmp_path / "out"
    (out / "Grandma").mkdir(parents=True)
    (out / "Grandma" / "holiday.png").write_text("mine")
    export(agreed, "folder", out)
    export(agreed, "folder", out, remove=True)
    assert bytes_of(out).keys() == {"Grandma/holiday.png"}
    (out / "Grandma" / ours).write_text("mine, too")
    with pytest.raises(Refused, match="is not of this export"):
        export(agreed, "folder", out)
    assert bytes_of(out).keys() == {"Grandma/holiday.png", f"Grandma/{ours}"}


@pytest.mark.parametrize("target", [LORA])
def test_what_was_changed_by_hand_stays(target: str, agreed: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(agreed, target, out)
    caption = sorted(out.rglob("*.txt"))[0]
    caption.write_text("my own words\n")
    (one,) = export_to(agreed, target, ["Grandma"], out=out).people
    assert (one.new, caption.read_text()) == (0, "my own words\n")
    assert any("changed by hand" in note for note in one.notes)
    export(agreed, target, out, remove=True)
    assert [path for path in out.rglob("*") if path.is_file()] == [caption]


def test_what_was_rejected_since_is_withdrawn_and_the_rest_stays(agreed: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(agreed, "folder", out)
    before = bytes_of(out)
    key = drop_face(agreed, "faceset_002")
    assert export(agreed, "folder", out) == (0, 8, 1)
    gone = before.keys() - bytes_of(out).keys()
    assert gone == {f"Grandma/{key[:12]}.png"}


@pytest.mark.parametrize("at", range(6))
def test_a_kill_at_any_file_is_made_good_by_the_next_run(
    at: int, agreed: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(agreed, "folder", tmp_path / "whole")
    out, writes = tmp_path / "out", iter(range(100))

    def killed(path: Path, content: Any, **more: Any) -> None:
        if next(writes) == at:
            raise KeyboardInterrupt
        files.replace_file(path, content, **more)

    with monkeypatch.context() as patch:
        patch.setattr(tree, "replace_file", killed)
        with pytest.raises(KeyboardInterrupt):
            export(agreed, "folder", out)
    export(agreed, "folder", out)
    assert bytes_of(out) == bytes_of(tmp_path / "whole")
    export(agreed, "folder", out, remove=True)
    assert not out.exists()


def test_a_full_disk_is_said_and_the_next_run_goes_on(agreed: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, writes = tmp_path / "out", iter(range(100))

    def full(path: Path, content: Any, **more: Any) -> None:
        if next(writes) == 4:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        files.replace_file(path, content, **more)

    with monkeypatch.context() as patch:
        patch.setattr(tree, "replace_file", full)
        with pytest.raises(FacesetsError, match="the disk is full"):
            export(agreed, "folder", out)
    assert export(agreed, "folder", out) == (5, 4, 0)


def test_a_folder_holds_one_targets_export_and_no_link_leads_out_of_it(agreed: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(agreed, "folder", out)
    with pytest.raises(Refused, match="holds an export to folder"):
        export(agreed, "imagefolder", out)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "Grandma").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="leads out of"):
        export(agreed, "folder", tmp_path / "linked")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "facesets.export/9", "sets": {}}'])
def test_a_record_that_is_none_is_said_and_nothing_is_written(text: str, agreed: Workspace, tmp_path: Path) -> None:
    (tmp_path / ".facesets-export.json").write_text(text)
    with pytest.raises(CorruptFile, match=r"\.facesets-export\.json"):
        export(agreed, "folder", tmp_path)
    assert not (tmp_path / "Grandma").exists()


def test_two_people_share_a_folder_and_each_is_withdrawn_alone(workspace: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_to(workspace, "frigate", out=out)
    assert {path.name for path in out.iterdir() if path.is_dir()} == {"Grandma", "Opa"}
    export_to(workspace, "frigate", ["Opa"], out=out, remove=True)
    assert {path.name for path in out.iterdir()} == {"Grandma", ".facesets-export.json"}
    with workspace.registry() as registry:
        key = f"2@{exports.workspace_id(registry)}"
    assert json.loads((out / ".facesets-export.json").read_bytes())["sets"].keys() == {key}


def test_a_set_of_plain_images_and_one_whose_originals_are_gone(agreed: Workspace, tmp_path: Path) -> None:
    from .conftest import agree, name  # noqa: PLC0415

    name(agreed, "faceset_001", "Uncle")
    agree(agreed, "faceset_001")
    (one,) = export_to(agreed, "folder", ["Uncle"], out=tmp_path / "uncle").people
    assert one.new == 6
    with agreed.registry() as registry, registry.transaction():
        registry.db.execute("UPDATE photos SET path = path || '.gone'")
    (one,) = export_to(agreed, "folder", ["Grandma"], out=tmp_path / "crops").people
    assert one.new == 9  # the set's own crops will do
    (one,) = export_to(agreed, "frigate", ["Grandma"], out=tmp_path / "frigate").people
    assert (one.new, {why.partition(" (")[0] for why in one.left_out.values()}) == (0, {"its original is gone"})
    assert any("none of its faces can be handed on" in note for note in one.notes)


@pytest.mark.parametrize("target", ["imagefolder", "parquet"])
def test_a_crop_that_shows_somebody_else_too_is_in_no_data_set(
    target: str, agreed: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([2, 1, 0])
    monkeypatch.setattr(Pictures, "detect", lambda *_: [None] * next(counts, 1))
    (one,) = export_to(agreed, target, ["Grandma"], out=tmp_path).people
    assert list(one.left_out.values()) == ["somebody else is in its crop"]
