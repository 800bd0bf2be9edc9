"""Model packs and engines: what a network is, how it is run, and which distances go with it. Knows no photos' server, no registry."""

from __future__ import annotations

from facesets.models.detection import Detection, is_elongated, moved, same_face
from facesets.models.engine_speed import Measured, measure_engines
from facesets.models.immich_db import NAME, ImmichDb, from_database
from facesets.models.insightface_pack import model_files
from facesets.models.load import INSIGHTFACE_PACKS, load_network, load_pack, pack_folder, pack_loader
from facesets.models.pack import AgeEstimator, NearDetector, Pack, RegionDetector
from facesets.models.published import PUBLISHED, Published, fetch_published, how_to_get, is_missing
from facesets.models.recognizer import Embedded
from facesets.models.vectors_only import VectorsOnly

__all__ = [
    "INSIGHTFACE_PACKS",
    "NAME",
    "PUBLISHED",
    "AgeEstimator",
    "Detection",
    "Embedded",
    "ImmichDb",
    "Measured",
    "NearDetector",
    "Pack",
    "Published",
    "RegionDetector",
    "VectorsOnly",
    "fetch_published",
    "from_database",
    "how_to_get",
    "is_elongated",
    "is_missing",
    "load_network",
    "load_pack",
    "measure_engines",
    "model_files",
    "moved",
    "pack_folder",
    "pack_loader",
    "same_face",
]
