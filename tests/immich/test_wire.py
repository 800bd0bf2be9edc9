from __future__ import annotations

import base64
import hashlib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, strategies

from facesets.errors import BadAnswer
from facesets.immich import edits, wire

OWNER, ASSET = "64e61621-ea00-4e5b-a197-ef2142f2fa48", "9e5d3d07-6f57-4efa-8362-7abcd9207d1d"
FACE = {
    "id": "8b2ad07b-2f2c-4f6b-9bd7-6bb9c57430b1",
    "boundingBoxX1": 349,
    "boundingBoxY1": 142,
    "boundingBoxX2": 617,
    "boundingBoxY2": 409,
    "imageWidth": 910,
    "imageHeight": 1137,
}


def item(**changes: Any) -> dict[str, Any]:
    """A search item as 2.7.2 sends it, as far as it matters."""
    made: dict[str, Any] = {
        "id": ASSET,
        "ownerId": OWNER,
        "libraryId": None,
        "type": "IMAGE",
        "originalPath": "/data/upload/a.jpg",
        "originalFileName": "a.jpg",
        "originalMimeType": "image/jpeg",
        "localDateTime": "2012-12-06T15:46:01.000Z",
        "isTrashed": False,
        "isOffline": False,
        "visibility": "timeline",
        "checksum": base64.b64encode(hashlib.sha1(b"bytes").digest()).decode(),
        "exifInfo": {"exifImageWidth": 910, "exifImageHeight": 1137, "orientation": "1", "fileSizeInByte": 279922},
        "people": [{"id": OWNER, "name": "Ann", "faces": [FACE]}],
        "unassignedFaces": [{**FACE, "boundingBoxX1": 1}],
        "width": 910,
        "height": 1137,
    }
    return {**made, **changes}


def test_a_search_item_becomes_an_asset() -> None:
    asset = wire.asset(item())
    assert (asset.owner_id, asset.asset_id, asset.sha1) == (OWNER, ASSET, hashlib.sha1(b"bytes").hexdigest())
    assert (asset.width, asset.height, asset.size_bytes, asset.taken_at) == (910, 1137, 279922, "2012-12-06T15:46:01.000")
    assert asset.boxes is not None
    assert [(box.x1, box.person_name) for box in asset.boxes] == [(1, None), (349, "Ann")]


@pytest.mark.parametrize("name", ["id", "ownerId", "type", "originalPath", "isTrashed", "isOffline", "visibility", "checksum"])
def test_a_missing_field_that_matters_is_named(name: str) -> None:
    lacking = item()
    del lacking[name]
    with pytest.raises(BadAnswer, match=name):
        wire.asset(lacking)
    with pytest.raises(BadAnswer, match=name):
        wire.asset(item(**{name: {"not": "this"}}))


@pytest.mark.parametrize("name", ["boundingBoxX1", "boundingBoxY2", "imageWidth"])
def test_a_face_without_a_box_is_named(name: str) -> None:
    for broken in ({k: v for k, v in FACE.items() if k != name}, {**FACE, name: "12"}, {**FACE, name: None}):
        with pytest.raises(BadAnswer, match=name):
            wire.asset(item(unassignedFaces=[broken]))


def test_unknown_fields_and_values_do_no_harm() -> None:
    asset = wire.asset(item(visibility="someday", type="HOLOGRAM", fieldFromTheFuture={"x": [1]}, people=None, exifInfo=None))
    assert (asset.visibility, asset.type) == ("someday", "HOLOGRAM")


def test_faces_are_known_by_the_key_and_never_by_their_absence() -> None:
    assert wire.asset(item(people=[], unassignedFaces=[])).boxes == ()
    without = item(people=[{"id": OWNER, "name": "Ann"}])
    del without["unassignedFaces"]
    assert wire.asset(without).boxes is None
    assert wire.asset(item(unassignedFaces=None)).boxes is None


def test_the_checksum_counts_only_where_it_is_of_the_bytes() -> None:
    of_path = base64.b64encode(hashlib.sha1(b"path:/data/upload/a.jpg").digest()).decode()
    unsaid = item()
    del unsaid["libraryId"]
    assert wire.asset(item(libraryId=OWNER)).sha1 is None
    assert wire.asset(item(checksum=of_path)).sha1 is None
    assert wire.asset(unsaid).sha1 is None
    assert wire.asset(item(checksum="QUJD")).sha1 is None


@pytest.mark.parametrize("checksum", ["\x80", "not base64", "QUJ"])
def test_a_checksum_that_is_no_base64_is_refused(checksum: str) -> None:
    with pytest.raises(BadAnswer, match="checksum"):
        wire.asset(item(checksum=checksum))


@pytest.mark.parametrize("orientation", ["1", "2", "3", "4", "5", "6", "7", "8", None, "junk"])
def test_sizes_are_those_of_the_upright_original(orientation: str | None) -> None:
    exif = {"exifImageWidth": 4000, "exifImageHeight": 3000, "orientation": orientation}
    edited = wire.asset(item(exifInfo=exif, isEdited=True, width=10, height=10))
    turned = orientation in {"5", "6", "7", "8"}
    assert (edited.width, edited.height) == ((3000, 4000) if turned else (4000, 3000))
    unread = {"exifImageWidth": None, "exifImageHeight": 0}
    assert wire.asset(item(exifInfo=unread)).width == 910
    assert wire.asset(item(exifInfo=unread, isEdited=True)).width is None


@pytest.mark.parametrize("bad", ["../../etc/passwd", "", "abc", ASSET + "/x", ASSET + "\n", "9e5d3d07-6f57-4efa-8362-7abcd9207d1"])
def test_an_id_that_is_none_goes_no_further(bad: str) -> None:
    with pytest.raises(BadAnswer, match="not an id"):
        wire.asset(item(id=bad))


@given(strategies.text(strategies.characters(categories=None)))
def test_any_text_can_be_stored_afterwards(text: str) -> None:
    asset = wire.asset(item(originalPath=text, originalFileName=text))
    asset.original_path.encode()  # or raises
    if all(not 0xD800 <= ord(c) <= 0xDFFF for c in text):
        assert asset.original_path == text == asset.file_name


_KEYS = strategies.sampled_from([*item(), *FACE, "faces", "assets", "items", "nextPage", "ownerId"])
_JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.floats() | strategies.text(max_size=8),
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(_JSON)
def test_nonsense_is_a_bad_answer_or_an_asset(nonsense: Any) -> None:
    changed = nonsense if isinstance(nonsense, dict) else {"people": nonsense, "exifInfo": nonsense, "unassignedFaces": nonsense}
    for read in (
        lambda: wire.asset(item(**changed)),
        lambda: wire.asset(nonsense),
        lambda: wire.page(nonsense, "search"),
        lambda: wire.faces(nonsense, "faces"),
        lambda: list(wire.bucket_ids(nonsense, "timeline")),
        lambda: edits.read({"edits": [nonsense, {"action": "crop", "parameters": nonsense}]}, "edits"),
    ):
        with suppress(BadAnswer):
            read()


@pytest.mark.parametrize(("following", "page"), [(None, None), ("2", 2), (3, 3)])
def test_the_next_page_is_a_text_a_number_or_null(following: Any, page: int | None) -> None:
    assert wire.page({"assets": {"items": [], "nextPage": following}}, "search") == ([], page)


def test_a_next_page_of_another_kind_is_refused() -> None:
    with pytest.raises(BadAnswer, match="nextPage"):
        wire.page({"assets": {"items": [], "nextPage": "b64cursor"}}, "search")
