"""Boxes in whatever frame the server gives them end as pixels of the upright original in the queue, or are left for a detector."""

from __future__ import annotations

from pathlib import Path

import pytest

from facesets.embedding import read_queue
from facesets.pipeline.embed import queue_staged
from facesets.records import Reason
from facesets.testing import Asset, Box, ImmichServer, Library, User

from ..immich.photos import photo
from ..staging.conftest import anna, home, library, server  # noqa: F401 - fixtures
from ..staging.home import Home

WIDTH, HEIGHT = 3000, 2000  # as displayed; the preview is 2160 x 1440


def queued(home: Home) -> dict[str, list[tuple[int, ...]]]:  # noqa: F811
    """Asset id -> its boxes in the queue, in whole pixels."""
    with home.workspace.registry() as registry:
        queue_staged(home.workspace, registry, "anna")
    return {e.asset_id: [tuple(map(round, box)) for box in e.boxes] for e in read_queue(home.workspace.queue("anna")).entries}


def near(boxes: list[tuple[int, ...]], *wanted: tuple[int, ...]) -> bool:
    """Whether the boxes are these, but for the rounding to whole pixels of the preview."""
    return len(boxes) == len(wanted) and all(
        abs(a - b) <= 1 for box, want in zip(boxes, wanted, strict=True) for a, b in zip(box, want, strict=True)
    )


def upright(library: Library, anna: User, box: Box, orientation: int = 1, **fields: object) -> Asset:  # noqa: F811
    stored = (WIDTH, HEIGHT) if orientation < 5 else (HEIGHT, WIDTH)
    return library.photo(anna, photo(orientation, *stored, orientation=orientation), faces=[box], **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_of_any_orientation_are_in_upright_pixels(
    library: Library, anna: User, server: ImmichServer, home: Home, orientation: int  # noqa: F811
) -> None:
    asset = upright(library, anna, Box(300, 200, 900, 1000), orientation)
    home.stage(server, anna)
    (row,) = home.rows()
    assert (row.asset.width, row.asset.height) == (WIDTH, HEIGHT)
    assert near(queued(home)[asset.id], (300, 200, 900, 1000))


@pytest.mark.parametrize(
    ("box", "wanted"),
    [
        (Box(300, 200, 900, 1000), (300, 200, 900, 1000)),  # the preview's space, where Immich's detector works
        (Box(300, 200, 900, 1000, frame=(WIDTH, HEIGHT)), (300, 200, 900, 1000)),  # the original's, drawn by hand
        (Box(30, 20, 90, 100, frame=(300, 200)), (300, 200, 900, 1000)),  # any other
        (Box(-50, -70, 900, 1000, frame=(WIDTH, HEIGHT)), (0, 0, 900, 1000)),  # partly outside
        (Box(2500, 1500, 4000, 9000, frame=(WIDTH, HEIGHT)), (2500, 1500, 3000, 2000)),
        (Box(900, 1000, 300, 200, frame=(WIDTH, HEIGHT)), (300, 200, 900, 1000)),  # corners swapped
    ],
)
def test_boxes_of_any_frame_are_in_pixels_of_the_original(
    library: Library, anna: User, server: ImmichServer, home: Home, box: Box, wanted: tuple[int, ...]  # noqa: F811
) -> None:
    asset = upright(library, anna, box)
    home.stage(server, anna)
    assert near(queued(home)[asset.id], wanted)


def test_a_box_wholly_outside_is_no_face(library: Library, anna: User, server: ImmichServer, home: Home) -> None:  # noqa: F811
    asset = upright(library, anna, Box(5000, 5000, 6000, 6000, frame=(WIDTH, HEIGHT)))
    home.stage(server, anna)
    assert home.reasons() == {asset.id: Reason.NO_BIG_FACE}


@pytest.mark.parametrize("what", ["frame", "image"])
def test_what_has_no_size_is_left_to_the_detector(
    library: Library, anna: User, server: ImmichServer, home: Home, what: str  # noqa: F811
) -> None:
    frame = (0, 0) if what == "frame" else (300, 200)
    asset = upright(library, anna, Box(3, 2, 9, 10, frame=frame))
    if what == "image":
        asset.exif.width = asset.exif.height = 0
    home.stage(server, anna)
    assert home.reasons() == {asset.id: Reason.STAGED}
    assert queued(home)[asset.id] == []


@pytest.mark.parametrize(
    ("action", "parameters"),
    [
        ("crop", {"x": 200, "y": 100, "width": 1200, "height": 1400}),
        ("rotate", {"angle": 90}),
        ("rotate", {"angle": 180}),
        ("mirror", {"axis": "horizontal"}),
    ],
)
def test_of_an_edited_photo_the_unedited_original_is_taken_and_no_box_of_the_edited_one(
    library: Library, anna: User, server: ImmichServer, home: Home, action: str, parameters: dict[str, float | str]  # noqa: F811
) -> None:
    asset = upright(library, anna, Box(300, 200, 900, 1000))
    library.edit(asset, action, **parameters)  # type: ignore[arg-type]
    home.stage(server, anna)
    (row,) = home.rows()
    assert (row.reason, row.asset.width, row.asset.height) == (Reason.STAGED, WIDTH, HEIGHT)
    assert row.path is not None
    assert Path(home.workspace.root / row.path).read_bytes() == asset.read()
    if server.dialect.faces_in_search:  # 2.x lists them in the original's space
        assert near(queued(home)[asset.id], (300, 200, 900, 1000))
    else:
        assert queued(home)[asset.id] == []


def test_a_face_small_in_the_edited_photo_counts_as_large_as_in_the_original(
    library: Library, anna: User, server: ImmichServer, home: Home  # noqa: F811
) -> None:
    small = upright(library, anna, Box(300, 200, 380, 280))
    library.edit(small, "crop", x=250, y=150, width=200, height=200)  # where it fills much of the picture
    home.stage(server, anna)
    wanted = Reason.NO_BIG_FACE if server.dialect.faces_in_search else Reason.STAGED  # 3.x: not known, so worth a look
    assert home.reasons() == {small.id: wanted}
