"""Names that photos of a folder bear: read from files and sidecars, suggested, taken when asked; no photo is touched."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from facesets.photos.decoder_pool import DecoderPool
from facesets.testing import Library, immich_server

from ..decoders import lend
from ..pipeline.world import PLACES, SIDE, CommandLine, boxes, configure, jpeg, tree

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
WIDTH, HEIGHT = 640, 480


def xmp(*named: tuple[str, tuple[float, float, float, float]], size: tuple[int, int] | None = (WIDTH, HEIGHT)) -> bytes:
    """Faces as digiKam writes them; boxes in pixels of the size."""
    wide, high = size or (WIDTH, HEIGHT)
    items = "".join(
        f'<rdf:li><rdf:Description m:Name="{name}" m:Type="Face"><m:Area a:x="{(x1 + x2) / 2 / wide}" a:y="{(y1 + y2) / 2 / high}" '
        f'a:w="{(x2 - x1) / wide}" a:h="{(y2 - y1) / high}" a:unit="normalized"/></rdf:Description></rdf:li>'
        for name, (x1, y1, x2, y2) in named
    )
    drawn_on = f'<m:AppliedToDimensions d:w="{wide}" d:h="{high}" d:unit="pixel"/>' if size else ""
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about="" '
        'xmlns:m="http://www.metadataworkinggroup.com/schemas/regions/" xmlns:a="http://ns.adobe.com/xmp/sType/Area#" '
        f'xmlns:d="http://ns.adobe.com/xap/1.0/sType/Dimensions#"><m:Regions>{drawn_on}<m:RegionList><rdf:Bag>{items}</rdf:Bag>'
        "</m:RegionList></m:Regions></rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def head(place: int, more: float = 1.35) -> tuple[float, float, float, float]:
    """What a person draws around the head at a place: larger than what a detector finds."""
    (x, y), half = PLACES[place], SIDE / 2 * more
    return x - half, y - half, x + half, y + half


def turned(data: bytes, turn: int) -> bytes:
    """The same picture, stored on its side."""
    out, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = turn
    back = {6: Image.Transpose.ROTATE_90, 3: Image.Transpose.ROTATE_180}[turn]
    Image.open(io.BytesIO(data)).transpose(back).save(out, "JPEG", quality=95, exif=exif)
    return out.getvalue()


@pytest.fixture(scope="session")
def after_a_folder(tmp_path_factory: pytest.TempPathFactory, pack: Path, decoders: DecoderPool) -> Path:
    """A folder with seven photos each of three people, and a workspace after a run on it. The first is named in every photo's sidecar,
    the second within the files, the third in none.
    """
    base = tmp_path_factory.mktemp("xmp")
    photos = base / "photos"
    photos.mkdir()
    for person in (1, 2, 3):
        for n in range(7):
            photo = photos / f"p{person}_{n}.jpg"
            photo.write_bytes(jpeg([person], 1000 * person + n))
            if person == 1:
                (photos / f"{photo.name}.xmp").write_bytes(xmp(("Anna", head(0))))
            if person == 2:
                Image.open(io.BytesIO(photo.read_bytes())).save(photo, "JPEG", quality=95, xmp=xmp(("Berta", head(0))))
    with pytest.MonkeyPatch.context() as patched:
        lend(decoders, patched)
        from .conftest import call  # noqa: PLC0415

        call(base / "w", "init")
        configure(base / "w", pack)
        call(base / "w", "run", "--user", "anna", "--folder", str(photos))
    shutil.copytree(photos, base / "as it was")
    return base


@pytest.fixture
def folder(
    tmp_path: Path, after_a_folder: Path, decoders: DecoderPool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """A copy of the workspace; the photos lie where they were, as they were."""
    lend(decoders, monkeypatch, "cli.people")
    shutil.copytree(after_a_folder / "w", tmp_path / "w")
    shutil.rmtree(after_a_folder / "photos")
    shutil.copytree(after_a_folder / "as it was", after_a_folder / "photos")
    return CommandLine(tmp_path / "w", capsys)


@pytest.fixture
def photos(after_a_folder: Path, folder: CommandLine) -> Path:
    return after_a_folder / "photos"


def named(cli: CommandLine) -> dict[str, str | None]:
    return {row["set"]: row["name"] for row in cli("list", "people", "--json").json}


def test_a_run_reads_names_and_suggests_them(folder: CommandLine) -> None:
    told = [each for each in folder("suggest", "--json").json if each["kind"] == "name"]
    assert {each["text"] for each in told} == {
        "faceset_001 is Anna in its photos (100% of its faces)", "faceset_002 is Berta in its photos (100% of its faces)"
    }  # fmt: skip


def test_clear_names_are_taken_at_once_and_no_photo_is_touched(folder: CommandLine, photos: Path) -> None:
    before = tree(photos)
    tried = folder("name", "--from-xmp", "--dry-run", "--json")
    assert "21 photos read: 14 named faces, 14 on a face found here" in tried.err
    assert set(named(folder).values()) == {None}
    done = folder("name", "--from-xmp", "--json").json
    assert done["changes"] == tried.json["changes"] == {"named": {"faceset_001": "Anna", "faceset_002": "Berta"}, "conflicts": {}}
    assert named(folder) == {"faceset_001": "Anna", "faceset_002": "Berta", "faceset_003": None}
    assert tree(photos) == before
    assert folder("undo").code == 0
    assert set(named(folder).values()) == {None}


def test_names_of_photos_are_no_names_of_immich(folder: CommandLine) -> None:
    assert folder("name", "--from-immich").code == 0
    assert set(named(folder).values()) == {None}


def test_sidecars_that_changed_are_read_again_when_names_are_asked_for(folder: CommandLine, photos: Path) -> None:
    for n in range(7):
        (photos / f"p1_{n}.jpg.xmp").unlink()
        (photos / f"p3_{n}.xmp").write_bytes(xmp(("Cleo" if n < 4 else "Anna", head(0))))
    said = folder("name", "--from-xmp", "--json").json["changes"]
    assert said["named"] == {"faceset_002": "Berta"}
    assert said["conflicts"] == {"faceset_003": "not clear enough: Cleo 57%, Anna 43%"}


def test_a_hostile_sidecar_names_nobody_and_stops_nothing(folder: CommandLine, photos: Path) -> None:
    bomb = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "Anna"}">' for n in range(12))
    for n in range(7):
        sidecar = photos / f"p1_{n}.jpg.xmp"
        sidecar.write_bytes(f"<!DOCTYPE x [{bomb}]>".encode() + xmp(("&a11;", head(0))))
    (photos / "p2_0.jpg.xmp").mkdir()
    assert folder("name", "--from-xmp", "--json").json["changes"]["named"] == {"faceset_002": "Berta"}


def test_a_face_is_named_wherever_its_photo_is_turned(folder: CommandLine, photos: Path) -> None:
    """Drawn on the stored photo (with its size said, and not), and on the one that is shown."""
    x1, y1, x2, y2 = head(0)
    on_its_side = (y1, WIDTH - x2, y2, WIDTH - x1)  # of a photo that is shown by a turn of 90 degrees to the right
    upside_down = (WIDTH - x2, HEIGHT - y2, WIDTH - x1, HEIGHT - y1)
    written = [
        (6, xmp(("Cleo", on_its_side), size=(HEIGHT, WIDTH))),
        (6, xmp(("Cleo", head(0)), size=(WIDTH, HEIGHT))),
        (3, xmp(("Cleo", upside_down))),
        (3, xmp(("Cleo", head(0)))),
    ]
    for n, (turn, sidecar) in enumerate(written, 20):
        photo = photos / f"p3_{n}.jpg"
        photo.write_bytes(turned(jpeg([3], 3000 + n), turn))
        photo.with_suffix(".xmp").write_bytes(sidecar)
    answer = folder("run", "--user", "anna", "--folder", photos)
    assert "Names in photos: 4 photos read: 4 named faces, 4 on a face found here" in answer.err.replace("\n", " ")
    conflicts = folder("name", "--from-xmp", "--json").json["changes"]["conflicts"]
    assert conflicts == {"faceset_003": "not clear enough: Cleo 36%"}  # 4 of 11


def test_of_a_cropped_photo_and_of_one_that_is_away_nothing_is_guessed(folder: CommandLine, photos: Path) -> None:
    (photos / "p1_0.jpg.xmp").write_bytes(xmp(("Anna", head(0)), size=(4000, 1000)))
    (photos / "p1_1.jpg").unlink()
    said = folder("name", "--from-xmp").err
    assert "1 photo left out, cropped since names were given" in said
    assert "1 photo could not be read, and what was known of them stays" in said
    assert named(folder)["faceset_001"] == "Anna"  # 6 of 7


def test_where_immich_has_the_same_photos_its_word_holds(
    tmp_path: Path, pack: Path, decoders: DecoderPool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    library, photos = Library(), tmp_path / "photos"
    anna = library.user("anna")
    photos.mkdir()
    who = library.person(anna, "Grandma")
    for n in range(7):
        data = jpeg([1], 1000 + n)
        (photos / f"{n}.jpg").write_bytes(data)
        (photos / f"{n}.jpg.xmp").write_bytes(xmp(("Anna", head(0))))
        (box,) = (replace(box, person=who) for box in boxes([1]))
        library.photo(anna, data, file_name=f"{n}.jpg", taken_at=f"2020-01-{2 + 3 * n:02d}T12:00:00+00:00", faces=[box])
    lend(decoders, monkeypatch, "cli.people")
    cli = CommandLine(tmp_path / "w", capsys)
    with immich_server(library) as server:
        monkeypatch.setenv("IMMICH_URL", server.url)
        monkeypatch.setenv("IMMICH_API_KEY", server.key_for("anna"))
        cli("init")
        configure(cli.workspace, pack)
        assert cli("run", "--user", "here", "--folder", photos).code == 0
        assert cli("run", "--user", "anna").code == 0
    assert cli("name", "--from-xmp", "--json").json["changes"]["named"] == {}
    assert [each["text"] for each in cli("suggest", "--json").json if each["kind"] == "name"] == [
        "faceset_001 is Grandma at its source (100% of its faces)"
    ]


def test_without_a_folder_there_is_nothing_to_read_and_this_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli = CommandLine(tmp_path / "w", capsys)
    cli("init")
    answer = cli("name", "--from-xmp")
    assert answer.code == 0
    assert "no photo of a folder with faces is known here" in answer.err
    assert cli("name", "1", "Anna", "--from-xmp").code == 2
