"""Sets that were there before us, as three old scripts left them: named, merged, grown, undone; every foreign file is kept."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from facesets import people
from facesets.errors import NotFound, Refused, UsageError
from facesets.photos.decoder_pool import DecoderPool
from facesets.registry import backups, decisions, own_images, sets
from facesets.registry import people as rows
from facesets.testing import Library, immich_server
from facesets.workspace import Workspace

from ..decoders import lend
from ..pipeline.world import CommandLine, add_photos, configure, jpeg
from .conftest import call
from .home import Home

OLD, OTHER, THIRD = "faceset_004", "faceset_009", "faceset_011"
FOREIGN = ("notes.txt", "sheet.fsz", "contact_sheet.html", "contact_sheet.jpg")


@pytest.fixture(scope="session")
def old_folder(tmp_path_factory: pytest.TempPathFactory, pack: Path, decoders: DecoderPool) -> Path:
    """Two sets of plain images with gaps in their numbers, foreign files in them, thin and era sets, a manifest without a schema."""
    root = tmp_path_factory.mktemp("old") / "w"
    folder = root / "facesets"
    for name, person in ((OLD, 1), (OTHER, 2)):
        (folder / name).mkdir(parents=True)
        for n in range(6):
            (folder / name / f"{n}.jpg").write_bytes(jpeg([person], 9000 + 10 * person + n))
        for foreign in FOREIGN:
            (folder / name / foreign).write_text(f"{foreign} of {name}")
    (folder / THIRD).mkdir()
    for n in range(6):
        (folder / THIRD / f"3_{n}.jpg").write_bytes(jpeg([3], 9200 + n))
    for name in ("_thin/faceset_002_era_1998-2001", "faceset_004_era_2012-2016"):
        (folder / name).mkdir(parents=True)
        (folder / name / "0.jpg").write_bytes(jpeg([1], 9100))
    manifest = {"made_by": "finalize.sh", "facesets": [{"name": OLD, "note": "grandma"}, {"name": OTHER, "note": "x"}]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    library = Library()
    anna = library.user("anna")
    add_photos(library, anna, [1], 3)
    with pytest.MonkeyPatch.context() as patched, immich_server(library) as server:
        lend(decoders, patched)
        patched.setenv("IMMICH_URL", server.url)
        patched.setenv("IMMICH_API_KEY", server.key_for("anna"))
        call(root, "init")
        configure(root, pack)
        call(root, "run", "--user", "anna")
    return root


@pytest.fixture
def old(
    tmp_path: Path, old_folder: Path, decoders: DecoderPool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Home]:
    lend(decoders, monkeypatch)
    root = tmp_path / "w"
    shutil.copytree(old_folder, root)
    workspace = Workspace.open(root)
    with workspace.registry() as registry:
        yield Home(workspace, registry, decoders, CommandLine(root, capsys))


def test_an_image_is_left_out_and_comes_back_and_no_file_is_rewritten(old: Home) -> None:
    before = old.tree()
    inode = (old.root / OLD / "1.jpg").stat().st_ino
    people.reject(old.workspace, old.registry, [str(old.root / OLD / "0.jpg")])
    old.write()
    assert old.tree().keys() == before.keys() - {f"{OLD}/0.jpg"}
    assert {path: before[path] for path in old.tree() if path != "manifest.json"} == {
        path: digest for path, digest in old.tree().items() if path != "manifest.json"
    }
    assert (old.root / OLD / "1.jpg").stat().st_ino == inode
    assert old.verify().ok, old.verify().problems
    people.undo(old.workspace, old.registry)
    old.write()
    assert old.tree() == before
    assert old.verify().ok, old.verify().problems


def test_an_image_moves_into_another_set_under_a_name_that_is_free(old: Home) -> None:
    before = old.tree()
    people.move(old.workspace, old.registry, [str(old.root / OLD / "0.jpg")], OTHER)
    old.write()
    after = old.tree()
    assert f"{OLD}/0.jpg" not in after
    assert after[f"{OTHER}/0-2.jpg"] == before[f"{OLD}/0.jpg"]
    assert after[f"{OTHER}/0.jpg"] == before[f"{OTHER}/0.jpg"]
    people.undo(old.workspace, old.registry)
    old.write()
    assert old.tree() == before


def test_no_set_of_ones_own_is_left_without_an_image(old: Home) -> None:
    images = [str(old.root / OLD / f"{n}.jpg") for n in range(6)]
    people.reject(old.workspace, old.registry, images[:3])
    with pytest.raises(UsageError, match="nothing would be left of faceset_004"):
        people.reject(old.workspace, old.registry, images[3:])
    with pytest.raises(UsageError, match="nothing would be left of faceset_004"):
        people.move(old.workspace, old.registry, images[3:], OTHER)


def test_a_rejected_image_comes_back_by_no_merge_under_another_name(old: Home) -> None:
    image = (old.root / OLD / "0.jpg").read_bytes()
    (old.root / OTHER / "copy.jpg").write_bytes(image)
    people.accept(old.workspace, old.registry, OTHER)
    people.reject(old.workspace, old.registry, [str(old.root / OLD / "0.jpg")])
    people.merge(old.workspace, old.registry, OTHER, OLD)
    old.write()
    assert image not in [path.read_bytes() for path in (old.root / OLD).iterdir() if path.is_file()]


def test_two_images_of_one_name_move_into_one_set_and_none_is_lost(old: Home) -> None:
    before = old.tree()
    images = [before[f"{name}/0.jpg"] for name in (OLD, OTHER)]
    people.move(old.workspace, old.registry, [str(old.root / name / "0.jpg") for name in (OLD, OTHER)], THIRD)
    people.move(old.workspace, old.registry, [str(old.root / OLD / "1.jpg")], THIRD)
    people.move(old.workspace, old.registry, [str(old.root / OTHER / "1.jpg")], THIRD)
    old.write()
    after = [digest for path, digest in old.tree().items() if path.startswith(f"{THIRD}/")]
    assert {*images, *(before[f"{name}/1.jpg"] for name in (OLD, OTHER))} <= set(after)
    for _ in range(3):
        people.undo(old.workspace, old.registry)
        old.write()
    assert old.tree() == before
    assert old.verify().ok, old.verify().problems


def test_a_merge_takes_along_what_was_moved_in_and_not_what_was_rejected(old: Home) -> None:
    before = old.tree()
    of = {n: before[f"{OLD}/{n}.jpg"] for n in range(3)}
    people.reject(old.workspace, old.registry, [str(old.root / OLD / "0.jpg")])
    people.move(old.workspace, old.registry, [str(old.root / OLD / "1.jpg")], THIRD)
    people.merge(old.workspace, old.registry, OLD, OTHER)
    people.merge(old.workspace, old.registry, THIRD, OTHER)
    old.write()
    after = old.tree()
    there = [digest for path, digest in after.items() if path.startswith(f"{OTHER}/")]
    assert [there.count(of[n]) for n in range(3)] == [0, 1, 1]
    for decision in (4, 3):
        people.undo(old.workspace, old.registry, decision)
    old.write()
    after = old.tree()
    assert f"{OLD}/0.jpg" not in after, "the rejection stands"
    assert [path for path, digest in after.items() if digest == of[1]] == [f"{THIRD}/1.jpg"]
    for decision in (2, 1):
        people.undo(old.workspace, old.registry, decision)
    old.write()
    assert {path: digest for path, digest in old.tree().items() if path != "manifest.json"} == {
        path: digest for path, digest in before.items() if path != "manifest.json"
    }
    assert old.verify().ok, old.verify().problems


def test_an_owners_image_in_a_set_made_here_goes_where_that_goes(old: Home, tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    for n in range(6):
        (tmp_path / f"pics/{n}.jpg").write_bytes(jpeg([5], 7770 + n))
    assert old.cli("run", "--folder", str(tmp_path / "pics"), "--user", "berta").code == 0
    made, before = f"faceset_{sets.highest_number(old.registry):03d}", old.tree()
    image = before[f"{OLD}/0.jpg"]
    people.move(old.workspace, old.registry, [str(old.root / OLD / "0.jpg")], made)
    old.write()
    people.merge(old.workspace, old.registry, made, OTHER)
    old.write()
    assert [path.partition("/")[0] for path, digest in old.tree().items() if digest == image] == [OTHER]
    people.undo(old.workspace, old.registry)
    people.undo(old.workspace, old.registry)
    old.write()
    assert old.tree() == before


def test_merged_every_foreign_file_is_kept_and_the_undo_gives_both_back(old: Home) -> None:
    before = old.tree()
    people.merge(old.workspace, old.registry, OTHER, OLD)
    old.write()
    after = old.tree()
    assert not (old.root / OTHER).exists()
    assert {path: after[path] for path in before if path.startswith(f"{OLD}/")} == {
        path: digest for path, digest in before.items() if path.startswith(f"{OLD}/")
    }
    theirs = [digest for path, digest in before.items() if path.startswith(f"{OTHER}/")]
    assert set(theirs) <= {digest for path, digest in after.items() if path.startswith(f"{OLD}/")}
    manifest = json.loads((old.root / "manifest.json").read_text())
    assert manifest["made_by"] == "finalize.sh"
    assert [each["name"] for each in manifest["retired"]] == [OTHER]
    assert old.verify().ok, old.verify().problems
    people.undo(old.workspace, old.registry)
    old.write()
    restored = old.tree()
    assert {path: digest for path, digest in restored.items() if path != "manifest.json"} == {
        path: digest for path, digest in before.items() if path != "manifest.json"
    }
    assert json.loads((old.root / "manifest.json").read_text())["facesets"][1]["note"] == "x"
    assert old.verify().ok, old.verify().problems


def test_it_grows_by_recognised_faces_and_shrinks_back(old: Home) -> None:
    before = old.tree()
    person = decisions.faces_of(old.registry, 1, ["recognised"])
    assert len(person) == 3
    people.extend(old.workspace, old.registry, OLD)
    old.write()
    new = old.tree().keys() - before.keys()
    assert len(new) == 3
    assert all(path.endswith(".png") for path in new)
    assert f"{OLD}/faceset.json" not in old.tree()
    assert old.verify().ok, old.verify().problems
    people.undo(old.workspace, old.registry)
    old.write()
    assert old.tree() == before


def test_it_is_named_in_the_manifest_beside_what_others_wrote_there(old: Home) -> None:
    text = (old.root / "manifest.json").read_text()
    people.name(old.workspace, old.registry, OLD, "Grandma")
    old.write()
    (first, _) = json.loads((old.root / "manifest.json").read_text())["facesets"]
    assert first == {"name": OLD, "note": "grandma", "person": "Grandma"}
    people.undo(old.workspace, old.registry)
    old.write()
    assert json.loads((old.root / "manifest.json").read_text()) == json.loads(text)


def test_images_of_it_are_split_off_byte_for_byte_and_come_back(old: Home, tmp_path: Path) -> None:
    before = old.tree()
    some = [str(old.root / OLD / f"{n}.jpg") for n in (0, 1)]
    outcome = people.split(old.workspace, old.registry, OLD, some, name="Berta")
    assert outcome.sentences == ("2 faces of faceset_004 are another person's: faceset_012 (Berta)",)
    assert set(old.write().written) == {OLD, "faceset_012"}
    after = old.tree()
    assert {path: after[path] for path in after if path.startswith("faceset_012/")} == {
        f"faceset_012/{n}.jpg": before[f"{OLD}/{n}.jpg"] for n in (0, 1)
    }
    assert after.keys() & {f"{OLD}/{n}.jpg" for n in (0, 1)} == set()
    assert old.verify().ok, old.verify().problems
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics/one.jpg").write_bytes(jpeg([3], 777))
    assert old.cli("run", "--folder", str(tmp_path / "pics"), "--user", "berta").code == 0
    sizes = {row["set"]: row["faces"] for row in old.cli("list", "people", "--json").json}
    assert (sizes[OLD], sizes["faceset_012"]) == (4, 2), "both are known by what they hold now"
    people.undo(old.workspace, old.registry)
    old.write()
    restored = old.tree()
    assert {path: digest for path, digest in restored.items() if path != "manifest.json"} == {
        path: digest for path, digest in before.items() if path != "manifest.json"
    }
    assert old.verify().ok, old.verify().problems


def test_an_image_that_was_split_off_is_no_face_of_it_before_its_folder_followed(old: Home) -> None:
    people.split(old.workspace, old.registry, OLD, [str(old.root / OLD / f"{n}.jpg") for n in (0, 1)])
    assert people.confirm(old.workspace, old.registry, [OLD]).changes == {"confirmed": {OLD: 4}}
    with pytest.raises(NotFound, match="has no face of this file"):
        people.reject(old.workspace, old.registry, [str(old.root / OLD / "0.jpg")])
    people.reject(old.workspace, old.registry, [str(old.root / "faceset_012/0.jpg")])
    with pytest.raises(Refused, match="reject"):
        people.undo(old.workspace, old.registry, 1)


def test_something_is_left_of_it(old: Home) -> None:
    with pytest.raises(UsageError, match="nothing would be left"):
        people.split(old.workspace, old.registry, OLD, [str(old.root / OLD / f"{n}.jpg") for n in range(6)])
    with pytest.raises(UsageError, match="1 face is not in faceset_009"):
        people.split(old.workspace, old.registry, OTHER, [str(old.root / OLD / "0.jpg")])
    assert sets.highest_number(old.registry) == 11


def test_of_a_set_of_ones_own_only_images_are_faces(old: Home) -> None:
    outcome = people.confirm(old.workspace, old.registry, [OLD])
    assert outcome.changes == {"confirmed": {OLD: 6}}
    with pytest.raises(NotFound, match="has no face of this file"):
        people.reject(old.workspace, old.registry, [str(old.root / OLD / "notes.txt")])
    with pytest.raises(NotFound, match="has no face of this file"):
        people.confirm(old.workspace, old.registry, [str(old.root / OLD / "contact_sheet.jpg")])
    merged = people.merge(old.workspace, old.registry, OTHER, OLD, dry_run=True)
    assert "which has 6 more faces" in merged.sentences[0], "not its notes and sheets"


def test_a_set_that_was_renamed_while_a_decision_waited_follows_under_its_new_name(old: Home) -> None:
    people.reject(old.workspace, old.registry, [str(old.root / OLD / "0.jpg")])
    (old.root / OLD).rename(old.root / "faceset_044")
    assert "facesets accept faceset_004" in old.write().waiting[OLD]
    people.accept(old.workspace, old.registry, OLD)
    assert old.write().written == ["faceset_044"]
    assert not (old.root / "faceset_044/0.jpg").exists()
    assert old.verify().ok, old.verify().problems


def test_what_was_decided_of_ones_own_images_holds_in_a_registry_from_before(old: Home) -> None:
    before = old.tree()
    backups.make(old.workspace.registry_file, "schema-7")
    people.reject(old.workspace, old.registry, [str(old.root / OLD / "0.jpg")])
    people.merge(old.workspace, old.registry, OTHER, OLD, name="Grandma")
    old.write()
    files = {name: sets.files(old.registry, name) for name in (OLD, OTHER)}
    old.registry.close()
    (chosen,) = (each["backup"] for each in old.cli("restore", "--json").json if each["before"] == "schema-7")
    answer = old.cli("restore", chosen, "--json").json
    assert (answer["sets_altered"], answer["sets_gone"], answer["sets_unknown"]) == ([], [], [])
    old.registry = old.workspace.registry()
    assert {name: sets.files(old.registry, name) for name in (OLD, OTHER)} == files
    assert old.verify().ok, old.verify().problems
    people.undo(old.workspace, old.registry)
    people.undo(old.workspace, old.registry)
    old.write()
    assert {**old.tree(), "manifest.json": ""} == {**before, "manifest.json": ""}
    assert old.verify().ok, old.verify().problems


def test_a_decision_is_taken_back_after_its_set_was_renamed(old: Home) -> None:
    before = (old.root / OLD / "0.jpg").read_bytes()
    people.reject(old.workspace, old.registry, [str(old.root / OLD / "0.jpg")])
    old.write()
    (old.root / OLD).rename(old.root / "faceset_044")
    people.accept(old.workspace, old.registry, OLD)
    people.undo(old.workspace, old.registry, 1)
    assert old.write().written == ["faceset_044"]
    assert (old.root / "faceset_044/0.jpg").read_bytes() == before
    assert old.verify().ok, old.verify().problems


def accepted(old: Home, image: Path) -> Path:
    (old.root / OLD / "mine.jpg").write_bytes(image.read_bytes())
    people.accept(old.workspace, old.registry, OLD)
    return old.root / OLD / "mine.jpg"


def moved(old: Home, image: Path) -> Path:
    people.move(old.workspace, old.registry, [str(image)], OLD)
    return old.root / OLD / "3-2.jpg"


def merged(old: Home, image: Path) -> Path:
    people.merge(old.workspace, old.registry, OTHER, OLD)
    return old.root / OLD / f"{OTHER}_{image.name}"


def divided(old: Home, image: Path) -> Path:
    people.split(old.workspace, old.registry, OTHER, [str(image), str(image.with_name("4.jpg"))])
    return old.root / "faceset_012" / image.name


LATER: dict[str, Callable[[Home, Path], object]] = {
    "reject": lambda old, image: people.reject(old.workspace, old.registry, [str(image)]),
    "move": lambda old, image: people.move(old.workspace, old.registry, [str(image)], THIRD),
    "split": lambda old, image: people.split(old.workspace, old.registry, image.parent.name, [str(image)]),
    "merge": lambda old, image: people.merge(old.workspace, old.registry, image.parent.name, THIRD),
    "confirm": lambda old, image: people.confirm(old.workspace, old.registry, [str(image)]),
    "best": lambda old, image: people.best(old.workspace, old.registry, str(image)),
}


@pytest.mark.parametrize("gives", [accepted, moved, merged, divided])
@pytest.mark.parametrize("written", [True, False])
def test_what_brought_an_image_is_not_taken_back_while_a_later_decision_stands_on_it(
    old: Home, gives: Callable[[Home, Path], Path], *, written: bool
) -> None:
    image = gives(old, old.root / OTHER / "3.jpg")
    old.write()
    for act, say in LATER.items():
        say(old, image)
        if written:
            old.write()
        later = decisions.select(old.registry)[-1].id
        with pytest.raises(Refused, match=rf"while decision {later} \({act}\) stands on it"):
            people.undo(old.workspace, old.registry, 1)
        assert people.standing_on(old.registry, 1, 1) == {1: later}
        people.undo(old.workspace, old.registry)
        old.write()
        assert image.is_file()
    people.undo(old.workspace, old.registry, 1)
    assert old.write().waiting == {}


def offered(old: Home, name: str) -> int:
    """How many faces an extension of a set is suggested to bring."""
    found = [each for each in people.suggest(old.registry) if each.kind == "extend" and each.command.endswith(name)]
    return sum(each.evidence["recognised"] for each in found)


def test_faces_that_the_images_of_a_set_were_cut_from_do_not_come_into_it_once_more(old: Home, tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    for n in (0, 1, 2, 3, 600, 601):  # four that the set has, and two that it has not
        picture = Image.open(io.BytesIO(jpeg([1], 9010 + n)))
        picture.save(tmp_path / f"pics/{n}.jpg", quality=90)
    others = offered(old, OLD)
    assert others == 3
    assert old.cli("run", "--folder", str(tmp_path / "pics"), "--user", "berta").code == 0
    assert offered(old, OLD) == others + 2
    told = people.extend(old.workspace, old.registry, OLD, dry_run=True)
    assert told.changes["extended"]["faces"] == others + 2
    assert told.notes == ("4 recognised faces are left out, which are on images of your own in the set already",)
    # by the standing order as well
    (ordered,) = people.extend_as_ordered(old.workspace, old.registry)
    assert ordered.changes["extended"]["faces"] == others + 2
    assert people.extend_as_ordered(old.workspace, old.registry) == []
    one = rows.of_set(old.registry, OLD)
    assert one is not None
    assert own_images.recognised(old.registry, one.id, "another@1")[0] == []
    with pytest.raises(UsageError, match="images of your own in the set show the 4 faces"):
        people.extend(old.workspace, old.registry, OLD)
    # what is left out of the set, or comes into another with it, is not brought back by the photo that it was cut from
    people.reject(old.workspace, old.registry, [f"{OLD}/0.jpg"])
    people.merge(old.workspace, old.registry, OLD, OTHER, name="Anna")
    assert offered(old, OTHER) == 0


def test_a_set_that_was_known_before_its_images_were_is_looked_at_once(old: Home) -> None:
    def kept() -> list[tuple[object, ...]]:
        return [tuple(row) for row in old.registry.db.execute("SELECT * FROM own_images ORDER BY 1, 2, 3")]

    before = kept()
    assert len(before) == 18
    old.registry.db.execute("DELETE FROM own_images")
    for _ in range(2):  # the first finds copies: the same bytes with other times
        assert old.cli("cluster").code == 0
    assert kept() == before
