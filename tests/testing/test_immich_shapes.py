"""What else a real server has: partners, shared albums, edits, hidden and locked photos, sync, and paging that loses rows."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from PIL import Image

from facesets.testing import Box, ImmichServer, Library, immich_server
from tests.testing.conftest import Family, jpeg

ClientFor = Callable[..., httpx.Client]


def search(client: httpx.Client, **asked: object) -> list[dict[str, Any]]:
    answer = client.post("/api/search/metadata", json=asked)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["assets"]["items"]
    return items


def test_external_photos_carry_the_checksum_of_their_path(server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    folder = family.library.external(family.anna, "NAS", import_paths=["/mnt/nas"])
    photo = family.library.photo(family.anna, jpeg(50, 50), file_name="a.jpg", library=folder)
    item = search(client_for(server, family.anna), id=photo.id)[0]
    assert item["libraryId"] == folder.id
    assert item["originalPath"] == "/mnt/nas/a.jpg"
    assert photo.sha1 == hashlib.sha1(b"path:/mnt/nas/a.jpg").digest()


def test_a_partner_in_the_timeline_is_mixed_in_by_owner(server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    client = client_for(server, family.anna)
    friend = family.library.person(family.bob, "Friend")
    family.library.face(family.bobs[0], Box(10, 10, 60, 60, friend))
    assert client.get(f"/api/assets/{family.bobs[0].id}").status_code == 400
    partner = family.library.partner(family.bob, family.anna)
    assert client.get(f"/api/assets/{family.bobs[0].id}").json()["people"] == []
    assert len(search(client)) == 6
    partner.in_timeline = True
    assert {i["ownerId"] for i in search(client)} == {family.anna.id, family.bob.id}
    theirs = search(client, id=family.bobs[0].id, withPeople=True)[0]
    assert [p["name"] for p in theirs["people"]] == ["Friend"]
    assert client.get("/api/faces", params={"id": family.bobs[0].id}).json()[0]["person"] is None


def test_a_shared_album_shows_its_photos_to_a_search_in_3_only(server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    album = family.library.album(family.bob, "party", family.bobs, shared_with=[family.anna])
    client = client_for(server, family.anna)
    assert len(search(client, albumIds=[album.id])) == (2 if server.dialect.modern else 0)
    assert client.get(f"/api/assets/{family.bobs[0].id}/original").status_code == 200


def test_out_of_sight_is_each_its_own_way(server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    archived, locked, trashed, offline, hidden, seen = family.photos
    archived.visibility, locked.visibility, hidden.visibility = "archive", "locked", "hidden"
    trashed.deleted_at = offline.deleted_at = datetime(2024, 5, 1, tzinfo=UTC)
    offline.is_offline = True
    client = client_for(server, family.anna)
    default = {i["id"] for i in search(client)}
    assert default == ({seen.id, archived.id, hidden.id} if server.dialect.modern else {seen.id})
    assert {i["id"] for i in search(client, withDeleted=True)} - default == {trashed.id, offline.id}
    assert {i["id"] for i in search(client, visibility="archive")} == {archived.id}
    assert client.post("/api/search/metadata", json={"visibility": "locked"}).status_code == 401
    assert client.get(f"/api/faces?id={locked.id}").status_code == 400
    gone = client.get(f"/api/assets/{offline.id}/original")
    said = (404, "Not Found") if server.dialect.modern else (500, "Internal server error")
    assert (gone.status_code, gone.json()["message"]) == said
    assert client.get(f"/api/assets/{trashed.id}/original").status_code == 200


def test_an_edit_has_three_frames(server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    photo = family.library.photo(family.anna, jpeg(400, 300), faces=[Box(100, 50, 200, 150, family.oma), Box(0, 0, 30, 30)])
    family.library.edit(photo, "crop", x=80, y=40, width=200, height=100)
    family.library.edit(photo, "rotate", angle=90)
    client = client_for(server, family.anna)
    item = search(client, id=photo.id, withPeople=True)[0]
    assert (item["width"], item["height"], item["isEdited"]) == (100, 200, True)
    if not server.dialect.modern:
        told = item["people"][0]["faces"][0]
        assert (told["boundingBoxX1"], told["imageWidth"]) == (100, 400)
        assert item["unassignedFaces"] == []  # the crop cut it off
    face = client.get(f"/api/faces?id={photo.id}").json()[0]
    assert (face["imageWidth"], face["imageHeight"]) == (100, 200)
    assert [face[f"boundingBox{n}"] for n in ("X1", "Y1", "X2", "Y2")] == [-10, 20, 90, 120]
    sizes = {
        edited: Image.open(io.BytesIO(client.get(f"/api/assets/{photo.id}/original?edited={edited}").content)).size
        for edited in ("true", "false")
    }
    assert sizes == {"true": (100, 200), "false": (400, 300)}


def test_boxes_stand_in_the_previews_frame(family: Family) -> None:
    photo = family.library.photo(family.anna, jpeg(4000, 3000), faces=[Box(1000, 900, 2000, 1500)])
    face = photo.faces[0]
    assert (face.image_width, face.image_height) == (1920, 1440)
    assert (face.x1, face.y1, face.x2, face.y2) == (480, 432, 960, 720)


@pytest.mark.parametrize(("wanted", "kind"), [("", "image/webp"), ("?size=preview", "image/jpeg")])
def test_thumbnails_are_made_of_the_photo(wanted: str, kind: str, server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    answer = client_for(server, family.anna).get(f"/api/assets/{family.photos[0].id}/thumbnail{wanted}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert Image.open(io.BytesIO(answer.content)).size == (160, 120)


def test_full_size_is_the_original_or_where_no_browser_reads_it_the_preview(family: Family, client_for: ClientFor) -> None:
    heic = family.library.photo(family.anna, jpeg(), file_name="a.heic")
    broken = family.library.photo(family.anna, b"no picture", file_name="b.jpg")
    with immich_server(family.library) as server:
        client = client_for(server, family.anna)
        for photo, location in ((family.photos[0], "original?"), (heic, f"/api/assets/{heic.id}/thumbnail?size=preview")):
            assert client.get(f"/api/assets/{photo.id}/thumbnail?size=fullsize").headers["location"] == location
            assert client.get(f"/api/assets/{photo.id}/thumbnail?size=fullsize", follow_redirects=True).status_code == 200
        assert client.get(f"/api/assets/{broken.id}/thumbnail?size=preview").status_code == 404
        assert search(client, id=broken.id)[0]["width"] is None


def test_unnamed_and_rare_people_are_counted_and_not_listed(server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    rare, hidden = family.library.person(family.anna), family.library.person(family.anna, "Nobody", is_hidden=True)
    for person in (rare, hidden):
        family.library.face(family.photos[5], Box(1, 1, 20, 20, person))
    answer = client_for(server, family.anna).get("/api/people").json()
    assert ([p["name"] for p in answer["people"]], answer["total"], answer["hidden"]) == (["Oma"], 3, 1)


def test_an_archive_silently_leaves_out_what_is_gone(server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    family.photos[1].is_offline = True
    ids = [p.id for p in family.photos[:3]]
    answer = client_for(server, family.anna).post("/api/download/archive", json={"assetIds": ids})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as pack:
        assert pack.namelist() == [family.photos[0].file_name, family.photos[2].file_name]
        assert pack.read(family.photos[2].file_name) == family.photos[2].read()
    refused = client_for(server, family.anna).post("/api/download/archive", json={"assetIds": [ids[0], family.bobs[0].id]})
    assert refused.status_code == 400


class Session:
    """Anna's login and what she has acknowledged."""

    def __init__(self, server: ImmichServer, family: Family, client: httpx.Client) -> None:
        self.client, self.types = client, ["AssetsV2" if server.dialect.modern else "AssetsV1", "AssetFacesV2", "PeopleV1"]
        token = client.post("/api/auth/login", json={"email": family.anna.email, "password": "password"}).json()["accessToken"]
        client.headers["authorization"] = f"Bearer {token}"

    def stream(self, *, acknowledge: bool = True) -> list[tuple[str, dict[str, Any]]]:
        answer = self.client.post("/api/sync/stream", json={"types": self.types})
        assert answer.status_code == 200, answer.text
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert lines[-1]["type"] == "SyncCompleteV1"
        if acknowledge:
            last = {line["type"]: line["ack"] for line in lines[:-1]}
            self.client.post("/api/sync/ack", json={"acks": list(last.values())})
        return [(line["type"], line["data"]) for line in lines[:-1]]


def test_a_session_streams_everything_and_then_only_what_changed(server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    session = Session(server, family, client_for(server))
    first = session.stream(acknowledge=False)
    assert len(first) == 6 + 7 + 1
    assert len(session.stream()) == len(first)  # nothing was acknowledged yet
    assert session.stream() == []
    family.library.face(family.photos[0], Box(5, 5, 40, 40))
    family.photos[1].faces.clear()
    family.oma.name = "Grandma"
    del family.library.assets[family.photos[5].id]
    changed = session.stream()
    kinds = [kind for kind, _ in changed]
    assert sorted(kinds) == ["AssetDeleteV1", "AssetFaceDeleteV1", "AssetFaceDeleteV1", "AssetFaceV2", "PersonV1"]
    assert dict(changed)["PersonV1"]["name"] == "Grandma"
    assert session.stream() == []


def test_the_stream_is_closed_to_keys(server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    answer = client_for(server, family.anna).post("/api/sync/stream", json={"types": ["PeopleV1"]})
    assert (answer.status_code, answer.json()["message"]) == (403, "Sync endpoints cannot be used with API keys")


def test_logging_out_ends_the_session(server: ImmichServer, family: Family, client_for: ClientFor) -> None:
    session = Session(server, family, client_for(server))
    assert session.client.post("/api/auth/logout").json()["successful"] is True
    assert session.client.get("/api/users/me", headers={"cookie": ""}).status_code == 401
    wrong = client_for(server).post("/api/auth/login", json={"email": family.anna.email, "password": "guess"})
    assert wrong.status_code == 401


def _burst(count: int) -> Library:
    library = Library()
    user = library.user("anna")
    data = jpeg(16, 16)
    for _ in range(count):
        library.photo(user, data, taken_at="2014-06-01T12:00:00Z")
    return library


@pytest.mark.parametrize(("version", "lossy", "whole"), [("2.7.2", None, False), ("2.7.2", False, True), ("3.1.0", None, True)])
def test_paging_loses_rows_of_one_instant_on_2_7_2_unless_switched_off(
    version: str, lossy: bool | None, whole: bool, client_for: ClientFor
) -> None:
    library = _burst(400)
    with immich_server(library, version, lossy_paging=lossy) as server:
        client = client_for(server, server.key_for("anna"))
        pages = [[i["id"] for i in search(client, size=60, page=page)] for page in range(1, 8)]
    assert sum(map(len, pages)) == 400
    seen = {i for page in pages for i in page}
    assert (len(seen) == 400) is whole
    assert len(seen) > 0.6 * 400


def test_from_3_2_on_a_search_takes_filters_and_goes_on_from_a_cursor(family: Family) -> None:
    with immich_server(family.library, "3.2.2") as server, httpx.Client(base_url=server.url) as client:
        client.headers["x-api-key"] = server.key_for(family.anna)
        asked: dict[str, object] = {"size": 4, "filter": {"visibility": {"eq": "timeline"}, "takenAt": {"gte": "1990-01-01T00:00:00Z"}}}
        found: list[str] = []
        while True:
            page = client.post("/api/search/metadata", json=asked).json()["assets"]
            found += [item["id"] for item in page["items"]]
            if page["nextCursor"] is None:
                break
            asked["cursor"] = page["nextCursor"]
        assert sorted(found) == sorted(item["id"] for item in search(client))
        assert len(found) > 4
        one = client.post("/api/search/metadata", json={"filter": {"id": {"eq": found[0]}}}).json()["assets"]
        assert [item["id"] for item in one["items"]] == found[:1]
        assert client.post("/api/search/metadata", json={"cursor": "?"}).status_code == 400
        assert client.post("/api/search/metadata", json={"filter": {"smell": {"eq": "sweet"}}}).status_code == 400
