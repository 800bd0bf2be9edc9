"""Crops of real scenes: whoever detects again finds the face, mostly nobody else, and the same person."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facesets.faces.embed import find_faces, read_image
from facesets.models.load import load_pack
from facesets.photos import crops
from facesets.photos.decode import Decoded
from facesets.settings import ExportSettings


def test_faces_of_real_scenes_are_found_again_in_their_crops(shared: Path) -> None:
    pack, export = load_pack(shared / "models" / "edge"), ExportSettings()
    away, neighbours, lost = [], 0, 0
    for path in sorted((shared / "photos" / "scenes").glob("*/*"))[::18]:
        photo = read_image(path)
        faces, vectors = find_faces(photo, "", pack)
        for face, vector in zip(faces, vectors, strict=True):
            if (face.det_score or 0) < 0.6 or face.face_short < 60:
                continue
            cut = crops.crop(photo.rgb, face.landmarks, export.size, export.margin)
            again, seen = find_faces(Decoded(cut, export.size, export.size), "", pack)
            lost += not again
            neighbours += len(again) > 1
            away += [float(((seen - vector) ** 2).sum(axis=1).min() / 2)] if again else []
    assert len(away) > 10
    assert lost == 0
    assert neighbours / len(away) < 0.15
    assert np.median(away) < 0.04
    assert max(away) < pack.thresholds.match
