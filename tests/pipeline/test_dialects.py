"""One library with what a real one has, read through each dialect: the same sets, byte for byte."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesets.testing import Asset, Box, ImmichServer, Library, User, immich_server
from facesets.testing.sample_library import encoded
from facesets.testing.twins import twin_photo

from .world import SIDE, CommandLine, add_photos, boxes, jpeg, tree

GRANDMA, HIDDEN, UNNAMED = 1, 2, 3
SMALL = SIDE // 2


def rich() -> tuple[Library, dict[str, str]]:
    """Three people in six or more photos each, every photo in another way, and what must become of those that are left aside."""
    library = Library()
    anna, bert = library.user("anna"), library.user("bert")
    library.partner(bert, anna, in_timeline=True)
    known = {GRANDMA: library.person(anna, "Grandma"), HIDDEN: library.person(anna, "Nobody", is_hidden=True)}
    for who, person in known.items():
        add_photos(library, anna, [who], 3)
        for asset in list(library.assets.values())[-3:]:
            asset.faces[0].person_id = person.id
    add_photos(library, anna, [UNNAMED], 3)
    for who in (GRANDMA, HIDDEN, UNNAMED):
        _one_of_each_kind(library, anna, who)
    return library, _left_aside(library, anna, bert)


def _one_of_each_kind(library: Library, anna: User, who: int) -> None:
    """A photo each: turned, edited, shared by several, and in an external library."""
    turned = library.photo(anna, stored_turned(jpeg([who], 500 + who), 6), file_name=f"turned-{who}.jpg", faces=boxes([who]))
    assert turned.size_upright == (640, 480)
    for action in ("rotate", "crop"):
        edited = library.photo(anna, jpeg([who], 600 + 10 * who + len(action)), file_name=f"{action}-{who}.jpg", faces=boxes([who]))
        if action == "rotate":
            library.edit(edited, "rotate", angle=90)
        else:
            library.edit(edited, "crop", x=40, y=150, width=400, height=300)
    disk = library.external(anna, f"Disk {who}")
    library.photo(anna, jpeg([who], 700 + who), file_name=f"disk-{who}.jpg", faces=boxes([who]), library=disk)
    library.photo(anna, jpeg([who], 700 + who), file_name=f"copy-{who}.jpg", faces=boxes([who]))


def _left_aside(library: Library, anna: User, bert: User) -> dict[str, str]:
    gone, disk = library.now(), library.external(anna, "Thumbs")

    def photo(number: int, **more: object) -> Asset:
        return library.photo(anna, jpeg([GRANDMA], 800 + number), file_name=f"aside-{number}.jpg", faces=boxes([GRANDMA]), **more)  # type: ignore[arg-type]

    small, another = (twin_photo([(128, 256, SMALL, GRANDMA)], seed=seed) for seed in (5, 6))
    box = Box(128 - SMALL / 2, 256 - SMALL / 2, 128 + SMALL / 2, 256 + SMALL / 2)
    cut_off = photo(6)
    library.edit(cut_off, "crop", x=400, y=0, width=200, height=200)
    small_edited = library.photo(anna, encoded(another, "e.jpg", gone), file_name="e.jpg", faces=[box])
    library.edit(small_edited, "rotate", angle=90)
    beneath = photo(7)
    library.stack(next(iter(library.assets.values())), beneath)
    thumb = library.photo(anna, jpeg([GRANDMA], 1), file_name="thumbs/x-preview.jpeg", faces=boxes([GRANDMA]), library=disk)
    return {
        photo(1, visibility="archive").id: "archived",
        photo(2, deleted_at=gone).id: "trashed",
        photo(3, deleted_at=gone, is_offline=True).id: "offline",
        photo(4, visibility="hidden").id: "hidden",
        photo(5, visibility="locked").id: "not listed",
        cut_off.id: "no_faces",
        beneath.id: "stacked",
        thumb.id: "excluded_path",
        library.photo(anna, jpeg([], 3), file_name="beach.jpg").id: "no_faces",
        library.photo(anna, b"film", file_name="clip.mp4").id: "not_image",
        small_edited.id: "no_big_face",
        library.photo(anna, encoded(small, "s.jpg", gone), file_name="small.jpg", faces=[box]).id: "no_big_face",
        library.photo(bert, jpeg([GRANDMA], 900), file_name="berts.jpg", faces=boxes([GRANDMA])).id: "other_owner",
    }


def stored_turned(data: bytes, orientation: int) -> bytes:
    """The same picture, stored as a camera held sideways does."""
    with Image.open(io.BytesIO(data)) as upright:
        return encoded(np.asarray(upright), "turned.jpg", Library().now(), quality=95, orientation=orientation)


@pytest.fixture
def server() -> Iterator[ImmichServer]:
    with immich_server(rich()[0]) as running:
        yield running


def test_every_dialect_makes_the_same_sets_of_a_library_that_has_everything(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, made = (cli.workspace / "facesets.toml").read_text(), {}
    for version in ("2.7.2", "3.1.0", "3.2.2"):
        library, expected = rich()
        other = CommandLine(tmp_path / version, cli.capsys)
        other("init")
        (other.workspace / "facesets.toml").write_text(settings)
        with immich_server(library, version) as server:
            monkeypatch.setenv("IMMICH_URL", server.url)
            answer = other("run", "--user", "anna", "--json")
        assert answer.code == 0, answer.err
        assert "contradicts" not in answer.err
        rows = {row["asset_id"]: row["reason"] for row in other("list", "assets", "--json").json}
        assert {asset_id: rows.get(asset_id, "not listed") for asset_id in expected} == expected, version
        assert answer.json["listed"] == len(library.assets) - 1 == sum(answer.json["assets_by_state"].values())
        assert answer.json["assets_by_reason"]["duplicate_of_staged"] == 3
        assert answer.json["sets_new"] == ["faceset_001", "faceset_002", "faceset_003"]
        assert answer.json["faces_by_reason"] == {"member": 3 * 7}
        made[version] = tree(other.workspace / "facesets")
    assert made["2.7.2"] == made["3.1.0"] == made["3.2.2"]
