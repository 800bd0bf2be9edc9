"""Photos as pixels: decoding in processes of their own, orientation, alignment, crops. Bytes from anywhere are decoded nowhere else.

Knows no model, no server and no registry.
"""

from __future__ import annotations

from facesets.photos import crops
from facesets.photos.align import ARCFACE_112, DLIB_150, Pixels, Points, chips, similarity
from facesets.photos.decode import Decoded, decode, read
from facesets.photos.decoder_pool import DecoderPool
from facesets.photos.header import Header
from facesets.photos.memory import WORKERS, trim
from facesets.photos.xmp_regions import NamedRegion, Regions, regions_in, upright_regions

__all__ = [
    "ARCFACE_112",
    "DLIB_150",
    "WORKERS",
    "Decoded",
    "DecoderPool",
    "Header",
    "NamedRegion",
    "Pixels",
    "Points",
    "Regions",
    "chips",
    "crops",
    "decode",
    "read",
    "regions_in",
    "similarity",
    "trim",
    "upright_regions",
]
