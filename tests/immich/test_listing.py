from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict

import pytest

from facesets.errors import BadAnswer
from facesets.immich import Client, listing
from facesets.immich.listing import ListingCounts
from facesets.records import Asset
from facesets.sources import Reconciliation
from facesets.testing import ImmichServer, Library, User, faults, immich_server
from facesets.testing.immich.transport import Response

from .photos import BIG, photo


def listed(client: Client, owner: User, *, page_size: int = 1000) -> tuple[list[Asset], Reconciliation]:
    counts = ListingCounts()
    found = list(listing.assets(client, owner.id, counts, page_size=page_size))
    return found, Reconciliation(**asdict(counts))


def test_paging_that_loses_rows_loses_no_asset(library: Library, anna: User) -> None:
    bytes_ = photo(1)
    for number in range(300):
        library.photo(anna, bytes_, taken_at="2015-01-01T00:00:00Z" if number % 3 else None)
    with immich_server(library, lossy_paging=True) as server, Client(server.url + "/api", server.key_for(anna)) as client:
        found, counts = listed(client, anna, page_size=20)
    assert sorted(asset.asset_id for asset in found) == sorted(library.assets)
    assert counts.fetched_singly > 0
    assert (counts.listed, counts.own, counts.timeline, counts.statistics) == (300, 300, 300, 300)
    assert counts.agrees
    assert f"{counts.fetched_singly} were lost by the server's paging and fetched one by one" in str(counts)
    assert "timeline and statistics agree;" in str(counts)


def test_everything_is_listed_once_with_what_stands_against_it(library: Library, anna: User, client: Client) -> None:
    bob = library.user("bob")
    library.partner(bob, anna, in_timeline=True)
    shared = library.photo(bob, photo(1))
    kinds = {
        "plain": library.photo(anna, photo(2), faces=[BIG]),
        "archived": library.photo(anna, photo(3), visibility="archive"),
        "hidden": library.photo(anna, b"moving", file_name="live.mp4", visibility="hidden"),
        "trashed": library.photo(anna, photo(4), deleted_at=library.assets[shared.id].created_at),
        "offline": library.photo(anna, photo(5), deleted_at=library.assets[shared.id].created_at, is_offline=True),
        "video": library.photo(anna, b"video", file_name="clip.mp4"),
        "locked": library.photo(anna, photo(6), visibility="locked"),
    }
    found, counts = listed(client, anna)
    by_id = {asset.asset_id: asset for asset in found}
    assert len(found) == len(by_id)
    assert set(by_id) == {shared.id, *(asset.id for name, asset in kinds.items() if name != "locked")}
    assert by_id[kinds["archived"].id].visibility == "archive"
    assert by_id[kinds["hidden"].id].type == "VIDEO"
    assert by_id[kinds["trashed"].id].is_trashed
    assert by_id[kinds["offline"].id].is_offline
    assert by_id[shared.id].owner_id == bob.id
    assert (counts.listed, counts.own, counts.active, counts.statistics, counts.agrees) == (7, 6, 3, 3, True)


def test_boxes_come_with_the_listing_where_the_server_gives_them(
    library: Library, anna: User, server: ImmichServer, client: Client
) -> None:
    library.photo(anna, photo(1), faces=[BIG])
    (asset,), _ = listed(client, anna)
    if server.dialect.faces_in_search:
        assert asset.boxes is not None
        assert (asset.boxes[0].x1, asset.boxes[0].y2) == (10, 160)
    else:
        assert asset.boxes is None
    assert server.count("GET /api/faces") == 0


def test_a_key_that_may_not_ask_for_statistics_still_lists_everything(
    library: Library, anna: User, client_of: Callable[[str], Client]
) -> None:
    library.photo(anna, photo(1))
    found, counts = listed(client_of(library.key(anna, ["asset.read"]).secret), anna)
    assert len(found) == 1
    assert counts.statistics is None
    assert counts.agrees
    assert "yours; timeline agrees" in str(counts)


def test_counts_that_differ_are_told(library: Library, anna: User, server: ImmichServer, client: Client) -> None:
    kept = library.photo(anna, photo(1))
    gone = kept.id[:-1] + ("0" if kept.id[-1] != "0" else "1")

    def name_both(response: Response, _: object) -> Response:
        body = json.loads(response.body)
        response.body = json.dumps({**body, "id": [kept.id, gone], "ownerId": [anna.id] * 2}).encode()
        return response

    server.faults.add(faults.Fault("names one that was deleted", change=name_both), "GET /api/timeline/bucket")
    found, counts = listed(client, anna)
    assert [asset.asset_id for asset in found] == [kept.id]
    assert (counts.timeline, counts.lost, counts.agrees) == (2, 1, False)
    assert "THE COUNTS DIFFER: timeline 2" in str(counts)


def test_unknown_fields_and_values_list_all_the_same(library: Library, anna: User, server: ImmichServer, client: Client) -> None:
    library.photo(anna, photo(1), faces=[BIG])
    server.faults.add(faults.unknown_fields())
    server.faults.add(faults.unknown_values(), "POST *")
    (asset,), _ = listed(client, anna)
    assert asset.visibility == "value-from-the-future"


def test_a_page_that_leads_back_is_not_followed_for_ever(
    library: Library, anna: User, server: ImmichServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "search", lambda *_: {"assets": {"items": [], "nextPage": "1", "nextCursor": "same"}})
    with pytest.raises(BadAnswer, match=r"page after 1|cursor after 'same'"):
        listed(client, anna)


@pytest.mark.parametrize("count", [10**30, -1])
def test_a_timeline_that_counts_what_cannot_be_is_not_asked_for_it_for_ever(
    library: Library, anna: User, server: ImmichServer, client: Client, count: int
) -> None:
    kept = [library.photo(anna, photo(n)).id for n in (1, 2, 3)]

    def miscount(response: Response, _: object) -> Response:
        response.body = json.dumps([{**bucket, "count": count} for bucket in json.loads(response.body)]).encode()
        return response

    server.faults.add(faults.Fault("miscounts", change=miscount), "GET /api/timeline/buckets")
    found, counts = listed(client, anna, page_size=2)
    assert sorted(asset.asset_id for asset in found) == sorted(kept)
    assert counts.agrees
    assert server.requests["POST /api/search/metadata"] < 50


_LISTS = """
import sys
from facesets.immich import Client, listing
from facesets.immich.listing import ListingCounts

with Client(sys.argv[1] + "/api", sys.argv[2]) as client:
    try:
        list(listing.assets(client, sys.argv[3], ListingCounts()))
    except KeyboardInterrupt:
        print("left")
"""


@pytest.mark.slow
def test_an_interrupted_listing_does_not_wait_for_the_server(library: Library, anna: User, server: ImmichServer) -> None:
    library.photo(anna, photo(1))
    server.faults.add(faults.stalled(600), "POST /api/search/metadata")
    words = [sys.executable, "-c", _LISTS, server.url, server.key_for(anna), anna.id]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as lister:  # a process of its own: the signal is nobody else's
        while not server.faults.counts:
            assert lister.poll() is None
            time.sleep(0.01)
        lister.send_signal(signal.SIGINT)
        assert lister.communicate(timeout=60)[0].strip() == "left"  # the server still has not answered
