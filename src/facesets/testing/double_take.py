"""Double-take's training on loopback, over real HTTP: what is sent is known, what is dropped into its folder is not.

    with double_take_server(folder) as server:
        httpx.post(f"{server.url}/api/train/add/Grandma", files={"files": ("one.jpg", data, "image/jpeg")})

It says "queued" to everything, and what the detectors behind it make of a file is another matter: faces below 10,000 square pixels are
not trained. ``model`` finds them; without one each picture is a face.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from facesets.testing.immich.transport import Request, Response
from facesets.testing.services import FaceModel, Refusal, Rgb, Service, decode, json_answer, uploads

MIN_AREA = 10_000  # pixels of a face's box
_FORMATS = ("JPEG", "PNG")
_ADD = "/api/train/add/"


@dataclass(frozen=True)
class Trained:
    """A file that the database knows; ``used`` False where no detector could train on it."""

    id: int
    name: str
    file_name: str
    used: bool


class DoubleTakeServer(Service):
    """A running server; ``folder/train/<name>`` holds the files, ``files`` those that it knows."""

    def __init__(self, folder: Path, model: FaceModel | None, *, port: int) -> None:
        self.folder = folder / "train"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.files: list[Trained] = []
        self._model, self._made = model, 0
        super().__init__(self._find_route, port=port)

    def _find_route(self, request: Request) -> Response:
        if request.method == "POST" and request.path.startswith(_ADD):
            return self._add(request.path.removeprefix(_ADD), request)
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["api", "train"]:
                return json_answer(200, [self._row(one) for one in self.files])
            case "DELETE", ["api", "train", "remove", name]:
                return self._remove(name)
        raise Refusal(404, {"error": f"Cannot {request.method} {request.path}"})

    def _remove(self, name: str) -> Response:
        self.files = [one for one in self.files if one.name != name]
        return json_answer(200, [])

    def _row(self, one: Trained) -> dict[str, object]:
        file = {"key": f"train/{one.name}/{one.file_name}", "filename": one.file_name}
        return {"id": one.id, "name": one.name, "file": file, "results": [{"detector": "test", "result": {"used": one.used}}]}

    def _add(self, name: str, request: Request) -> Response:
        if not name or "/" in name or name in (".", ".."):
            raise Refusal(404, {"error": f"Cannot POST {request.path}"})
        for upload in uploads(request):
            stem, _, ending = Path(upload.name).name.rpartition(".")
            self._made += 1
            file_name = f"{stem}-{1_700_000_000 + self._made}.{ending}"  # it puts the time behind each name
            home = self.folder / name
            home.mkdir(exist_ok=True)
            (home / file_name).write_bytes(upload.data)
            rgb = decode(upload.data, _FORMATS)
            self.files.append(Trained(self._made, name, file_name, rgb is not None and self._is_large(rgb)))
        return json_answer(200, {"message": f"training queued for {name}"})

    def _is_large(self, rgb: Rgb) -> bool:
        boxes = self._model.find(rgb) if self._model else [(0.0, 0.0, float(rgb.shape[1]), float(rgb.shape[0]), 1.0)]
        return any((x2 - x1) * (y2 - y1) >= MIN_AREA for x1, y1, x2, y2, _ in boxes)


@contextmanager
def double_take_server(folder: Path, model: FaceModel | None = None, *, port: int = 0) -> Iterator[DoubleTakeServer]:
    """double-take with its storage in ``folder`` for the length of the block."""
    server = DoubleTakeServer(folder, model, port=port)
    try:
        yield server
    finally:
        server.stop()
