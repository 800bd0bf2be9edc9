"""Whether a person's faces may be handed on. Every export asks here, and gets a :class:`Permit` or is refused in words.

To be recognised (Frigate, photo managers) needs no record. To be generated or swapped needs one: that the person agreed and is an
adult, who says so and when. Unknown is never treated as adult: where no age is known, somebody must have looked at the set's contact
sheet. An estimate of age only ever stops; a birth date wins over it, and refuses whatever is recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from facesets.errors import Refused
from facesets.export import files_hash
from facesets.registry import Registry, exports, runs, sets
from facesets.targets.ages import ages_of
from facesets.targets.pictures import Pictures
from facesets.targets.terms import Candidate, Purpose

ADULT, DOUBTFUL = 18, 25  # years
_SHOWN = "contact sheet shown"


@dataclass(frozen=True, slots=True)
class Consent:
    """What is recorded of a person. ``looked``: the revision of the set whose contact sheet was looked at, as :func:`revision_of`;
    ``faces``: those that were on it.
    """

    by: str
    at: str
    looked: str | None
    faces: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to hand on; only this module makes one. ``consent`` is None where the purpose needs none."""

    purpose: str
    consent: Consent | None = None

    def document(self) -> dict[str, Any] | None:
        """For the record of an export."""
        return {"by": self.consent.by, "at": self.consent.at, "looked": self.consent.looked} if self.consent else None


def revision_of(registry: Registry, person: exports.Person) -> str:
    """The set's revision and what its files are now: a set that its owner curates by hand has other files in the same revision."""
    return f"{person.set_name} revision {person.revision} {files_hash(sets.files(registry, person.set_name))[:16]}"


def _members(registry: Registry, person: exports.Person) -> list[str]:
    """The set's faces, those too that a decision brought and whose files are still to come."""
    return sorted(key for key, _, _ in exports.files(registry, person.set_name))


def was_looked_at(registry: Registry, person: exports.Person, consent: Consent | None) -> bool:
    """Whether the set's contact sheet was looked at as the set is now: every face that it has was on it."""
    return (
        consent is not None and consent.looked == revision_of(registry, person)
        and consent.faces.issuperset(_members(registry, person))
    )  # fmt: skip


def recorded(registry: Registry, person: exports.Person) -> Consent | None:
    """What stands: the last agreement, unless it was withdrawn since."""
    consent = None
    for one in exports.said(registry, person):
        looked = one.payload.get("looked") or (consent.looked if consent else None)
        faces = frozenset(one.payload.get("shown") or (consent.faces if consent else ()))
        consent = Consent(one.payload["by"], one.at, looked, faces) if one.act == exports.CONSENT else None
    return consent


def give(registry: Registry, person: exports.Person, *, by: str, looked: bool) -> Consent:
    """Record that the person agreed and is an adult, as ``by`` says. Raises Refused where ``looked`` and nobody was shown the sheet."""
    if not by.strip():
        raise Refused("who says that this person agreed? Name yourself: --by NAME")
    now = revision_of(registry, person)
    shown = runs.last_note(registry, f"{_SHOWN} {person.number}")
    faces = shown.get("faces", []) if shown else []
    if looked and (shown is None or shown["revision"] != now or not set(faces).issuperset(_members(registry, person))):
        raise Refused(
            f"{person.set_name} has not been shown as it is now. See who is in it first: facesets consent {person.set_name} --show"
        )
    with registry.transaction():
        exports.say(
            registry, exports.CONSENT, person, {"by": by.strip(), "adult": True, **({"looked": now, "shown": faces} if looked else {})}
        )
    consent = recorded(registry, person)
    assert consent is not None
    return consent


def withdraw(registry: Registry, person: exports.Person, *, by: str) -> list[dict[str, Any]]:
    """Record that the agreement is withdrawn; returns the exports that were made."""
    with registry.transaction():
        exports.say(registry, exports.WITHDRAW, person, {"by": by.strip()})
    return exports.made(registry, person)


def note_shown(registry: Registry, person: exports.Person) -> None:
    """Remember which revision's contact sheet was shown."""
    with registry.transaction():
        runs.note(registry, None, f"{_SHOWN} {person.number}", revision=revision_of(registry, person), faces=_members(registry, person))


def permit(
    registry: Registry,
    target: str,
    purpose: Purpose,
    person: exports.Person,
    candidates: Sequence[Candidate],
    pictures: Pictures,
    *,
    today: date | None = None,
) -> tuple[Permit, list[Candidate], dict[str, str]]:
    """Leave to hand on, the faces that it covers, and for the others why not (by face id). Raises Refused."""
    if person.standing == "ignored":
        raise Refused(f"{_called(person)} is ignored, and ignored people are never exported. facesets undo  takes that back")
    if purpose is Purpose.RECOGNISE:
        return Permit(purpose), list(candidates), {}
    consent = recorded(registry, person)
    _not_a_child(person, today or date.today())  # noqa: DTZ011 - a birthday has no time zone
    if consent is None:
        raise Refused(
            f"{target} is for generating or swapping faces, and no agreement of {_called(person)} is recorded. Ask them; then: "
            f"facesets consent {person.set_name} --by YOUR-NAME --adult"
        )
    looked = was_looked_at(registry, person, consent)
    kept, left_out = _adults(person, candidates, looked=looked)
    if not looked:
        unknown = [c for c in kept if _age_by_birth(person, c) is None]
        young = _estimated(person, unknown, pictures, since=consent.looked is not None)
        left_out |= young
        kept = [c for c in kept if c.face.face_id not in young]
    return Permit(purpose, consent), kept, left_out


def _not_a_child(person: exports.Person, today: date) -> None:
    for birth in map(_date, person.birth_dates):
        if birth is None or years_between(birth, today) < ADULT:
            raise Refused(
                f"{_called(person)} was born on {birth or person.birth_dates[0]} and is no adult. No record changes that: faces of "
                "minors are not handed on for generating or swapping"
            )


def _adults(person: exports.Person, candidates: Sequence[Candidate], *, looked: bool) -> tuple[list[Candidate], dict[str, str]]:
    """Those that no birth date speaks against."""
    kept, left_out = [], {}
    for candidate in candidates:
        age = _age_by_birth(person, candidate)
        if age is not None and age < ADULT:
            left_out[candidate.face.face_id] = f"{age} years old in this photo, by the birth date"
        elif age is None and person.birth_dates and not looked:
            left_out[candidate.face.face_id] = (
                "its photo has no date, so nobody knows how old the person is in it; look: --show, --looked"
            )
        else:
            kept.append(candidate)
    return kept, left_out


def _estimated(person: exports.Person, unknown: Sequence[Candidate], pictures: Pictures, *, since: bool) -> dict[str, str]:
    """Faces that an estimate calls minors. Raises Refused where there is none, or where it calls the whole set young.

    ``since``: the set was looked at, and has changed since.
    """
    if not unknown:
        return {}
    name = person.set_name
    look = "The set has changed since its contact sheet was looked at. Look again" if since else "Look who is in it"
    look += f": facesets consent {name} --show; then: facesets consent {name} --by YOUR-NAME --adult --looked"
    ages = ages_of(pictures, unknown)
    if ages is None:
        raise Refused(f"nobody knows how old {_called(person)} is in these photos: no birth date, and no age estimator is here. {look}")
    missing = [c for c in unknown if c.face.face_id not in ages]
    if not ages or np.percentile(list(ages.values()), 10) < DOUBTFUL:
        raise Refused(f"{_called(person)} may be a minor in these photos: an estimate reads some below {DOUBTFUL} years. {look}")
    young = {key: f"may be a minor: an estimate reads {age:.0f} years" for key, age in ages.items() if age < ADULT}
    return young | {c.face.face_id: "nobody knows how old the person is in it: its picture cannot be read" for c in missing}


def _age_by_birth(person: exports.Person, candidate: Candidate) -> int | None:
    """Years at the photo's date, by the latest birth date; None where either is not known."""
    births = [birth for birth in map(_date, person.birth_dates) if birth is not None]
    taken = _date(candidate.taken_at) if candidate.year is not None else None
    return years_between(max(births), taken) if births and taken is not None else None


def years_between(birth: date, day: date) -> int:
    """Whole years of age on ``day``."""
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def _date(text: str | None) -> date | None:
    try:
        return date.fromisoformat((text or "")[:10])
    except ValueError:
        return None


def _called(person: exports.Person) -> str:
    return f"{person.name} ({person.set_name})" if person.name else person.set_name
