"""A library of any size for the testing server, never held in memory: every photo, face and file follows from a seed and its number.

A listing of a million assets costs what its pages cost. Files are one small JPEG, filled up to the wanted size, with the number in
their last bytes: all different, all decodable, and their SHA-1 is known without making them.
"""

from __future__ import annotations

import functools
import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import overload

from PIL import Image

from facesets.testing.immich import pictures
from facesets.testing.immich.ids import EPOCH, digest, make_thumbhash
from facesets.testing.immich.library import Library
from facesets.testing.immich.records import Asset, Exif, Face, Person, User

_BITS = 48
_ODD = 0x9E3779B97F4B  # odd, so multiplying by it permutes the 48-bit numbers
_MASK = (1 << _BITS) - 1
_TAIL = 16


@functools.lru_cache(maxsize=64)
def _front(seed: int, block: int) -> str:
    """The front of an id: the same for 256 neighbours, whom the end tells apart."""
    h = digest(seed, block, "asset").hex()
    return f"{h[:8]}-{h[8:12]}-4{h[12:15]}-9{h[15:18]}"


class SyntheticLibrary(Library):
    """``count`` photos of one user, ``owner``, made when they are asked for.

    ``per_instant`` photos share each moment (bursts; this is what 2.7.2's paging loses rows of), moments are ``step`` seconds apart.
    Every ``faceless`` -th photo has no face, others one to four of ``people`` people; boxes are ``face_short`` pixels wide and more.
    Every ``twins`` -th photo has the bytes of the one before. ``file_size``: bytes of each original, no less than the JPEG itself.
    """

    def __init__(
        self,
        count: int = 1_000_000,
        seed: int = 0,
        *,
        width: int = 1600,
        height: int = 1200,
        people: int = 200,
        per_instant: int = 4,
        step: float = 240,
        faceless: int = 2,
        twins: int = 50,
        face_short: tuple[int, int] = (40, 400),
        file_size: int = 0,
    ) -> None:
        super().__init__(seed)
        self.count, self.width, self.height = count, width, height
        self.per_instant, self.step, self.faceless, self.twins, self.face_short = per_instant, step, faceless, twins, face_short
        self.owner: User = self.user("owner")
        self._crowd: list[Person] = [self.person(self.owner, f"Person {n:04d}") for n in range(people)]
        out = io.BytesIO()
        Image.new("RGB", (width, height), (120, 130, 140)).save(out, "JPEG", quality=20)
        base = out.getvalue()
        self._body = base + bytes(max(0, file_size - len(base) - _TAIL))
        self._sha1 = hashlib.sha1(self._body, usedforsecurity=False)
        self._frame = pictures.fit_short(width, height, pictures.PREVIEW_SHORT)

    def number_of(self, asset_id: str) -> int | None:
        """The number of an asset by its id; None where it is not of this library."""
        tail = int(asset_id[-12:], 16) if len(asset_id) == 36 else -1
        number = (tail ^ self._mix) * pow(_ODD, -1, 1 << _BITS) & _MASK
        return number if 0 <= number < self.count and self._id(number) == asset_id else None

    @functools.cached_property
    def _mix(self) -> int:
        return int.from_bytes(digest(self.seed, "ids")[:6], "big")

    def _id(self, number: int) -> str:
        return f"{_front(self.seed, number >> 8)}-{(number * _ODD & _MASK) ^ self._mix:012x}"

    def _tail(self, number: int) -> bytes:
        twin = number - 1 if self.twins and number and number % self.twins == 0 else number
        return digest(self.seed, "file", twin)[:_TAIL]

    def taken(self, number: int) -> datetime:
        """When photo ``number`` was taken: later numbers are never earlier."""
        return EPOCH + timedelta(seconds=number // self.per_instant * self.step)

    def at(self, number: int) -> Asset:
        """Photo ``number``, made anew."""
        asset_id, taken, tail = self._id(number), self.taken(number), self._tail(number)
        sha1 = self._sha1.copy()
        sha1.update(tail)
        return Asset(
            id=asset_id,
            owner_id=self.owner.id,
            file_name=f"IMG_{number:07d}.jpg",
            original_path=f"/data/upload/{self.owner.id}/{asset_id[:2]}/{asset_id}.jpg",
            data=lambda: self._body + tail,
            size=len(self._body) + _TAIL,
            sha1=sha1.digest(),
            exif=Exif(self.width, self.height, "1", taken, taken),
            file_created_at=taken,
            file_modified_at=taken,
            local_time=taken,
            created_at=taken,
            updated_at=taken,
            thumbhash=make_thumbhash(self.seed, tail),
            faces=self._faces(number),
            device_asset_id=f"IMG_{number:07d}.jpg",
        )

    def _draws(self, number: int) -> list[tuple[int, int, int, int]]:
        """Person, left, top and side of each face, in the original's pixels."""
        if self.faceless and number % self.faceless == self.faceless - 1:
            return []
        draw = digest(self.seed, "faces", number)
        low, high = self.face_short
        drawn = []
        for k in range(1 + draw[0] % 4):
            who, a, b, c = (int.from_bytes(draw[1 + k * 7 + n : 3 + k * 7 + n], "big") for n in (0, 1, 3, 5))
            side = low + a % max(1, high - low)
            drawn.append((who % len(self._crowd), b % max(1, self.width - side), c % max(1, self.height - side), side))
        return drawn

    def _faces(self, number: int) -> list[Face]:
        scale = self._frame[0] / self.width
        faces = []
        for k, (who, x, y, side) in enumerate(self._draws(number) if self._crowd else []):
            box = [round(v * scale) for v in (x, y, x + side, y + side)]
            face_id = f"{k:08x}-face-4ace-8ace-{number:012x}"
            faces.append(Face(face_id, box[0], box[1], box[2], box[3], *self._frame, person_id=self._crowd[who].id))
        return faces

    # what the routes ask

    def asset(self, asset_id: str) -> Asset | None:
        """By id."""
        number = self.number_of(asset_id)
        return None if number is None else self.at(number)

    def owned_by(self, owner_ids: frozenset[str]) -> Iterable[Asset]:
        """All of them, one after the other."""
        return map(self.at, range(self.count)) if self.owner.id in owner_ids else iter(())

    def rows(
        self, owner_ids: frozenset[str], taken: tuple[datetime | None, datetime | None] = (None, None), *, descending: bool = True
    ) -> Sequence[Asset]:
        """A view of the photos taken in a range of time, in order of time; nothing is made before it is looked at."""
        first, last = 0, self.count if self.owner.id in owner_ids else 0
        if taken[0]:
            first = max(first, self._first_at(taken[0]))
        if taken[1]:
            last = min(last, self._first_at(taken[1] + timedelta(microseconds=1)))
        numbers = range(first, max(first, last))
        return _View(self, numbers[::-1] if descending else numbers)

    def _first_at(self, moment: datetime) -> int:
        """The first number that was not taken before ``moment``."""
        moments = -((EPOCH - moment) // timedelta(seconds=self.step))  # rounded up
        return min(max(moments * self.per_instant, 0), self.count)

    def usage(self, user_id: str) -> int:
        """Bytes of a user's originals."""
        return self.count * (len(self._body) + _TAIL) if user_id == self.owner.id else 0

    @functools.cached_property
    def _face_counts(self) -> dict[str, int]:
        counts = [0] * len(self._crowd)
        for number in range(self.count):
            for who, *_ in self._draws(number):
                counts[who] += 1
        return {p.id: n for p, n in zip(self._crowd, counts, strict=True) if n}

    def face_counts(self, user_id: str) -> dict[str, int]:
        """How many faces each person has: counted once, over all photos."""
        return self._face_counts if user_id == self.owner.id else {}


class _View(Sequence[Asset]):
    """Photos of a library by number."""

    def __init__(self, library: SyntheticLibrary, numbers: range) -> None:
        self._library, self._numbers = library, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Asset]:
        return map(self._library.at, self._numbers)

    @overload
    def __getitem__(self, index: int) -> Asset: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Asset]: ...

    def __getitem__(self, index: int | slice) -> Asset | Sequence[Asset]:
        if isinstance(index, slice):
            return _View(self._library, self._numbers[index])
        return self._library.at(self._numbers[index])
