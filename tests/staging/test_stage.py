from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from facesets.errors import FacesetsError, MissingPermission, Unreachable
from facesets.records import Reason
from facesets.sources.immich import ImmichSource
from facesets.testing import Box, ImmichServer, Library, User, faults
from facesets.testing.immich.transport import Response
from tests.immich.photos import BIG, SMALL, photo

from .home import Home

ORIGINAL, FACES, SEARCH = "GET /api/assets/{id}/original", "GET /api/faces", "POST /api/search/metadata"


def fill(library: Library, anna: User, bob: User) -> dict[str, Reason]:
    """One of each kind; returns what must become of it."""
    external = library.external(anna)
    library.partner(bob, anna, in_timeline=True)
    when = next(iter(library.users.values())).created_at
    later = "2030-01-01T00:00:00Z"
    return {
        library.photo(anna, photo(1), faces=[BIG]).id: Reason.STAGED,
        library.photo(anna, photo(2, orientation=6), faces=[BIG, SMALL]).id: Reason.STAGED,
        library.photo(anna, photo(3), faces=[SMALL]).id: Reason.NO_BIG_FACE,
        library.photo(anna, photo(4)).id: Reason.NO_FACES,
        library.photo(anna, photo(5), faces=[BIG], visibility="archive").id: Reason.ARCHIVED,
        library.photo(anna, photo(6), faces=[BIG], deleted_at=when).id: Reason.TRASHED,
        library.photo(anna, photo(7), faces=[BIG], deleted_at=when, is_offline=True).id: Reason.OFFLINE,
        library.photo(anna, b"film", file_name="clip.mp4").id: Reason.NOT_IMAGE,
        library.photo(anna, b"half", file_name="live.mov", visibility="hidden").id: Reason.HIDDEN,
        library.photo(anna, photo(8), library=external, file_name="thumbs/x-preview.jpeg", faces=[BIG]).id: Reason.EXCLUDED_PATH,
        library.photo(anna, photo(1), library=external, file_name="c.jpg", taken_at=later, faces=[BIG]).id: Reason.DUP_STAGED,
        library.photo(bob, photo(9), faces=[BIG]).id: Reason.OTHER_OWNER,
        library.photo(anna, b"", file_name="empty.jpg", faces=[Box(1, 1, 95, 95, frame=(100, 100))]).id: Reason.EMPTY_FILE,
    }


def test_each_asset_ends_in_one_reason(library: Library, anna: User, bob: User, server: ImmichServer, home: Home) -> None:
    expected = fill(library, anna, bob)
    counters = home.stage(server, anna)
    assert home.reasons() == expected
    assert counters.total_assets_seen == len(expected)
    told = counters.as_dict()
    assert (told["staged_count"], told["deduped_against_staged"], told["skipped_no_faces"], told["skipped_other_owner"]) == (2, 1, 1, 1)
    assert told["downloads"] == server.count(ORIGINAL) == 4
    assert isinstance(home.source, ImmichSource)
    assert home.source.reconciliation.agrees
    for row in home.rows():
        if row.reason is Reason.STAGED:
            assert row.path is not None
            data = (home.workspace.root / row.path).read_bytes()
            assert row.sha256 == hashlib.sha256(data).hexdigest()
    assert len(home.files()) == 2


def test_a_second_run_downloads_nothing_and_decides_nothing(
    library: Library, anna: User, bob: User, server: ImmichServer, home: Home
) -> None:
    fill(library, anna, bob)
    home.stage(server, anna)
    before = home.outcome()
    server.requests.clear()
    counters = home.stage(server, anna)
    assert counters.already_settled == counters.total_assets_seen
    assert (counters.downloads, server.count(ORIGINAL)) == (0, 0)
    assert server.count(FACES) <= 8  # the drift check
    assert sum(server.requests.values()) < 25
    assert home.outcome() == before


@pytest.mark.slow
@pytest.mark.parametrize("orientation", range(1, 9))
def test_faces_count_in_upright_pixels_whatever_the_orientation(
    library: Library, anna: User, server: ImmichServer, home: Home, orientation: int
) -> None:
    wide = orientation < 5
    size = (3000, 2000) if wide else (2000, 3000)  # as displayed; the preview is 1440 wide or high at its short side
    good = library.photo(anna, photo(1, 3000, 2000, orientation=orientation), faces=[Box(0, 0, 92, 300)])
    small = library.photo(anna, photo(2, 3000, 2000, orientation=orientation), faces=[Box(0, 0, 300, 86)])
    assert good.size_upright == size
    home.stage(server, anna)
    assert home.reasons() == {good.id: Reason.STAGED, small.id: Reason.NO_BIG_FACE}


def test_a_transient_failure_stays_retryable_and_heals(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    sick, well = (library.photo(anna, photo(n), faces=[BIG]) for n in (1, 2))
    server.faults.add(faults.status(503), ORIGINAL, containing=sick.id)
    counters = home.stage(server, anna)
    assert home.reasons() == {sick.id: Reason.DOWNLOAD_ERROR, well.id: Reason.STAGED}
    assert counters.retryable == 1
    server.faults.clear()
    healed = home.stage(server, anna)
    assert home.reasons() == {sick.id: Reason.STAGED, well.id: Reason.STAGED}
    assert (healed.downloads, healed.already_settled) == (1, 1)


def test_faces_that_cannot_be_asked_stay_retryable(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    if server.dialect.faces_in_search:
        pytest.skip("2.x tells the faces in its listing")
    asset = library.photo(anna, photo(1), faces=[BIG])
    server.faults.add(faults.status(503), FACES)
    home.stage(server, anna)
    assert home.reasons() == {asset.id: Reason.FACES_ERROR}
    server.faults.clear()
    home.stage(server, anna)
    assert home.reasons() == {asset.id: Reason.STAGED}


def test_an_original_refused_for_good_is_not_asked_for_again(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    asset = library.photo(anna, photo(1), faces=[BIG])
    server.faults.add(faults.Fault("gone", answer=refuse), ORIGINAL)
    home.stage(server, anna)
    assert home.reasons() == {asset.id: Reason.NOT_AVAILABLE}
    home.stage(server, anna)
    assert server.count(ORIGINAL) == 1


def refuse(_: object) -> Response:
    return Response(404, {"Content-Type": "application/json"}, b'{"message":"Not Found"}')


@pytest.mark.slow
def test_which_duplicate_is_kept_does_not_hang_on_the_downloads(
    library: Library, anna: User, server: ImmichServer, new_home: Callable[[], Home]
) -> None:
    external = library.external(anna)
    for number in range(12):
        for copy in range(3):
            library.photo(
                anna, photo(number), faces=[BIG], library=external, file_name=f"{number}-{copy}.jpg",
                taken_at=f"2020-01-{1 + (number * 5 + copy * 7) % 28:02}T10:00:00Z",
            )  # fmt: skip
    outcomes = []
    for seed in range(3):
        server.faults.clear()
        server.faults.seed = seed
        server.faults.add(faults.slow(0, 0.03), ORIGINAL)
        home = new_home()
        home.stage(server, anna)
        outcomes.append(home.outcome())
    assert outcomes[0] == outcomes[1] == outcomes[2]
    kept = {row.asset.asset_id for row in home.rows() if row.reason is Reason.STAGED}
    for number in range(12):
        group = [a for a in library.assets.values() if a.file_name.startswith(f"{number}-")]
        assert min(group, key=lambda a: (a.local_time, a.id)).id in kept
    assert len(kept) == len(home.files()) == 12


def test_a_failed_download_that_heals_changes_nothing_of_the_outcome(
    library: Library, anna: User, server: ImmichServer, new_home: Callable[[], Home]
) -> None:
    external = library.external(anna)
    first = library.photo(anna, photo(1), faces=[BIG], taken_at="2020-01-01T00:00:00Z")
    library.photo(anna, photo(1), faces=[BIG], taken_at="2021-01-01T00:00:00Z", library=external, file_name="b.jpg")
    library.photo(anna, photo(1), faces=[BIG], taken_at="2022-01-01T00:00:00Z", library=external, file_name="c.jpg")
    calm, stormy = new_home(), new_home()
    calm.stage(server, anna)
    server.faults.add(faults.status(503), ORIGINAL, containing=first.id)
    stormy.stage(server, anna)
    server.faults.clear()
    server.requests.clear()
    stormy.stage(server, anna)
    assert server.count(ORIGINAL) == 0  # its SHA-1 is that of a file that is here
    told = [{k: (v[0], v[1], v[3]) for k, v in home.outcome()[0].items()} for home in (calm, stormy)]  # type: ignore[index]
    assert told[0] == told[1]
    assert [row.path for row in stormy.rows() if row.reason is Reason.STAGED] == [f"photos/{name}" for name in stormy.files()]


def test_the_same_bytes_are_never_downloaded_twice_where_their_hash_is_known(
    library: Library, anna: User, bob: User, server: ImmichServer, home: Home
) -> None:
    mine = library.photo(anna, photo(1), faces=[BIG])
    theirs = library.photo(bob, photo(1), faces=[BIG])
    home.stage(server, anna)
    counters = home.stage(server, bob, "bob")
    assert home.reasons() == {mine.id: Reason.STAGED, theirs.id: Reason.DUP_EXISTING}
    assert (counters.downloads, server.count(ORIGINAL)) == (0, 1)
    assert counters.as_dict()["deduped_against_existing"] == 1


def test_twins_under_way_at_once_are_downloaded_once(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    one = library.photo(anna, photo(1), faces=[BIG], taken_at="2020-01-01T00:00:00Z")
    two = library.photo(anna, photo(1), faces=[BIG], taken_at="2021-01-01T00:00:00Z")
    server.faults.add(faults.slow(0.05), ORIGINAL)
    home.stage(server, anna)
    assert server.count(ORIGINAL) == 1
    assert home.reasons() == {one.id: Reason.STAGED, two.id: Reason.DUP_STAGED}


def test_a_twin_is_downloaded_itself_where_the_first_fails(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    one = library.photo(anna, photo(1), faces=[BIG], taken_at="2020-01-01T00:00:00Z")
    two = library.photo(anna, photo(1), faces=[BIG], taken_at="2021-01-01T00:00:00Z")
    server.faults.add(faults.Fault("gone", answer=refuse), ORIGINAL, containing=one.id)
    home.stage(server, anna)
    assert home.reasons() == {one.id: Reason.NOT_AVAILABLE, two.id: Reason.STAGED}


def test_what_an_external_cache_holds_is_not_kept_again(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    asset = library.photo(anna, photo(1), faces=[BIG])
    home.external[hashlib.sha256(photo(1)).hexdigest()] = "old.npz"
    home.stage(server, anna)
    (row,) = home.rows()
    assert (row.asset.asset_id, row.reason, row.detail) == (asset.id, Reason.DUP_EXISTING, "in old.npz")
    assert home.files() == {}


def test_photos_shown_by_two_people_are_each_owners_own(
    library: Library, anna: User, bob: User, server: ImmichServer, home: Home
) -> None:
    library.partner(bob, anna, in_timeline=True)
    shared = library.photo(bob, photo(1), faces=[BIG])
    home.stage(server, anna)
    assert home.reasons() == {shared.id: Reason.OTHER_OWNER}
    home.stage(server, bob, "bob")
    (row,) = home.rows()
    assert (row.reason, row.label) == (Reason.STAGED, "bob")
    home.stage(server, anna)
    (row,) = home.rows()
    assert (row.reason, row.label) == (Reason.STAGED, "bob")


def test_changed_settings_decide_again(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    small = library.photo(anna, photo(1), faces=[SMALL])
    away = library.photo(anna, photo(2), faces=[BIG], visibility="archive")
    junk = library.photo(anna, photo(3), faces=[BIG], original_path="/x/thumbs/y.jpg")
    good = library.photo(anna, photo(4), faces=[BIG], original_path="/x/junk/y.jpg")
    home.stage(server, anna)
    assert home.reasons() == {
        small.id: Reason.NO_BIG_FACE, away.id: Reason.ARCHIVED, junk.id: Reason.EXCLUDED_PATH, good.id: Reason.STAGED,
    }  # fmt: skip
    settings = home.workspace.settings
    settings = replace(
        settings,
        stage=replace(settings.stage, min_face_short=30, exclude=("**/junk/**",)),
        immich=replace(settings.immich, archived=True),
    )
    home.workspace = replace(home.workspace, settings=settings)
    home.stage(server, anna)
    assert home.reasons() == {small.id: Reason.STAGED, away.id: Reason.STAGED, junk.id: Reason.STAGED, good.id: Reason.EXCLUDED_PATH}


def test_a_photo_back_from_the_trash_is_not_downloaded_again(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    asset = library.photo(anna, photo(1), faces=[BIG])
    home.stage(server, anna)
    asset.deleted_at = asset.created_at
    home.stage(server, anna)
    assert home.reasons() == {asset.id: Reason.TRASHED}
    asset.deleted_at = None
    home.stage(server, anna)
    assert home.reasons() == {asset.id: Reason.STAGED}
    assert server.count(ORIGINAL) == 1


def test_a_twin_takes_over_when_the_kept_photo_is_thrown_away(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    one = library.photo(anna, photo(1), faces=[BIG], taken_at="2020-01-01T00:00:00Z")
    two = library.photo(anna, photo(1), faces=[BIG], taken_at="2021-01-01T00:00:00Z")
    home.stage(server, anna)
    one.deleted_at = one.created_at
    home.stage(server, anna)
    assert home.reasons() == {one.id: Reason.TRASHED, two.id: Reason.STAGED}


def test_changed_bytes_are_brought_again(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    asset = library.photo(anna, photo(1), faces=[BIG])
    home.stage(server, anna)
    asset.data, asset.sha1, asset.size = photo(2), hashlib.sha1(photo(2)).digest(), len(photo(2))
    asset.updated_at = library.now()
    home.stage(server, anna)
    (row,) = home.rows()
    assert row.sha256 == hashlib.sha256(photo(2)).hexdigest()
    assert list(home.files().values()) == [photo(2)]


def test_a_staged_file_that_vanished_is_brought_again(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    library.photo(anna, photo(1), faces=[BIG])
    home.stage(server, anna)
    before = home.outcome()
    next((home.workspace.root / "photos").rglob("*.jpg")).unlink()
    home.stage(server, anna)
    assert home.outcome() == before


def test_what_is_listed_no_longer_is_gone(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    asset = library.photo(anna, photo(1), faces=[SMALL])
    home.stage(server, anna)
    del library.assets[asset.id]
    assert home.stage(server, anna).gone == 1
    assert home.reasons() == {asset.id: Reason.GONE}


def test_a_missing_permission_ends_the_run_and_keeps_what_came(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    for number in range(3):
        library.photo(anna, photo(number), faces=[BIG])
    server.library.keys[server.key_for(anna)].permissions = ("asset.read", "user.read", "face.read")
    with pytest.raises(MissingPermission, match=r"asset\.download"):
        home.stage(server, anna)
    server.library.keys[server.key_for(anna)].permissions = ("all",)
    home.stage(server, anna)
    assert home.counts() == {Reason.STAGED: 3}


@pytest.mark.slow
def test_a_server_that_is_gone_is_not_waited_for_photo_by_photo(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    for number in range(200):
        library.photo(anna, photo(number), faces=[BIG])
    server.faults.add(faults.dropped(), ORIGINAL)
    with pytest.raises(Unreachable, match="stopped answering"):
        home.stage(server, anna, attempts=1)
    assert server.count(ORIGINAL) < 120
    server.faults.clear()
    home.stage(server, anna)
    assert home.counts() == {Reason.STAGED: 200}


def test_a_full_disk_ends_the_run_in_one_line(
    library: Library, anna: User, server: ImmichServer, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.photo(anna, photo(1), faces=[BIG])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(FacesetsError, match=r"the disk is full\. Free some space"):
            home.stage(server, anna)
    assert home.files() == {}
    home.stage(server, anna)
    assert home.counts() == {Reason.STAGED: 1}


def test_boxes_found_later_bring_the_photo_in(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    if not server.dialect.faces_in_search:
        pytest.skip("3.x does not tell faces in its listing; the drift check does")
    asset = library.photo(anna, photo(1))
    home.stage(server, anna)
    library.face(asset, BIG)
    home.stage(server, anna)
    assert home.reasons() == {asset.id: Reason.STAGED}
