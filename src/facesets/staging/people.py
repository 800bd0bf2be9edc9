"""Staging room: whom a source knows, on record with every run. Touches the source and the registry."""

from __future__ import annotations

from facesets.errors import FacesetsError, SourceAway, WrongKey
from facesets.progress import Progress
from facesets.registry import Registry, source_people
from facesets.sources import Source


def record_people(registry: Registry, source: Source, progress: Progress) -> None:
    """Keep names, birth dates and which people are hidden. Sets do without them: where they cannot be read, that is a note.

    With a login the stream tells all this. Raises SourceAway, WrongKey.
    """
    with registry.transaction():
        source_people.identify_once(registry)
    if source.stream is not None or not source.knows_faces:
        return
    try:
        people = list(source.people())
    except (SourceAway, WrongKey):
        raise
    except FacesetsError as err:
        progress.note(f"The names of people could not be read ({err}); what was known of them stays.")
        return
    with registry.transaction():
        source_people.replace(registry, source.user.label, people)
