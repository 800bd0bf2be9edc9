"""Photos in which the server has not looked for faces; and which of several copies is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from facesets.records import Reason
from facesets.testing import ImmichServer, Library, User, faults
from facesets.testing.immich.transport import Response
from tests.immich.photos import BIG, photo

from .home import Home

FEATURES = "GET /api/server/features"


def test_no_face_is_said_only_of_photos_that_the_server_has_looked_at(
    library: Library, anna: User, server: ImmichServer, home: Home
) -> None:
    seen, new = library.photo(anna, photo(1)), library.photo(anna, photo(2), thumbhash=None)
    home.stage(server, anna)
    assert home.reasons() == {seen.id: Reason.NO_FACES, new.id: Reason.NOT_SCANNED}
    server.requests.clear()
    home.stage(server, anna)
    assert home.reasons() == {seen.id: Reason.NO_FACES, new.id: Reason.NOT_SCANNED}
    new.thumbhash, new.updated_at = "bG9vaw==", library.now()
    library.face(new, BIG)
    home.stage(server, anna)
    assert home.reasons() == {seen.id: Reason.NO_FACES, new.id: Reason.STAGED}


def test_with_face_recognition_off_nothing_is_known_of_faces(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    asset = library.photo(anna, photo(1))

    def off(response: Response, _: object) -> Response:
        return replace(response, body=response.body.replace(b'"facialRecognition":true', b'"facialRecognition":false'))

    server.faults.add(faults.Fault("off", change=off), FEATURES)
    home.stage(server, anna)
    assert home.reasons() == {asset.id: Reason.NOT_SCANNED}
    server.faults.clear()
    library.face(asset, BIG)
    home.stage(server, anna)
    assert home.reasons() == {asset.id: Reason.STAGED}


@pytest.mark.parametrize("first", [0, 1])
def test_of_copies_an_upload_is_kept_before_an_external_file(
    library: Library, anna: User, server: ImmichServer, home: Home, first: int
) -> None:
    taken = ("2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z")
    disk = library.photo(anna, photo(1), faces=[BIG], library=library.external(anna), file_name="d.jpg", taken_at=taken[first])
    own = library.photo(anna, photo(1), faces=[BIG], taken_at=taken[1 - first])
    home.stage(server, anna)
    assert home.reasons() == {own.id: Reason.STAGED, disk.id: Reason.DUP_STAGED}


@pytest.mark.parametrize("first", [0, 1])
def test_of_copies_ones_own_is_kept_before_a_partners(
    library: Library, anna: User, bob: User, server: ImmichServer, home: Home, first: int
) -> None:
    library.partner(bob, anna, in_timeline=True)
    taken = ("2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z")
    theirs = library.photo(bob, photo(1), faces=[BIG], taken_at=taken[first])
    own = library.photo(anna, photo(1), faces=[BIG], taken_at=taken[1 - first])
    settings = home.workspace.settings
    home.workspace = replace(home.workspace, settings=replace(settings, immich=replace(settings.immich, partners=True)))
    home.stage(server, anna)
    assert home.reasons() == {own.id: Reason.STAGED, theirs.id: Reason.DUP_STAGED}
