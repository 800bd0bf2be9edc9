"""Sources: who has photos. A Source lists assets, gives face boxes where it knows them, and hands over bytes.

Decides nothing: staging does.
"""

from __future__ import annotations

from facesets.sources import immich_vectors
from facesets.sources.binding import bind, folder_of
from facesets.sources.configured import DEFAULT_MODEL
from facesets.sources.dump_files import open_dump
from facesets.sources.folder import shown
from facesets.sources.immich import ImmichSource, open_client
from facesets.sources.immich_db import ImmichDbSource
from facesets.sources.immich_dump_source import ImmichDumpSource, discard_dump, without_dump
from facesets.sources.incremental import Changes, ChangeSet, SyncCursor
from facesets.sources.month import Month
from facesets.sources.open_source import connect_user, open_source, verify_keys
from facesets.sources.source import SAMPLED, Fetched, Reconciliation, Source, Work
from facesets.sources.sync_stream import Stream, StreamedFace, StreamedPerson
from facesets.sources.vectors import Vectors, open_vectors

__all__ = [
    "DEFAULT_MODEL",
    "SAMPLED",
    "ChangeSet",
    "Changes",
    "Fetched",
    "ImmichDbSource",
    "ImmichDumpSource",
    "ImmichSource",
    "Month",
    "Reconciliation",
    "Source",
    "Stream",
    "StreamedFace",
    "StreamedPerson",
    "SyncCursor",
    "Vectors",
    "Work",
    "bind",
    "connect_user",
    "discard_dump",
    "folder_of",
    "immich_vectors",
    "open_client",
    "open_dump",
    "open_source",
    "open_vectors",
    "shown",
    "verify_keys",
    "without_dump",
]
