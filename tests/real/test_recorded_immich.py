"""What real Immich servers sent, read by our wire types."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from urllib3 import HTTPResponse

from facesets.connections import address
from facesets.errors import MissingPermission, NotFound, ServerError, WrongKey
from facesets.immich import edits, wire
from facesets.immich.response import Response, error_of
from facesets.records import Asset

VERSIONS = ("2.7.2", "3.1.0")


@pytest.fixture(params=VERSIONS)
def recorded(request: pytest.FixtureRequest, shared: Path) -> Path:
    return shared / "immich" / "recorded" / str(request.param)


def exchange(recorded: Path, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((recorded / f"{name}.json").read_text())
    return loaded


def listed(recorded: Path, name: str) -> list[Asset]:
    items, following = wire.page(exchange(recorded, name)["response"]["body"], name)
    assert following is None
    return [wire.asset(item) for item in items]


def test_every_recorded_search_page_is_read(recorded: Path) -> None:
    read = 0
    for path in sorted(recorded.glob("*search*.json")):
        answer = json.loads(path.read_text()).get("response", {}).get("body")
        if isinstance(answer, dict) and "assets" in answer:
            read += len([wire.asset(item) for item in wire.page(answer, path.name)[0]])
    assert read > 500


def test_every_recorded_face_answer_and_bucket_is_read(recorded: Path) -> None:
    boxes = 0
    for path in sorted(recorded.glob("GET_faces_*.json")):
        answer = exchange(recorded, path.stem)["response"]
        boxes += len(wire.faces(answer["body"], path.name)) if answer["status"] == 200 else 0
    assert boxes >= 10
    assert len(list(wire.bucket_ids(exchange(recorded, "GET_timeline_bucket")["response"]["body"], "bucket"))) == 3


def test_boxes_in_bulk_are_those_of_single_questions(recorded: Path) -> None:
    bulk = {asset.file_name: asset for asset in listed(recorded, "POST_search_metadata_withPeople_withExif_image")}
    compared = 0
    for path in sorted(recorded.glob("GET_faces_*.json")):
        asset = bulk.get(path.stem.removeprefix("GET_faces_"))
        if asset is None or asset.is_edited:
            continue
        if recorded.name.startswith("3"):
            assert asset.boxes is None
            continue
        single = wire.faces(exchange(recorded, path.stem)["response"]["body"], path.name)
        assert asset.boxes is not None
        assert [(b.face_id, b.x1, b.y1, b.x2, b.y2) for b in asset.boxes] == [(b.face_id, b.x1, b.y1, b.x2, b.y2) for b in single]
        compared += len(single)
    assert compared >= 8 or recorded.name.startswith("3")


def test_boxes_of_a_turned_and_of_an_edited_photo_stand_in_the_original(recorded: Path) -> None:
    if recorded.name.startswith("3"):
        pytest.skip("3.x tells no boxes in a listing")
    bulk = {asset.file_name: asset for asset in listed(recorded, "POST_search_metadata_withPeople_withExif_image")}
    turned = bulk["orient6.jpg"]
    assert (turned.width, turned.height) == (626, 1200)
    (edited,) = listed(recorded, "EDIT_search_after")
    assert (edited.is_edited, edited.width, edited.height) == (True, 1536, 1152)
    assert edited.boxes is not None
    assert edited.boxes[0].scaled_to(1536, 1152) == (589, 290, 974, 675)


def test_the_boxes_of_an_edited_photo_are_found_back_in_the_original(recorded: Path) -> None:
    (asset,) = listed(recorded, "EDIT_search_after")
    before, after = (wire.faces(exchange(recorded, f"EDIT_faces_{when}")["response"]["body"], when) for when in ("before", "after"))
    done = edits.read(exchange(recorded, "EDIT_put")["response"]["body"], "edits")
    assert done.undone(after, asset) == before != after


def test_checksums_count_for_uploads_and_not_for_libraries(recorded: Path) -> None:
    for asset in listed(recorded, "POST_search_metadata_withDeleted"):
        assert (asset.sha1 is None) == (asset.library_id is not None)
    (obama,) = (asset for asset in listed(recorded, "POST_search_metadata_size1000") if asset.file_name == "obama.jpg")
    assert obama.sha1 == _binary(exchange(recorded, "GET_original"))["sha1"]


def _binary(told: dict[str, Any]) -> dict[str, Any]:
    """Length and digest of a body that was not recorded itself."""
    found: dict[str, Any] = told["response"].get("binary") or told["response"]["body"]
    return found


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("ERR_wrong_key", WrongKey),
        ("ERR_no_key", WrongKey),
        ("ERR_search_wrong_key", WrongKey),
        ("ERR_faces_missing_permission", MissingPermission),
        ("ERR_original_missing_permission", MissingPermission),
        ("GET_users_me_restricted_403", MissingPermission),
        ("ERR_asset_unknown", NotFound),
        ("ERR_faces_unknown", NotFound),
        ("ERR_original_unknown", NotFound),
        ("ERR_original_notuuid", NotFound),
        ("ERR_no_route", NotFound),
        ("GET_server_statistics_nonadmin", ServerError),
    ],
)
def test_recorded_refusals_become_the_right_errors(recorded: Path, name: str, error: type[ServerError]) -> None:
    told = exchange(recorded, name)
    headers = {k: v for k, v in told["response"]["headers"].items() if k.lower() == "content-type"}
    body = io.BytesIO(json.dumps(told["response"]["body"]).encode())
    response = HTTPResponse(body, headers, told["response"]["status"], preload_content=False)
    answer = Response(told["request"]["method"], address("http://immich.test" + told["request"]["path"]), response)
    raised = error_of(answer, "http://immich.test/api", "")
    assert type(raised) is error
    if isinstance(raised, MissingPermission):
        assert raised.permission in ("face.read", "asset.download", "user.read")


def test_a_permission_list_and_the_version_are_where_we_look(recorded: Path) -> None:
    assert exchange(recorded, "GET_api-keys_me")["response"]["body"]["permissions"] == ["all"]
    version = exchange(recorded, "GET_server_version_nokey")["response"]["body"]
    assert [version[part] for part in ("major", "minor", "patch")] == [int(part) for part in recorded.name.split(".")]
