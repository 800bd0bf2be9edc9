"""An Immich machine-learning service on loopback, over real HTTP, answering with any model that you hand it.

    with immich_ml_server(pack) as server:      # a pack: anything with ``detect(rgb)`` and ``embed(rgb, landmarks)``
        ImmichMl([server.url])

It speaks ``GET /ping`` and ``POST /predict`` as Immich 3's does: vectors as JSON text and not of unit length, boxes in whole pixels,
landmarks only where detection alone is asked for, photos as they are stored (EXIF turns nothing). Faults are set while it runs.
"""

from __future__ import annotations

import io
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from facesets.testing.immich.transport import Delivery, HttpServer, Request, Response
from facesets.testing.services import fields, json_answer

_MIN_SCORE = 0.7  # Immich's, where a request names none
_TASK = "facial-recognition"


class Model(Protocol):
    """What finds and embeds; a facesets pack is one."""

    def detect(self, rgb: npt.NDArray[np.uint8]) -> list[Any]:
        """Faces with ``box``, ``score`` and ``landmarks``."""

    def embed(self, rgb: npt.NDArray[np.uint8], landmarks: npt.ArrayLike) -> Any:
        """Their ``vectors`` (unit length) and ``norms``."""


class ImmichMlServer:
    """A running service. Change ``status``, ``delay`` or ``drop`` at any time to have it fail, dawdle or hang up."""

    def __init__(self, model: Model, *, model_name: str = "buffalo_l", port: int = 0) -> None:
        self.status = 200
        self.delay = 0.0
        self.drop = False
        self.requests: Counter[str] = Counter()  # by path
        self.names: set[str] = set()  # of the models asked for
        self.busiest = 0
        self._model, self._model_name = model, model_name
        self._lock, self._busy = threading.Lock(), 0
        self._http = HttpServer(self._answer, port=port)

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self._http.port}"

    def stop(self) -> None:
        """Stop listening."""
        self._http.stop()

    def _answer(self, request: Request) -> tuple[Response, Delivery]:
        with self._lock:
            self.requests[request.path] += 1
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
        try:
            time.sleep(self.delay)
            if self.status != 200:
                return json_answer(self.status, {"detail": "Failed to load model"}), Delivery(drop=self.drop)
            if (request.method, request.path) == ("GET", "/ping"):
                return Response(headers={"Content-Type": "text/plain"}, body=b"pong"), Delivery(drop=self.drop)
            if (request.method, request.path) == ("POST", "/predict"):
                return self._predict(request), Delivery(drop=self.drop)
            return json_answer(404, {"detail": "Not Found"}), Delivery()
        finally:
            with self._lock:
                self._busy -= 1

    def _predict(self, request: Request) -> Response:
        parts = fields(request)
        try:
            types = json.loads(parts["entries"])[_TASK]
            names = {entry["modelName"] for entry in types.values()}
            least = float(types["detection"].get("options", {}).get("minScore", _MIN_SCORE))
        except (KeyError, ValueError, AttributeError, TypeError):
            return json_answer(422, {"detail": "Invalid request format."})
        if "image" not in parts:
            return json_answer(400, {"detail": "Either image or text must be provided"})
        self.names |= names
        if names != {self._model_name}:
            return json_answer(500, {"detail": f"Failed to load model '{', '.join(names)}'"})
        rgb = np.asarray(Image.open(io.BytesIO(parts["image"])).convert("RGB"))
        found = [face for face in self._model.detect(rgb) if face.score >= least]
        boxes = [[float(round(side)) for side in face.box] for face in found]
        answer: Any
        if "recognition" in types:
            embedded = self._model.embed(rgb, [face.landmarks for face in found])
            raw = embedded.vectors * embedded.norms[:, None]
            answer = [
                {
                    "boundingBox": dict(zip(("x1", "y1", "x2", "y2"), box, strict=True)),
                    "embedding": json.dumps([float(x) for x in vector]),
                    "score": face.score,
                }
                for box, vector, face in zip(boxes, raw, found, strict=True)
            ]
        else:
            answer = {"boxes": boxes, "scores": [face.score for face in found], "landmarks": [face.landmarks for face in found]}
        return json_answer(200, {_TASK: answer, "imageHeight": rgb.shape[0], "imageWidth": rgb.shape[1]})


@contextmanager
def immich_ml_server(model: Model, *, model_name: str = "buffalo_l", port: int = 0) -> Iterator[ImmichMlServer]:
    """A service for the length of the block."""
    server = ImmichMlServer(model, model_name=model_name, port=port)
    try:
        yield server
    finally:
        server.stop()
