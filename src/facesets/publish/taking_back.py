"""Take a publish back: its writes in reverse, each where Immich still has what was written. Goes on where it was cut off."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from facesets.errors import BadAnswer, NotFound, Refused, ServerFailed, SourceAway, Unreachable, UsageError
from facesets.immich import write_back
from facesets.people import Outcome
from facesets.progress import Progress
from facesets.publish.applying import ACTIONS, ATTEMPTS, PAUSE, close, context_of, counts_of, is_busy, patience, settle
from facesets.publish.diff import MAKE, NAME, TAG, in_words, quoted
from facesets.publish.people_actions import Changed, Context, photo_gone, token
from facesets.publish.remembering import remember_taken_back
from facesets.registry import Made, PublishedStep, Registry, changes, decisions, published
from facesets.sources import ImmichSource
from facesets.wording import count_of, plural

UNDO = "undo"
_ELSEWHERE = "it went to the Immich that was there before this one was set up anew: nothing of it is here"


def undo(registry: Registry, source: ImmichSource, made: Made, progress: Progress, *, dry_run: bool = False) -> Outcome:
    """Take the publish ``made`` back, as the user whose Immich it went to. What others changed there since stays, and is said.

    Raises UsageError where it was taken back already, SourceAway where the server is gone in the middle (undo again goes on).
    """
    if made.undone_by is not None:
        raise UsageError(
            f"decision {made.id} (publish) was taken back already, by {made.undone_by}: publish again with facesets publish"
        )
    elsewhere = made.payload.get("user_id") not in (None, source.user.user_id)
    if later := _later(registry, made, source.user.label):
        raise Refused(
            f"decision {made.id} (publish) cannot be taken back while decision {later} (publish) stands on it: "
            f"facesets undo {later}  first"
        )
    settle(registry, source)
    written = [step for step in published.steps(registry, made.id) if step.state not in (published.SENT, published.REFUSED)]
    steps = [step for step in written if step.state in (published.DONE, published.UNDOING)]
    if dry_run:
        said = in_words(counts_of([] if elsewhere else written))  # also what an undo that was cut off has taken back already
        sentence = f"would be taken back in Immich: {', '.join(said) or 'nothing'}"
        notes = (_ELSEWHERE,) if elsewhere else _stays(written, source)
        return Outcome(UNDO, None, (sentence,), {"undone": made.id, "act": made.act}, (), notes, dry_run=True)
    kept = _give_up(registry, steps) if elsewhere else _take_back(registry, source, made, steps, progress)
    done = published.steps(registry, made.id)
    stays = _stays([step for step in done if step.state == published.UNDONE], source)
    with registry.transaction():
        cut_off = published.unfinished(registry, source.user.label)
        if cut_off is not None and cut_off[1] == made.id:
            close(registry, *cut_off[:2])
        decision = changes.decide(registry, UNDO, {"decision": made.id})
        decisions.take_back(registry, made.id, decision)
        sentences = [f"taken back in Immich: {', '.join(in_words(counts_of(done, published.UNDONE))) or 'nothing'}"]
        change = changes.add(registry, published.PUBLISH, {}, inverse={"sentences": sentences}, decision_id=decision)
        changes.settle(registry, change, "applied")
    notes = tuple(why + (f" ({count_of(n, 'time')})" if n > 1 and not elsewhere else "") for why, n in sorted(kept.items()))
    counts = {"undone": made.id, "act": made.act, "kept": sum(kept.values())}
    return Outcome(UNDO, decision, tuple(sentences), counts, (), notes + stays)


def _give_up(registry: Registry, steps: list[PublishedStep]) -> Counter[str]:
    """What went to a server that was set up anew since is not there to be taken back."""
    with registry.transaction():
        for step in steps:
            published.settle(registry, step.decision, step.n, published.KEPT, reason=_ELSEWHERE)
    return Counter({_ELSEWHERE: len(steps)})


def _stays(steps: list[PublishedStep], source: ImmichSource) -> tuple[str, ...]:
    """What Immich keeps of writes that are taken back, since nothing takes it away: pictures of people, files of tags."""
    try:
        first = sorted({step.wanted["person"] for step in steps if step.before.get("first")})
        pictured = [one.name for who in first if (one := write_back.person(source.client, who)) is not None and one.has_picture]
    except Unreachable as err:
        raise SourceAway(f"{err}. All was taken back but for a last question: facesets undo  again later goes on") from err
    notes = [
        f"{quoted(name) if name else 'somebody without a name'} keeps the picture that Immich made of a face, which nothing takes away"
        for name in sorted(pictured)
    ]
    if tagged := sum(len(step.wanted["assets"]) for step in steps if step.action == TAG):
        files = f"{plural(tagged, 'the file')} beside {plural(tagged, 'the original')} of {count_of(tagged, 'photo')}"
        notes.append(f"{files} {'stays' if tagged == 1 else 'stay'}, without the tag")
    return tuple(notes)


def _later(registry: Registry, made: Made, label: str) -> int | None:
    """The last publish of the same user after this one that stands and wrote about the same people, faces, albums or tags."""
    steps = published.steps(registry, made.id)
    own = {about for step in steps for about in _about(step)}
    people = {("person", step.result.get("person")) for step in steps if step.action == MAKE}  # who would go with their later faces
    later = [
        step
        for step in published.standing(registry, label)
        if step.decision > made.id and (own.intersection(_about(step)) or ("person", step.wanted.get("person")) in people)
    ]
    return later[-1].decision if later else None


def _about(step: PublishedStep) -> list[tuple[str, str]]:
    """What a write is about."""
    wanted = step.wanted
    match step.action:
        case "face" | "draw":
            return [("face", f"{wanted['asset']} {wanted['place']}")]
        case "make" | "name":
            return [("person", str(wanted.get("person") or step.result.get("person")))]
        case "tag_make":  # the parent is made with the first
            return [("tag", wanted["path"]), ("tags below", wanted["path"].split("/")[0])]
        case "tag" | "untag":
            return [("tag", wanted["path"])]
        case _:
            return [("album", str(wanted.get("album") or step.result.get("album")))]


def _take_back(registry: Registry, source: ImmichSource, made: Made, steps: list[PublishedStep], progress: Progress) -> Counter[str]:
    """Every write in reverse; gives what was kept, with why."""
    kept: Counter[str] = Counter()
    context = context_of(registry, source)
    nobody = _Nobody(registry, context, made.id)
    context.nobody, context.is_nobody = nobody.person, nobody.is_it
    all_ = published.steps(registry, made.id)
    context.keep = {step.wanted["person"] for step in all_ if step.result.get("held")}
    new = {step.result.get("person") for step in all_ if step.action == MAKE}
    with progress.task("taking back", total=len(steps), unit="writes") as task:
        for step in reversed(steps):
            with registry.transaction():
                published.settle(registry, step.decision, step.n, published.UNDOING)
            left = _patiently(context, step)
            if left is not None:
                kept[left.why] += 1
            with registry.transaction():
                state = published.KEPT if left is not None else published.UNDONE
                if left is None and not (step.action == NAME and step.wanted["person"] in new):  # who goes, or keeps the name
                    remember_taken_back(registry, source.user, step)
                result = {**step.result, "held": True} if left is not None and left.held else None
                published.settle(registry, step.decision, step.n, state, result=result, reason=left.why if left else None)
            if result is not None:
                context.keep.add(step.wanted["person"])
            task.advance()
        nobody.leave()
    return kept


def _patiently(context: Context, step: PublishedStep) -> Changed | None:
    """Take a write back, looking anew where an answer was lost. What Immich fails at each time is kept, and holds nobody up."""
    attempt = 0
    while True:
        attempt += 1
        pause = PAUSE
        try:
            return ACTIONS[step.action].take_back(context, step)
        except Unreachable as err:
            if attempt == ATTEMPTS:
                if isinstance(err, ServerFailed) and not is_busy(err):
                    return Changed(f"Immich fails: {err}")
                raise SourceAway(
                    f"{err}. What was taken back is in the journal: facesets undo {step.decision}  again later goes on"
                ) from err
            pause = patience(err, attempt)
        except (BadAnswer, NotFound) as err:
            if attempt > 1:  # looked at anew, since a garbled answer may be to what was done
                why = photo_gone(context, step)
                return Changed(f"a face stays, since {why}" if why else f"Immich refuses: {err}")
        context.client.pause(pause)
        step = replace(step, state=published.UNDOING)


class _Nobody:
    """Who has the faces that are to be nobody's, until deleted: Immich takes a face from a person in no other way.

    Known by a name that only this undo uses, so that one that was cut off finds and deletes them.
    """

    def __init__(self, registry: Registry, context: Context, decision: int) -> None:
        self.registry, self.context, self.fact = registry, context, f"publish undo {decision}"
        self.person_id = ""

    def person(self) -> str:
        """Their id; made when first asked for."""
        if not self.person_id:
            name = self.registry.fact(self.fact) or token()
            with self.registry.transaction():
                self.registry.set_fact(self.fact, name)
            found = self._there(name)
            self.person_id = found[0] if found else write_back.create_person(self.context.client, name)
        return self.person_id

    def is_it(self, person_id: str) -> bool:
        """Whether somebody is who an undo that was cut off has given faces to."""
        name = self.registry.fact(self.fact)
        return bool(name) and person_id in self._there(name or "")

    def leave(self) -> None:
        """Delete them, also one that an undo before this one left behind."""
        if name := self.registry.fact(self.fact):
            for person_id in self._there(name):
                write_back.delete_person(self.context.client, person_id)
            with self.registry.transaction():
                self.registry.set_fact(self.fact, "")

    def _there(self, name: str) -> list[str]:
        return [one.person_id for one in write_back.people_called(self.context.client, name) if one.name == name]
