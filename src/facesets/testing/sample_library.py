"""A small Immich library with what a real one has, made of the sample photos. No files, no network.

Seven people over fifteen years, one of them curated into a set already; groups, bursts, turned and HEIC photos, copies, an indexed
thumbnail, faces too small, none at all, broken files, a video, an archive, a partner's photos, and names that nobody should trust.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pillow_heif
from PIL import Image
from PIL.ExifTags import IFD, Base

from facesets import records
from facesets.testing import samples
from facesets.testing.immich import Asset, Box, Library, Person, User
from facesets.testing.samples import LOOKS, SITTERS, Look

Boxes = Mapping[str, records.Box]  # by sitter, in upright original pixels

CURATED = "charcoal"  # who has a set already, made of these looks; the library has photos of the others
CURATED_LOOKS = (3, 4, 5, 6, 7, 8)
#: As Immich's user has named them; nobody is named after whom a picture shows.
NAMES = {"auburn": "Auburn", "lace": "Lace", "charcoal": "Charcoal", "crimson": "Crimson & Co. <3", "astronaut": "Astronaut"}

_START = datetime.fromisoformat("2009-05-02T10:30:00+00:00")
# how a picture is turned to be stored under an EXIF orientation
_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}
_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
_TURNED = dict(zip(SITTERS, (6, 8, 1, 3, 5, 2, 6), strict=True))  # orientation of everybody's third photo
_SUFFIXES = {("astronaut", 3): ".heic", ("lace", 6): ".heic", ("charcoal", 1): ".png", ("slate", 8): ".webp"}

_GROUPS = (
    ("2013-12-24", "Game night <b>'13</b> \N{GAME DIE}.jpg", Look(scale=1.25, gamma=0.85, warmth=0.06)),
    ("2017-07-15", "../../etc/passwd.jpg", Look(scale=1.65, yaw=7, pitch=4, light=(0.5, 0.2), roll=3, quality=80)),
    ("2021-03-06", "IMG_0007.jpg", Look(scale=1.1, yaw=-7, pitch=-5, colour=0.4, smile=0.04, stretch=1.04)),
)
_TOO_SMALL = (
    ("2015-01-31", "from-afar.jpg", Look(scale=0.7)),
    ("2016-09-04", "from-farther.jpg", Look(scale=0.5, warmth=-0.1)),
)
_NO_FACE = ("chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")
_BURSTS = ("auburn", "crimson")  # who was taken twice within a second


@dataclass(frozen=True, slots=True)
class SampleLibrary:
    """The library, whose it is, and the set that was made before (file name -> bytes).

    ``people`` says by asset id who is on it; ``stumbles`` is the asset whose first download is to fail.
    """

    library: Library
    owner: User
    curated: dict[str, bytes]
    people: dict[str, tuple[str, ...]]
    stumbles: Asset


@dataclass(frozen=True, slots=True)
class _Photo:
    """A photo to be made: of one sitter, or of the group."""

    name: str
    taken_at: datetime
    look: Look
    sitter: str | None = None
    orientation: int = 1

    def make(self) -> tuple[bytes, Boxes]:
        shot = samples.portrait(self.sitter, self.look) if self.sitter else samples.group(self.look)
        data = encoded(shot.rgb, self.name, self.taken_at, quality=self.look.quality, orientation=self.orientation)
        return data, shot.boxes


def encoded(rgb: samples.Pixels, name: str, taken_at: datetime, *, quality: int = 88, orientation: int = 1) -> bytes:
    """Pixels as a file of the format that ``name`` ends in; with ``orientation`` they are stored turned, as cameras do."""
    image = Image.fromarray(rgb)
    if orientation in _STORED:
        image = image.transpose(_STORED[orientation])
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    exif[Base.Make], exif[Base.Model] = "Sample", "Pinhole"
    exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = f"{taken_at:%Y:%m:%d %H:%M:%S}"
    out, suffix = io.BytesIO(), "." + name.rsplit(".", 1)[-1].lower()
    if suffix == ".heic":
        pillow_heif.from_pillow(image).save(out, quality=quality, exif=exif.tobytes())
    else:
        image.save(out, _FORMATS[suffix], quality=quality, exif=exif)
    return out.getvalue()


def sample_library() -> SampleLibrary:
    """Make the library; the same bytes and ids every time. Raises PackUnavailable where the pictures' packages are missing."""
    library = Library(seed=2)
    owner, partner = library.user("Sam Sample"), library.user("Pat Partner")
    library.partner(partner, owner, in_timeline=True)
    people = {sitter: library.person(owner, NAMES.get(sitter, "")) for sitter in SITTERS}
    sitters = {person.id: sitter for sitter, person in people.items()}
    curated = [_portrait(CURATED, n) for n in CURATED_LOOKS]
    photos = [*_portraits(), *_bursts(), *_groups(_GROUPS), *_groups(_TOO_SMALL)]
    with ThreadPoolExecutor(2) as pool:
        files, made = list(pool.map(_Photo.make, curated)), list(pool.map(_Photo.make, photos))
    assets: dict[str, Asset] = {}
    for photo, (data, boxes) in zip(photos, made, strict=True):
        assets[photo.name] = _add(library, owner, photo, data, boxes, people)
    first, second = assets[photos[0].name], assets[photos[1].name]
    _add_copies(library, owner, first, second)
    _add_partner(library, partner, photos[2], *made[2])
    _add_others(library, owner, *made[3])
    _add_without_faces(library, owner)
    return SampleLibrary(
        library,
        owner,
        {f"{number:02d}.jpg": data for number, (data, _) in enumerate(files, 1)},
        {
            a.id: sitters_of
            for a in library.assets.values()
            if (sitters_of := tuple(sitters[f.person_id] for f in a.faces if f.person_id))
        },
        second,
    )


def _portraits() -> Iterator[_Photo]:
    for sitter in SITTERS:
        for n in range(len(LOOKS)):
            if sitter != CURATED or n not in CURATED_LOOKS:
                yield _portrait(sitter, n)


def _portrait(sitter: str, n: int) -> _Photo:
    taken = _START + timedelta(days=600 * n + 47 * list(SITTERS).index(sitter), hours=n)
    name = f"{sitter}-{taken:%Y%m%d}{_SUFFIXES.get((sitter, n), '.jpg')}"
    return _Photo(name, taken, LOOKS[n], sitter, _TURNED[sitter] if n == 2 else 1)


def _bursts() -> Iterator[_Photo]:
    for sitter in _BURSTS:
        first = _portrait(sitter, 0)
        look = replace(first.look, scale=first.look.scale * 0.97, quality=60)
        yield replace(first, name=first.name.replace(".jpg", "-2.jpg"), taken_at=first.taken_at + timedelta(seconds=1), look=look)


def _groups(groups: tuple[tuple[str, str, Look], ...]) -> Iterator[_Photo]:
    for day, name, look in groups:
        yield _Photo(name, datetime.fromisoformat(f"{day}T15:20:00+00:00"), look)


def _add(library: Library, owner: User, photo: _Photo, data: bytes, boxes: Boxes, people: dict[str, Person] | None = None) -> Asset:
    faces = [Box(*box, person=people[sitter] if people else None) for sitter, box in boxes.items()]
    return library.photo(owner, data, file_name=photo.name, taken_at=photo.taken_at, faces=faces)


def _add_copies(library: Library, owner: User, first: Asset, second: Asset) -> None:
    """The same bytes again: once with a checksum that says so, once in an external library, where only the download tells."""
    same = _faces(library, first)
    library.photo(owner, first.data, file_name=f"copy-of-{first.file_name}", taken_at=first.file_created_at, faces=same)
    disk = library.external(owner, "Old disk", import_paths=("/mnt/disk",))
    same = _faces(library, second)
    library.photo(owner, second.data, file_name=second.file_name, taken_at=second.file_created_at, faces=same, library=disk)
    preview = f"/mnt/disk/immich/thumbs/{owner.id}/{second.id[:2]}/{second.id[2:4]}/{second.id}-preview.jpeg"
    library.photo(owner, second.data, file_name=f"{second.id}-preview.jpeg", faces=same, library=disk, original_path=preview)


def _add_partner(library: Library, partner: User, photo: _Photo, data: bytes, boxes: Boxes) -> None:
    """Another owner's photos, which a partner's timeline mixes into the search."""
    for n in range(3):
        _add(library, partner, replace(photo, name=f"pat-{n}.jpg", taken_at=photo.taken_at + timedelta(days=n)), data, boxes)


def _add_others(library: Library, owner: User, data: bytes, boxes: Boxes) -> None:
    """What cannot be read, what is no photo, and what its owner has put away."""
    faces = [Box(*box) for box in boxes.values()]
    library.photo(owner, data[: len(data) // 2], file_name="cut-short.jpg", taken_at="2012-02-02", faces=faces)
    library.photo(owner, b"", file_name="empty.jpg", taken_at="2012-02-03", faces=[replace(faces[0], frame=(400, 400))])
    library.photo(owner, b"\0\0\0 ftypisom" + bytes(2000), file_name="clip.mp4", taken_at="2014-04-04", duration_ms=2000)
    library.photo(owner, data + b"\n", file_name="put-away.jpg", taken_at="2014-05-05", faces=faces, visibility="archive")


def _add_without_faces(library: Library, owner: User) -> None:
    for number, name in enumerate(_NO_FACE):
        taken = datetime.fromisoformat(f"20{10 + 2 * number}-06-01T08:00:00+00:00")
        rgb = samples.picture(f"skimage/data/{name}")
        data = encoded(rgb, "photo.jpg", taken)
        # a cat that Immich takes for a person: our detector has its own opinion
        faces = [Box(120, 40, 320, 240)] if name == "chelsea.png" else []
        library.photo(owner, data, file_name=f"{name.split('.')[0]}.jpg", taken_at=taken, faces=faces)


def _faces(library: Library, asset: Asset) -> list[Box]:
    """The faces of a photo, for a copy of it."""
    return [
        Box(f.x1, f.y1, f.x2, f.y2, library.people[f.person_id] if f.person_id else None, (f.image_width, f.image_height))
        for f in asset.faces
    ]
