"""The pack that an Immich machine-learning service runs. The one module of this room that uses the network.

Several services share the work: each photo goes to the one that will be through with it first. One that fails or takes too long is
left alone for a while and asked again; its photo goes to another. The service gives no landmarks beside vectors, so it is asked
for them separately where it found a face. It turns no photo and has no keys: what is sent is upright pixels, as PNG, and nothing else.
"""

from __future__ import annotations

import io
import json
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from urllib3.filepost import encode_multipart_formdata

from facesets.connections import Connections, HTTPError, address, describe
from facesets.errors import BadAnswer, PackUnavailable, ServerError, Unreachable
from facesets.models.detection import Detection, moved
from facesets.models.licences import INSIGHTFACE
from facesets.models.recognizer import Embedded
from facesets.photos import Pixels
from facesets.records import Box, Thresholds
from facesets.thresholds import ARCFACE

ENVIRONMENT: Final = "IMMICH_MACHINE_LEARNING_URL"  # Immich's own; several, separated by commas
_TASK: Final = "facial-recognition"
_MIN_SCORE: Final = 0.5  # InsightFace's; Immich's own 0.7 would lose faces that another pack's gates would take
_CONNECTIONS: Final = 32  # to one service at most; further photos wait
_FIRST_TIMEOUT, _TIMEOUT = 300.0, 60.0  # seconds: the first request may make the service download and load its models
_REST: Final = (2.0, 10.0, 30.0, 60.0, 120.0)  # seconds a service is left alone after so many failures in a row
_SAME: Final = 0.999  # cosine between the vectors that two services give one face

_Found = tuple[list[Detection], npt.NDArray[np.float32]]  # faces and their vectors [k, d], not of unit length


class ImmichMl:
    """Faces and vectors from services at ``urls``, which must run the same ``model``. Threads may share it."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        model: str = "buffalo_l",
        note: Callable[[str], None] = lambda _: None,
        timeout: float = _TIMEOUT,
        rest: Sequence[float] = _REST,
    ) -> None:
        self._model, self._note, self._rest = model, note, rest
        self._services = [_Service(url.strip().rstrip("/"), timeout) for url in urls]
        self._lock, self._comparing = threading.Lock(), threading.Lock()
        self._last = threading.local()
        self._compared = len(self._services) < 2
        self.dim = self._check()

    @property
    def name(self) -> str:
        """What ``--pack`` calls it."""
        return "immich-ml"

    @property
    def version(self) -> str:
        """The model's name: the service does not tell which weights those are."""
        return self._model

    @property
    def id(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    @property
    def engine(self) -> str:
        """The service does not say which provider it uses."""
        return "immich-machine-learning"

    @property
    def thresholds(self) -> Thresholds:
        """ArcFace's."""
        return ARCFACE

    @property
    def licence(self) -> str:
        """What its authors say about its use."""
        return INSIGHTFACE

    def detect(self, rgb: Pixels) -> list[Detection]:
        """Faces in ``rgb`` uint8 [h, w, 3]. Raises errors.Unreachable where no service answers for long."""
        png = _png(rgb)
        while True:
            service, (found, vectors) = self._ask_any(png)
            if found and not self._compared:
                with self._comparing:  # others that found a face wait here: theirs may be of a service that will be left out
                    if not self._compared:
                        self._compare(png)
                        self._compared = True
            if not found or not service.gone:  # an answer may have been on its way while its service was being left out
                break
        self._last.photo, self._last.found, self._last.vectors = rgb, found, vectors
        return found

    def detect_near(self, rgb: Pixels, part: tuple[int, int, int, int], is_wanted: Callable[[Box], bool]) -> Detection | None:
        """The best of the wanted faces in ``part`` (x1, y1, x2, y2) of ``rgb``, in its pixels; None where it shows none."""
        if getattr(self._last, "photo", None) is not rgb:
            self.detect(rgb)
        left, top, right, bottom = part
        _, (found, vectors) = self._ask_any(_png(np.ascontiguousarray(rgb[top:bottom, left:right])))
        for at, face in enumerate(moved(one, (left, top)) for one in found):
            if is_wanted(face.box):
                self._last.found = [*self._last.found, face]
                self._last.vectors = np.concatenate([self._last.vectors, vectors[at : at + 1]])
                return face
        return None

    def embed(self, rgb: Pixels, landmarks: npt.ArrayLike) -> Embedded:
        """Vectors of the faces at ``landmarks`` [k, 5, 2], which :meth:`detect` or :meth:`detect_near` found in ``rgb``."""
        if getattr(self._last, "photo", None) is not rgb:
            self.detect(rgb)
        places = {detection.landmarks: i for i, detection in enumerate(self._last.found)}
        wanted = [tuple((float(x), float(y)) for x, y in five) for five in np.asarray(landmarks, np.float64).reshape(-1, 5, 2)]
        raw = self._last.vectors[[places[five] for five in wanted]].reshape(-1, self.dim)
        norms = np.linalg.norm(raw.astype(np.float64), axis=1)
        self._last.photo = None  # a photo is large
        return Embedded((raw / np.maximum(norms, 1e-12)[:, None]).astype(np.float32), norms.astype(np.float32))

    def _check(self) -> int:
        """Which services answer, and in the way that is expected. Raises PackUnavailable where none does."""
        if not self._services:
            raise PackUnavailable(
                f"immich-ml: no address. Set [embed] immich_ml, or {ENVIRONMENT}, e.g. http://192.168.1.5:3003 (several: with commas)"
            )
        grey = _png(np.full((64, 64, 3), 128, np.uint8))
        problems = []
        for service in self._services:
            try:
                service.ping()
                service.predict(grey, _entries(self._model, "detection", "recognition"), timeout=_FIRST_TIMEOUT)
            except ServerError as error:
                problems.append(str(error))
                self._failed(service, error)
        if len(problems) == len(self._services):
            raise PackUnavailable("immich-ml: " + "; ".join(problems))
        return 512  # of every model that Immich offers for this task; a vector of another length is refused

    def _ask_any(self, png: bytes) -> tuple[_Service, _Found]:
        """Ask the services until one answers. Raises Unreachable once each has had all its rests."""
        while True:
            service = self._next()
            begun = time.monotonic()
            try:
                answer = self._ask(service, png)
            except Unreachable as error:
                self._failed(service, error, begun)
                continue
            finally:
                with self._lock:
                    service.busy -= 1
            with self._lock:
                service.failures = 0
                took = time.monotonic() - begun
                service.seconds = took if service.seconds is None else 0.8 * service.seconds + 0.2 * took
            return service, answer

    def _next(self) -> _Service:
        """The service that will be through first; waits for one that rests where all do."""
        while True:
            with self._lock:
                now = time.monotonic()
                able = [service for service in self._services if not service.gone and service.failures <= len(self._rest)]
                if not able:
                    why = "; ".join(f"{service.url}: {service.problem}" for service in self._services)
                    raise Unreachable(f"no machine-learning service answers any more ({why}). What is done is kept; run again later")
                ready = [service for service in able if service.rests_until <= now]
                if ready:
                    best = min(ready, key=lambda service: (service.busy + 1) * (service.seconds or 0.0))
                    best.busy += 1
                    return best
                pause = min(service.rests_until for service in able) - now
            time.sleep(max(pause, 0.001))

    def _failed(self, service: _Service, error: ServerError, begun: float | None = None) -> None:
        with self._lock:
            if begun is not None and begun <= service.failed_at:
                return  # of the photos that were with it when it failed, the first has reported it
            service.failed_at = time.monotonic()
            service.failures += 1
            service.problem = str(error)
            pause = self._rest[min(service.failures, len(self._rest)) - 1]
            service.rests_until = time.monotonic() + pause
            first = service.failures == 1
        if first:
            self._note(f"{error}; its photos go to other services, and it is asked again in {pause:g} s")

    def _ask(self, service: _Service, png: bytes) -> _Found:
        faces = service.predict(png, _entries(self._model, "detection", "recognition"))
        if not faces:
            return [], np.zeros((0, self.dim), np.float32)
        alone = service.predict(png, _entries(self._model, "detection"))
        try:
            vectors = np.array([json.loads(face["embedding"]) for face in faces], np.float32)
            boxes = [tuple(float(face["boundingBox"][side]) for side in ("x1", "y1", "x2", "y2")) for face in faces]
            points = np.asarray(alone["landmarks"], np.float64).reshape(len(faces), 5, 2)
            detected = np.asarray(alone["boxes"], np.float64).reshape(len(faces), 4)
            found = [
                Detection((x1, y1, x2, y2), float(face["score"]), tuple((float(x), float(y)) for x, y in five))
                for face, (x1, y1, x2, y2), five in zip(faces, boxes, points, strict=True)
            ]
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise BadAnswer(f"{service.url} answers as no Immich machine-learning service does: {error!r}") from error
        if vectors.shape[1:] != (512,) or np.abs(detected - boxes).max() > 1 or not np.isfinite(vectors).all():
            raise BadAnswer(f"{service.url}: vectors {list(vectors.shape)}, or boxes that differ from one question to the next")
        return found, vectors

    def _compare(self, png: bytes) -> None:
        """The first photo with a face goes to every service: one that sees it unlike the first runs another model, and is left out."""
        seen: list[tuple[_Service, _Found]] = []
        for service in self._services:
            try:
                seen.append((service, self._ask(service, png)))
            except Unreachable as error:
                self._failed(service, error)
        for service, (others, theirs) in seen[1:]:
            found, vectors = seen[0][1]
            if len(others) != len(found) or _likeness(vectors, theirs) < _SAME:
                with self._lock:
                    service.gone, service.problem = True, "runs another model"
                self._note(f"{service.url} is left out: it sees other faces than {seen[0][0].url}, or gives them other vectors")


class _Service:
    """One address and how it has been doing."""

    def __init__(self, url: str, timeout: float) -> None:
        self.url = url
        self.busy = self.failures = 0
        self.seconds: float | None = None  # that a photo takes
        self.rests_until = self.failed_at = 0.0
        self.gone = False
        self.problem = ""
        self._connections = Connections(_CONNECTIONS, timeout)
        weakref.finalize(self, self._connections.close)

    def ping(self) -> None:
        """Raises Unreachable, or BadAnswer where something else answers."""
        status, data = self._ask("GET", "/ping")
        if status != HTTPStatus.OK or data != b"pong":
            raise BadAnswer(f"{self.url} is no Immich machine-learning service: /ping answers {status}")

    def predict(self, png: bytes, entries: dict[str, Any], *, timeout: float | None = None) -> Any:
        """The answer for the one task. Raises Unreachable where asking again may help, BadAnswer where it will not."""
        body, kind = encode_multipart_formdata([("entries", json.dumps(entries)), ("image", ("photo.png", png, "image/png"))])
        status, data = self._ask("POST", "/predict", body, kind, timeout=timeout)
        response = f"(status {status}): {data[:200].decode(errors='replace')}"
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in (408, 425, 429):
            raise Unreachable(f"{self.url} fails {response}")
        if status != HTTPStatus.OK:
            raise BadAnswer(f"{self.url} does not take what it is asked {response}")
        try:
            return json.loads(data)[_TASK]
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise BadAnswer(f"{self.url} answers as no Immich machine-learning service does") from error

    def _ask(
        self, method: str, path: str, body: bytes | None = None, kind: str = "", *, timeout: float | None = None
    ) -> tuple[int, bytes]:
        try:
            url = address(self.url + path)
            answer = self._connections.send(method, url, {"Content-Type": kind} if kind else {}, body, timeout=timeout)
            return answer.status, answer.read()
        except HTTPError as error:
            raise Unreachable(f"{self.url} does not answer: {describe(error)}") from error
        except ValueError as error:
            raise Unreachable(f"{self.url} is no address: {error}") from error


def immich_ml_pack(name: str, urls: Sequence[str] = (), *, note: Callable[[str], None] = lambda _: None) -> ImmichMl:
    """The pack ``immich-ml`` or ``immich-ml:MODEL``; the environment's addresses win over ``urls``. Raises PackUnavailable."""
    chosen = [url for url in os.environ.get(ENVIRONMENT, "").split(",") if url.strip()] or [*urls]
    return ImmichMl(chosen, model=name.partition(":")[2] or "buffalo_l", note=note)


def _entries(model: str, *types: str) -> dict[str, Any]:
    options = {"detection": {"options": {"minScore": _MIN_SCORE}}}
    return {_TASK: {kind: {"modelName": model, **options.get(kind, {})} for kind in types}}


def _png(rgb: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _likeness(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    """The smallest cosine between rows."""
    product = np.einsum("ij,ij->i", a.astype(np.float64), b)
    return float((product / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-12)).min(initial=1.0))
