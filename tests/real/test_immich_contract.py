"""The testing Immich against two real ones: every recorded exchange asked again, every answer held to Immich's own API document."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from facesets.testing import ImmichServer, Library, immich_server
from tests.real.immich_contract import Reply, parsed, replay
from tests.real.immich_openapi import Document
from tests.real.immich_recordings import Recorded, rebuild
from tests.testing.conftest import Family

VERSIONS = ("2.7.2", "3.1.0")
EXCUSED: dict[str, str] = json.loads((Path(__file__).parent / "immich_excused.json").read_text())
NEVER_EXCUSED = re.compile(r"_metadata|faces|FACE|original|thumbnail|ERR_|4\d\d|nokey|nonadmin|missing|locked|offline")


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def replies(version: str, shared: Path) -> list[Reply]:
    recorded = Recorded.read(shared / "immich" / "recorded" / version)
    library = rebuild(recorded)
    with immich_server(library, version) as server:
        return list(replay(recorded, library, server))


@pytest.fixture(scope="module")
def document(version: str, shared: Path) -> Document:
    return Document(shared / "immich" / f"openapi-{version}.json")


def test_recorded_exchanges_come_out_the_same(replies: list[Reply], version: str, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {r.recording.name: r.differences[:5] for r in replies if r.differences and r.recording.name not in EXCUSED}
    reproduced = [r for r in replies if not r.differences]
    exact = [r for r in reproduced if not r.values]
    with capsys.disabled():
        print(
            f"\n{version}: {len(replies)} exchanges asked again, {len(reproduced)} agree in status, headers, keys and types "
            f"({len(exact)} of them in every value), {len(replies) - len(reproduced) - len(wrong)} excused"
        )
    assert not wrong
    assert len(replies) >= 270
    assert len(reproduced) >= 0.7 * len(replies)


def test_what_is_excused_is_short_reasoned_and_not_what_matters(replies: list[Reply]) -> None:
    assert len(EXCUSED) <= 0.3 * len(replies)
    assert all(len(reason) > 20 for reason in EXCUSED.values())
    assert not [name for name in EXCUSED if NEVER_EXCUSED.search(name)]
    assert set(EXCUSED) <= {r.recording.name for r in replies}


def test_answers_keep_to_the_api_document(replies: list[Reply], document: Document) -> None:
    checked, wrong = 0, {}
    for reply in replies:
        one = reply.recording
        if reply.response.status_code >= 300 or not isinstance(reply.body, dict | list) or "stream" in one.path:
            continue
        checked += 1
        ours = document.problems(one.method, one.path, reply.response.status_code, reply.body)
        theirs = document.problems(one.method, one.path, one.status, one.answer)  # where both depart, the document is wrong
        if extra := sorted(set(ours) - set(theirs)):
            wrong[one.name] = extra
    assert not wrong
    assert checked > 140


def test_the_document_would_notice_a_missing_or_wrong_field(replies: list[Reply], document: Document) -> None:
    reply = next(r for r in replies if r.recording.name == "POST_search_metadata_withExif")
    body = reply.body
    del body["assets"]["items"][0]["checksum"]
    body["assets"]["items"][1]["isFavorite"] = "no"
    body["assets"]["items"][2]["visibility"] = "somewhere"
    found = document.problems("POST", "/api/search/metadata", 200, body)
    assert len(found) == 3, found


class Drive:
    """Asks a family's server and holds each JSON answer to the document."""

    def __init__(self, server: ImmichServer, family: Family, document: Document) -> None:
        self.client = httpx.Client(base_url=server.url, headers={"x-api-key": server.key_for(family.anna)}, timeout=10)
        self.document, self.problems, self.routes = document, list[str](), 0

    def __call__(self, method: str, path: str, body: object = None, *, status: int = 200) -> httpx.Response:
        response = self.client.request(method, f"/api{path}", json=body)
        assert response.status_code == status, (method, path, response.text)
        assert self.document.knows(method, f"/api{path}"), (method, path)
        said = parsed(response)
        if isinstance(said, dict | list):
            self.problems += [f"{method} {path} {p}" for p in self.document.problems(method, f"/api{path}", status, said)]
        self.routes += 1
        return response


@pytest.fixture
def drive(version: str, document: Document) -> Iterator[tuple[Drive, Family]]:
    family = Family()
    with immich_server(family.library, version) as server:
        made = Drive(server, family, document)
        yield made, family
        made.client.close()


def _albums_and_tags(drive: Drive, family: Family) -> None:
    one, two = family.photos[0].id, family.photos[1].id
    album = drive("POST", "/albums", {"albumName": "summer", "assetIds": [one]}, status=201).json()["id"]
    drive("PUT", f"/albums/{album}/assets", {"ids": [one, two]})
    drive("PATCH", f"/albums/{album}", {"description": "by the lake"})
    drive("GET", "/albums")
    drive("GET", f"/albums/{album}")
    drive("DELETE", f"/albums/{album}/assets", {"ids": [one]})
    drive("DELETE", f"/albums/{album}", status=204)
    tag = drive("PUT", "/tags", {"tags": ["people/grandma"]}).json()[0]["id"]
    drive("POST", "/tags", {"name": "places"}, status=201)
    drive("PUT", f"/tags/{tag}/assets", {"ids": [one]})
    drive("PUT", "/tags/assets", {"assetIds": [one, two], "tagIds": [tag]})
    drive("PUT", f"/tags/{tag}", {"color": "#123456"})
    drive("GET", "/tags")
    drive("DELETE", f"/tags/{tag}/assets", {"ids": [one]})
    drive("DELETE", f"/tags/{tag}", status=204)


def _people_and_faces(drive: Drive, family: Family) -> None:
    asset, box = family.photos[3].id, {"imageWidth": 160, "imageHeight": 120, "x": 5, "y": 6, "width": 30, "height": 40}
    uncle = drive("POST", "/people", {"name": "Uncle"}, status=201).json()["id"]
    drive("POST", "/faces", {"assetId": asset, "personId": uncle, **box}, status=201)
    face = drive("GET", f"/faces?id={asset}").json()[0]
    assert face["person"]["id"] == uncle
    drive("PUT", f"/faces/{family.oma.id}", {"id": face["id"]})
    drive("DELETE", f"/faces/{face['id']}", {"force": False}, status=204)
    drive("PUT", f"/people/{uncle}", {"isHidden": True, "birthDate": "1950-01-02"})
    drive("GET", f"/people/{family.oma.id}/statistics")
    drive("POST", f"/people/{family.oma.id}/merge", {"ids": [uncle]})
    drive("GET", "/search/person?name=oma")
    drive("GET", "/people")


def _assets(drive: Drive, family: Family) -> None:
    asset = family.photos[4].id
    drive("PUT", f"/assets/{asset}/edits", {"edits": [{"action": "rotate", "parameters": {"angle": 90}}]})
    drive("GET", f"/assets/{asset}/edits")
    drive("GET", f"/assets/{asset}")
    drive("DELETE", f"/assets/{asset}/edits", status=204)
    family.library.duplicates(*family.photos[:2])
    drive("GET", "/duplicates")
    drive("GET", "/timeline/bucket?timeBucket=2021-01-01&withStacked=true")
    drive("POST", "/search/metadata", {"withPeople": True, "withExif": True})
    drive("POST", "/download/info", {"assetIds": [asset]}, status=201)


def _account(drive: Drive, family: Family) -> None:
    family.library.partner(family.bob, family.anna)
    drive("GET", "/partners?direction=shared-with")
    drive("GET", "/users/me")
    drive("GET", "/api-keys/me")
    login = drive("POST", "/auth/login", {"email": family.anna.email, "password": "password"}, status=201).json()
    drive.client.headers = httpx.Headers({"authorization": f"Bearer {login['accessToken']}"})
    drive("POST", "/sync/ack", {"acks": ["AssetV1|01a20276-2fbc-7baa-be27-ddade277a7ac"]}, status=204)
    drive("POST", "/auth/logout")


@pytest.mark.parametrize("journey", [_albums_and_tags, _people_and_faces, _assets, _account])
def test_routes_that_were_not_recorded_keep_to_the_document_too(
    journey: Callable[[Drive, Family], None], drive: tuple[Drive, Family]
) -> None:
    asked, family = drive
    journey(asked, family)
    assert asked.problems == []


def test_an_empty_library_answers_by_the_document(version: str, document: Document) -> None:
    library = Library()
    user = library.user("nobody yet")
    with immich_server(library, version) as server, httpx.Client(base_url=server.url) as client:
        client.headers["x-api-key"] = server.key_for(user)
        for path in ("/api/people", "/api/timeline/buckets", "/api/albums", "/api/tags", "/api/duplicates", "/api/users/me"):
            assert document.problems("GET", path, 200, client.get(path).json()) == []


def test_backups_of_the_database_keep_to_it(drive: tuple[Drive, Family]) -> None:
    ask, family = drive
    family.library.backups["immich-db-backup-20260301T020000-v3.1.0-pg14.19.sql.gz"] = b"\x1f\x8b"
    (listed,) = ask("GET", "/admin/database-backups").json()["backups"]
    assert ask("GET", f"/admin/database-backups/{listed['filename']}").content == b"\x1f\x8b"
    assert (ask.routes, ask.problems) == (2, [])
