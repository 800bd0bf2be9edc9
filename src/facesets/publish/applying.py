"""Write a diff to Immich: one write at a time, each in the journal before it is sent, nothing twice.

A publish that was cut off is one with the next of the same kind: what it had sent is looked for, what it had not is in the new diff.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from facesets.connections import LONGEST_RETRY_AFTER
from facesets.errors import BadAnswer, NotFound, ServerError, ServerFailed, SourceAway, Unreachable
from facesets.people import Outcome
from facesets.progress import Progress
from facesets.publish.collection_actions import COLLECTION_ACTIONS
from facesets.publish.diff import (
    ALBUM,
    ALBUM_ADD,
    ALBUM_NAME,
    ALBUM_REMOVE,
    DRAW,
    FACE,
    MAKE,
    NAME,
    TAG,
    TAG_MAKE,
    UNTAG,
    Diff,
    Write,
    counted,
    in_words,
)
from facesets.publish.people_actions import PEOPLE_ACTIONS, Action, Changed, Context, changed_since, photo_gone
from facesets.publish.remembering import remember_written
from facesets.records import Asset, User
from facesets.registry import PublishedStep, Registry, changes, decisions, listings, published
from facesets.sources import ImmichSource
from facesets.wording import count_of

ACTIONS: Mapping[str, Action] = {**PEOPLE_ACTIONS, **COLLECTION_ACTIONS}
ATTEMPTS = 3  # of a write whose answer was lost and which was not done
PAUSE = 1.0  # seconds before looking whether it was done, the first time
_ITS_OWN_FAULT = 500  # of the statuses that say that a server failed
_MADE = {MAKE: "person", ALBUM: "album", TAG_MAKE: "tag"}  # what has to be made before it is written to -> what its id is called


def settle(registry: Registry, source: ImmichSource) -> int:
    """Look what became of writes that were under way when somebody pulled the plug; returns how many. Raises as :func:`compare`."""
    context = context_of(registry, source)
    left = published.open_steps(registry, source.user.label)
    for step in left:
        if step.state == published.UNDOING:
            continue  # an undo goes on by being asked for again, and looks by itself
        result = ACTIONS[step.action].landed(context, step)
        with registry.transaction():
            state = published.REFUSED if result is None else published.DONE
            reason = "it was cut off before it was done" if result is None else None
            published.settle(registry, step.decision, step.n, state, result=result, reason=reason)
    return len(left)


def apply(registry: Registry, source: ImmichSource, diff: Diff, progress: Progress) -> Outcome:
    """Write ``diff``, whose user is the source's; what is not as it says any more is skipped, and said.

    Raises SourceAway where the server is gone in the middle (the same command goes on), MissingPermission.
    """
    journal = _Journal(registry, diff, source.user)
    writer = _Writer(context_of(registry, source), journal)
    writes = diff.writes
    with progress.task("writing to Immich", total=len(writes), unit="writes") as task:
        for write in writes:
            writer.write(write)
            task.advance()
    return journal.finish()


def context_of(registry: Registry, source: ImmichSource) -> Context:
    """What single writes need to know."""

    def asset(asset_id: str) -> Asset | None:
        rows = listings.owned(registry, source.user.user_id, [asset_id])
        return rows[0].asset if rows else None

    return Context(source, asset)


class _Writer:
    """Sends writes; whoever and whatever has to be made first is made when the first write needs it."""

    def __init__(self, context: Context, journal: _Journal) -> None:
        self.context, self.journal = context, journal
        self.made: dict[tuple[str, int], str] = {}  # (person, album or tag, number) -> id
        self.to_make: dict[tuple[str, int], Write] = {}
        self.failed: dict[tuple[str, int], str] = {}

    def write(self, write: Write) -> None:
        """One write of a diff."""
        if (made := _MADE.get(write.action)) is not None:
            self.to_make[made, write.number] = write
            return
        lacking = next((key for key in _MADE.values() if key in write.wanted and write.wanted[key] is None), None)
        if lacking in (None, "person"):
            found = ACTIONS[write.action].ready(self.context, write)
            if isinstance(found, Changed):
                self.journal.skipped(write, found.why)
                return
            write = replace(write, before={**write.before, **found})
        if lacking is not None:
            made = self._make(lacking, write.number)
            if made is None:
                self.journal.skipped(write, self.failed[lacking, write.number])
                return
            write = replace(write, wanted={**write.wanted, lacking: made})
        self._send(write)

    def _make(self, what: str, number: int) -> str | None:
        """The id of who or what is made for a number; None where that cannot be any more."""
        key = what, number
        if key not in self.made and key not in self.failed:
            write = self.to_make[key]
            found = ACTIONS[write.action].ready(self.context, write)
            if isinstance(found, Changed):
                self.failed[key] = found.why
                return None
            result = self._send(replace(write, before=found))
            if result is None:
                self.failed[key] = f"the {what} could not be made"
                return None
            self.made[key] = result[what]
            if what == "person":  # first found, then named: see the action
                name = {"person": result[what], "name": write.wanted["name"]}
                self._send(Write(NAME, number, name, {"name": found["token"]}))
        return self.made.get(key)

    def _send(self, write: Write) -> Mapping[str, Any] | None:
        """Send a write that is in the journal; what it made, or None where the server refuses."""
        action = ACTIONS[write.action]
        n = self.journal.begin(write)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                result = action.send(self.context, write)
            except Unreachable as err:  # no answer, or one that says that it failed: it may have been done all the same
                self.context.client.pause(patience(err, attempt))
                landed = self._landed(action, write, err)
                if landed is None and attempt < ATTEMPTS:
                    continue
                if landed is None and is_busy(err):
                    raise _away(err) from err
                if landed is None:  # the server is there, and fails at this one each time
                    self.journal.refused(n, write, f"Immich refuses: {err}")
                    return None
                result = landed
            except (BadAnswer, NotFound) as err:  # refused; or done, and the answer was garbled
                landed = self._landed(action, write, err)
                if landed is None:
                    self.journal.refused(n, write, self._why_not(action, write, err))
                    return None
                result = landed
            self.journal.done(n, write, result)
            if write.action == NAME:
                self.context.named[write.wanted["person"]] = write.wanted["name"]
            return result
        raise AssertionError("every attempt returns, goes on or raises")

    def _landed(self, action: Action, write: Write, lost: ServerError) -> Mapping[str, Any] | None:
        """Whether a write was done whose answer was lost. Raises SourceAway where the server cannot say."""
        with self._still_there(lost):
            return action.landed(self.context, write)

    def _why_not(self, action: Action, write: Write, refused: ServerError) -> str:
        """Why Immich refuses a write: in words, where what it has now tells. Raises SourceAway as :meth:`_landed`."""
        with self._still_there(refused):
            return photo_gone(self.context, write) or changed_since(action, self.context, write) or f"Immich refuses: {refused}"

    @staticmethod
    @contextmanager
    def _still_there(lost: ServerError) -> Iterator[None]:
        try:
            yield
        except Unreachable as err:
            raise _away(lost) from err


def patience(err: Unreachable, attempt: int) -> float:
    """Seconds to wait before a write is looked for and sent again: longer each time, and as long as the server asks for."""
    asked = err.retry_after if isinstance(err, ServerFailed) else 0.0
    return max(PAUSE * (1 << attempt - 1), min(asked, LONGEST_RETRY_AFTER))


def is_busy(err: Unreachable) -> bool:
    """Whether it is not what was sent that fails: too many requests, or a proxy before a server that is away."""
    return isinstance(err, ServerFailed) and err.status != _ITS_OWN_FAULT


def _away(err: ServerError) -> SourceAway:
    return SourceAway(f"{err}. What was written is in the journal: run the same command again later, and it goes on")


class _Journal:
    """The entry of a publish in the history; begun with its first write."""

    def __init__(self, registry: Registry, diff: Diff, user: User) -> None:
        self.registry, self.diff, self.user = registry, diff, user
        self.change = self.decision = 0
        self.notes: Counter[str] = Counter()
        self.names = {person.number: person.name for person in diff.people}

    def begin(self, write: Write) -> int:
        """A write is about to be sent."""
        with self.registry.transaction():
            if not self.decision:
                self._open()
            label = self.diff.label
            return published.add(self.registry, self.decision, label, write.action, write.number, write.wanted, write.before)

    def _open(self) -> None:
        said = {"label": self.diff.label, "user_id": self.user.user_id, **self.diff.what.as_dict()}
        cut_off = published.unfinished(self.registry, self.diff.label)
        last = decisions.select(self.registry, most=1)
        # one with the next of its kind, unless something was decided in between: what is written now is then the later word
        if cut_off is not None and dict(cut_off[2]) == said and last[-1].id == cut_off[1]:
            self.change, self.decision = cut_off[:2]
            return
        if cut_off is not None:
            close(self.registry, *cut_off[:2])
        self.decision = changes.decide(self.registry, published.PUBLISH, said)
        self.change = changes.add(self.registry, published.PUBLISH, said, inverse={"sentences": []}, decision_id=self.decision)

    def done(self, n: int, write: Write, result: Mapping[str, Any]) -> None:
        """It is done; this is what it made."""
        with self.registry.transaction():
            remember_written(self.registry, self.user, write, result)
            published.settle(self.registry, self.decision, n, published.DONE, result=result)

    def refused(self, n: int, write: Write, why: str) -> None:
        """The server will not; ``why`` in words."""
        with self.registry.transaction():
            published.settle(self.registry, self.decision, n, published.REFUSED, reason=why)
        self.skipped(write, why)

    def skipped(self, write: Write, why: str) -> None:
        """It is not written; what changed since the diff."""
        self.notes[f"{_what(write)} of {self.names.get(write.number, write.number)}: {why}"] += 1

    def finish(self) -> Outcome:
        """Close the entry; one that a cut-off publish left is closed too where nothing was to be done any more."""
        cut_off = published.unfinished(self.registry, self.diff.label)
        if not self.decision and cut_off is not None:
            self.change, self.decision = cut_off[:2]
        notes = tuple(f"not written, {why}" + (f" ({count_of(n, 'time')})" if n > 1 else "") for why, n in sorted(self.notes.items()))
        if not self.decision:
            said = "nothing was to be written" if not self.notes else "nothing was written"
            return Outcome(published.PUBLISH, None, (said,), {"written": {}, "skipped": sum(self.notes.values())}, (), notes)
        with self.registry.transaction():
            sentences, counts = close(self.registry, self.change, self.decision)
        return Outcome(
            published.PUBLISH, self.decision, tuple(sentences), {"written": counts, "skipped": sum(self.notes.values())}, (), notes,
        )  # fmt: skip


def close(registry: Registry, change: int, decision: int) -> tuple[list[str], dict[str, int]]:
    """A publish is through: what the history says of it, and its counts. Joins the caller's transaction."""
    steps = published.steps(registry, decision)
    counts = counts_of(steps)
    parts = in_words(counts)
    label = steps[0].label if steps else ""
    sentences = [f"published to the Immich of {label}: {', '.join(parts) or 'nothing'}"]
    published.say(registry, change, sentences)
    changes.settle(registry, change, "applied")
    return sentences, counts


def counts_of(steps: list[PublishedStep], state: str = "") -> dict[str, int]:
    """What was written, counted as a diff counts it (a made person's name is not counted apart); ``state``: of those in it alone."""
    made = {step.result.get("person") for step in steps if step.action == MAKE}
    total: Counter[str] = Counter()
    for step in steps:
        other = step.state != state if state else step.state == published.REFUSED
        if other or (step.action == NAME and step.wanted["person"] in made):
            continue
        into = step.result.get("added", step.result.get("removed"))  # or out of an album, without what somebody else had done
        wanted = step.wanted if into is None else {**step.wanted, "assets": into}
        for what, n in counted(Write(step.action, step.number, wanted, step.before)):
            total[what] += n
    return dict(total)


def _what(write: Write) -> str:
    """A write in words, for notes."""
    return {
        MAKE: "a new person", NAME: "the name", FACE: "a face", DRAW: "an added face", ALBUM: "the album",
        ALBUM_NAME: "the album's name", ALBUM_ADD: "photos for the album", ALBUM_REMOVE: "photos out of the album", TAG: "the tag",
        TAG_MAKE: "the tag", UNTAG: "the former tag",
    }.get(write.action, write.action)  # fmt: skip
