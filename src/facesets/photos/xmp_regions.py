"""Who stands where in a photo, as digiKam, Lightroom, Picasa and others write it into XMP: in the file, or in a sidecar beside it.

Reads the sidecars of the photo it is given, writes nothing, and decodes no pixel. XMP comes from anywhere: it is parsed in a decoder's
process (:meth:`facesets.photos.DecoderPool.regions`), what is read of it is bounded, no document is built of it, and one that declares
entities is refused (by the rules of XMP none may).

    MWG        Metadata Working Group, "Guidelines for Handling Image Metadata" 2.0, section 5.9: centre and size
    Microsoft  People Tagging, https://learn.microsoft.com/windows/win32/wic/-wic-people-tagging: top left and size

Both give shares of the photo as it is stored, before its EXIF orientation is applied. Not every program keeps to that, so the size that
regions were drawn on comes along (:func:`upright_regions`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from struct import unpack_from
from typing import Final
from xml.parsers import expat

from facesets.photos.decode import opened

MAX_BYTES: Final = 8 << 20  # of a packet; face regions take a few hundred bytes each
_MAX_ELEMENTS: Final = 200_000
_MAX_DEPTH: Final = 64
_MAX_REGIONS: Final = 500  # of one packet: a school's photo has some
_MAX_TEXT: Final = 1000  # characters of a field: more is no name

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_MWG = "http://www.metadataworkinggroup.com/schemas/regions/"
_DIM = "http://ns.adobe.com/xap/1.0/sType/Dimensions#"
_AREA = "http://ns.adobe.com/xmp/sType/Area#"
_MP = "http://ns.microsoft.com/photo/1.2/t/RegionInfo#"
_MP_REGION = "http://ns.microsoft.com/photo/1.2/t/Region#"
_ITEM, _LISTS = f"{_RDF} li", (f"{_MWG} RegionList", f"{_MP} Regions")
_DIMENSIONS, _EXTENSIONS = f"{_MWG} AppliedToDimensions", f"{_MWG} Extensions"
_NAMES = (f"{_MWG} Name", f"{_MP_REGION} PersonDisplayName")
_TYPE, _UNIT, _RECTANGLE = f"{_MWG} Type", f"{_AREA} unit", f"{_MP_REGION} Rectangle"
_KEYS = frozenset(
    (*_NAMES, _TYPE, _UNIT, _RECTANGLE, *(f"{_AREA} {key}" for key in "xywh"), *(f"{_DIM} {key}" for key in ("w", "h", "unit")))
)
_NUMBER = re.compile(r"\s*([+-]?[0-9]{0,9}(?:[.,][0-9]{0,20})?(?:[eE][+-]?[0-9]{1,2})?)\s*")
_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_EXTENDED = re.compile(rb"""HasExtendedXMP(?:\s*=\s*["']|\s*>\s*)([0-9A-Fa-f]{32})""")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_LYING = 5  # EXIF orientation from which on rows are stored as columns
_SAME = 0.5  # overlap of two regions that are one face
_ASPECT = 0.02  # by how much a ratio of sides may be off


@dataclass(frozen=True, slots=True)
class NamedRegion:
    """A face with a name: left, top, right and bottom as shares of the photo, 0 to 1."""

    name: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Regions:
    """What one packet says: named faces, in its own frame, and the width and height that this frame has (None: not said)."""

    faces: tuple[NamedRegion, ...] = ()
    size: tuple[float, float] | None = None


class _Refused(Exception):
    pass


@dataclass
class _Parser:
    """Collects fields of the regions' items, as attributes and as text, whichever way a program writes them."""

    path: list[str] = field(default_factory=list)
    items: list[dict[str, str]] = field(default_factory=list)
    size: dict[str, str] = field(default_factory=dict)
    elements: int = 0
    inside: int | None = None  # depth of the item that is open
    text: list[str] = field(default_factory=list)

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self.elements += 1
        if self.elements > _MAX_ELEMENTS or len(self.path) >= _MAX_DEPTH:
            raise _Refused
        self.path.append(name)
        self.text = []
        if self.inside is None and name == _ITEM and len(self.path) > 2 and self.path[-3] in _LISTS:
            if len(self.items) >= _MAX_REGIONS:
                raise _Refused
            self.items.append({})
            self.inside = len(self.path)
        for key, value in attributes.items():
            self._keep(key, value)

    def end(self, name: str) -> None:
        self._keep(name, "".join(self.text))
        self.text = []
        if self.inside == len(self.path):
            self.inside = None
        self.path.pop()

    def characters(self, data: str) -> None:
        if self.path and self.path[-1] in _KEYS and sum(map(len, self.text)) <= _MAX_TEXT:
            self.text.append(data)

    def refuse(self, *_: object) -> None:
        raise _Refused

    def _keep(self, key: str, value: str) -> None:
        if key not in _KEYS or len(value) > _MAX_TEXT or _EXTENSIONS in self.path:
            return
        if self.inside is not None:
            self.items[-1].setdefault(key, value)
        elif _DIMENSIONS in self.path:
            self.size.setdefault(key, value)


def regions_in(packet: bytes) -> Regions:
    """The named faces of an XMP packet; of one that is damaged, hostile or too long nothing is known."""
    if len(packet) > MAX_BYTES:
        return Regions()
    wide = packet.startswith(_UTF_16)
    data = (packet.decode("utf-16", "replace").encode("utf-8", "replace") if wide else packet).strip(b"\0 \r\n\t")
    collected, parser = _Parser(), expat.ParserCreate("utf-8" if wide else None, " ")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = collected.start, collected.end
    parser.CharacterDataHandler = collected.characters
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = collected.refuse
    parser.ExternalEntityRefHandler = collected.refuse  # type: ignore[assignment] # it raises, so that nothing is answered
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, _Refused, ValueError, LookupError):  # the last two: encodings that are none
        return Regions()
    width, height = (_number(collected.size.get(f"{_DIM} {key}", "")) for key in "wh")
    size = (width, height) if width and height and width > 0 and height > 0 else None
    faces = dict.fromkeys(found for item in collected.items if (found := _face(item, size)) is not None)
    return Regions(tuple(faces), size)


def sidecars(photo: Path) -> list[bytes]:
    """The bytes of a photo's sidecars, ``IMG.jpg.xmp`` before ``IMG.xmp``. Raises OSError where one that is there cannot be read."""
    names = [photo.with_name(photo.name + suffix) for suffix in (".xmp", ".XMP")]
    names += [photo.with_suffix(suffix) for suffix in (".xmp", ".XMP")]
    return [data for data in dict.fromkeys(map(_sidecar, names)) if data]


def regions_of_photo(photo: bytes) -> Regions:
    """The named faces of the packet within a photo, or of what a JPEG holds beyond it (XMP part 3, 1.1.3.1: extended XMP): writers move
    there what makes a packet longer than 64 kB. Nothing is known where there is none, or a broken header hides it.
    """
    try:
        with opened(photo) as image:
            xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
            segments = [data for _, data in getattr(image, "applist", ())]
    except Exception:  # noqa: BLE001 - broken bytes raise anything; what cannot be read names nobody
        return Regions()
    packet = xmp.encode("utf-8", "replace") if isinstance(xmp, str) else xmp if isinstance(xmp, bytes) else b""
    found = regions_in(packet)
    return found if found.faces else regions_in(_extension(packet, segments))


def _extension(packet: bytes, segments: Sequence[bytes]) -> bytes:
    """The extended XMP that a packet names, put together; empty where it names none, or not all of it is there."""
    named = _EXTENDED.search(packet)
    if named is None:
        return b""
    head, parts = _EXTENSION + named[1], {}
    for segment in segments:
        if segment.startswith(head) and len(segment) > len(head) + 8:
            _, start = unpack_from(">II", segment, len(head))
            parts[start] = segment[len(head) + 8 :]
    whole = bytearray()
    for start, part in sorted(parts.items()):
        if start != len(whole):
            return b""
        whole += part
    return bytes(whole)


def upright_regions(packets: Sequence[Regions], turn: int, width: int, height: int) -> list[list[NamedRegion]]:
    """The faces of all packets in the photo as it is shown, ``width x height`` with EXIF orientation ``turn``; the likelier reading
    first. One place has one name, that of the first packet.

    Where the size that faces were drawn on is that of the stored photo, or of the shown one, there is one reading; where it is neither
    there is none, since the photo was cropped or turned; where it does not tell, the standard's, and then the one of programs that draw
    on what is shown.
    """
    found = [each for packet in packets if (each := _upright(packet, turn, width, height))]
    most = max(map(len, found), default=0)
    return [_once([face for each in found for face in each[min(n, len(each) - 1)]]) for n in range(most)]


def _upright(regions: Regions, turn: int, width: int, height: int) -> Sequence[tuple[NamedRegion, ...]]:
    stored = tuple(_turned(face, turn) for face in regions.faces)
    either = (regions.faces,) if turn == 1 else (stored, regions.faces)
    if regions.size is None:
        return either
    ratio, shown = regions.size[0] / regions.size[1], width / height
    as_stored, as_shown = _alike(ratio, 1 / shown if turn >= _LYING else shown), _alike(ratio, shown)
    if as_stored and as_shown:
        return either
    return (stored,) if as_stored else (regions.faces,) if as_shown else ()


def _once(faces: Sequence[NamedRegion]) -> list[NamedRegion]:
    kept: list[NamedRegion] = []
    for face in faces:
        if not any(_overlap(face, other) >= _SAME for other in kept):
            kept.append(face)
    return kept


def _overlap(a: NamedRegion, b: NamedRegion) -> float:
    """Intersection over union."""
    wide, high = min(a.right, b.right) - max(a.left, b.left), min(a.bottom, b.bottom) - max(a.top, b.top)
    if wide <= 0 or high <= 0:
        return 0.0
    return wide * high / ((a.right - a.left) * (a.bottom - a.top) + (b.right - b.left) * (b.bottom - b.top) - wide * high)


def _turned(face: NamedRegion, turn: int) -> NamedRegion:
    """A face of the stored photo in the one that is shown."""
    left, top, right, bottom = face.left, face.top, face.right, face.bottom
    if turn >= _LYING:
        left, top, right, bottom = top, left, bottom, right
    if turn in (2, 3, 6, 7):
        left, right = 1 - right, 1 - left
    if turn in (3, 4, 7, 8):
        top, bottom = 1 - bottom, 1 - top
    return replace(face, left=left, top=top, right=right, bottom=bottom)


def _alike(a: float, b: float) -> bool:
    return abs(a - b) <= _ASPECT * b


def _face(item: Mapping[str, str], size: tuple[float, float] | None) -> NamedRegion | None:
    name = next((text for key in _NAMES if (text := _name(item.get(key, "")))), "")
    if not name or item.get(_TYPE, "Face").strip().casefold() != "face":
        return None
    if (rectangle := item.get(_RECTANGLE)) is not None:
        x, y, w, h = (*map(_number, rectangle.split(",")), None, None, None, None)[:4]
    else:
        x, y, w, h = (_number(item.get(f"{_AREA} {key}", "")) for key in "xywh")
    if x is None or y is None or w is None or h is None or w <= 0 or h <= 0:
        return None
    if rectangle is None:
        x, y = x - w / 2, y - h / 2
        if item.get(_UNIT, "normalized").strip().casefold() == "pixel":
            if size is None:
                return None
            x, y, w, h = x / size[0], y / size[1], w / size[0], h / size[1]
    box = tuple(round(min(max(side, 0.0), 1.0), 6) for side in (x, y, x + w, y + h))
    return NamedRegion(name, *box) if box[2] > box[0] and box[3] > box[1] else None


def _name(text: str) -> str:
    """A name as people are called: one line, in Unicode's normal form; "" for what is none."""
    kept = " ".join(unicodedata.normalize("NFC", text).split())
    return "" if any(unicodedata.category(char) in ("Cc", "Cs") for char in kept) else kept


def _number(text: str) -> float | None:
    found = _NUMBER.fullmatch(text)
    try:
        return float(found[1].replace(",", ".")) if found else None
    except ValueError:
        return None


def _sidecar(path: Path) -> bytes:
    """A sidecar's bytes; empty where there is none, or what is there is no file of a sidecar's size."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_BYTES:
            return b""
        return path.read_bytes()
    except FileNotFoundError:
        return b""
