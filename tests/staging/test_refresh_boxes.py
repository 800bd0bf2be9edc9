"""No server marks a photo whose faces change: within a stated number of runs all are asked for theirs again, at a stated cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from facesets.records import Reason
from facesets.registry import listings
from facesets.testing import Asset, ImmichServer, Library, User, faults
from tests.immich.photos import BIG, SMALL, photo

from .home import Home
from .test_stage import refuse

FACES = "GET /api/faces"
RUNS = 5


@pytest.fixture
def home(home: Home) -> Home:
    settings = home.workspace.settings
    home.workspace = replace(home.workspace, settings=replace(settings, immich=replace(settings.immich, faces_within=RUNS)))
    return home


@pytest.fixture
def old(library: Library, anna: User) -> list[Asset]:
    """Photos of long ago: a third with a face that counts. The newest ones, which are always asked, have none."""
    for number in range(60):
        library.photo(anna, photo(number), taken_at="2010-01-01T00:00:00Z", faces=[[BIG], [SMALL], []][number % 3])
    made = list(library.assets.values())
    for number in range(4):
        library.photo(anna, photo(100 + number), taken_at="2024-01-01T00:00:00Z")
    return made


@pytest.fixture
def unmarked(server: ImmichServer) -> None:
    if server.dialect.faces_in_search:
        pytest.skip("its listing tells faces")


@pytest.mark.parametrize("which", [0, 29, 58])
def test_a_face_that_was_added_anywhere_is_seen_within_so_many_runs(
    library: Library, anna: User, server: ImmichServer, home: Home, old: list[Asset], which: int
) -> None:
    home.stage(server, anna)
    added = library.face(old[which], BIG)
    for _ in range(RUNS):
        home.stage(server, anna)
    (row,) = [row for row in home.rows() if row.asset.asset_id == old[which].id]
    assert added.id in {box.face_id for box in row.asset.boxes or ()}
    assert row.reason is Reason.STAGED


@pytest.mark.usefixtures("unmarked", "old")
def test_each_run_asks_its_share_and_all_together_ask_each_photo_once(
    library: Library, anna: User, server: ImmichServer, home: Home
) -> None:
    home.stage(server, anna)
    asked = list[int]()
    for _ in range(RUNS):
        server.requests.clear()
        counters = home.stage(server, anna)
        asked.append(server.count(FACES))
        assert counters.faces_asked_again == asked[-1]
    assert sum(asked) == RUNS * 4 + 64
    assert max(asked) <= 4 + 64 // RUNS + 10
    with home.workspace.registry() as registry:
        last = listings.last_refresh(registry, "anna")
    assert last is not None
    assert (last.photos, last.unanswered) == (64, 0)


@pytest.mark.usefixtures("unmarked")
def test_a_photo_that_gave_no_answer_is_asked_by_the_next_run(
    library: Library, anna: User, server: ImmichServer, home: Home, old: list[Asset]
) -> None:
    home.stage(server, anna)
    library.face(old[2], BIG)
    server.faults.add(faults.status(503), FACES, containing=old[2].id)
    for _ in range(RUNS):  # whichever its shard is
        home.stage(server, anna, attempts=1)
    assert home.reasons()[old[2].id] is Reason.NO_FACES
    server.faults.clear()
    home.stage(server, anna)
    assert home.reasons()[old[2].id] is Reason.STAGED


@pytest.mark.usefixtures("unmarked", "old")
def test_a_run_that_was_cut_off_asks_its_shard_again(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    home.stage(server, anna)

    def shard() -> int:
        with home.workspace.registry() as registry:
            return listings.refresh_shard(registry, "anna")

    before = shard()
    server.faults.add(faults.status(503), "GET /api/timeline/bucket*")
    with pytest.raises(Exception, match="503"):
        home.stage(server, anna, attempts=1)
    assert shard() == before
    server.faults.clear()
    home.stage(server, anna)
    assert shard() == before + 1


@pytest.mark.usefixtures("unmarked")
def test_some_changes_by_hand_do_not_have_everything_asked_and_many_do(
    library: Library, anna: User, server: ImmichServer, home: Home
) -> None:
    settings = home.workspace.settings
    home.workspace = replace(home.workspace, settings=replace(settings, immich=replace(settings.immich, faces_within=2)))
    many = [library.photo(anna, photo(number), faces=[SMALL]) for number in range(204)]
    home.stage(server, anna)
    for asset in many[:2]:
        library.face(asset, BIG)
    for _ in range(2):
        server.requests.clear()
        home.stage(server, anna)
        assert server.count(FACES) < 150
    assert home.counts()[Reason.STAGED] == 2
    for asset in many[2:190]:
        library.face(asset, BIG)
    home.stage(server, anna)
    assert home.counts()[Reason.STAGED] == 190


@pytest.mark.usefixtures("unmarked")
def test_full_asks_for_the_faces_of_photos_that_are_here_too(
    library: Library, anna: User, server: ImmichServer, home: Home, old: list[Asset]
) -> None:
    home.stage(server, anna)
    added = [library.face(asset, BIG).id for asset in old]
    server.requests.clear()
    home.stage(server, anna, full=True)
    assert server.count(FACES) == 64
    assert {box.face_id for row in home.rows() for box in row.asset.boxes or ()}.issuperset(added)


@pytest.mark.usefixtures("unmarked")
def test_a_key_without_the_timeline_asks_in_shards_too(
    library: Library, anna: User, server: ImmichServer, home: Home, old: list[Asset]
) -> None:
    server.faults.add(faults.Fault("unknown", answer=refuse), "GET /api/timeline/bucket*")
    home.stage(server, anna)
    library.face(old[2], BIG)
    for _ in range(RUNS):
        home.stage(server, anna)
    assert home.reasons()[old[2].id] is Reason.STAGED


@pytest.mark.usefixtures("unmarked", "old")
def test_a_server_that_goes_away_meanwhile_is_said(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    home.stage(server, anna)
    before = home.outcome()
    server.faults.add(faults.status(503), FACES)
    home.stage(server, anna, attempts=1)  # nothing of its shard came, and nothing is lost by that
    assert home.outcome() == before
    with home.workspace.registry() as registry:
        last = listings.last_refresh(registry, "anna")
        assert last is not None
        assert (last.asked, last.unanswered) == (0, len(listings.unanswered(registry, "anna")))
