from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from facesets.errors import BadAnswer, PackUnavailable, Unreachable
from facesets.exchange.queue import QueueEntry
from facesets.faces.embed import embed_photos, find_faces
from facesets.models.immich_ml import ENVIRONMENT, ImmichMl, immich_ml_pack
from facesets.models.pack import Pack
from facesets.photos.decode import Decoded, decode
from facesets.records import Reason
from facesets.testing.immich_ml import ImmichMlServer, immich_ml_server
from facesets.testing.twins import twin_photo

FACES = [(128, 128, 128, 1), (384, 128, 64, 2), (256, 352, 128, 3)]
QUICK = (0.01, 0.02, 0.05)  # rests in seconds


@pytest.fixture
def servers(twin: Pack) -> Iterator[list[ImmichMlServer]]:
    with immich_ml_server(twin) as one, immich_ml_server(twin) as two:
        yield [one, two]


def photos(folder: Path, count: int) -> list[QueueEntry]:
    for i in range(count):
        Image.fromarray(twin_photo(FACES[: i % 4], seed=i)).save(folder / f"{i}.png", compress_level=1)
    return [QueueEntry(str(i), f"{i}.png") for i in range(count)]


def test_faces_and_vectors_are_those_of_the_model_itself(servers: list[ImmichMlServer], twin: Pack) -> None:
    pack = ImmichMl([servers[0].url])
    photo = Decoded(twin_photo(FACES), 640, 480)
    here, there = find_faces(photo, "ab" * 32, twin), find_faces(photo, "ab" * 32, pack)
    assert len(there.faces) == 3
    assert (np.einsum("ij,ij->i", here.vectors, there.vectors) > 0.9999999).all()
    for one, other in zip(here.faces, there.faces, strict=True):
        assert np.allclose(one.box, other.box, atol=0.5)  # the service rounds
        assert one.landmarks == other.landmarks
        assert one.det_score == other.det_score
        assert one.signals["norm"] == pytest.approx(other.signals["norm"], rel=1e-4)
    assert (pack.id, pack.dim) == ("immich-ml@buffalo_l", 512)
    assert there.faces[0].pack == "immich-ml@buffalo_l"


def test_a_photo_without_a_face_is_asked_about_once(servers: list[ImmichMlServer]) -> None:
    pack = ImmichMl([servers[0].url])
    before = servers[0].requests["/predict"]
    assert pack.detect(twin_photo([])) == []
    assert servers[0].requests["/predict"] == before + 1


@pytest.mark.slow
def test_several_services_share_the_work(servers: list[ImmichMlServer], tmp_path: Path) -> None:
    for server in servers:
        server.delay = 0.02
    pack = ImmichMl([server.url for server in servers])
    results = list(embed_photos(photos(tmp_path, 16), pack, root=tmp_path, workers=4, decoder=decode))
    assert [len(result.faces) for result in results] == [i % 4 for i in range(16)]
    assert min(server.requests["/predict"] for server in servers) > 8


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["drop", "status", "stop"])
def test_a_service_that_dies_is_left_alone_and_its_photos_go_elsewhere(
    servers: list[ImmichMlServer], tmp_path: Path, fault: str
) -> None:
    notes: list[str] = []
    pack = ImmichMl([server.url for server in servers], note=notes.append, rest=(60.0,))
    results = []
    for result in embed_photos(photos(tmp_path, 12), pack, root=tmp_path, workers=3, decoder=decode):
        results.append(result)
        if len(results) == 2:
            servers[0].drop, servers[0].status = fault == "drop", 500 if fault == "status" else 200
            if fault == "stop":
                servers[0].stop()
    assert [len(result.faces) for result in results] == [i % 4 for i in range(12)]
    assert len([note for note in notes if servers[0].url in note]) == 1


def test_a_service_that_comes_back_is_asked_again(servers: list[ImmichMlServer], tmp_path: Path) -> None:
    pack = ImmichMl([servers[0].url], rest=(0.05,) * 40)
    entries = photos(tmp_path, 6)
    list(embed_photos(entries[:2], pack, root=tmp_path, workers=1, decoder=decode))
    servers[0].status = 503
    results = embed_photos(entries, pack, root=tmp_path, workers=1, decoder=decode)
    healing = threading.Timer(0.3, lambda: setattr(servers[0], "status", 200))
    healing.start()
    assert [len(result.faces) for result in results] == [0, 1, 2, 3, 0, 1]
    healing.join()


@pytest.mark.slow
def test_a_slow_service_is_given_up_and_gets_little_work(servers: list[ImmichMlServer], tmp_path: Path) -> None:
    pack = ImmichMl([server.url for server in servers], timeout=2.0, rest=(60.0,))
    entries = photos(tmp_path, 10)
    first = next(iter(embed_photos(entries[1:2], pack, root=tmp_path, workers=1, decoder=decode)))  # the comparison is behind us
    assert first.reason is Reason.EMBEDDED
    servers[0].delay = 5.0
    before = servers[0].requests["/predict"]
    results = list(embed_photos(entries, pack, root=tmp_path, workers=2, decoder=decode))
    assert [len(result.faces) for result in results] == [i % 4 for i in range(10)]
    assert servers[0].requests["/predict"] - before <= 3
    servers[0].delay = 0.0


@pytest.mark.slow
def test_a_service_with_another_model_is_left_out_and_said(servers: list[ImmichMlServer], twin: Pack, tmp_path: Path) -> None:
    class Other:
        def detect(self, rgb: Any) -> Any:
            return twin.detect(rgb)

        def embed(self, rgb: Any, landmarks: Any) -> Any:
            embedded = twin.embed(rgb, landmarks)
            return type(embedded)(np.roll(embedded.vectors, 1, axis=1), embedded.norms)

    notes: list[str] = []
    with immich_ml_server(Other()) as other:
        pack = ImmichMl([servers[0].url, other.url], note=notes.append)
        results = list(embed_photos(photos(tmp_path, 8), pack, root=tmp_path, workers=2, decoder=decode))
        assert [note for note in notes if other.url in note and "left out" in note]
    here = [find_faces(Decoded(twin_photo(FACES[: i % 4], seed=i), 640, 480), "", twin).vectors for i in range(8)]
    assert all(np.allclose(result.vectors, vectors, atol=1e-6) for result, vectors in zip(results, here, strict=True) if len(vectors))


def test_when_no_service_answers_any_more_the_run_stops_and_says_why(servers: list[ImmichMlServer], tmp_path: Path) -> None:
    pack = ImmichMl([servers[0].url], rest=QUICK)
    servers[0].status = 500
    with pytest.raises(Unreachable, match="What is done is kept"):
        list(embed_photos(photos(tmp_path, 4), pack, root=tmp_path, workers=2, decoder=decode))


def test_at_the_start_every_address_is_checked(servers: list[ImmichMlServer], twin: Pack) -> None:
    with pytest.raises(PackUnavailable, match="does not answer"):
        ImmichMl(["http://127.0.0.1:1"])
    with pytest.raises(PackUnavailable, match="no address"):
        ImmichMl([])
    with pytest.raises(PackUnavailable, match="Failed to load model"):
        ImmichMl([servers[0].url], model="no_such_model")
    notes: list[str] = []
    ImmichMl(["http://127.0.0.1:1", servers[0].url], note=notes.append)
    assert len(notes) == 1
    assert "127.0.0.1:1 does not answer" in notes[0]


def test_addresses_come_from_the_environment_or_the_settings(servers: list[ImmichMlServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    assert immich_ml_pack("immich-ml", [servers[0].url]).id == "immich-ml@buffalo_l"
    monkeypatch.setenv(ENVIRONMENT, f" {servers[1].url}/, ")
    assert immich_ml_pack("immich-ml:buffalo_l", ["http://127.0.0.1:1"]).id == "immich-ml@buffalo_l"
    assert servers[1].requests["/ping"] == 1


def test_an_answer_that_no_such_service_gives_is_refused(
    servers: list[ImmichMlServer], twin: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = ImmichMl([servers[0].url])
    good = twin.embed

    class Short:
        detect = staticmethod(twin.detect)

        @staticmethod
        def embed(rgb: Any, landmarks: Any) -> Any:
            embedded = good(rgb, landmarks)
            return type(embedded)(embedded.vectors[:, :128], embedded.norms)

    servers[0]._model = Short()
    with pytest.raises(BadAnswer, match="vectors"):
        pack.detect(twin_photo(FACES))


def test_the_testing_service_answers_as_immichs_does(servers: list[ImmichMlServer]) -> None:
    url = servers[0].url
    assert httpx.get(f"{url}/ping").text == "pong"
    assert httpx.post(f"{url}/predict", data={"entries": "{"}, files={"image": b"x"}).status_code == 422
    entries = '{"facial-recognition": {"detection": {"modelName": "buffalo_l"}}}'
    assert httpx.post(f"{url}/predict", data={"entries": entries}, files={"other": b"x"}).status_code == 400
    assert httpx.get(f"{url}/nothing").status_code == 404


def test_the_testing_service_heeds_the_least_score_that_is_asked_for(servers: list[ImmichMlServer], twin: Pack) -> None:
    rgb = twin_photo(FACES)
    scores = sorted(face.score for face in twin.detect(rgb))
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "PNG")

    def found(least: float) -> int:
        asked = {"facial-recognition": {"detection": {"modelName": "buffalo_l", "options": {"minScore": least}}}}
        answer = httpx.post(f"{servers[0].url}/predict", data={"entries": json.dumps(asked)}, files={"image": out.getvalue()})
        return len(answer.json()["facial-recognition"]["boxes"])

    assert found(0.0) == len(scores) > 1
    assert found(scores[-1]) >= 1
    assert found(scores[-1] + 1e-6) == 0
