"""Immich's own vectors out of a real Postgres with pgvector: read as they are kept, told whose model they are of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from facesets.doctor import server as doctor
from facesets.errors import BadAnswer, MissingGrant, PackUnavailable
from facesets.faces.immich_vectors import _unit, content_of
from facesets.immich import Person
from facesets.models.immich_db import ImmichDb
from facesets.models.load import load_pack
from facesets.records import Asset, User
from facesets.sources.immich_vectors import vectors
from facesets.testing import Library
from tests.immich.photos import BIG, SMALL, photo
from tests.postgres import connect, fill, put_vector, reader

pytest.importorskip("psycopg")


@pytest.fixture
def library() -> Library:
    library = Library(seed=7)
    anna = library.user("anna")
    library.photo(anna, photo(1), faces=[BIG, SMALL])
    library.photo(anna, photo(2), faces=[replace(BIG, is_visible=False)])
    library.photo(library.user("bob"), photo(3), faces=[BIG])
    return library


@pytest.fixture
def faces(library: Library) -> list[str]:
    return [face.id for asset in library.assets.values() for face in asset.faces]


@pytest.fixture
def database(postgres: str, library: Library) -> str:
    fill(postgres, library)
    return postgres


def test_between_two_questions_an_upgrade_of_immich_need_not_wait(database: str, faces: list[str]) -> None:
    with vectors(database) as source, connect(database) as upgrading:
        source.of(faces[:1])
        upgrading.execute("LOCK TABLE face_search IN ACCESS EXCLUSIVE MODE NOWAIT")


def test_vectors_come_to_the_last_bit_and_only_those_that_are_asked_for(database: str, faces: list[str]) -> None:
    rng = np.random.default_rng(1)
    kept = {face: rng.standard_normal(512).astype(np.float32) * 9 for face in faces}
    with connect(database) as db:
        for face, vector in kept.items():
            put_vector(db, face, vector)
    with vectors(database) as source:
        assert source.of([]) == {}
        found = source.of([faces[0], faces[2], "00000000-0000-4000-8000-000000000000"])
    assert set(found) == {faces[0], faces[2]}
    for face, vector in found.items():
        assert vector.dtype == np.float32
        assert vector.tobytes() == kept[face].tobytes()


def test_the_faces_of_one_user_are_counted_with_those_that_have_a_vector(database: str, library: Library, faces: list[str]) -> None:
    anna = next(iter(library.users.values()))
    with connect(database) as db:
        for face in (faces[0], faces[2], faces[3]):  # one that can be seen, one that cannot, one of bob's
            put_vector(db, face, np.ones(512))
    with vectors(database) as source:
        assert source.count(User("anna", anna.id)) == (2, 1)


@pytest.mark.parametrize(("kept", "model"), [(None, "buffalo_l"), ("antelopev2", "antelopev2")])
def test_immich_keeps_only_what_differs_from_its_defaults(database: str, library: Library, kept: str | None, model: str) -> None:
    fill(database, library, model=kept)
    with vectors(database) as source:
        assert (source.configured().model, source.configured().seen) == (model, True)


def test_a_model_that_has_no_name_is_refused(database: str, library: Library) -> None:
    fill(database, library, model="../../etc/passwd\n")
    with vectors(database) as source, pytest.raises(BadAnswer, match="no name"):
        source.configured()


def test_a_role_needs_a_grant_for_vectors_and_none_for_the_settings(database: str) -> None:
    with pytest.raises(MissingGrant, match='GRANT SELECT ON face_search TO "visitor"'), vectors(reader(database)) as source:
        source.configured()
    with vectors(reader(database, "face_search")) as source:
        assert (source.configured().model, source.configured().seen) == ("buffalo_l", False)


def test_the_doctor_tells_faces_vectors_and_model(database: str, library: Library, faces: list[str]) -> None:
    anna = next(iter(library.users.values()))
    owner = Person(anna.id, anna.name)
    with connect(database) as db:
        put_vector(db, faces[0], np.ones(512))
    found = doctor.vectors("anna", owner, database, wanted=True)
    assert (found.level, found.facts["database_vectors"], found.facts["database_faces"]) == ("ok", 1, 2)
    allowed = reader(database, "face_search", "asset_face", "asset")
    assert doctor.vectors("anna", owner, allowed, wanted=True).level == "note"  # which model it is cannot be seen
    for wanted, level in ((True, "problem"), (False, "note")):
        refused = doctor.vectors("anna", owner, reader(database), wanted=wanted)
        assert (refused.level, "GRANT SELECT" in refused.what) == (level, True)


@pytest.mark.parametrize("odd", [np.zeros(512), np.full(512, np.inf), np.r_[np.nan, np.ones(511)], np.ones(128), np.zeros(0)])
def test_what_cannot_be_used_is_no_vector_and_says_why(odd: np.ndarray) -> None:
    vector, lacks = _unit(odd.astype(np.float32), 512)
    assert (len(vector), bool(lacks)) == (0, True)


def test_vectors_are_brought_to_unit_length() -> None:
    vector, lacks = _unit(np.full(512, 3e19, np.float32), 512)
    assert lacks == ""
    assert np.linalg.norm(vector.astype(np.float64)) == pytest.approx(1, abs=1e-6)


def test_uploads_are_known_by_their_bytes_and_files_of_libraries_by_themselves() -> None:
    upload = Asset("anna", "1", sha1="ab")
    assert content_of(upload) == content_of(replace(upload, owner_id="bob", asset_id="2"))
    filed = replace(upload, library_id="x", size_bytes=5)  # whose bytes may have been learnt since
    others = [replace(filed, owner_id="bob"), replace(filed, asset_id="2"), replace(filed, size_bytes=6), upload]
    assert len({content_of(asset) for asset in [filed, *others]}) == 5
    assert content_of(filed) == content_of(replace(filed, sha1=None))


def test_it_is_no_model_and_says_so() -> None:
    with pytest.raises(PackUnavailable, match="the vectors that Immich has made"):
        load_pack("immich-db")


def test_a_model_of_another_kind_does_not_read_for_it() -> None:
    class Short(ImmichDb):
        dim = 128

    pack = ImmichDb("buffalo_l", lambda: Short("x", lambda: pack))
    with pytest.raises(PackUnavailable, match="128"):
        pack.detect(np.zeros((8, 8, 3), np.uint8))
