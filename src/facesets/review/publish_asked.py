"""What was asked of Immich for the page Publish, and what came of it."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

from facesets.people import Outcome
from facesets.publish import Diff, PersonDiff


@dataclass(frozen=True, slots=True)
class Found:
    """A diff that is looked at. ``since``: the last decision and the last run that it knows of."""

    diff: Diff
    notes: tuple[str, ...]
    since: tuple[int, int]

    @property
    def told(self) -> list[PersonDiff]:
        """Those of whom there is something to say."""
        return [person for person in self.diff.people if person.writes or person.cannot]


@dataclass(frozen=True, slots=True)
class Written:
    """What a publish wrote."""

    outcome: Outcome
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for last, by whichever window; ``number`` tells one from the one before."""

    number: int = 0
    work: Future[Found] | Future[Written] | None = None
