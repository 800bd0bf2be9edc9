"""Frigate, CompreFace and double-take on loopback: what they take, what they refuse, and what they say of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from facesets.testing.compreface import MAX_FILE, CompreFaceServer, compreface_server
from facesets.testing.double_take import double_take_server
from facesets.testing.frigate import FrigateServer, blur_penalty, class_mean, confidence, frigate_server
from facesets.testing.services import Boxes, Rgb

RED, GREEN, DARK_RED = (250, 10, 10), (10, 250, 10), (200, 40, 10)


class Colours:
    """Sees a face in each patch that is not black; who it is, is its colour."""

    def find(self, rgb: Rgb) -> Boxes:
        count, _, stats, _ = cv2.connectedComponentsWithStats((rgb.max(axis=2) > 60).astype(np.uint8))
        return [(float(x), float(y), float(x + w), float(y + h), 0.9) for x, y, w, h, area in stats[1:count] if area > 50]

    def embed(self, face: Rgb) -> npt.NDArray[np.float64]:
        return np.asarray(face.reshape(-1, 3).mean(axis=0), np.float64)


def picture(*patches: tuple[tuple[int, int, int], int], size: tuple[int, int] = (600, 400), kind: str = "PNG") -> bytes:
    """Square patches of a colour and a side, next to one another on black."""
    rgb = np.zeros((size[1], size[0], 3), np.uint8)
    x = 20
    for colour, side in patches:
        rgb[20 : 20 + side, x : x + side] = colour
        x += side + 40
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, kind)
    return out.getvalue()


@pytest.fixture
def frigate(tmp_path: Path) -> Iterator[FrigateServer]:
    with frigate_server(Colours(), tmp_path / "faces") as server:
        yield server


def send(url: str, data: bytes, name: str = "a.png", headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.post(url, files={"file": (name, data)}, headers=headers, timeout=20)


# Frigate's formula, worked out by hand


def test_a_score_is_a_sigmoid_of_the_cosine() -> None:
    assert confidence(0.5) == 0.5
    assert confidence(0.61) == pytest.approx(0.90025, abs=5e-6)  # 1 / (1 + exp(-20 x .11)), exp(-2.2) = .110803
    assert confidence(0.8) == pytest.approx(0.99753, abs=5e-6)  # exp(-6) = .002479


def test_few_pictures_of_a_name_are_averaged_as_they_are() -> None:
    assert class_mean([(1, 0), (0, 1), (1, 1)]) == pytest.approx([2 / 3, 2 / 3])


def test_of_ten_pictures_four_outliers_are_three_too_many_to_be_left_out_and_the_last_one_is_trimmed_away() -> None:
    # first coordinate sorted: four of -1, six of 1; one cut at each end leaves a mean of (5 - 3) / 8 = .25, so (-1, 0) has cosine -1;
    # seven must be kept: the six and one outlier; of seven, one is cut at each end, and five of 1 are left
    assert class_mean([(1, 0)] * 6 + [(-1, 0)] * 4) == pytest.approx([1, 0])
    # two outliers of ten go: eight of (1, .5) are left
    assert class_mean([(1, 0.5)] * 8 + [(-1, 0)] * 2) == pytest.approx([1, 0.5])


def test_blur_takes_a_little_off() -> None:
    assert [blur_penalty(v) for v in (0, 119.9, 120, 160, 200, 249.9, 250)] == [0.06, 0.06, 0.04, 0.02, 0.01, 0.01, 0.0]


def test_frigate_registers_the_largest_face_and_knows_it_again(frigate: FrigateServer) -> None:
    url = f"{frigate.url}/api/faces"
    said = send(f"{url}/Oma/register", picture((RED, 200), (GREEN, 80)))
    assert (said.status_code, said.json()["success"]) == (200, True)
    assert send(f"{url}/Opa/register", picture((GREEN, 150))).status_code == 200
    listed = httpx.get(url).json()
    assert {name: len(files) for name, files in listed.items()} == {"Oma": 1, "Opa": 1, "train": 0}
    kept = np.asarray(Image.open(frigate.folder / "Oma" / listed["Oma"][0]))
    assert kept.shape[:2] == (200, 200)
    found = send(f"{url}/recognize", picture((DARK_RED, 120))).json()
    assert found == {"success": True, "face_name": "Oma", "score": 0.94}  # nothing but one colour: as blurred as can be
    stranger = send(f"{url}/recognize", picture(((90, 90, 250), 120))).json()
    assert stranger["face_name"] is None


def test_frigate_says_that_a_folder_was_not_made_though_it_was(frigate: FrigateServer) -> None:
    said = send(f"{frigate.url}/api/faces/Aunt Mary/create", b"")
    assert (said.status_code, said.json()) == (200, {"success": False, "message": "Successfully created face folder."})
    assert (frigate.folder / "Aunt_Mary").is_dir()


@pytest.mark.parametrize("name", ["a/b", "x" * 51, "a.b", "semi;colon"])
def test_frigate_takes_letters_digits_and_little_else_as_a_name(frigate: FrigateServer, name: str) -> None:
    assert send(f"{frigate.url}/api/faces/{name}/register", picture((RED, 100))).status_code in (400, 404)
    assert send(f"{frigate.url}/api/faces/Zoë O'Neil-2_b/register", picture((RED, 100))).status_code == 200


def test_frigate_refuses_what_shows_no_face_and_what_it_cannot_read(frigate: FrigateServer) -> None:
    none = send(f"{frigate.url}/api/faces/Oma/register", picture())
    assert (none.status_code, none.json()) == (400, {"message": "No face was detected.", "success": False})
    heic = send(f"{frigate.url}/api/faces/Oma/register", b"\0\0\0\x18ftypheic" + bytes(40), "a.heic")
    assert heic.json()["success"] is False
    assert httpx.post(f"{frigate.url}/api/faces/Oma/register").status_code == 422


def test_files_put_into_frigates_folder_count_after_a_restart_and_wholly(frigate: FrigateServer) -> None:
    home = frigate.folder / "Oma"
    home.mkdir()
    (home / "1.png").write_bytes(picture((RED, 380), size=(420, 420)))
    crop = np.full((90, 90, 3), DARK_RED, np.uint8)
    assert frigate.recognise(crop) == ("", 0.0)
    frigate.restart()
    assert frigate.recognise(crop)[0] == "Oma"


def test_frigate_renames_and_deletes(frigate: FrigateServer) -> None:
    url = f"{frigate.url}/api/faces"
    send(f"{url}/Oma/register", picture((RED, 100)))
    assert httpx.put(f"{url}/Oma/rename", json={"new_name": "Grandma"}).status_code == 200
    (file,) = httpx.get(url).json()["Grandma"]
    assert httpx.post(f"{url}/Grandma/delete", json={"ids": []}).status_code == 404
    assert httpx.post(f"{url}/Grandma/delete", json={"ids": [file]}).json()["success"] is True
    assert "Grandma" not in httpx.get(url).json()


def test_frigate_may_ask_who_it_is(tmp_path: Path) -> None:
    with frigate_server(Colours(), tmp_path, token="admin") as server:
        assert httpx.get(f"{server.url}/api/faces").status_code == 401
        assert httpx.get(f"{server.url}/api/faces", headers={"Authorization": "Bearer admin"}).status_code == 200
        server.status = 503
        assert httpx.get(f"{server.url}/api/faces").status_code == 503
        assert server.requests["GET /api/faces"] == 3


@pytest.fixture
def compreface() -> Iterator[CompreFaceServer]:
    with compreface_server(Colours(), api_key="key") as server:
        yield server


KEY = {"x-api-key": "key"}


def test_compreface_takes_one_face_a_picture(compreface: CompreFaceServer) -> None:
    url = f"{compreface.url}/api/v1/recognition/faces?subject=Oma&det_prob_threshold=0.8"
    made = send(url, picture((RED, 100)), headers=KEY)
    assert (made.status_code, made.json()["subject"]) == (201, "Oma")
    assert send(url, picture((RED, 100), (GREEN, 90)), headers=KEY).json() == {
        "message": "More than one face in the source image",
        "code": 31,
    }
    assert send(url, picture(), headers=KEY).json() == {"message": "No face is found in the given image", "code": 28}
    assert send(url.replace("0.8", "0.95"), picture((RED, 100)), headers=KEY).json()["code"] == 28
    listed = httpx.get(f"{compreface.url}/api/v1/recognition/faces", headers=KEY).json()
    assert (listed["faces"], listed["total_elements"]) == ([made.json()], 1)
    found = send(f"{compreface.url}/api/v1/recognition/recognize", picture((DARK_RED, 100)), headers=KEY).json()["result"][0]
    assert found["subjects"][0]["subject"] == "Oma"
    assert found["subjects"][0]["similarity"] > 0.9
    gone = httpx.delete(f"{compreface.url}/api/v1/recognition/faces?subject=Oma", headers=KEY)
    assert gone.json() == {"deleted": 1}
    assert compreface.examples == []


def test_compreface_refuses_large_files_other_formats_and_other_keys(compreface: CompreFaceServer) -> None:
    url = f"{compreface.url}/api/v1/recognition/faces?subject=Oma"
    large = send(url, picture((RED, 100)) + bytes(MAX_FILE), headers=KEY)
    assert (large.status_code, large.json()["code"]) == (400, 0)
    assert send(url, picture((RED, 100)), "a.heic", headers=KEY).json()["code"] == 21
    assert send(url, picture((RED, 100))).json() == {"message": "Missing header: x-api-key", "code": 20}
    assert send(url, picture((RED, 100)), headers={"x-api-key": "other"}).status_code == 404
    assert send(url.partition("?")[0], picture((RED, 100)), headers=KEY).json()["code"] == 33
    assert compreface.examples == []


def test_double_take_queues_everything_and_trains_on_large_faces_only(tmp_path: Path) -> None:
    with double_take_server(tmp_path, Colours()) as server:
        for side in (120, 80):
            said = httpx.post(f"{server.url}/api/train/add/Oma", files={"files": ("a.jpg", picture((RED, side), kind="JPEG"))})
            assert said.json() == {"message": "training queued for Oma"}
        httpx.post(f"{server.url}/api/train/add/Oma", files={"files": ("b.webp", picture((RED, 120), kind="WEBP"))})
        (tmp_path / "train" / "Oma" / "dropped.jpg").write_bytes(picture((RED, 120)))
        rows = httpx.get(f"{server.url}/api/train").json()
        assert [row["results"][0]["result"]["used"] for row in rows] == [True, False, False]  # and nothing of what was dropped
        assert len(list((tmp_path / "train" / "Oma").iterdir())) == 4
        assert httpx.delete(f"{server.url}/api/train/remove/Oma").status_code == 200
        assert httpx.get(f"{server.url}/api/train").json() == []
        assert httpx.post(f"{server.url}/api/train/add/..%2Fx", files={"files": ("a.jpg", b"")}).status_code == 404
