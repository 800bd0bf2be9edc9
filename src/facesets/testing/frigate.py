"""Frigate's face library on loopback, over real HTTP, with Frigate's own way to recognise.

    with frigate_server(model, folder) as server:       # a model: ``find(rgb)`` and ``embed(face)``
        httpx.post(f"{server.url}/api/faces/Grandma/register", files={"file": open("grandma.jpg", "rb")})
        server.recognise(crop)                           # name and score, as Frigate would say

Read off its 0.18 source of July 2026: what its answers say (some say that what worked did not), and the formula: a mean for each name,
a sigmoid of the cosine, less for a blurred crop.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import numpy.typing as npt

from facesets.testing.immich.transport import Request, Response
from facesets.testing.services import FaceModel, Floats, Refusal, Rgb, Service, cosine, decode, json_answer, uploads

RECOGNISED, UNKNOWN_BELOW = 0.9, 0.8
DETECTED = 0.5  # the least score of a face that is taken
DETECTION_HEIGHT = 1080  # pixels to which a picture is scaled before a face is looked for
NAME_LENGTH = 50
RESERVED = "train"
_TRIM, _OUTLIER, _FEW, _KEPT = 0.15, 0.30, 5, 0.7
_MEDIAN, _WIDTH, _SLOPE = 0.5, 0.6, 12.0
_BLUR = ((120.0, 0.06), (160.0, 0.04), (200.0, 0.02), (250.0, 0.01))  # below this variance, so much less
_FORMATS = ("JPEG", "PNG", "WEBP")  # what its decoder takes; HEIC is refused
_ENDINGS = (".webp", ".png", ".jpg", ".jpeg")


def class_mean(vectors: Sequence[npt.ArrayLike]) -> Floats:
    """The vector that stands for a name: the trimmed mean of its vectors [n, d], outliers left out where there are five or more.

    An outlier has a cosine below .30 to the trimmed mean of all; at least five, and 70 % of all, are kept, the nearest ones.
    """
    rows = np.asarray(vectors, np.float64)
    mean = _trimmed(rows)
    if len(rows) < _FEW:
        return mean
    scores = np.array([cosine(row, mean) for row in rows])
    least = max(_FEW, math.ceil(_KEPT * len(rows)))
    order = np.argsort(-scores, kind="stable")
    kept = order[: max(least, int((scores >= _OUTLIER).sum()))]
    return _trimmed(rows[np.sort(kept)])


def _trimmed(rows: Floats) -> Floats:
    """Mean without the highest and the lowest 15 % of each coordinate, rounded down: with fewer than seven rows nothing is cut."""
    cut = int(_TRIM * len(rows))
    ordered = np.sort(rows, axis=0)
    return np.asarray(ordered[cut : len(rows) - cut].mean(axis=0), np.float64)


def confidence(similarity: float) -> float:
    """A cosine as Frigate's score: .5 at a cosine of .5, .9 at .61."""
    return 1 / (1 + math.exp(-_SLOPE / _WIDTH * (similarity - _MEDIAN)))


def blur_penalty(variance: float) -> float:
    """What is taken off the score of a crop whose Laplacian varies so little."""
    return next((less for limit, less in _BLUR if variance < limit), 0.0)


def sharpness(face: Rgb) -> float:
    """Variance of the Laplacian of a crop."""
    return float(cv2.Laplacian(np.ascontiguousarray(face[:, :, ::-1]), cv2.CV_64F).var())


class FrigateServer(Service):
    """A running server; ``folder`` holds its faces, a folder a name. Files put there by hand count after :meth:`restart`."""

    def __init__(self, model: FaceModel, folder: Path, *, token: str | None, port: int) -> None:
        self.folder = folder
        self._model, self._token = model, token
        self._means: dict[str, Floats] = {}
        self._made = 0
        (folder / RESERVED).mkdir(parents=True, exist_ok=True)
        self.restart()
        super().__init__(self._find_route, port=port)

    def restart(self) -> None:
        """Read the folders again: every file there is one face, the whole of it."""
        self._means = {}
        for home in sorted(p for p in self.folder.iterdir() if p.is_dir() and p.name != RESERVED):
            pictures = [decode(p.read_bytes(), _FORMATS) for p in sorted(home.iterdir()) if p.suffix.lower() in _ENDINGS]
            vectors = [self._model.embed(rgb) for rgb in pictures if rgb is not None]
            if vectors:
                self._means[home.name] = class_mean(vectors)

    def recognise(self, face: Rgb) -> tuple[str, float]:
        """Name and score of a crop; the name is empty below .8. Recognised for good from .9 on."""
        vector = self._model.embed(face)
        scores = {name: confidence(cosine(vector, mean)) for name, mean in self._means.items()}
        if not scores:
            return "", 0.0
        name = max(scores, key=lambda one: scores[one])
        score = round(scores[name] - blur_penalty(sharpness(face)), 2)
        return (name if score >= UNKNOWN_BELOW else ""), score

    def _find_route(self, request: Request) -> Response:
        if self._token and request.headers.get("authorization") != f"Bearer {self._token}":
            raise Refusal(401, {"message": "Unauthorized", "success": False})
        match request.method, request.path.removeprefix("/api/faces").strip("/").split("/"):
            case "GET", [""]:
                return json_answer(200, self._list())
            case "POST", ["recognize"]:
                name, score = self.recognise(self._largest(self._upload(request)))
                return json_answer(200, {"success": True, "face_name": name or None, "score": score})
            case "POST", [name, "create"]:
                home = self.folder / _name(name).replace(" ", "_")
                home.mkdir(exist_ok=True)
                return json_answer(200, {"success": False, "message": "Successfully created face folder."})  # as it says, though it did
            case "POST", [name, "register"]:
                return self._register(_name(name), request)
            case "POST", [name, "delete"]:
                return self._delete(_name(name), request)
            case "PUT", [name, "rename"]:
                return self._rename(_name(name), request)
        raise Refusal(404, {"detail": "Not Found"})

    def _list(self) -> dict[str, list[str]]:
        homes = sorted(p for p in self.folder.iterdir() if p.is_dir())
        return {h.name: sorted((p.name for p in h.iterdir()), reverse=True) for h in homes}

    def _upload(self, request: Request) -> Rgb:
        files = uploads(request)
        if not files:
            raise Refusal(422, {"detail": [{"type": "missing", "loc": ["body", "file"], "msg": "Field required", "input": None}]})
        rgb = decode(files[0].data, _FORMATS)
        if rgb is None:
            raise Refusal(400, {"message": "Invalid image file.", "success": False})
        return rgb

    def _largest(self, rgb: Rgb) -> Rgb:
        """The largest face, cut without margin. Raises a refusal where there is none."""
        scale = DETECTION_HEIGHT / rgb.shape[0]
        scaled = cv2.resize(rgb, (round(rgb.shape[1] * scale), DETECTION_HEIGHT))
        boxes = [b for b in self._model.find(np.asarray(scaled, np.uint8)) if b[4] >= DETECTED]
        if not boxes:
            raise Refusal(400, {"message": "No face was detected.", "success": False})
        box = max(boxes, key=lambda b: (b[2] - b[0]) * (b[3] - b[1]))
        x1, y1, x2, y2 = (max(0, round(side / scale)) for side in box[:4])
        return rgb[y1:y2, x1:x2]

    def _register(self, name: str, request: Request) -> Response:
        face = self._largest(self._upload(request))
        self._made += 1
        home = self.folder / name
        home.mkdir(exist_ok=True)
        written = cv2.imencode(".webp", np.ascontiguousarray(face[:, :, ::-1]), [cv2.IMWRITE_WEBP_QUALITY, 100])[1]
        (home / f"{name}-{self._made:06d}.webp").write_bytes(written.tobytes())
        self.restart()  # it forgets what it had learnt, and learns all anew
        return json_answer(200, {"message": "Successfully registered face.", "success": True})

    def _delete(self, name: str, request: Request) -> Response:
        ids = _body(request).get("ids")
        if not isinstance(ids, list) or not ids:
            raise Refusal(404, {"success": False, "message": "Not a valid list of ids"})
        for one in ids:
            (self.folder / name / Path(str(one)).name).unlink(missing_ok=True)
        home = self.folder / name
        if home.is_dir() and not any(home.iterdir()) and name != RESERVED:
            home.rmdir()
        self.restart()
        return json_answer(200, {"success": True, "message": "Successfully deleted faces."})

    def _rename(self, name: str, request: Request) -> Response:
        new = _name(str(_body(request).get("new_name", "")))
        if not (self.folder / name).is_dir():
            raise Refusal(404, {"success": False, "message": f"Face {name} not found."})
        (self.folder / name).rename(self.folder / new)
        self.restart()
        return json_answer(200, {"success": True, "message": f"Successfully renamed face to {new}."})


def _name(text: str) -> str:
    name = unquote(text)
    allowed = all(unicodedata.category(c)[0] in "LN" or c in "'_-" or c.isspace() for c in name)
    if not allowed or not 1 <= len(name) <= NAME_LENGTH:
        raise Refusal(400, {"success": False, "message": "Invalid face name."})
    return name


def _body(request: Request) -> dict[str, object]:
    try:
        body = json.loads(request.body or b"{}")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(422, {"detail": "Not an object"})
    return body


@contextmanager
def frigate_server(model: FaceModel, folder: Path, *, token: str | None = None, port: int = 0) -> Iterator[FrigateServer]:
    """Frigate's face library in ``folder`` for the length of the block; with ``token`` it asks for ``Authorization: Bearer``."""
    server = FrigateServer(model, folder, token=token, port=port)
    try:
        yield server
    finally:
        server.stop()
