from __future__ import annotations

from facesets.immich import Client
from facesets.records import Reason
from facesets.registry import assets, measurements, originals
from facesets.sources.binding import bind
from facesets.sources.immich import ImmichSource
from facesets.staging import StageCounters, substitute
from facesets.testing import Asset, ImmichServer, Library, User, faults
from tests.immich.photos import BIG, photo

from .home import Home

ORIGINAL, THUMBNAIL = "GET /api/assets/{id}/original", "GET /api/assets/{id}/thumbnail"


def undecodable(library: Library, anna: User, number: int = 1, *, name: str = "x.heic", **fields: object) -> Asset:
    """A photo that the server can show and no decoder here takes."""
    fields = {"preview": photo(number), "has_preview": True, **fields}
    return library.photo(anna, b"HEIC as no decoder knows it %d" % number, file_name=name, faces=[BIG], **fields)  # type: ignore[arg-type]


def fail(home: Home, *, only: str = "original") -> None:
    """What embedding says of photos of which it has this picture."""
    with home.workspace.registry() as registry, registry.transaction():
        for row in assets.select(registry, reasons=[Reason.STAGED]):
            if row.pixels == only and row.sha256:
                measurements.add_embedded(registry, row.sha256, "pack@1", Reason.UNSUPPORTED, detail="no decoder takes it")
                originals.settle_bytes(registry, row.sha256, Reason.UNSUPPORTED, "no decoder takes it")


def show(home: Home, server: ImmichServer, user: User) -> StageCounters:
    with Client(server.url + "/api", server.key_for(user), sleep=lambda _: None) as client, home.workspace.registry() as registry:
        source = ImmichSource(client, bind("anna", home.workspace.settings, registry, client, home.said))
        counters = substitute(home.workspace, registry, source, known_sha256={}, progress=home.said)
    assert counters.total_assets_seen == counters.already_settled + sum(counters.by_reason.values())
    return counters


def states(home: Home) -> dict[str, tuple[Reason, str]]:
    return {row.asset.asset_id: (row.reason, row.pixels) for row in home.rows()}


def test_the_servers_preview_stands_for_an_original_that_no_decoder_takes(
    library: Library, anna: User, server: ImmichServer, home: Home
) -> None:
    asset, fine = undecodable(library, anna), library.photo(anna, photo(2), faces=[BIG])
    home.stage(server, anna)
    fail_one(home, asset)
    counters = show(home, server, anna)
    assert states(home) == {asset.id: (Reason.STAGED, "preview"), fine.id: (Reason.STAGED, "original")}
    assert counters.renditions == 1
    assert sorted(home.files().values()) == sorted([photo(1), photo(2)])  # the original that nobody can read is not kept
    home.stage(server, anna)
    assert server.count(ORIGINAL) == 2


def fail_one(home: Home, asset: Asset) -> None:
    with home.workspace.registry() as registry, registry.transaction():
        (row,) = assets.find(registry, asset.id)
        assert row.sha256 is not None
        measurements.add_embedded(registry, row.sha256, "pack@1", Reason.UNSUPPORTED, detail="no decoder takes it")
        originals.settle_bytes(registry, row.sha256, Reason.UNSUPPORTED, "no decoder takes it")


def test_a_broken_jpeg_is_not_fetched_again_as_its_own_full_size(
    library: Library, anna: User, server: ImmichServer, home: Home
) -> None:
    asset = undecodable(library, anna, name="x.jpg")  # its full size is the original itself
    home.stage(server, anna)
    fail(home)
    bytes_before = server.count(ORIGINAL)
    show(home, server, anna)
    assert states(home) == {asset.id: (Reason.STAGED, "preview")}
    assert list(home.files().values()) == [photo(1)]
    assert server.count(ORIGINAL) == bytes_before + 1  # it was led there once, and left before a byte came


def test_a_full_size_that_fails_too_is_followed_by_the_preview(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    asset = undecodable(library, anna)
    home.stage(server, anna)
    fail(home)
    with home.workspace.registry() as registry, registry.transaction():
        (row,) = assets.find(registry, asset.id)
        assets.settle(registry, row.id, Reason.UNSUPPORTED, "no decoder takes it", pixels="fullsize")
    home.stage(server, anna)
    assert states(home) == {asset.id: (Reason.STAGED, "preview")}


def test_a_photo_of_which_there_is_no_other_picture_stays_failed_and_is_not_asked_for_again(
    library: Library, anna: User, server: ImmichServer, home: Home
) -> None:
    asset = undecodable(library, anna, has_preview=False)
    home.stage(server, anna)
    fail(home)
    show(home, server, anna)
    assert states(home) == {asset.id: (Reason.UNSUPPORTED, "none")}
    (row,) = home.rows()
    assert row.detail == "no decoder takes it; the server has no other picture of it"
    asked = server.count(THUMBNAIL)
    home.stage(server, anna)
    assert server.count(THUMBNAIL) == asked


def test_a_picture_that_cannot_be_had_now_is_asked_for_in_the_next_run(
    library: Library, anna: User, server: ImmichServer, home: Home
) -> None:
    asset = undecodable(library, anna)
    home.stage(server, anna)
    fail(home)
    server.faults.add(faults.status(503), THUMBNAIL)
    show(home, server, anna)
    assert home.reasons() == {asset.id: Reason.DOWNLOAD_ERROR}
    server.faults.clear()
    home.stage(server, anna)
    assert states(home) == {asset.id: (Reason.STAGED, "preview")}


def test_a_key_that_may_not_see_pictures_ends_no_run_and_is_said_once(
    library: Library, anna: User, server: ImmichServer, home: Home
) -> None:
    for number in range(30):
        undecodable(library, anna, number, name=f"{number}.heic")
    server.library.keys[server.key_for(anna)].permissions = ("asset.read", "asset.download", "user.read", "face.read")
    home.stage(server, anna)
    fail(home)
    show(home, server, anna)
    assert home.counts() == {Reason.UNSUPPORTED: 30}
    assert server.count(THUMBNAIL) <= 12  # those that were under way
    assert [note for note in home.said.notes if "asset.view" in note] == home.said.notes[-1:]
    server.library.keys[server.key_for(anna)].permissions = ("all",)
    home.stage(server, anna)
    assert home.counts() == {Reason.STAGED: 30}


def test_copies_of_an_undecodable_original_go_with_it(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    external = library.external(anna)
    one = undecodable(library, anna, taken_at="2020-01-01T00:00:00Z")
    two = undecodable(library, anna, taken_at="2021-01-01T00:00:00Z")
    home.stage(server, anna)
    fail(home)
    show(home, server, anna)
    three = library.photo(anna, one.read(), file_name="y.heic", faces=[BIG], taken_at="2022-01-01T00:00:00Z", library=external)
    home.stage(server, anna)
    assert home.reasons() == {one.id: Reason.STAGED, two.id: Reason.DUP_STAGED, three.id: Reason.DUP_STAGED}
    before = home.outcome()
    home.stage(server, anna)
    assert home.outcome() == before


def test_a_new_version_of_the_original_is_tried_first(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    asset = undecodable(library, anna)
    home.stage(server, anna)
    fail(home)
    show(home, server, anna)
    other = library.photo(anna, photo(7))
    asset.data, asset.sha1, asset.size = photo(7), other.sha1, other.size
    asset.updated_at = library.now()
    del library.assets[other.id]
    home.stage(server, anna)
    assert states(home) == {asset.id: (Reason.STAGED, "original")}


def test_a_picture_brought_before_is_not_brought_again(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    asset = undecodable(library, anna)
    home.stage(server, anna)
    fail(home)
    show(home, server, anna)
    asset.deleted_at = asset.created_at
    home.stage(server, anna)
    asset.deleted_at = None
    asked = server.count(THUMBNAIL)
    home.stage(server, anna)
    assert states(home) == {asset.id: (Reason.STAGED, "preview")}
    assert server.count(THUMBNAIL) == asked
