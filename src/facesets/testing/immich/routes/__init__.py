"""The routes, a module a subject; importing this enters all of them into the table."""

from facesets.testing.immich.routes import (
    albums,
    assets,
    backups,
    downloads,
    edits,
    faces,
    jobs,
    people,
    search,
    server,
    sessions,
    sync,
    tags,
    timeline,
    users,
)

__all__ = [
    "albums",
    "assets",
    "backups",
    "downloads",
    "edits",
    "faces",
    "jobs",
    "people",
    "search",
    "server",
    "sessions",
    "sync",
    "tags",
    "timeline",
    "users",
]
