"""Where PNG and AVIF state their colours as code points (ITU-T H.273), which Pillow does not tell. Pure: bytes in, numbers out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

_READ_CODES: Final = 4  # bytes: primaries and transfer, two each
_MOST_BOXES: Final = 4096
_ANCILLARY: Final = 0x20  # bit of a PNG chunk's first letter
_SAMPLE_ENTRY: Final = 78  # bytes of a visual sample entry before its boxes


def nclx_of_avif(data: bytes) -> tuple[int, int] | None:
    """Primaries and transfer that an AVIF states for its primary picture (ISO 23008-12); None where it states none."""
    try:
        file = [*_boxes(memoryview(data))]
        if file[0][0] == b"ftyp" and bytes(file[0][1][:4]) == b"avis":  # a sequence; decoders show its first frame
            return next(codes for kind, body in file if kind == b"moov" for codes in map(_codes, _entry_of_pictures(body)) if codes)
        meta = next(body for kind, body in file if kind == b"meta")[4:]
        parts = dict(reversed([*_boxes(meta)]))  # of several the first
        primary = _primary(parts[b"pitm"])
        properties = dict(reversed([*_boxes(parts[b"iprp"])]))
        held = [*_boxes(properties[b"ipco"])]
        for index in _associated(properties[b"ipma"], primary):
            if index and (codes := _codes(held[index - 1])):
                return codes
    except (StopIteration, KeyError, IndexError):
        return None
    return None


def cicp_of_png(data: bytes) -> tuple[int, int] | None:
    """Primaries and transfer of a PNG's cICP chunk, which stands before its pixels; None where there is none."""
    at = 8
    for _ in range(_MOST_BOXES):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind in (b"IDAT", b"IEND", b""):
            return None
        if kind == b"cICP" and size == 4:  # primaries, transfer, matrix (0: RGB), full range
            return data[at + 8], data[at + 9]
        at += 12 + size
    return None


def with_chunks(data: bytes, kinds: Collection[bytes]) -> bytes:
    """A PNG with what its pixels need (transparency and orientation among it), and of all else only chunks of these ``kinds``."""
    kept, at = [data[:8]], 8
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if not kind[0] & _ANCILLARY or kind in (b"tRNS", b"eXIf") or kind in kinds:
            kept.append(data[at : at + 12 + size])
        at += 12 + size
    return b"".join(kept)


def _codes(box: tuple[bytes, memoryview]) -> tuple[int, int] | None:
    kind, body = box
    if kind != b"colr" or bytes(body[:4]) != b"nclx" or len(body) < 4 + _READ_CODES:
        return None
    return int.from_bytes(body[4:6], "big"), int.from_bytes(body[6:8], "big")


def _entry_of_pictures(moov: memoryview) -> list[tuple[bytes, memoryview]]:
    """The boxes of the first track of pictures, as its samples are described (ISO 14496-12)."""
    for media in (dict(_boxes(body)).get(b"mdia") for kind, body in _boxes(moov) if kind == b"trak"):
        parts = dict(_boxes(media or memoryview(b"")))
        if bytes(parts[b"hdlr"][8:12]) != b"pict":  # as masks of transparency are not
            continue
        table = dict(_boxes(dict(_boxes(parts[b"minf"]))[b"stbl"]))[b"stsd"]
        return _boxes(_boxes(table[8:])[0][1][_SAMPLE_ENTRY:])
    return []


def _primary(pitm: memoryview) -> int:
    return int.from_bytes(pitm[4:6] if pitm[0] == 0 else pitm[4:8], "big")


def _associated(ipma: memoryview, item: int) -> list[int]:
    """The numbers, from 1, of the properties of ``item``."""
    wide, large = ipma[0] > 0, bool(ipma[3] & 1)
    at = 8
    for _ in range(min(int.from_bytes(ipma[4:8], "big"), _MOST_BOXES)):
        of = int.from_bytes(ipma[at : at + (4 if wide else 2)], "big")
        at += 4 if wide else 2
        count, at = ipma[at], at + 1
        size = 2 if large else 1
        mask = 0x7FFF if large else 0x7F
        if of == item:
            return [int.from_bytes(ipma[at + i * size : at + (i + 1) * size], "big") & mask for i in range(count)]
        at += count * size
    return []


def _boxes(data: memoryview) -> list[tuple[bytes, memoryview]]:
    """The boxes that stand one after the other in ``data``: kinds and contents."""
    found, at = list[tuple[bytes, memoryview]](), 0
    while at + 8 <= len(data) and len(found) < _MOST_BOXES:
        size, head = int.from_bytes(data[at : at + 4], "big"), 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        elif size == 0:
            size = len(data) - at
        if size < head:
            break
        found.append((bytes(data[at + 4 : at + 8]), data[at + head : at + size]))
        at += size
    return found
