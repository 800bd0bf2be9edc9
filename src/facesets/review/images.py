"""Pictures of faces and their photos: asked for by a face's id alone, made on demand and ahead.

Bytes of photos and crops are decoded in processes of their own. A face's id stands for its photo's bytes and its place there, so its
picture, once made, is right for ever: it is kept in the workspace's ``thumbnails``. Photos are made each time they are looked at.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps

from facesets.errors import FacesetsError, UnreadableImage
from facesets.faces import crop_file
from facesets.photos import DecoderPool
from facesets.records import Face
from facesets.registry import Registry, face_lists, gallery
from facesets.report import cut_face, shrink_for, webp, write_picture
from facesets.review.options import Options
from facesets.review.previews import Previews
from facesets.review.threads import RegistryThreads
from facesets.workspace import Workspace

FOLDER: Final = "thumbnails"
#: Name in the address -> pixels a side.
SIZES: Final = {"small": 112, "medium": 256, "large": 480}
_PHOTO: Final = 1600  # pixels of a photo's longer side, at most
_ROOM: Final = 0.8  # around a box, as a share of its longer side, where no landmarks are known
_WORKERS: Final = max(2, min(4, cpu_count() or 1))
_AHEAD: Final = 4000  # faces whose pictures wait to be made ahead, at most


@dataclass(frozen=True, slots=True)
class Picture:
    """Where the pixels of a face may come from: a crop's file, its photo with the face's place in it, its source's preview."""

    key: str
    set_name: str | None  # of the folder that has its crop
    crop: Path | None
    photo: Path | None
    face: Face | None
    width: int | None  # of the photo, in oriented pixels
    label: str | None
    asset_id: str | None


def picture_of(workspace: Workspace, registry: Registry, key: str) -> Picture | None:
    """What is known of a face's pixels; None where no face has this id."""
    found = gallery.picture(registry, key)
    if found is None:
        return None
    crops = [workspace.facesets / found.set_name / found.file] if found.set_name and found.file else []
    if found.face is not None:
        crops.append(crop_file(workspace, found.face.face_id))
    crop = next((path for path in crops if path.is_file()), None)
    around = face_lists.photo(registry, key)
    file = workspace.root / around.path if around and around.path else None
    asset = (around.label, around.asset_id) if around and around.source == "immich" else (None, None)
    here = file if file and file.is_file() else None
    return Picture(found.key, found.set_name, crop, here, found.face, around.width if around else None, *asset)


class Images:
    """Makes and keeps pictures."""

    def __init__(self, workspace: Workspace, threads: RegistryThreads, options: Options) -> None:
        self._workspace, self._threads, self._options = workspace, threads, options
        self._folder = workspace.root / FOLDER / ("blurred" if options.blur else "faces")
        self._decoders, self._previews = DecoderPool(), Previews(workspace)
        self._now = ThreadPoolExecutor(_WORKERS, "images")
        self._elsewhere = ThreadPoolExecutor(_WORKERS, "images-elsewhere")
        self._ahead = ThreadPoolExecutor(1, "images-ahead")
        self._wanted = deque[str](maxlen=_AHEAD)
        self._closed = threading.Event()

    async def get(self, key: str, size: str) -> bytes | None:
        """A face's picture in one of :data:`SIZES`, as WebP; None where its pixels are not to be had."""
        kept = await self._threads.read(lambda registry: self._kept(registry, key, size))
        if not isinstance(kept, Picture):
            return kept
        return await asyncio.get_running_loop().run_in_executor(self._pool(kept.crop or kept.photo), self._make, kept, size)

    async def photo(self, key: str) -> bytes | None:
        """The photo around a face as WebP; None where it is neither here nor to be had from Immich."""
        picture = await self._threads.read(lambda registry: picture_of(self._workspace, registry, key))
        if picture is None:
            return None
        return await asyncio.get_running_loop().run_in_executor(self._pool(picture.photo), self._around, picture)

    def _pool(self, here: Path | None) -> ThreadPoolExecutor:
        """What is here waits for nothing that Immich is asked for."""
        return self._now if here else self._elsewhere

    def prepare(self, keys: Iterable[str]) -> None:
        """Make pictures of these faces before a browser asks for them, of what is here; those that are named last come first.

        The ids must be the registry's own.
        """
        self._wanted.extendleft(reversed([*keys]))
        self._ahead.submit(self._prepare)

    def close(self) -> None:
        """End the decoder processes; what is under way is finished, what was only meant for later is left."""
        self._closed.set()
        for pool in (self._ahead, self._now, self._elsewhere):
            pool.shutdown(cancel_futures=True)
        self._decoders.close()
        self._previews.close()

    def _prepare(self) -> None:
        while self._wanted and not self._closed.is_set():
            key = self._wanted.popleft()
            if self._file(key, "medium").is_file():
                continue
            with suppress(FacesetsError, OSError):  # whoever asks for it is told
                picture = self._threads.submit(lambda registry, key=key: picture_of(self._workspace, registry, key)).result()  # type: ignore[misc]
                if picture is not None and (picture.crop or picture.photo):
                    self._make(picture, "medium")

    def _kept(self, registry: Registry, key: str, size: str) -> bytes | Picture | None:
        """The picture where it was made already, else what it can be made of; None where no face has this id."""
        if (found := gallery.picture(registry, key)) is None:
            return None
        with suppress(FileNotFoundError):
            if data := self._file(found.key, size).read_bytes():  # one that a power cut left empty is made again
                return data
        return picture_of(self._workspace, registry, key)

    def _file(self, key: str, size: str) -> Path:
        return self._folder / key[:2] / f"{key}-{size}.webp"

    def _make(self, picture: Picture, size: str) -> bytes | None:
        """All sizes at once: reading the pixels is the work."""
        image = self._pixels(picture)
        if image is None:
            return None
        self._file(picture.key, size).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = {}
        for name, side in SIZES.items():
            square = ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS, centering=(0.5, 0.2))
            made[name] = webp(square, blur=self._blurs(picture))
            write_picture(self._file(picture.key, name), made[name])
        return made[size]

    def _pixels(self, picture: Picture) -> Image.Image | None:
        if picture.crop is not None:
            with suppress(UnreadableImage, OSError):
                return Image.fromarray(self._decoders(picture.crop).rgb)
        face = picture.face
        if face is None:
            return None
        if picture.photo is not None and face.landmarks:
            cut = cut_face(picture.photo, self._decoders, face, self._workspace.settings.export.margin)
            if cut is not None:
                return cut
        whole = self._whole(picture, 1)
        if whole is None:
            return None
        scale = whole.width / (picture.width or whole.width)
        x1, y1, x2, y2 = (edge * scale for edge in face.box)
        side = max(x2 - x1, y2 - y1) * (1 + _ROOM) / 2
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        return whole.crop((round(x - side), round(y - side), round(x + side), round(y + side)))

    def _blurs(self, picture: Picture) -> bool:
        return self._options.blur and picture.set_name not in self._options.unblurred

    def _around(self, picture: Picture) -> bytes | None:
        whole = self._whole(picture, shrink_for((picture.width or 0) / _PHOTO))
        if whole is None:
            return None
        whole.thumbnail((_PHOTO, _PHOTO), Image.Resampling.LANCZOS)
        return webp(whole, blur=self._blurs(picture))

    def _whole(self, picture: Picture, shrink: int) -> Image.Image | None:
        """The photo itself: the original where it is here, else its source's preview."""
        with suppress(UnreadableImage, OSError):
            if picture.photo is not None:
                return Image.fromarray(self._decoders(picture.photo, shrink=shrink).rgb)
        with suppress(FacesetsError):
            if picture.label and picture.asset_id:
                return Image.fromarray(self._decoders(self._previews.get(picture.label, picture.asset_id)).rgb)
        return None
