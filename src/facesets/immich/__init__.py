"""The Immich room: its HTTP API and nothing else. Touches the network; knows no registry, no workspace, no files but downloads.

The door: ``connect(url, key)`` gives a Client; ``server``, ``listing``, ``faces`` and ``originals`` speak through it.
"""

from __future__ import annotations

from facesets.immich import backups, edits, faces, listing, originals, people, search, server, session, timeline, wire, write_back
from facesets.immich.listing import ListingCounts
from facesets.immich.search import SearchQuery
from facesets.immich.server import Person, Server, connect, whoami
from facesets.immich.session import FaceRow, PersonRow, Row
from facesets.immich.timeline import Bucket
from facesets.immich.transport import Client, Traffic
from facesets.immich.write_back import AssetNow, NamedItem, PersonNow

__all__ = [
    "AssetNow",
    "Bucket",
    "Client",
    "FaceRow",
    "ListingCounts",
    "NamedItem",
    "Person",
    "PersonNow",
    "PersonRow",
    "Row",
    "SearchQuery",
    "Server",
    "Traffic",
    "backups",
    "connect",
    "edits",
    "faces",
    "listing",
    "originals",
    "people",
    "search",
    "server",
    "session",
    "timeline",
    "whoami",
    "wire",
    "write_back",
]
