"""Boxes in whatever frame the server gives them end as pixels of the upright original in the queue, or are left for a detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from facesets.exchange.queue import read_queue
from facesets.faces.job import queue_staged
from facesets.records import Reason
from facesets.testing import Asset, Box, ImmichServer, Library, User, faults
from facesets.testing.immich.routing import json_response
from facesets.testing.sample_library import encoded
from tests.immich.photos import photo
from tests.staging.conftest import anna, home, library, server  # noqa: F401 - fixtures
from tests.staging.home import Home

EDITS_OF = "GET /api/assets/{id}/edits"
WIDTH, HEIGHT = 3000, 2000  # as displayed; the preview is 2160 x 1440


def queued(home: Home) -> dict[str, list[tuple[int, ...]]]:
    """Asset id -> its boxes in the queue, in whole pixels."""
    with home.workspace.registry() as registry:
        queue_staged(home.workspace, registry, "anna")
    return {e.asset_id: [tuple(map(round, box)) for box in e.boxes] for e in read_queue(home.workspace.queue("anna")).entries}


def near(boxes: list[tuple[int, ...]], *wanted: tuple[int, ...]) -> bool:
    """Whether the boxes are these, but for the rounding to whole pixels of the preview."""
    return len(boxes) == len(wanted) and all(
        abs(a - b) <= 1 for box, want in zip(boxes, wanted, strict=True) for a, b in zip(box, want, strict=True)
    )


def upright(library: Library, anna: User, box: Box, orientation: int = 1, **fields: object) -> Asset:
    stored = (WIDTH, HEIGHT) if orientation < 5 else (HEIGHT, WIDTH)
    return library.photo(anna, photo(orientation, *stored, orientation=orientation), faces=[box], **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_of_any_orientation_are_in_upright_pixels(
    library: Library,
    anna: User,
    server: ImmichServer,
    home: Home,
    orientation: int,
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
    library: Library,
    anna: User,
    server: ImmichServer,
    home: Home,
    box: Box,
    wanted: tuple[int, ...],
) -> None:
    asset = upright(library, anna, box)
    home.stage(server, anna)
    assert near(queued(home)[asset.id], wanted)


def test_a_box_wholly_outside_is_no_face(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    asset = upright(library, anna, Box(5000, 5000, 6000, 6000, frame=(WIDTH, HEIGHT)))
    home.stage(server, anna)
    assert home.reasons() == {asset.id: Reason.NO_BIG_FACE}


@pytest.mark.parametrize("what", ["frame", "image"])
def test_what_has_no_size_is_left_to_the_detector(
    library: Library,
    anna: User,
    server: ImmichServer,
    home: Home,
    what: str,
) -> None:
    frame = (0, 0) if what == "frame" else (300, 200)
    asset = upright(library, anna, Box(3, 2, 9, 10, frame=frame))
    if what == "image":
        asset.exif.width = asset.exif.height = 0
    home.stage(server, anna)
    assert home.reasons() == {asset.id: Reason.STAGED}
    assert queued(home)[asset.id] == []


CROP = ("crop", {"x": 200, "y": 100, "width": 1200, "height": 1400})
LEFT_RIGHT, UPSIDE_DOWN = ("mirror", {"axis": "horizontal"}), ("mirror", {"axis": "vertical"})
QUARTER, HALF, BACK = (("rotate", {"angle": angle}) for angle in (90, 180, 270))
EDITS = [
    [CROP], [QUARTER], [HALF], [BACK], [LEFT_RIGHT], [UPSIDE_DOWN],
    [CROP, QUARTER], [CROP, BACK, LEFT_RIGHT], [CROP, UPSIDE_DOWN, QUARTER], [QUARTER, LEFT_RIGHT], [LEFT_RIGHT, QUARTER],
    [BACK, CROP, UPSIDE_DOWN, LEFT_RIGHT],
]  # fmt: skip


@pytest.mark.parametrize("edits", EDITS, ids=lambda edits: "-".join(str([action, *told.values()][-1]) for action, told in edits))
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_box_of_an_edited_photo_lies_on_the_face_in_the_unedited_original(
    library: Library,
    anna: User,
    server: ImmichServer,
    home: Home,
    edits: list[tuple[str, dict[str, float | str]]],
    orientation: int,
) -> None:
    face = Box(300, 200, 900, 1000)
    asset = library.photo(anna, with_a_red_face(face, orientation), faces=[face])
    for action, parameters in edits:
        library.edit(asset, action, **parameters)  # type: ignore[arg-type]
    home.stage(server, anna)
    (row,) = home.rows()
    assert (row.reason, row.asset.width, row.asset.height) == (Reason.STAGED, WIDTH, HEIGHT)
    assert row.path is not None
    assert Path(home.workspace.root / row.path).read_bytes() == asset.read()
    (box,) = queued(home)[asset.id]
    assert near([box], (300, 200, 900, 1000))
    with Image.open(home.workspace.root / row.path) as stored:
        red = np.asarray(ImageOps.exif_transpose(stored))[..., 0] > 128
    x1, y1, x2, y2 = box
    assert red[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].all()
    assert red.sum() == pytest.approx((x2 - x1) * (y2 - y1), rel=0.02)


def with_a_red_face(face: Box, orientation: int) -> bytes:
    """A blue photo of WIDTH x HEIGHT as displayed, red where the face is."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[..., 2] = 200
    picture[int(face.y1) : int(face.y2), int(face.x1) : int(face.x2)] = (255, 0, 0)
    return encoded(picture, "face.jpg", Library().now(), quality=90, orientation=orientation)


def test_a_face_small_in_the_original_is_small_however_much_of_the_edited_photo_it_fills(
    library: Library,
    anna: User,
    server: ImmichServer,
    home: Home,
) -> None:
    small = upright(library, anna, Box(300, 200, 380, 280))
    library.edit(small, "crop", x=250, y=150, width=200, height=200)
    home.stage(server, anna)
    assert home.reasons() == {small.id: Reason.NO_BIG_FACE}
    assert server.count(EDITS_OF) == (0 if server.dialect.faces_in_search else 1)


@pytest.mark.parametrize(
    "answer",
    [
        {"edits": [{"action": "skew", "parameters": {"angle": 4}}]},  # of a server to come
        {"edits": [{"action": "rotate", "parameters": {"angle": 45}}]},
        {"edits": [{"action": "mirror", "parameters": {"axis": "diagonal"}}]},
        {"edits": [{"action": "crop", "parameters": {"x": 2900, "y": 0, "width": 1200, "height": 1400}}]},  # beyond the photo
        {"edits": [{"action": "crop", "parameters": {"x": 0, "y": 0, "width": 1200, "height": 700}}]},  # not the boxes' frame
        {"edits": [{"action": "crop", "parameters": {"x": 0, "y": 0, "width": 1200}}]},
        {"edits": "none"},
        {},
    ],
    ids=str,
)
def test_an_edit_that_is_not_understood_leaves_the_face_to_the_detector_and_this_is_said(
    library: Library,
    anna: User,
    server: ImmichServer,
    home: Home,
    answer: object,
) -> None:
    asset = upright(library, anna, Box(300, 200, 900, 1000))
    library.edit(asset, "crop", x=200, y=100, width=1200, height=1400)
    server.faults.add(faults.Fault("odd edits", answer=lambda _: json_response(answer)), EDITS_OF)
    counters = home.stage(server, anna)
    assert home.reasons() == {asset.id: Reason.STAGED}
    if server.dialect.faces_in_search:  # 2.x lists them in the original's space
        assert near(queued(home)[asset.id], (300, 200, 900, 1000))
        return
    assert queued(home)[asset.id] == []
    assert counters.as_dict()["edits_not_understood"] == 1
    (note,) = home.said.notes[1:]
    assert "1 edited photo" in note


def test_a_key_that_may_not_ask_for_edits_asks_once(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    for _ in range(5):
        library.edit(upright(library, anna, Box(300, 200, 900, 1000)), "rotate", angle=90)
    library.keys[server.key_for(anna)].permissions = ("asset.read", "asset.download", "face.read", "user.read")
    home.stage(server, anna, connections=1)
    assert set(home.reasons().values()) == {Reason.STAGED} | ({Reason.DUP_STAGED} if len(home.rows()) > 1 else set())
    if not server.dialect.faces_in_search:
        assert server.count(EDITS_OF) == 1
        assert "asset.edit.get" in home.said.notes[-1]


def test_an_edit_made_later_is_no_change_of_faces(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    asset = upright(library, anna, Box(300, 200, 380, 280))
    home.stage(server, anna)
    before = home.rows()[0].asset.boxes
    library.edit(asset, "rotate", angle=90)
    home.stage(server, anna)
    assert home.reasons() == {asset.id: Reason.NO_BIG_FACE}
    (row,) = home.rows()
    assert (row.asset.is_edited, row.asset.boxes) == (True, before)
