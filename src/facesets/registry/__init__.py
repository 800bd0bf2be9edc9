"""The registry: every fact of a workspace in one SQLite file. The only room that says SQL; one module of queries per noun.

The door: :class:`Registry`, and the modules of queries, which are called by their names (``assets.select(registry, ...)``).
"""

from __future__ import annotations

from facesets.registry import (
    assets,
    backups,
    carried,
    changes,
    copies,
    decisions,
    eras,
    exports,
    face_lists,
    faces,
    failures,
    gallery,
    integrity,
    listings,
    lost,
    measurements,
    originals,
    own_images,
    people,
    photos,
    places,
    preembedded,
    published,
    rows,
    runs,
    sets,
    source_people,
    state_lists,
    sync_stream,
)
from facesets.registry.assets import REASONS_OF, AssetRow, canonical_order
from facesets.registry.changes import Change, Step
from facesets.registry.database import Registry
from facesets.registry.decisions import ContentKey, Made
from facesets.registry.eras import EraSet
from facesets.registry.faces import FaceRow, Standing
from facesets.registry.measurements import Found
from facesets.registry.overlap import same_places
from facesets.registry.people import Person, SourceName
from facesets.registry.published import PlacedFace, PublishedStep
from facesets.registry.sets import FileFact

__all__ = [
    "REASONS_OF",
    "AssetRow",
    "Change",
    "ContentKey",
    "EraSet",
    "FaceRow",
    "FileFact",
    "Found",
    "Made",
    "Person",
    "PlacedFace",
    "PublishedStep",
    "Registry",
    "SourceName",
    "Standing",
    "Step",
    "assets",
    "backups",
    "canonical_order",
    "carried",
    "changes",
    "copies",
    "decisions",
    "eras",
    "exports",
    "face_lists",
    "faces",
    "failures",
    "gallery",
    "integrity",
    "listings",
    "lost",
    "measurements",
    "originals",
    "own_images",
    "people",
    "photos",
    "places",
    "preembedded",
    "published",
    "rows",
    "runs",
    "same_places",
    "sets",
    "source_people",
    "state_lists",
    "sync_stream",
]
