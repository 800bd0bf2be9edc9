"""With a login the faces come in one stream, and afterwards their changes only."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from facesets.immich import Client, session
from facesets.records import Face, Reason, SourcePerson
from facesets.registry import assets, measurements, source_people
from facesets.sources.binding import bind
from facesets.sources.immich import ImmichSource
from facesets.sources.sync_stream import Stream
from facesets.testing import ImmichServer, Library, User, faults, immich_server
from tests.immich.photos import BIG, SMALL, photo

from .home import Home
from .test_incremental import years

FACES, STREAM, ACK = "GET /api/faces", "POST /api/sync/stream", "POST /api/sync/ack"
Logged = Callable[..., None]


@pytest.fixture(params=["2.7.2", "3.1.0", "3.2.2"])
def server(request: pytest.FixtureRequest, library: Library) -> Iterator[ImmichServer]:
    with immich_server(library, request.param) as running:
        yield running


@pytest.fixture
def stage(home: Home, server: ImmichServer, anna: User) -> Logged:
    """Stage with anna's login; the session stays the same from one call to the next."""
    tokens: list[str] = []

    def run(*, full: bool = False, anew: bool = False) -> None:
        if anew or not tokens:
            with Client(server.url + "/api", "") as anonymous:
                tokens.append(session.login(anonymous, anna.email, anna.password)[0])
        server.requests.clear()
        token = tokens[-1]
        with Client(server.url + "/api", token, session=True, sleep=lambda _: None) as client, home.workspace.registry() as registry:
            source = ImmichSource(client, bind("anna", home.workspace.settings, registry, client, home.said))
            source.stream = Stream(client, token)
            home._run(source, full=full)

    return run


def test_no_photo_is_asked_for_its_faces(library: Library, anna: User, server: ImmichServer, home: Home, stage: Logged) -> None:
    years(library, anna)
    stage()
    assert home.counts() == {Reason.STAGED: 20, Reason.NO_BIG_FACE: 20, Reason.NO_FACES: 20}
    assert (server.count(FACES), server.count(STREAM), server.count(ACK)) == (0, 1, 1)


def test_the_stream_and_the_api_tell_the_same(
    library: Library, anna: User, server: ImmichServer, home: Home, stage: Logged, new_home: Callable[[], Home]
) -> None:
    person = library.person(anna, "Grandma")
    years(library, anna)
    for asset in library.assets.values():
        for face in asset.faces:
            face.person_id = person.id
    stage()
    other = new_home()
    other.stage(server, anna)
    assert home.outcome() == other.outcome()
    told = [{row.asset.asset_id: row.asset.boxes for row in one.rows()} for one in (home, other)]
    assert told[0] == told[1]


def test_afterwards_only_changes_come(library: Library, anna: User, server: ImmichServer, home: Home, stage: Logged) -> None:
    years(library, anna)
    stage()
    before = home.outcome()
    stage()
    assert home.outcome() == before
    assert sum(server.requests.values()) < 18
    big, small, none = list(library.assets.values())[:3]
    library.face(none, BIG)
    small.faces[0].x2 += 1000
    big.faces.clear()
    stage()
    reasons = home.reasons()
    assert (reasons[none.id], reasons[small.id]) == (Reason.STAGED, Reason.STAGED)
    assert server.count(FACES) == 0
    boxes = {row.asset.asset_id: row.asset.boxes for row in home.rows()}
    assert boxes[big.id] == ()


def test_a_photo_whose_vectors_immich_gave_is_decided_about_again(library: Library, anna: User, home: Home, stage: Logged) -> None:
    one = library.photo(anna, photo(1), faces=[BIG])
    stage()
    with home.workspace.registry() as registry, registry.transaction():
        registry.db.execute("UPDATE assets SET reason = 'measured_by_source'")
    stage()
    assert home.reasons() == {one.id: Reason.MEASURED}
    library.face(one, SMALL)
    stage()
    assert home.reasons() == {one.id: Reason.STAGED}  # or measured anew, where the vectors come from Immich


def test_hidden_and_deleted_faces_do_not_count(library: Library, anna: User, server: ImmichServer, home: Home, stage: Logged) -> None:
    hidden, deleted, shown = (library.photo(anna, photo(n), faces=[BIG]) for n in range(3))
    hidden.faces[0].is_visible = False
    deleted.faces[0].deleted_at = library.now()
    stage()
    assert home.reasons() == {hidden.id: Reason.NO_FACES, deleted.id: Reason.NO_FACES, shown.id: Reason.STAGED}
    hidden.faces[0].is_visible = True
    shown.faces[0].is_visible = False
    small = library.photo(anna, photo(9), faces=[SMALL])
    stage()
    assert home.reasons() == {
        hidden.id: Reason.STAGED, deleted.id: Reason.NO_FACES, shown.id: Reason.STAGED, small.id: Reason.NO_BIG_FACE,
    }  # fmt: skip


def test_another_login_begins_anew(library: Library, anna: User, server: ImmichServer, home: Home, stage: Logged) -> None:
    years(library, anna)
    stage()
    victim = next(a for a in library.assets.values() if a.faces)
    victim.faces.clear()
    stage(anew=True)
    (row,) = [row for row in home.rows() if row.asset.asset_id == victim.id]
    assert row.asset.boxes == ()


def test_full_tells_everything_again(library: Library, anna: User, server: ImmichServer, home: Home, stage: Logged) -> None:
    years(library, anna)
    stage()
    with home.workspace.registry() as registry, registry.transaction():  # a loss that no increment would make good
        registry.db.execute("DELETE FROM source_faces")
        for row in assets.select(registry):
            assets.set_boxes(registry, row.id, ())
    stage(full=True)
    assert {row.reason for row in home.rows() if row.asset.boxes} == {Reason.STAGED, Reason.NO_BIG_FACE}
    assert sum(bool(row.asset.boxes) for row in home.rows()) == 40


def test_a_stream_that_breaks_is_read_anew(library: Library, anna: User, server: ImmichServer, home: Home, stage: Logged) -> None:
    years(library, anna)
    server.faults.add(faults.status(503), STREAM, times=2)
    stage()
    assert home.counts() == {Reason.STAGED: 20, Reason.NO_BIG_FACE: 20, Reason.NO_FACES: 20}


def test_what_was_not_acknowledged_comes_again(library: Library, anna: User, server: ImmichServer, home: Home, stage: Logged) -> None:
    years(library, anna)
    stage()
    none = next(a for a in library.assets.values() if not a.faces)
    library.face(none, BIG)
    server.faults.add(faults.status(503), ACK)
    stage()
    assert server.count(ACK) == 1  # what does something is never sent twice
    assert home.reasons()[none.id] is Reason.STAGED
    server.faults.clear()
    stage()
    assert server.count(ACK) == 1
    assert home.reasons()[none.id] is Reason.STAGED
    assert server.count(FACES) == 0


def test_without_the_stream_photos_are_asked_one_by_one(
    library: Library, anna: User, server: ImmichServer, home: Home, stage: Logged
) -> None:
    years(library, anna)
    server.faults.add(faults.html(), STREAM)
    stage()
    assert home.counts() == {Reason.STAGED: 20, Reason.NO_BIG_FACE: 20, Reason.NO_FACES: 20}
    assert any("cannot be used" in note for note in home.said.notes)


def test_people_and_whose_each_face_is_come_with_the_stream(
    library: Library, anna: User, server: ImmichServer, home: Home, stage: Logged
) -> None:
    grandma = library.person(anna, "Grandma", birth_date="1931-02-28")
    hidden = library.person(anna, "", is_hidden=True)
    asset = library.photo(anna, photo(1), faces=[BIG])
    asset.faces[0].person_id = grandma.id
    stage()
    with home.workspace.registry() as registry:
        (row,) = assets.select(registry)
        assert row.sha256 is not None
        seen = Face("f" * 32, row.sha256, 0, (14.0, 8.0, 152.0, 158.0), (), 0.9, 138.0, 1.0, "pack@1")  # as a detector sees it
        with registry.transaction():
            measurements.add_embedded(
                registry, row.sha256, "pack@1", Reason.EMBEDDED, [seen], np.ones((1, 4), np.float32), size=(400, 300)
            )
        found = "SELECT source_face_id, source_person_id FROM faces"
        assert tuple(registry.db.execute(found).fetchone()) == (asset.faces[0].id, grandma.id)
        assert source_people.select(registry, "anna", anna.id) == sorted(
            (SourcePerson(p.owner_id, p.id, p.name, p.birth_date, p.is_hidden) for p in (grandma, hidden)), key=lambda p: p.person_id
        )
        asset.faces[0].person_id = hidden.id
        del library.people[grandma.id]
        stage()
        assert tuple(registry.db.execute(found).fetchone()) == (asset.faces[0].id, hidden.id)
        assert [person.person_id for person in source_people.select(registry, "anna", anna.id)] == [hidden.id]
    assert server.count("GET /api/people") == 0
