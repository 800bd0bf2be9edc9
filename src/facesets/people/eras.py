"""The act eras: parts of a person whose looks moved, in folders of their own beside the set, which stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from facesets.changes import ERAS_ACT, Eras, eras_of, pending, wanted_eras, write_eras
from facesets.errors import NotFound, UsageError
from facesets.people import resolve
from facesets.people.deciding import decide
from facesets.people.outcome import Effects, Outcome
from facesets.progress import Progress
from facesets.registry import Person, Registry, people
from facesets.registry import eras as era_sets
from facesets.wording import count_of, plural
from facesets.workspace import Workspace


def eras(
    workspace: Workspace, registry: Registry, which: Sequence[str] = (), *, remove: bool = False, dry_run: bool = False,
    today: str | None = None,
) -> Outcome:  # fmt: skip
    """These sets (none: all) have eras from now on, which follow them; ``remove``: they have none any more.

    Folders follow with :func:`facesets.changes.write_eras`. ``today`` (ISO date): later dates say nothing. Raises NotFound; UsageError
    where a set's folder is still to be written or to follow a decision.
    """
    day = today or datetime.now(UTC).date().isoformat()
    chosen = _chosen(registry, which, remove=remove)
    found = {person.set_name: eras_of(workspace, registry, person, today=day) for person in chosen} if not remove else {}
    payload = {"sets": [person.number for person in chosen], "on": not remove}

    def do(effects: Effects) -> None:
        if remove:
            effects.sentences += [f"{person.said} has no eras any more" for person in chosen]
            effects.changes["removed"] = [person.set_name for person in chosen]
            return
        one_look = 0
        for person in chosen:
            theirs = found[person.set_name]
            if theirs.plans or which:
                effects.sentences.append(_sentence(person, theirs))
            one_look += not theirs.plans
        if one_look and not which:
            effects.sentences.append(f"{count_of(one_look, 'set')} of one look, or without dates, {plural(one_look, 'has')} no eras")
        effects.changes["eras"] = {name: _told(theirs) for name, theirs in found.items()}

    return decide(workspace, registry, ERAS_ACT, payload, do, people=[person.id for person in chosen], dry_run=dry_run)


def make_eras(workspace: Workspace, registry: Registry, outcome: Outcome, progress: Progress, *, today: str | None = None) -> Outcome:
    """Make the folders that an outcome of :func:`eras` is about, though nothing changed; returns it with what came of it."""
    again = list(outcome.changes.get("eras", ()))
    done = write_eras(workspace, registry, progress, again=again, today=today)
    notes = (*outcome.notes, *(f"{name}: {why}" for name, why in done.waiting.items()))
    sentences = (*outcome.sentences, f"{count_of(len(done.eras), 'era')} written")
    return Outcome(outcome.act, outcome.decision, sentences, {**outcome.changes, "written": done.eras}, notes=notes)


def _chosen(registry: Registry, which: Sequence[str], *, remove: bool) -> list[Person]:
    if which:
        chosen = list({person.id: person for one in which for person in [resolve.person(registry, one)]}.values())
    else:
        chosen = [person for person in people.select(registry, standing=("active",)) if person.written and not person.retired]
    waits = {name for names in pending(registry).values() for name in names}
    have = wanted_eras(registry) | {era.number for era in era_sets.select(registry)}
    for person in chosen if which else ():
        if not person.written or (person.set_name in waits and not remove):
            raise UsageError(f"{person.said} is still to be written, and eras are made of its folder: facesets write")
        if remove and person.number not in have:
            raise UsageError(f"{person.said} has no eras")
    chosen = [each for each in chosen if (each.number in have if remove else each.set_name not in waits)]
    if not chosen:
        raise NotFound("there is no set with eras here" if remove else "there is no written set here that eras could be made of")
    return chosen


def _sentence(person: Person, found: Eras) -> str:
    undated = f"; {count_of(found.undated, 'face', 'has')} no date that says anything" if found.undated else ""
    if not found.plans:
        why = "no date of its faces says anything" if found.faces and found.undated == found.faces else "its looks are one in all years"
        return f"{person.said} has no eras: {why}{undated if found.undated < found.faces else ''}"
    spans = ", ".join(f"{p.era.years} ({count_of(p.era.faces, 'face')}{', thin' if p.era.thin else ''})" for p in found.plans)
    return f"{person.said} has {count_of(len(found.plans), 'era')}: {spans}{undated}"


def _told(found: Eras) -> dict[str, Any]:
    spans = [{"name": p.era.name, "from": p.era.first, "to": p.era.last, "faces": p.era.faces, "thin": p.era.thin} for p in found.plans]
    return {"eras": spans, "faces": found.faces, "undated": found.undated}
