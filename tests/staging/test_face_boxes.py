"""Where each photo has to be asked for its faces: many at a time, and only those that could matter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from facesets.errors import Unreachable
from facesets.records import Reason
from facesets.testing import ImmichServer, Library, User, faults, immich_server
from tests.immich.photos import BIG, photo

from .home import Home
from .test_incremental import years
from .test_stage import fill

FACES, ORIGINAL = "GET /api/faces", "GET /api/assets/{id}/original"


@pytest.fixture(params=["3.1.0", "3.2.2"])
def server(request: pytest.FixtureRequest, library: Library) -> Iterator[ImmichServer]:
    with immich_server(library, request.param) as running:
        yield running


def test_only_photos_that_could_matter_are_asked(library: Library, anna: User, bob: User, server: ImmichServer, home: Home) -> None:
    expected = fill(library, anna, bob)
    tiny = library.photo(anna, photo(50, 80, 60), faces=[BIG])
    twin = library.photo(anna, photo(1), faces=[BIG], taken_at="2031-01-01T00:00:00Z")
    home.stage(server, anna)
    asked = {exchange.target.partition("id=")[2] for exchange in server.log if exchange.route == FACES}
    mattering = (Reason.STAGED, Reason.NO_FACES, Reason.NO_BIG_FACE, Reason.EMPTY_FILE, Reason.DUP_STAGED)
    drawn_on = {twin.id}  # by somebody, perhaps
    assert asked == drawn_on | {asset_id for asset_id, reason in expected.items() if reason in mattering}
    assert home.reasons()[tiny.id] is Reason.NO_BIG_FACE
    assert home.reasons()[twin.id] is Reason.DUP_STAGED


def test_many_are_asked_at_a_time_and_few_connections_opened(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    years(library, anna, 400)
    server.faults.add(faults.slow(0.05), FACES)
    home.stage(server, anna)
    assert server.count(FACES) == 400
    assert server.busiest > 12
    assert server.connections <= 40


def test_a_failure_is_asked_once_more_and_then_left_for_the_next_run(
    library: Library, anna: User, server: ImmichServer, home: Home
) -> None:
    years(library, anna, 30)
    sick, healing = list(library.assets.values())[:2]
    server.faults.add(faults.status(503), FACES, containing=sick.id)
    server.faults.add(faults.status(503), FACES, containing=healing.id, times=1)
    home.stage(server, anna, attempts=1)
    assert home.reasons()[sick.id] is Reason.FACES_ERROR
    assert home.reasons()[healing.id] is Reason.NO_BIG_FACE
    server.faults.clear()
    home.stage(server, anna)
    assert home.reasons()[sick.id] is Reason.STAGED


def test_a_server_that_is_gone_ends_the_asking_and_what_came_is_kept(
    library: Library, anna: User, server: ImmichServer, home: Home
) -> None:
    years(library, anna, 300)
    late = sorted(library.assets.values(), key=lambda a: a.local_time)[-100:]
    for asset in late:
        server.faults.add(faults.dropped(), FACES, containing=asset.id)
    with pytest.raises(Unreachable, match="stopped answering"):
        home.stage(server, anna, attempts=1)
    assert sum(n for reason, n in home.counts().items() if reason in (Reason.NO_FACES, Reason.NO_BIG_FACE)) > 50
    server.faults.clear()
    server.requests.clear()
    home.stage(server, anna)
    assert server.count(FACES) < 250
    assert home.counts() == {Reason.STAGED: 100, Reason.NO_BIG_FACE: 100, Reason.NO_FACES: 100}
