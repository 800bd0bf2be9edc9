"""Sources room: the vectors that Immich has made of its faces already: out of its database, or out of a dump of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from facesets.errors import UsageError
from facesets.progress import Progress
from facesets.records import User
from facesets.registry import Registry
from facesets.sources import immich_dump_source, immich_vectors
from facesets.sources.configured import Configured
from facesets.sources.vector_text import Vector
from facesets.workspace import Workspace


class Vectors(Protocol):
    """An open source of vectors."""

    @property
    def as_of(self) -> str | None:
        """The dump they are of, to be shown; None where they are those of now."""

    def configured(self) -> Configured:
        """The model in Immich's settings, as far as these may be seen. Raises MissingGrant where vectors may not be read."""

    def of(self, face_ids: Sequence[str]) -> dict[str, Vector]:
        """The vectors of these faces as they are kept, float32 [d]; of those that have one."""

    def count(self, user: User) -> tuple[int, int]:
        """How many visible faces the user's photos have, and how many of these a vector."""

    def check_owner(self, user: User) -> None:
        """Raises UsageError where the user is not known: then it is another Immich's."""


@contextmanager
def open_vectors(workspace: Workspace, registry: Registry, progress: Progress) -> Iterator[Vectors]:
    """The vectors that the settings lead to; the database comes first: it is of now.

    Raises UsageError where they lead to none, and as what they lead to.
    """
    settings = workspace.settings
    if settings.immich_db.url:
        with immich_vectors.vectors(settings.immich_db.url) as database:
            yield database
    elif settings.immich_dump.file:
        with immich_dump_source.dumped(workspace, registry, progress) as store:
            yield immich_dump_source.DumpVectors(store)
    else:
        raise UsageError(
            "pack immich-db takes the vectors that Immich has made, out of its database or its nightly dump. Say in facesets.toml "
            "where that is, [sources.immich_db] url or [sources.immich_dump] file, or IMMICH_DB_URL or IMMICH_DUMP in the environment; "
            "with an administrator's key IMMICH_DUMP=server is enough (docs/how-to/immich-database.md)"
        )
