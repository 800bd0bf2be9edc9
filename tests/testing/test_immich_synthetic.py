"""A library of a million photos: listed, found and fetched without ever being held."""

from __future__ import annotations

import hashlib
import io
import json
import tracemalloc
from collections.abc import Callable
from datetime import datetime

import httpx
import pytest
from benchmarks.synthetic import SyntheticLibrary
from PIL import Image

from facesets.testing import immich_server

ClientFor = Callable[..., httpx.Client]


def test_a_million_photos_are_listed_in_little_memory(version: str, client_for: ClientFor) -> None:
    tracemalloc.start()
    library = SyntheticLibrary(1_000_000)
    with immich_server(library, version) as server:
        client = client_for(server, server.key_for(library.owner))
        months = client.get("/api/timeline/buckets").json()
        assert sum(m["count"] for m in months) == client.post("/api/search/statistics", json={}).json()["total"] == 1_000_000
        for page in (1, 500, 1000):
            assets = client.post("/api/search/metadata", json={"size": 1000, "page": page, "withPeople": True}).json()["assets"]
            assert len(assets["items"]) == 1000
            assert assets["nextPage"] == (str(page + 1) if page < 1000 else None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * 2**20


def test_pages_are_the_whole_library_in_order_where_nothing_is_lost(client_for: ClientFor) -> None:
    library = SyntheticLibrary(2500, per_instant=7)
    with immich_server(library, "3.1.0") as server:
        client = client_for(server, server.key_for("owner"))
        found = [
            i["id"]
            for page in (1, 2, 3)
            for i in client.post("/api/search/metadata", json={"size": 1000, "page": page}).json()["assets"]["items"]
        ]
        timeline = [
            one
            for month in client.get("/api/timeline/buckets").json()
            for one in client.get(f"/api/timeline/bucket?timeBucket={month['timeBucket']}").json()["id"]
        ]
    assert found == [library.at(n).id for n in reversed(range(2500))]
    assert sorted(timeline) == sorted(found)
    assert len(set(found)) == 2500


def test_every_photo_is_found_by_its_id_and_no_other() -> None:
    library, other = SyntheticLibrary(5000, seed=1), SyntheticLibrary(5000, seed=2)
    assert [library.number_of(library.at(n).id) for n in range(0, 5000, 7)] == list(range(0, 5000, 7))
    assert library.asset(other.at(3).id) is None
    assert library.asset("abc") is None


def test_files_are_pictures_of_the_promised_size_and_hash(client_for: ClientFor) -> None:
    library = SyntheticLibrary(1000, file_size=300_000, width=640, height=480, twins=50)
    with immich_server(library) as server:
        client = client_for(server, server.key_for("owner"))
        for number in (0, 49, 50, 999):
            data = client.get(f"/api/assets/{library.at(number).id}/original").content
            assert len(data) == 300_000
            assert hashlib.sha1(data).digest() == library.at(number).sha1
            assert Image.open(io.BytesIO(data)).size == (640, 480)
    assert library.at(49).sha1 == library.at(50).sha1 != library.at(51).sha1


def test_a_range_of_time_is_cut_out_of_the_numbers() -> None:
    library = SyntheticLibrary(1000, per_instant=3, step=60)
    start, end = library.taken(300), library.taken(602)
    rows = library.rows(frozenset({library.owner.id}), (start, end), descending=False)
    assert (rows[0].id, rows[-1].id, len(rows)) == (library.at(300).id, library.at(602).id, 303)
    far = datetime.fromisoformat("1990-01-01T00:00:00+00:00")
    assert len(library.rows(frozenset({library.owner.id}), (far, None))) == 1000
    assert len(library.rows(frozenset({library.owner.id}), (None, far))) == 0


@pytest.mark.parametrize("kind", ["AssetsV2", "AssetFacesV2", "PeopleV1"])
def test_the_stream_brings_all_of_it(kind: str, client_for: ClientFor) -> None:
    library = SyntheticLibrary(1500, people=9)
    with immich_server(library, "3.1.0") as server:
        client = client_for(server)
        login = {"email": library.owner.email, "password": "password"}
        token = client.post("/api/auth/login", json=login).json()["accessToken"]
        answer = client.post("/api/sync/stream", json={"types": [kind]}, headers={"authorization": f"Bearer {token}"})
        rows = [json.loads(line) for line in answer.text.splitlines()][:-1]
        people = client.get("/api/people", headers={"authorization": f"Bearer {token}"}).json()
    faces = sum(len(library.at(n).faces) for n in range(1500))
    assert len(rows) == {"AssetsV2": 1500, "AssetFacesV2": faces, "PeopleV1": 9}[kind]
    assert len({r["data"]["id"] for r in rows}) == len(rows)
    assert people["total"] == 9


def test_what_a_listing_asks_for_is_answered_without_a_scan(
    version: str, client_for: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = SyntheticLibrary(100_000)
    monkeypatch.setattr(SyntheticLibrary, "owned_by", None)  # which looks at every photo
    with immich_server(library, version) as server:
        client = client_for(server, server.key_for(library.owner))
        for visibility, count in (("timeline", 100_000), ("archive", 0), ("hidden", 0)):
            for trashed in ({}, {"isTrashed": "true"}):
                months = client.get("/api/timeline/buckets", params={"visibility": visibility, **trashed}).json()
                assert sum(month["count"] for month in months) == (0 if trashed else count)
            body = {"visibility": visibility, "withDeleted": True, "size": 10}
            assert len(client.post("/api/search/metadata", json=body).json()["assets"]["items"]) == min(count, 10)
            late = {**body, "size": 100, "updatedAfter": library.taken(99_990).isoformat()}
            assert len(client.post("/api/search/metadata", json=late).json()["assets"]["items"]) == min(count, 10 + 2)
