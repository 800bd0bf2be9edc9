"""The second run: a handful of requests, and everything that changed is found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from facesets.records import Reason
from facesets.testing import ImmichServer, Library, User, faults, immich_server
from tests.immich.photos import BIG, SMALL, photo

from .home import Home
from .test_stage import refuse

ORIGINAL, FACES, SEARCH = "GET /api/assets/{id}/original", "GET /api/faces", "POST /api/search/metadata"
BUCKET = "GET /api/timeline/bucket"


@pytest.fixture(params=["2.7.2", "3.1.0", "3.2.2"])
def server(request: pytest.FixtureRequest, library: Library) -> Iterator[ImmichServer]:
    with immich_server(library, request.param) as running:
        yield running


def years(library: Library, anna: User, count: int = 60) -> None:
    """Photos of three years: a third with a face that counts."""
    for number in range(count):
        taken = f"20{10 + number % 3}-{1 + number % 12:02}-01T00:00:00Z"
        library.photo(anna, photo(number), taken_at=taken, faces=[[BIG], [SMALL], []][number % 3])


def again(home: Home, server: ImmichServer, user: User, label: str = "anna") -> int:
    """Stage once more; returns how many requests it took. Whatever happened, the counts agree."""
    server.requests.clear()
    counters = home.stage(server, user, label)
    assert counters.total_assets_seen == sum(n for reason, n in home.counts().items() if reason is not Reason.GONE)
    assert counters.reconciliation is not None
    assert counters.reconciliation.agrees, str(counters.reconciliation)
    return sum(server.requests.values())


def test_an_unchanged_library_takes_a_handful_of_requests(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    years(library, anna)
    home.stage(server, anna)
    before = home.outcome()
    for _ in range(3):
        assert again(home, server, anna) <= 24
        assert (server.count(ORIGINAL), server.count(BUCKET)) == (0, 0)
    assert home.outcome() == before


def test_new_changed_and_deleted_assets_are_found(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    years(library, anna)
    home.stage(server, anna)
    kept = [a for a in library.assets.values() if a.faces][:4]
    new = library.photo(anna, photo(900), faces=[BIG], taken_at="2010-01-01T00:00:00Z")
    kept[0].data, kept[0].sha1, kept[0].size = photo(901), hashlib.sha1(photo(901)).digest(), len(photo(901))
    kept[0].updated_at = library.now()
    kept[1].visibility, kept[1].updated_at = "archive", library.now()
    del library.assets[kept[2].id]
    requests = again(home, server, anna)
    assert requests < 30
    reasons = home.reasons()
    assert reasons[new.id] is Reason.STAGED
    assert reasons[kept[1].id] is Reason.ARCHIVED
    assert reasons[kept[2].id] is Reason.GONE
    (row,) = [row for row in home.rows() if row.asset.asset_id == kept[0].id]
    assert row.sha256 == hashlib.sha256(photo(901)).hexdigest()


def test_changes_without_a_mark_are_found_by_the_months_counts(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    years(library, anna)
    home.stage(server, anna)
    moved, gone, thrown = [a for a in library.assets.values() if a.faces][:3]
    old = library.photo(anna, photo(900), faces=[BIG], taken_at="2005-05-05T00:00:00Z", updated_at=moved.updated_at - timedelta(days=9))
    moved.visibility = "archive"
    thrown.deleted_at = thrown.created_at
    del library.assets[gone.id]
    again(home, server, anna)
    reasons = home.reasons()
    assert (reasons[old.id], reasons[moved.id]) == (Reason.STAGED, Reason.ARCHIVED)
    assert (reasons[gone.id], reasons[thrown.id]) == (Reason.GONE, Reason.TRASHED)


def test_of_a_stack_the_photo_on_top_is_taken(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    top, beneath, alone = (library.photo(anna, photo(n), faces=[BIG], taken_at="2015-05-05T00:00:00Z") for n in range(3))
    raw = library.photo(anna, photo(3), faces=[BIG], taken_at="2015-06-05T00:00:00Z")
    library.stack(top, beneath)
    home.stage(server, anna)
    assert server.count(ORIGINAL) == 3
    assert home.reasons() == {**dict.fromkeys((top.id, alone.id, raw.id), Reason.STAGED), beneath.id: Reason.STACKED}
    library.stack(alone, raw)  # of another month, and after the first run
    again(home, server, anna)
    assert home.reasons()[raw.id] is Reason.STACKED
    assert again(home, server, anna) <= 24
    assert server.count(BUCKET) == 0  # as many as are known: no month is looked into
    for asset in (top, beneath):
        asset.stack_id = None
    again(home, server, anna)
    assert home.reasons() == {**dict.fromkeys((top.id, alone.id, beneath.id), Reason.STAGED), raw.id: Reason.STACKED}
    settings = home.workspace.settings
    home.workspace = replace(home.workspace, settings=replace(settings, immich=replace(settings.immich, stacked=True)))
    again(home, server, anna)
    assert set(home.reasons().values()) == {Reason.STAGED}
    assert server.count(ORIGINAL) == 0  # it was here already


def test_a_photo_that_is_through_stays_so_when_it_is_stacked(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    one, two = (library.photo(anna, photo(n), faces=[BIG], taken_at="2015-05-05T00:00:00Z") for n in range(2))
    home.stage(server, anna)
    with home.workspace.registry() as registry, registry.transaction():
        registry.db.execute("UPDATE assets SET reason = 'embedded'")
    library.stack(one, two)
    again(home, server, anna)
    assert set(home.reasons().values()) == {Reason.EMBEDDED}


def test_a_swap_within_one_month_is_found(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    one = library.photo(anna, photo(1), faces=[BIG], taken_at="2015-05-05T00:00:00Z")
    home.stage(server, anna)
    two = library.photo(anna, photo(2), faces=[BIG], taken_at="2015-05-06T00:00:00Z")
    del library.assets[one.id]
    again(home, server, anna)
    assert home.reasons()[two.id] is Reason.STAGED
    assert again(home, server, anna) < 25


def test_a_photo_that_is_through_and_deleted_since_does_not_cost_a_look_for_ever(
    library: Library, anna: User, server: ImmichServer, home: Home
) -> None:
    years(library, anna)
    home.stage(server, anna)
    (victim,) = [row for row in home.rows() if row.reason is Reason.STAGED][:1]
    with home.workspace.registry() as registry, registry.transaction():
        registry.db.execute("UPDATE assets SET reason = 'embedded' WHERE id = ?", (victim.id,))
    del library.assets[victim.asset.asset_id]
    server.requests.clear()
    home.stage(server, anna)
    assert server.count(BUCKET) == 1
    server.requests.clear()
    counters = home.stage(server, anna)
    assert server.count(BUCKET) == 0
    assert counters.total_assets_seen == 59
    assert home.reasons()[victim.asset.asset_id] is Reason.GONE  # its faces stay


def test_faces_that_changed_are_found_by_the_drift_check(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    years(library, anna, 300)
    home.stage(server, anna)
    before = home.counts()
    for asset in library.assets.values():  # detected anew: other ids, and faces where none were
        for face in asset.faces:
            face.id = library.new_id("face")
        if not asset.faces:
            library.face(asset, BIG)
    again(home, server, anna)
    assert before[Reason.NO_FACES] == 100
    assert home.counts() == {Reason.STAGED: 200, Reason.NO_BIG_FACE: 100}


def test_faces_found_after_the_upload_was_listed_are_found(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    years(library, anna, 300)
    fresh = [library.photo(anna, photo(1000 + number)) for number in range(30)]
    home.stage(server, anna)
    for asset in fresh:
        library.face(asset, BIG)
    server.requests.clear()
    home.stage(server, anna)
    assert {home.reasons()[asset.id] for asset in fresh} == {Reason.STAGED}
    if server.dialect.modern:
        assert server.count(FACES) < 110  # not those of everybody


def test_who_is_named_is_no_drift(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    years(library, anna)
    person = library.person(anna)
    for asset in library.assets.values():
        for face in asset.faces:
            face.person_id = person.id
    home.stage(server, anna)
    person.name = "Grandma"
    assert again(home, server, anna) < 25


def test_full_lists_everything_and_asks_for_all_faces(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    years(library, anna)
    home.stage(server, anna)
    hidden = next(a for a in library.assets.values() if not a.faces)
    library.face(hidden, BIG)
    server.requests.clear()
    home.stage(server, anna, full=True)
    assert home.reasons()[hidden.id] is Reason.STAGED
    if server.dialect.modern:
        assert server.count(FACES) == 60


def test_another_version_of_the_server_is_listed_anew(library: Library, anna: User, home: Home) -> None:
    years(library, anna)
    with immich_server(library, "2.7.2") as old:
        home.stage(old, anna)
    with immich_server(library, "3.1.0") as new:
        home.stage(new, anna)
        assert new.count(BUCKET) > 0


def test_a_listing_that_was_cut_off_is_made_good(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    years(library, anna)
    home.stage(server, anna)
    new = [library.photo(anna, photo(900 + number), faces=[BIG]) for number in range(3)]
    server.faults.add(faults.status(503), "GET /api/timeline/bucket*")
    with pytest.raises(Exception, match="503"):
        home.stage(server, anna, attempts=1)
    server.faults.clear()
    again(home, server, anna)
    assert {home.reasons()[asset.id] for asset in new} == {Reason.STAGED}


def test_a_key_without_the_timeline_is_listed_completely_each_time(
    library: Library, anna: User, server: ImmichServer, home: Home
) -> None:
    years(library, anna)
    server.faults.add(faults.Fault("unknown", answer=refuse), "GET /api/timeline/bucket*")
    home.stage(server, anna)
    hidden = library.photo(anna, photo(900), faces=[BIG], updated_at=next(iter(library.assets.values())).updated_at - timedelta(days=9))
    home.stage(server, anna)
    assert home.reasons()[hidden.id] is Reason.STAGED


def test_partners_photos_come_and_go(library: Library, anna: User, bob: User, server: ImmichServer, home: Home) -> None:
    years(library, anna)
    shared = [library.photo(bob, photo(500 + number), faces=[BIG]) for number in range(5)]
    home.stage(server, anna)
    library.partner(bob, anna, in_timeline=True)
    home.stage(server, anna)
    assert {home.reasons()[asset.id] for asset in shared} == {Reason.OTHER_OWNER}
    assert again(home, server, anna) < 25
    shared.append(library.photo(bob, photo(600), faces=[BIG]))
    assert again(home, server, anna) < 25
    assert home.reasons()[shared[-1].id] is Reason.OTHER_OWNER
    del library.assets[shared[0].id]
    home.stage(server, anna)
    assert home.reasons()[shared[0].id] is Reason.GONE


def test_a_month_that_the_server_has_not_is_not_asked_for(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    years(library, anna)
    home.stage(server, anna)
    victim = next(iter(library.assets.values()))
    with home.workspace.registry() as registry, registry.transaction():
        registry.db.execute("UPDATE assets SET taken_at = NULL WHERE asset_id = ?", (victim.id,))
    again(home, server, anna)
    assert all("timeBucket=-01" not in exchange.target for exchange in server.log)
    assert home.counts()[Reason.STAGED] == 20
