"""Sidecars: read back by exiftool, in all eight orientations, merged into what is there, and taken out again."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from facesets import export_to, files
from facesets.pipeline import run
from facesets.progress import Silent
from facesets.targets import xmp
from facesets.targets.xmp import stored_box
from facesets.targets.xmp_document import NotXmp, Region, Sidecar
from facesets.testing.sample_library import encoded
from facesets.workspace import Workspace
from tests.pipeline.world import put
from tests.pipeline.world import tree as bytes_of

from .conftest import START, change, name

REGION = Region("Oma", 0.25, 0.1, 0.2, 0.4)
FOREIGN = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
 <!-- by hand -->
 <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:digiKam="http://www.digikam.org/ns/1.0/"
   xmlns:mwgrs="http://www.metadataworkinggroup.com/schemas/regions/" xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#"
   xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#" xmlns:my="urn:mine" my:note="two&#10;lines &amp; &quot;quotes&quot;">
  <dc:subject><rdf:Bag><rdf:li>Sommer</rdf:li></rdf:Bag></dc:subject>
  <digiKam:TagsList><rdf:Seq><rdf:li>Orte/Köln</rdf:li></rdf:Seq></digiKam:TagsList>
  <mwgrs:Regions rdf:parseType="Resource">
   <mwgrs:AppliedToDimensions stDim:w="400" stDim:h="300" stDim:unit="pixel"/>
   <mwgrs:RegionList><rdf:Bag><rdf:li rdf:parseType="Resource"><mwgrs:Name>Tante</mwgrs:Name><mwgrs:Type>Face</mwgrs:Type>
    <mwgrs:Area stArea:x="0.8" stArea:y="0.8" stArea:w="0.1" stArea:h="0.1" stArea:unit="normalized"/></rdf:li></rdf:Bag>
   </mwgrs:RegionList>
  </mwgrs:Regions>
 </rdf:Description>
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def exiftool(*words: str | Path) -> Any:
    """What exiftool says as JSON; the test is skipped where it is not installed."""
    tool = shutil.which("exiftool")
    if tool is None:
        pytest.skip("needs exiftool (apt-get install libimage-exiftool-perl)")
    call = [tool, "-j", "-G1", "-struct", "-charset", "utf8", *map(str, words)]
    call = [tool, "-j", "-G1", "-struct", "-charset", "utf8", *map(str, words)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)[0]


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_box_turned_back_is_where_the_stored_pixels_are(turn: int) -> None:
    """A white patch is drawn into the stored photo; Pillow shows it upright, and our box of it is turned back."""
    stored = Image.new("L", (90, 60))
    stored.paste(255, (10, 20, 40, 30))
    exif = Image.Exif()
    exif[0x0112] = turn
    stored.info["exif"] = exif.tobytes()
    stored.getexif()[0x0112] = turn
    from PIL import ImageOps  # noqa: PLC0415

    shown = ImageOps.exif_transpose(stored)
    box = shown.getbbox()
    assert box is not None
    x1, y1, x2, y2 = box
    assert stored_box((float(x1), float(y1), float(x2), float(y2)), 90, 60, turn) == (10, 20, 40, 30)


@pytest.mark.parametrize("turn", range(1, 9))
def test_exiftool_reads_back_all_eight_orientations(turn: int, workspace: Workspace, tmp_path: Path) -> None:
    photo, box = _turned(workspace, tmp_path, turn)
    export_to(workspace, "xmp", ["Grandma"], out=tmp_path / "out")
    (sidecar,) = (path for path in (tmp_path / "out").rglob("*.xmp") if path.name == f"{photo.name}.xmp")
    said = exiftool("-validate", "-warning", "-all", sidecar)
    assert said["ExifTool:Validate"].startswith("OK"), said
    info = said["XMP-mwg-rs:RegionInfo"]
    with Image.open(photo) as stored:
        assert (info["AppliedToDimensions"]["W"], info["AppliedToDimensions"]["H"]) == stored.size
        assert stored.getexif()[0x0112] == turn
        width, height = stored.size
    (region,) = info["RegionList"]
    area = region["Area"]
    assert (region["Name"], region["Type"], area["Unit"]) == ("Grandma", "Face", "normalized")
    left, top, right, bottom = stored_box(box, width, height, turn)
    assert area["X"] * width == pytest.approx((left + right) / 2, abs=0.01)
    assert area["Y"] * height == pytest.approx((top + bottom) / 2, abs=0.01)
    (other,) = said["XMP-MP:RegionInfoMP"]["Regions"]
    numbers = [float(n) for n in other["Rectangle"].split(", ")]
    assert numbers == pytest.approx([left / width, top / height, (right - left) / width, (bottom - top) / height], abs=1e-5)
    assert said["XMP-digiKam:TagsList"] == ["People/Grandma"]


def _turned(workspace: Workspace, tmp_path: Path, turn: int) -> tuple[Path, tuple[float, float, float, float]]:
    """One of Grandma's photos stored with another orientation, as the registry would know it; and her box as shown."""
    with workspace.registry() as registry, registry.transaction():
        row = registry.db.execute(
            "SELECT p.id, p.path, m.x1, m.y1, m.x2, m.y2 FROM set_faces AS f JOIN measurements AS m ON m.id = f.measurement_id JOIN "
            "photos AS p ON p.id = m.photo_id JOIN sets AS s ON s.id = f.set_id WHERE s.name = 'faceset_002' ORDER BY f.rank LIMIT 1"
        ).fetchone()
        from PIL import ImageOps  # noqa: PLC0415

        with Image.open(workspace.root / row[1]) as image:
            shown = ImageOps.exif_transpose(image).convert("RGB")
        path = tmp_path / Path(row[1]).name
        inverse = {4: Image.Transpose.FLIP_TOP_BOTTOM, 7: Image.Transpose.TRANSVERSE}
        if turn in inverse:
            exif = Image.Exif()
            exif[0x0112] = turn
            shown.transpose(inverse[turn]).save(path, exif=exif)
        else:
            import numpy as np  # noqa: PLC0415

            path.write_bytes(encoded(np.asarray(shown), "a.jpg", START, orientation=turn))
        registry.db.execute("UPDATE photos SET path = ? WHERE id = ?", (str(path), row[0]))
    return path, (row[2], row[3], row[4], row[5])


@pytest.mark.parametrize("called", ["Oma Ärger", 'Zoë "Zo" O\'Neil', "<b>&amp;</b>", "\N{GRINNING FACE} Li", "two\nlines", "A/B"])
def test_any_name_is_read_back_as_it_is(called: str, workspace: Workspace, tmp_path: Path) -> None:
    name(workspace, "faceset_002", called)
    export_to(workspace, "xmp", ["faceset_002"], out=tmp_path)
    said = exiftool("-all", sorted(tmp_path.glob("*.xmp"))[0])
    plain = called.replace("\n", " ")
    assert [region["Name"] for region in said["XMP-mwg-rs:RegionInfo"]["RegionList"]] == [plain]
    assert said["XMP-digiKam:TagsList"] == [f"People/{plain.replace('/', '_')}"]  # a tag is a path


def test_a_face_is_merged_into_what_a_sidecar_says_and_taken_out_again(tmp_path: Path) -> None:
    before = Sidecar(FOREIGN.encode())
    with_it = Sidecar(FOREIGN.encode())
    with_it.add(REGION, 400, 300)
    with_it.add_tag("People/Oma")
    (tmp_path / "a.xmp").write_bytes(with_it.bytes())
    (tmp_path / "b.xmp").write_text(FOREIGN, encoding="utf-8")
    again = Sidecar(with_it.bytes())
    assert [region.name for region in again.regions()] == ["Tante", "Oma"]
    assert again.has(REGION)
    assert again.has_tag("Orte/Köln")
    said, theirs = exiftool("-all", tmp_path / "a.xmp"), exiftool("-all", tmp_path / "b.xmp")
    assert [one["Name"] for one in said["XMP-mwg-rs:RegionInfo"]["RegionList"]] == ["Tante", "Oma"]
    assert said["XMP-digiKam:TagsList"] == ["Orte/Köln", "People/Oma"]
    assert said["XMP-dc:Subject"] == theirs["XMP-dc:Subject"]
    assert b"two&#10;lines &amp; &quot;quotes&quot;" in with_it.bytes()
    assert b"<!-- by hand -->" in with_it.bytes()
    assert b"<?xpacket end=" in with_it.bytes()
    again.remove(REGION, "People/Oma")
    assert again.bytes() == before.bytes()


@pytest.mark.parametrize("text", ["", "<a/>", "not xml", "<!DOCTYPE x [<!ENTITY a 'b'>]><x:xmpmeta xmlns:x='adobe:ns:meta/'/>", "\0"])
def test_what_is_no_sidecar_is_left_alone(text: str, workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(NotXmp):
        Sidecar(text.encode())
    export_to(workspace, "xmp", ["Grandma"], out=tmp_path / "first")
    sidecar = sorted((tmp_path / "first").glob("*.xmp"))[0].name
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / sidecar).write_text(text)
    (one,) = export_to(workspace, "xmp", ["Grandma"], out=tmp_path / "out").people
    assert any("was left alone" in note for note in one.notes)
    assert (tmp_path / "out" / sidecar).read_text() == text


def test_sidecars_of_several_people_are_repeatable_and_removed_by_person(workspace: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    dry = export_to(workspace, "xmp", out=out, dry_run=True)
    assert (sum(one.new for one in dry.people), out.exists()) == (20, False)
    export_to(workspace, "xmp", out=out)
    first = bytes_of(out)
    again = export_to(workspace, "xmp", out=out)
    assert [(one.new, one.kept, one.withdrawn) for one in again.people] == [(0, 10, 0), (0, 10, 0)]
    assert bytes_of(out) == first
    export_to(workspace, "xmp", ["Grandma"], out=out, remove=True)
    both = next(out.rglob("group.jpg.xmp"), None)
    assert both is None or [region.name for region in Sidecar(both.read_bytes()).regions()] == ["Opa"]
    export_to(workspace, "xmp", ["Opa"], out=out, remove=True)
    assert not any(out.rglob("*.xmp"))


def test_what_a_sidecar_says_already_is_neither_doubled_nor_removed(workspace: Workspace, tmp_path: Path) -> None:
    export_to(workspace, "xmp", ["Grandma"], out=tmp_path / "first")
    out = tmp_path / "out"
    shutil.copytree(tmp_path / "first", out)
    (out / ".facesets-export.json").unlink()  # as if digiKam had written them
    theirs = bytes_of(out)
    (one,) = export_to(workspace, "xmp", ["Grandma"], out=out).people
    assert (one.new, set(one.left_out.values())) == (0, {"its sidecar names this person there already"})
    export_to(workspace, "xmp", ["Grandma"], out=out, remove=True)
    assert bytes_of(out) == theirs
    name(workspace, "faceset_002", "Somebody")
    (one,) = export_to(workspace, "xmp", ["Somebody"], out=out).people
    assert set(one.left_out.values()) == {"its sidecar names Grandma there already"}


def test_beside_the_originals_of_a_folder_and_under_both_names(made: Path, workspace: Workspace, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(made / "photos", photos)
    with workspace.registry() as registry, registry.transaction():
        registry.db.execute("UPDATE photos SET path = replace(path, ?, ?)", (str(made / "photos"), str(photos)))
    before = bytes_of(photos)
    put(workspace.root, 'sidecar = "both"')
    both = Workspace.open(workspace.root)
    export_to(both, "xmp", ["Grandma"])
    sidecars = {path.name for path in photos.rglob("*.xmp")}
    assert len(sidecars) == 20
    assert {path: digest for path, digest in bytes_of(photos).items() if not path.endswith(".xmp")} == before
    change(both, "faceset_002", name="Oma")
    export_to(both, "xmp", ["Oma"])
    texts = [path.read_text(encoding="utf-8") for path in photos.rglob("*.xmp")]
    assert all("Oma" in text and "Grandma" not in text for text in texts)
    export_to(both, "xmp", ["Oma"], remove=True)
    assert bytes_of(photos) == before


def test_other_dimensions_in_a_sidecar_are_not_mixed_with_ours(workspace: Workspace, tmp_path: Path) -> None:
    export_to(workspace, "xmp", ["Grandma"], out=tmp_path / "first")
    sidecar = sorted((tmp_path / "first").glob("*.xmp"))[0].name
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / sidecar).write_text(FOREIGN.replace('stDim:w="400"', 'stDim:w="4000"'), encoding="utf-8")
    (one,) = export_to(workspace, "xmp", ["Grandma"], out=tmp_path / "out").people
    assert list(one.left_out.values()) == ["its sidecar's faces are for another size or rotation of the photo"]


@pytest.mark.parametrize("size", ["0", "nan", "-3", "inf"])
def test_a_size_that_is_none_in_a_sidecar_is_no_crash(size: str, workspace: Workspace, tmp_path: Path) -> None:
    export_to(workspace, "xmp", ["Grandma"], out=tmp_path / "first")
    sidecar = sorted((tmp_path / "first").glob("*.xmp"))[0].name
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / sidecar).write_text(FOREIGN.replace('stDim:h="300"', f'stDim:h="{size}"'), encoding="utf-8")
    (one,) = export_to(workspace, "xmp", ["Grandma"], out=tmp_path / "out").people
    assert list(one.left_out.values()) == ["its sidecar's faces are for another size or rotation of the photo"]


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("at", [0, 1, 5, 9])
def test_a_kill_at_any_sidecar_is_made_good_by_the_next_run(
    at: int, written: bool, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"

    def killed_once(called: str) -> None:
        writes = iter(range(100))

        def write(path: Path, content: Any, **more: Any) -> None:
            if not (last := next(writes) == at) or written:
                files.replace_file(path, content, **more)
            if last:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(xmp, "replace_file", write)
            with pytest.raises(KeyboardInterrupt):
                export_to(workspace, "xmp", [called], out=out)

    for called in ("Grandma", "Oma"):  # made anew, and changed
        change(workspace, "faceset_002", name=called)
        export_to(workspace, "xmp", [called], out=whole)
        killed_once(called)
        export_to(workspace, "xmp", [called], out=out)
        assert bytes_of(out) == bytes_of(whole)
    for called in ("Nana", "Ur", "Grandma"):  # again and again
        change(workspace, "faceset_002", name=called)
        killed_once(called)
    change(workspace, "faceset_002", name="Oma")
    export_to(workspace, "xmp", ["Oma"], out=out)
    assert bytes_of(out) == bytes_of(whole)
    export_to(workspace, "xmp", ["Oma"], out=out, remove=True)
    assert not out.exists() or bytes_of(out) == {}


@pytest.fixture
def photos(made: Path, workspace: Workspace, tmp_path: Path) -> Path:
    """A folder of its own for the workspace's photos, which others may read."""
    folder = tmp_path / "photos"
    shutil.copytree(made / "photos", folder)
    with workspace.registry() as registry, registry.transaction():
        for column in ("photos SET path = replace(path", "facts SET value = replace(value"):
            registry.db.execute(f"UPDATE {column}, ?, ?)", (str(made / "photos"), str(folder)))
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        place.chmod(0o755)
    return folder


def _first(workspace: Workspace) -> tuple[Path, Region]:
    """A photo of Grandma, and where she is in it, by an export that is taken out again."""
    export_to(workspace, "xmp", ["Grandma"])
    record = json.loads((workspace.root / xmp.BESIDE).read_text())
    (part,) = record["sets"].values()
    sidecar, entry = next((file, entry) for file, entry in sorted(part["files"].items()) if len(entry["faces"]) == 1)
    (face,) = entry["faces"].values()
    export_to(workspace, "xmp", ["Grandma"], remove=True)
    return Path(sidecar.removesuffix(".xmp")), Region(**face["region"])


def _sidecar_of(photo: Path, region: Region) -> bytes:
    """What another program would write."""
    document = Sidecar(None)
    with Image.open(photo) as image:
        document.add(region, *image.size)
    return document.bytes()


def test_a_whole_head_microsofts_regions_and_a_shift_of_the_same_name_are_the_same_face(photos: Path, workspace: Workspace) -> None:
    photo, region = _first(workspace)
    grown = 1.7
    head = replace(
        region, name="Tante", left=region.left - (grown - 1) / 2 * region.width, top=region.top - (grown - 1) / 2 * region.height,
        width=grown * region.width, height=grown * region.height,
    )  # fmt: skip
    theirs = _sidecar_of(photo, replace(region, name="Tante"))
    microsofts = re.sub(rb"<mwg-rs:Regions.*</mwg-rs:Regions>", b"", theirs)
    assert b"mwg-rs:Name" not in microsofts
    shifted = replace(region, name="GRANDMA", left=region.left + 0.8 * region.width)
    for text, who in ((_sidecar_of(photo, head), "Tante"), (microsofts, "Tante"), (_sidecar_of(photo, shifted), "this person")):
        photo.with_name(f"{photo.name}.xmp").write_bytes(text)
        (one,) = export_to(workspace, "xmp", ["Grandma"], dry_run=True).people
        assert list(one.left_out.values()) == [f"its sidecar names {who} there already"]


def test_where_a_camera_focussed_is_nobody(photos: Path, workspace: Workspace) -> None:
    photo, region = _first(workspace)
    theirs = re.sub(rb"<MP:RegionInfo.*</MP:RegionInfo>", b"", _sidecar_of(photo, replace(region, name="")))
    for text in (theirs.replace(b'"Face"', b'"Focus"'), theirs):
        photo.with_name(f"{photo.name}.xmp").write_bytes(text)
        assert export_to(workspace, "xmp", ["Grandma"], dry_run=True).people[0].left_out == {}


@pytest.mark.parametrize("elsewhere", [False, True])
def test_whom_a_photo_itself_names_no_sidecar_hides(elsewhere: bool, photos: Path, workspace: Workspace) -> None:
    photo, region = _first(workspace)
    region = replace(region, name="Tante", **({"left": 0.01, "top": 0.01, "width": 0.02, "height": 0.02} if elsewhere else {}))
    packet = b"http://ns.adobe.com/xap/1.0/\0" + _sidecar_of(photo, region)
    data = photo.read_bytes()
    photo.write_bytes(data[:2] + b"\xff\xe1" + (len(packet) + 2).to_bytes(2, "big") + packet + data[2:])
    (one,) = export_to(workspace, "xmp", ["Grandma"]).people
    (why,) = one.left_out.values()
    assert why.startswith("its photo itself names people, whom" if elsewhere else "its photo itself names Tante there already")
    assert not photo.with_name(f"{photo.name}.xmp").exists()


def test_a_sidecar_by_the_other_name_is_not_hidden_by_a_new_one(photos: Path, workspace: Workspace) -> None:
    """Immich reads one alone: its ratings and dates would be gone there."""
    photo, _ = _first(workspace)
    lightrooms = photo.with_suffix(".xmp")
    rated = '<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"/>'
    lightrooms.write_bytes(Sidecar(None).bytes().replace(b"/></x:xmpmeta>", f">{rated}</rdf:RDF></x:xmpmeta>".encode()))
    before = bytes_of(photos)
    for _ in range(2):
        export_to(workspace, "xmp", ["Grandma"])
        assert not photo.with_name(f"{photo.name}.xmp").exists()
        assert b"Grandma" in lightrooms.read_bytes()
    export_to(workspace, "xmp", ["Grandma"], remove=True)
    assert bytes_of(photos) == before


def test_a_photo_that_was_cropped_since_waits_for_the_next_run(photos: Path, workspace: Workspace) -> None:
    photo, _ = _first(workspace)
    with Image.open(photo) as image:
        image.crop((0, 0, image.width - 40, image.height)).save(photo, exif=image.getexif())
    (one,) = export_to(workspace, "xmp", ["Grandma"]).people
    assert list(one.left_out.values()) == ["its original was cropped or turned since a run looked through it: facesets run"]


def test_a_new_sidecar_may_be_read_by_whoever_may_read_its_folder(photos: Path, workspace: Workspace, tmp_path: Path) -> None:
    export_to(workspace, "xmp", ["Grandma"])
    assert {path.stat().st_mode & 0o777 for path in photos.rglob("*.xmp")} == {0o644}
    export_to(workspace, "xmp", ["Grandma"], out=tmp_path / "tree")
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "tree").rglob("*.xmp")} == {0o600}


def test_a_copy_of_a_photo_gets_the_same_names(photos: Path, workspace: Workspace, tmp_path: Path) -> None:
    photo, _ = _first(workspace)
    (photos / "zz").mkdir()
    copy = Path(shutil.copy(photo, photos / "zz" / "again.jpg"))
    run(workspace, ["anna"], folder=photos, progress=Silent())
    export_to(workspace, "xmp", ["Grandma"])
    one, other = (path.with_name(f"{path.name}.xmp").read_bytes() for path in (photo, copy))
    assert one == other
    export_to(workspace, "xmp", ["Grandma"], out=tmp_path / "tree")
    assert (tmp_path / "tree" / "zz" / "again.jpg.xmp").read_bytes() == one
    copy.unlink()
    export_to(workspace, "xmp", ["Grandma"], remove=True)
    assert not [*photos.rglob("*.xmp")]
