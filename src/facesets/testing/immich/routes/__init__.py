"""Testing room: the routes, a module a subject; importing this enters all of them into the table."""

from . import albums, assets, downloads, edits, faces, people, search, server, sessions, sync, tags, timeline, users

__all__ = [
    "albums",
    "assets",
    "downloads",
    "edits",
    "faces",
    "people",
    "search",
    "server",
    "sessions",
    "sync",
    "tags",
    "timeline",
    "users",
]
