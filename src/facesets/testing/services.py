"""What the small recognition servers share: a model of faces, uploads, a server that counts and fails on command."""

from __future__ import annotations

import io
import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from facesets.testing.immich.transport import Delivery, HttpServer, Request, Response

Rgb = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Boxes = list[tuple[float, float, float, float, float]]  # x1, y1, x2, y2, score


class FaceModel(Protocol):
    """What a service sees: any model, or a few lines that know the pictures of a test."""

    def find(self, rgb: Rgb) -> Boxes:
        """Faces in a picture, in its pixels."""

    def embed(self, face: Rgb) -> npt.NDArray[np.floating[Any]]:
        """The vector of a picture that is one face."""


@dataclass(frozen=True)
class Upload:
    """A file of a multipart body."""

    name: str
    data: bytes


class Refusal(Exception):
    """An answer that is an error, with its body."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.status, self.body = status, body


def json_answer(status: int, value: Any) -> Response:
    """JSON."""
    return Response(status, {"Content-Type": "application/json"}, json.dumps(value).encode())


def fields(request: Request) -> dict[str, bytes]:
    """The fields of a multipart body, files among them."""
    return {name: upload.data for name, upload in _parts(request)}


def uploads(request: Request) -> list[Upload]:
    """Its files, in order."""
    return [upload for _, upload in _parts(request) if upload.name]


def _parts(request: Request) -> list[tuple[str, Upload]]:
    boundary = re.search(r'boundary="?([^";]+)', request.headers.get("content-type", ""))
    found = []
    for part in request.body.split(b"--" + boundary[1].encode())[1:-1] if boundary else ():
        head, _, data = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if name := re.search(rb' name="([^"]+)"', head):
            file_name = re.search(rb'filename="([^"]*)"', head)
            found.append((name[1].decode(), Upload(file_name[1].decode() if file_name else "", data.removesuffix(b"\r\n"))))
    return found


def decode(data: bytes, formats: tuple[str, ...]) -> Rgb | None:
    """A picture in one of these formats (Pillow's names) as stored: EXIF turns nothing; None for anything else."""
    try:
        return np.asarray(Image.open(io.BytesIO(data), formats=formats).convert("RGB"), np.uint8)
    except (UnidentifiedImageError, OSError, ValueError):
        return None


def cosine(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    """Cosine of two vectors of any length."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0


class Service:
    """A running server. ``requests`` counts by method and path; set ``status`` to have everything fail with that code, and put into
    ``first`` what the next requests are answered instead.
    """

    def __init__(self, answer: Callable[[Request], Response], *, port: int = 0) -> None:
        self.requests: Counter[str] = Counter()
        self.status = 200
        self.first: list[Response] = []
        self._route, self._lock = answer, threading.Lock()
        self._http = HttpServer(self._answer, port=port)

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``, without a path."""
        return f"http://127.0.0.1:{self._http.port}"

    def stop(self) -> None:
        """Stop listening and end every connection."""
        self._http.stop()

    def _answer(self, request: Request) -> tuple[Response, Delivery]:
        with self._lock:  # one at a time: what is kept on disk and in memory changes together
            self.requests[f"{request.method} {request.path}"] += 1
            if self.first:
                return self.first.pop(0), Delivery()
            if self.status != 200:
                return Response(self.status, {"Content-Type": "text/plain"}, b"failed on command"), Delivery()
            try:
                return self._route(request), Delivery()
            except Refusal as refusal:
                return json_answer(refusal.status, refusal.body), Delivery()
