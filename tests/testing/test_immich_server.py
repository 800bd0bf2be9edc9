"""The testing server answers over HTTP as Immich does: who may see what, listing, files, errors."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable

import httpx
import pytest
from PIL import Image

from facesets.testing import ImmichServer, Library, immich_server
from tests.testing.conftest import Family, jpeg

ClientFor = Callable[..., httpx.Client]


def test_a_key_opens_its_owners_account_only(server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    me = client_for(server, family.anna).get("/api/users/me").json()
    assert me["id"] == family.anna.id
    mine = client_for(server, family.anna).post("/api/search/metadata", json={"userId": family.bob.id}).json()["assets"]["items"]
    assert {i["ownerId"] for i in mine} == {family.anna.id}
    assert len(mine) == 6


def test_refusals_are_worded_as_each_major_words_them(server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    narrow = family.library.key(family.anna, ["asset.read"])
    for who, status, message in (
        (None, 401, "Authentication required"),
        ("wrong", 401, "Invalid API key"),
        (narrow.secret, 403, "Missing required permission: face.read"),
    ):
        answer = client_for(server, who).get("/api/faces", params={"id": family.photos[0].id})
        assert answer.status_code == status
        assert answer.json()["message"] == message
        assert ("correlationId" in answer.json()) == (server.dialect.version == "2.7.2")
    other = client_for(server, family.anna).get(f"/api/assets/{family.bobs[0].id}/original")
    assert other.status_code == (404 if server.dialect.modern else 400)


def test_pages_bring_every_photo_once_newest_first(server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    client = client_for(server, family.anna)
    seen, page = [], "1"
    while page:
        assets = client.post("/api/search/metadata", json={"size": 4, "page": int(page)}).json()["assets"]
        assert assets["total"] == assets["count"] == len(assets["items"])
        seen += [i["id"] for i in assets["items"]]
        page = assets["nextPage"]
    assert seen == [a.id for a in reversed(family.photos)]
    assert client.post("/api/search/statistics", json={}).json() == {"total": 6}


def test_boxes_come_with_the_listing_in_2_and_by_asset_in_both(server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    client = client_for(server, family.anna)
    item = client.post("/api/search/metadata", json={"id": family.photos[2].id, "withPeople": True}).json()["assets"]["items"][0]
    assert [p["name"] for p in item["people"]] == ["Oma"]
    assert ("unassignedFaces" in item) == ("faces" in item["people"][0]) == (server.dialect.version == "2.7.2")
    faces = client.get("/api/faces", params={"id": family.photos[2].id}).json()
    assert [f["person"] and f["person"]["name"] for f in faces] == ["Oma", None]
    assert faces[0]["boundingBoxX2"] == 60
    assert (faces[0]["imageWidth"], faces[0]["imageHeight"]) == (160, 120)


def test_frames_of_boxes_are_upright_and_exif_sizes_are_not(server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    client = client_for(server, family.anna)
    asset = client.get(f"/api/assets/{family.photos[1].id}").json()
    assert (asset["width"], asset["height"]) == (120, 160)
    exif = asset["exifInfo"]
    assert (exif["exifImageWidth"], exif["exifImageHeight"], exif["orientation"]) == (160, 120, "6")
    preview = Image.open(io.BytesIO(client.get(f"/api/assets/{family.photos[1].id}/thumbnail?size=preview").content))
    assert preview.size == (120, 160)


def test_an_original_comes_whole_in_parts_and_conditionally(server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    client, photo = client_for(server, family.anna), family.photos[0]
    url = f"/api/assets/{photo.id}/original"
    whole = client.get(url)
    assert base64.b64encode(hashlib.sha1(whole.content).digest()).decode() == photo.checksum
    assert whole.headers["content-disposition"] == f"inline; filename*=UTF-8''{photo.file_name}"
    etag = whole.headers["etag"]
    part = client.get(url, headers={"Range": "bytes=100-199", "If-Range": etag})
    assert (part.status_code, part.headers["content-range"]) == (206, f"bytes 100-199/{photo.size}")
    assert part.content == whole.content[100:200]
    assert client.get(url, headers={"Range": "bytes=100-", "If-Range": 'W/"other"'}).status_code == 200
    assert client.get(url, headers={"If-None-Match": etag}).status_code == 304
    assert client.get(url, headers={"Range": "bytes=99999999-"}).status_code == (404 if server.dialect.modern else 500)


def test_outside_the_api_everything_is_a_page_of_html(server: ImmichServer, client_for: ClientFor) -> None:
    answer = client_for(server).get("/photos")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert client_for(server).get("/api/nope").status_code == 404


def test_the_timeline_is_complete(server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    client = client_for(server, family.anna)
    ids = [
        one
        for month in client.get("/api/timeline/buckets").json()
        for one in client.get("/api/timeline/bucket", params={"timeBucket": month["timeBucket"]}).json()["id"]
    ]
    assert sorted(ids) == sorted(a.id for a in family.photos)


def test_requests_are_counted_by_route(server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    client = client_for(server, family.anna)
    for photo in family.photos:
        client.get("/api/faces", params={"id": photo.id})
    assert server.count("GET /api/faces") == 6
    assert server.requests.total() == len(server.log) == 6


def test_the_same_calls_build_the_same_library() -> None:
    one, two = Family().library, Family().library
    assert [vars(a) for a in one.assets.values()] == [vars(a) for a in two.assets.values()]
    assert list(one.keys) == list(two.keys)


def test_a_running_server_shows_a_new_photo_at_once(server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    client = client_for(server, family.anna)
    assert client.post("/api/search/statistics", json={}).json()["total"] == 6
    family.library.photo(family.anna, jpeg(33, 44))
    assert client.post("/api/search/statistics", json={}).json()["total"] == 7


@pytest.mark.parametrize(("said", "parts"), [("1.132.3", (1, 132, 3)), ("4.0.0", (4, 0, 0)), ("nonsense", (0, 0, 0))])
def test_a_server_can_claim_any_version(said: str, parts: tuple[int, int, int], client_for: ClientFor) -> None:
    with immich_server(Library(), said) as server:
        answer = client_for(server).get("/api/server/version").json()
    assert (answer["major"], answer["minor"], answer["patch"]) == parts


def test_a_request_that_no_route_can_read_is_answered_and_told_at_the_end(family: Family, client_for: ClientFor) -> None:
    def misunderstand() -> None:
        with immich_server(family.library) as server:
            nonsense = {"edits": [{"action": "crop", "parameters": {"x": "left"}}]}
            answer = client_for(server, family.anna).put(f"/api/assets/{family.photos[0].id}/edits", json=nonsense)
            assert (answer.status_code, answer.json()["message"]) == (500, "Internal server error")
            assert client_for(server, family.anna).get("/api/users/me").status_code == 200

    with pytest.raises(RuntimeError, match="could not answer") as told:
        misunderstand()
    assert isinstance(told.value.__cause__, ValueError)


def test_backups_of_the_database_are_for_administrators_with_the_permissions(
    server: ImmichServer, family: Family, client_for: ClientFor
) -> None:
    family.library.backups["a.sql.gz"] = b"dump"
    listing, one = "/api/admin/database-backups", "/api/admin/database-backups/a.sql.gz"
    admin = client_for(server, family.anna)
    assert admin.get(listing).json() == {"backups": [{"filename": "a.sql.gz", "filesize": 4, "timezone": "UTC"}]}
    assert admin.get(one).content == b"dump"
    assert admin.get(one).headers["content-type"] == "application/octet-stream"
    assert admin.get("/api/admin/database-backups/b.sql.gz").status_code == 404
    assert client_for(server, family.bob).get(listing).json()["message"] == "Forbidden"
    for path, lacking in ((listing, "maintenance"), (one, "backup.download")):
        key = family.library.key(family.anna, ["asset.read"])
        assert client_for(server, key.secret).get(path).json()["message"] == f"Missing required permission: {lacking}"
