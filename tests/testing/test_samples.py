"""The sample photos: enough of everybody, boxes where the faces are, everything a real library has, the same every time."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageOps

from facesets.errors import PackUnavailable
from facesets.faces.describe import PhotoFaces
from facesets.faces.embed import find_faces
from facesets.identity.gates import exposures
from facesets.models.load import load_pack
from facesets.photos.decode import decode
from facesets.records import Box
from facesets.testing import Asset, samples
from facesets.testing.sample_library import CURATED, CURATED_LOOKS, SampleLibrary, sample_library

pillow_heif.register_heif_opener()


@pytest.fixture(scope="module")
def sample() -> SampleLibrary:
    return sample_library()


def _own(sample: SampleLibrary) -> list[Asset]:
    return [a for a in sample.library.assets.values() if a.owner_id == sample.owner.id]


def _face_short(asset: Asset) -> list[float]:
    """Of each face, in pixels of the original."""
    size = asset.size_upright or (0, 0)
    return [min(f.x2 - f.x1, f.y2 - f.y1) * size[0] / f.image_width for f in asset.faces]


def test_everybody_is_in_at_least_eight_photos_with_a_face_of_90_pixels(sample: SampleLibrary) -> None:
    seen = Counter(
        sitter
        for asset_id, sitters in sample.people.items()
        for sitter, short in zip(sitters, _face_short(sample.library.assets[asset_id]), strict=True)
        if short >= 90
    )
    assert set(seen) == set(samples.SITTERS)
    assert all(count >= 8 for sitter, count in seen.items() if sitter != CURATED), seen
    assert seen[CURATED] >= 4
    assert len(sample.curated) >= 6


def test_photos_of_a_person_spread_over_years(sample: SampleLibrary) -> None:
    years = {a.file_created_at.year for a in _own(sample) if sample.people.get(a.id) == ("astronaut",)}
    assert max(years) - min(years) >= 10


def test_the_library_has_what_a_real_one_has(sample: SampleLibrary) -> None:
    own = _own(sample)
    names = {a.file_name for a in own}
    assert len(sample.library.assets) < 90
    assert {a.exif.orientation for a in own} >= {"1", "2", "3", "5", "6", "8"}
    assert {Path(a.file_name).suffix for a in own} >= {".jpg", ".heic", ".png", ".webp", ".mp4"}
    assert sum(len(a.faces) == 6 and min(_face_short(a)) >= 90 for a in own) >= 3, "group photos"
    assert sum(bool(a.faces) and max(_face_short(a)) < 90 for a in own if a.size) >= 2, "small faces only"
    assert sum(not a.faces for a in own if a.type == "IMAGE") >= 3, "no faces"
    assert any("/thumbs/" in a.original_path for a in own), "an indexed thumbnail"
    assert any(a.visibility == "archive" for a in own)
    assert any(not a.size for a in own), "an empty file"
    assert any(".." in name for name in names)
    assert any("<" in name and not name.isascii() for name in names)
    others = [a for a in sample.library.assets.values() if a.owner_id != sample.owner.id]
    assert others
    assert sample.library.partners_of(sample.owner.id, in_timeline=True) == {a.owner_id for a in others}


def test_copies_come_with_a_checksum_that_tells_and_with_one_that_does_not(sample: SampleLibrary) -> None:
    same: dict[str, list[Asset]] = {}
    for asset in _own(sample):
        same.setdefault(hashlib.sha256(asset.read()).hexdigest(), []).append(asset)
    copies = [group for group in same.values() if len(group) > 1]
    assert any(group[0].sha1 == group[1].sha1 for group in copies)
    assert any(group[0].sha1 != group[1].sha1 and group[1].library_id for group in copies)


def test_the_same_bytes_and_ids_are_made_every_time(sample: SampleLibrary) -> None:
    again = sample_library()
    assert [(a.id, a.original_path, a.sha1, a.faces) for a in again.library.assets.values()] == [
        (a.id, a.original_path, a.sha1, a.faces) for a in sample.library.assets.values()
    ]
    assert again.curated == sample.curated
    assert again.library.keys == sample.library.keys


def test_a_turned_photo_stands_upright_once_its_orientation_is_heeded(sample: SampleLibrary) -> None:
    turned = [a for a in _own(sample) if a.exif.orientation not in (None, "1")]
    for asset in turned:
        (sitter,) = sample.people[asset.id]
        with Image.open(io.BytesIO(asset.read())) as image:
            upright = np.asarray(ImageOps.exif_transpose(image).convert("L"), np.float32)
        plain = samples.portrait(sitter, samples.LOOKS[2]).rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        assert upright.shape == plain.shape
        assert abs(upright - plain).mean() < 6


def test_a_missing_package_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "GROUP", "no_such_package/t1.jpg")
    with pytest.raises(PackUnavailable, match=r"no_such_package.*pip install 'facesets\[open\]'"):
        samples.picture(samples.GROUP)


@pytest.fixture(scope="module")
def portraits(sample: SampleLibrary) -> dict[str, list[tuple[Box, PhotoFaces]]]:
    """For every sitter's every look: the known box, and what the open pack finds in the file."""
    pack = load_pack("open")
    files = {sitter: [_file(asset) for asset in _portraits(sample, sitter)] for sitter in samples.SITTERS}
    for data, look in zip(sample.curated.values(), CURATED_LOOKS, strict=True):
        files[CURATED].append((data, samples.portrait(CURATED, samples.LOOKS[look]).boxes[CURATED]))
    assert {len(photos) for photos in files.values()} == {len(samples.LOOKS)}
    return {sitter: [(box, find_faces(decode(data), "", pack)) for data, box in photos] for sitter, photos in files.items()}


def _portraits(sample: SampleLibrary, sitter: str) -> list[Asset]:
    """The photos of one person alone, without bursts and copies."""
    return [a for a in _own(sample) if a.file_name.startswith(f"{sitter}-") and "-2." not in a.file_name and not a.library_id]


def _file(asset: Asset) -> tuple[bytes, Box]:
    """A portrait's bytes, and where the face is in upright original pixels."""
    (face,), size = asset.faces, asset.size_upright or (0, 0)
    scale = size[0] / face.image_width
    return asset.read(), (face.x1 * scale, face.y1 * scale, face.x2 * scale, face.y2 * scale)


def test_a_portrait_shows_one_face_and_it_is_where_the_box_says(portraits: dict[str, list[tuple[Box, PhotoFaces]]]) -> None:
    for sitter, shots in portraits.items():
        for number, (box, (faces, _)) in enumerate(shots):
            assert len(faces) == 1, (sitter, number)
            assert _overlap(box, faces[0].box) > 0.75, (sitter, number, box, faces[0].box)


def test_photos_of_a_person_are_no_bursts_and_photos_of_two_are_not_taken_for_one(
    portraits: dict[str, list[tuple[Box, PhotoFaces]]],
) -> None:
    cuts = load_pack("open").thresholds
    people = {sitter: np.concatenate([vectors for _, (_, vectors) in shots]) for sitter, shots in portraits.items()}
    for one, own in people.items():
        distances = 1 - own @ own.T
        kept = exposures(own, np.arange(len(own)), cuts.near_duplicate)
        assert len(set(kept.tolist())) >= 8, one
        assert distances.mean() < cuts.cluster, one
        for other, theirs in people.items():
            assert one == other or (1 - own @ theirs.T).mean() > cuts.cluster, (one, other)


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(wide, 0.0) * max(high, 0.0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)
