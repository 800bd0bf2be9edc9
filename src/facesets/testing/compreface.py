"""CompreFace's collection of faces on loopback, over real HTTP: one face a picture, 5 MB a file, few formats.

    with compreface_server(model, api_key="secret") as server:      # a model: ``find(rgb)`` and ``embed(face)``
        url = f"{server.url}/api/v1/recognition/faces?subject=Grandma&det_prob_threshold=0.8"
        httpx.post(url, headers={"x-api-key": "secret"}, files={"file": open("grandma.jpg", "rb")})

Read off version 1.2: refusals carry a code (28 no face, 31 more than one, 21 a file's ending, 0 whatever went wrong, a large file say).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from facesets.testing.immich.transport import Request, Response
from facesets.testing.services import Boxes, FaceModel, Floats, Refusal, Rgb, Service, cosine, decode, json_answer, uploads

MAX_FILE = 5 * 1024 * 1024
ENDINGS = ("jpeg", "jpg", "ico", "png", "bmp", "gif", "tif", "tiff", "webp")
_FORMATS = ("JPEG", "ICO", "PNG", "BMP", "GIF", "TIFF", "WEBP")
_FACES = "/api/v1/recognition/faces"


def _refusal(status: int, code: int, message: str) -> Refusal:
    return Refusal(status, {"message": message, "code": code})


@dataclass(frozen=True)
class Example:
    """One picture of a subject."""

    image_id: str
    subject: str
    vector: Floats


class CompreFaceServer(Service):
    """A running server; ``examples`` are its pictures in the order in which they came."""

    def __init__(self, model: FaceModel, *, api_key: str, port: int) -> None:
        self.examples: list[Example] = []
        self._numbers = count()  # no id is given twice
        self._model, self._key = model, api_key
        super().__init__(self._find_route, port=port)

    def _find_route(self, request: Request) -> Response:
        key = request.headers.get("x-api-key")
        if key is None:
            raise _refusal(400, 20, "Missing header: x-api-key")
        if key != self._key:
            raise _refusal(404, 10, f"Model with API key {key} not found")
        match request.method, request.path:
            case "POST", path if path == _FACES:
                return self._add(request)
            case "GET", path if path == _FACES:
                return self._list(request)
            case "DELETE", path if path == _FACES:
                return self._remove_subject(request.query.get("subject"))
            case "DELETE", path if path.startswith(f"{_FACES}/"):
                return self._remove(path.removeprefix(f"{_FACES}/"))
            case "GET", "/api/v1/recognition/subjects":
                return json_answer(200, {"subjects": list(dict.fromkeys(e.subject for e in self.examples))})
            case "POST", "/api/v1/recognition/recognize":
                return self._recognise(request)
        raise _refusal(404, 0, f"Request method '{request.method}' not supported")

    def _faces(self, request: Request) -> tuple[Rgb, Boxes]:
        files = uploads(request)
        if not files:
            raise _refusal(400, 0, "Required request part 'file' is not present")
        if len(files[0].data) > MAX_FILE:
            raise _refusal(400, 0, "Something went wrong, please try again")
        if files[0].name.rpartition(".")[2].lower() not in ENDINGS:
            raise _refusal(400, 21, f"File [{files[0].name}] has an unavailable extension")
        rgb = decode(files[0].data, _FORMATS)
        threshold = float(request.query.get("det_prob_threshold") or 0.0)
        boxes = [b for b in self._model.find(rgb) if b[4] >= threshold] if rgb is not None else []
        if rgb is None or not boxes:
            raise _refusal(400, 28, "No face is found in the given image")
        return rgb, boxes

    def _add(self, request: Request) -> Response:
        subject = request.query.get("subject")
        if not subject:
            raise _refusal(400, 33, "Required String parameter 'subject' is not present")
        rgb, boxes = self._faces(request)
        if len(boxes) > 1:
            raise _refusal(400, 31, "More than one face in the source image")
        example = Example(str(uuid.uuid5(uuid.NAMESPACE_URL, f"{subject} {next(self._numbers)}")), subject, self._vector(rgb, boxes[0]))
        self.examples.append(example)
        return json_answer(201, {"image_id": example.image_id, "subject": subject})

    def _vector(self, rgb: Rgb, box: tuple[float, float, float, float, float]) -> Floats:
        x1, y1, x2, y2 = (max(0, round(side)) for side in box[:4])
        return self._model.embed(rgb[y1:y2, x1:x2]).astype(float)

    def _list(self, request: Request) -> Response:
        page, size = int(request.query.get("page", 0)), int(request.query.get("size", 20))
        wanted = [e for e in self.examples if request.query.get("subject") in (None, "", e.subject)]
        rows = [{"image_id": e.image_id, "subject": e.subject} for e in wanted[page * size : (page + 1) * size]]
        pages = -(-len(wanted) // size)
        count = {"page_number": page, "page_size": len(rows), "total_pages": pages, "total_elements": len(wanted)}
        return json_answer(200, {"faces": rows, **count})

    def _remove_subject(self, subject: str | None) -> Response:
        gone = [e for e in self.examples if subject in (None, "", e.subject)]
        self.examples = [e for e in self.examples if e not in gone]
        return json_answer(200, {"deleted": len(gone)})

    def _remove(self, image_id: str) -> Response:
        found = next((e for e in self.examples if e.image_id == image_id), None)
        if found is None:
            raise _refusal(404, 11, f"Image {image_id} not found")
        self.examples.remove(found)
        return json_answer(200, {"image_id": found.image_id, "subject": found.subject})

    def _recognise(self, request: Request) -> Response:
        rgb, boxes = self._faces(request)
        result = []
        for box in boxes:
            vector = self._vector(rgb, box)
            best: dict[str, float] = {}
            for example in self.examples:
                best[example.subject] = max(best.get(example.subject, 0.0), cosine(vector, example.vector))
            subjects = [{"subject": s, "similarity": round(best[s], 5)} for s in sorted(best, key=lambda s: -best[s])]
            names = ("x_min", "y_min", "x_max", "y_max")
            place = {"probability": box[4], **dict(zip(names, map(round, box[:4]), strict=True))}
            result.append({"box": place, "subjects": subjects[: int(request.query.get("prediction_count") or 1)]})
        return json_answer(200, {"result": result})


@contextmanager
def compreface_server(model: FaceModel, *, api_key: str = "test-key", port: int = 0) -> Iterator[CompreFaceServer]:
    """A recognition service with one key for the length of the block."""
    server = CompreFaceServer(model, api_key=api_key, port=port)
    try:
        yield server
    finally:
        server.stop()
