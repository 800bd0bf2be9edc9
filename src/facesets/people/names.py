"""Naming: by hand, and as Immich has it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from facesets.errors import MissingPermission, ServerError, UsageError
from facesets.people import resolve, said
from facesets.people.deciding import decide
from facesets.people.outcome import Effects, Outcome
from facesets.progress import Progress
from facesets.registry import Person, Registry, SourceName, assets, people, source_people
from facesets.sources import Source, folder_of, open_source, without_dump
from facesets.wording import count_of, folded, name_as_kept
from facesets.workspace import Workspace

LONGEST = 1000  # characters
AT_LEAST = 0.8


IMMICH, PHOTOS = "immich", "xmp"  # who names faces: Immich, or the photos of a folder themselves


@dataclass(frozen=True, slots=True)
class NameSuggestion:
    """What most faces of a set are called by Immich, or by the photos of a folder (``by``: ``xmp``).

    ``conflict`` says why it is not taken without being asked.
    """

    person: Person
    name: str
    share: float  # of all of the set's faces
    faces: int
    conflict: str | None = None
    by: str = IMMICH


def checked(name: str) -> str:
    """A name as it is kept: any characters but control characters, in Unicode's normal form. Raises UsageError."""
    kept = name_as_kept(name)
    if not kept:
        raise UsageError("a name of nothing: to take a name back, facesets undo")
    if any(unicodedata.category(char) == "Cc" for char in kept):
        raise UsageError(f"{name!r}: a name is one line without control characters")
    if any(unicodedata.category(char) == "Cs" for char in kept):
        raise UsageError("the name is not valid text (half of a surrogate pair)")
    if len(kept) > LONGEST:
        raise UsageError(f"a name of {len(kept):,} characters; at most {LONGEST:,}")
    return kept


def name(workspace: Workspace, registry: Registry, one: str, called: str, *, dry_run: bool = False) -> Outcome:
    """The person of the set ``one`` is called so. Raises NotFound, UsageError."""
    person, chosen = resolve.person(registry, one), checked(called)
    if person.name == chosen:
        return Outcome("name", None, (f"{person.set_name} is called {chosen} already",), {}, dry_run=dry_run)

    def do(effects: Effects) -> None:
        _name(registry, person, chosen, effects)
        effects.changes["named"] = {person.set_name: chosen}

    payload = {"set": person.number, "name": chosen}
    return decide(workspace, registry, "name", payload, do, people=(person.id,), dry_run=dry_run)


def suggested_names(
    registry: Registry, *, at_least: float = AT_LEAST, by: str | None = None, known: dict[int, list[SourceName]] | None = None
) -> list[NameSuggestion]:
    """The names that sources give the faces of sets without one, clear ones and conflicts, by number; all, or those ``by`` one kind.

    ``known``: what ``people.source_names`` has just told, which reads all faces.
    """
    found, known = [], people.source_names(registry) if known is None else known
    if by is not None:
        known = {who: [each for each in names if _by(each) == by] for who, names in known.items()}
    everybody = people.select(registry, standing=("active",))
    for person in everybody:
        if person.retired or not (names := _by_name(known.get(person.id, []))):
            continue
        best = names[0]
        if person.name and folded(person.name) == folded(best.name):
            continue
        conflict = _conflict(person, names, everybody, known, at_least)
        found.append(NameSuggestion(person, best.name, best.share, best.faces, conflict, _by(best)))
    return found


def name_from_sources(
    workspace: Workspace, registry: Registry, *, at_least: float = AT_LEAST, by: str | None = None, dry_run: bool = False
) -> Outcome:
    """Take the names that at least this share of a set's faces have, all clear ones as one decision; list the conflicts.

    ``by``: those that Immich has (``immich``), or those that photos of folders bear (``xmp``, see :func:`read_xmp_names`); None: both.

    Raises UsageError where ``at_least`` is not within 0.5 to 1.
    """
    if not 0.5 <= at_least <= 1:
        raise UsageError(f"--at-least {at_least:g}: a share from 0.5 to 1")
    names = suggested_names(registry, at_least=at_least, by=by)
    clear = [each for each in names if each.conflict is None]
    conflicts = tuple(f"{each.person.said}: {each.conflict}" for each in names if each.conflict)
    data = {
        "named": {each.person.set_name: each.name for each in clear},
        "conflicts": {each.person.set_name: each.conflict for each in names if each.conflict},
    }
    if not clear:
        where = {IMMICH: "in Immich", PHOTOS: "in its photos"}.get(by or "", "at its source")
        return Outcome("names", None, (f"no set has a clear name {where} that it does not bear",), data, (), conflicts, dry_run)

    def do(effects: Effects) -> None:
        for each in clear:
            _name(registry, each.person, each.name, effects, f" ({each.share:.0%} of {count_of(_total(each), 'face')})")
        effects.notes += conflicts
        effects.changes |= data

    payload = {"names": {str(each.person.number): each.name for each in clear}, "at_least": at_least}
    return decide(workspace, registry, "names", payload, do, people=[each.person.id for each in clear], dry_run=dry_run)


def _by(name: SourceName) -> str:
    return PHOTOS if name.person_id.startswith(source_people.XMP) else IMMICH


def _total(each: NameSuggestion) -> int:
    return round(each.faces / each.share) if each.share else 0


def _name(registry: Registry, person: Person, chosen: str, effects: Effects, why: str = "") -> None:
    people.rename(registry, person.id, chosen)
    before = f", not {person.name} any more" if person.name else ""
    effects.sentences.append(f"{person.set_name} is {chosen}{before}{why}")
    effects.touches(person.set_name)
    for other in said.names_in_use(registry, chosen, person.number):
        effects.notes.append(
            f"{other} is called {chosen} too: are they one person? Then: facesets merge {person.set_name} {other}. If not: facesets "
            f"distinct {person.set_name} {other}"
        )


def _by_name(names: list[SourceName]) -> list[SourceName]:
    """People of one name together (a source may have several of it), the most frequent first."""
    together: dict[str, SourceName] = {}
    for each in names:
        before = together.get(folded(each.name), each)
        faces = each.faces + (before.faces if before is not each else 0)
        together[folded(each.name)] = SourceName(each.person_id, before.name, each.birth_date, faces, each.total)
    return sorted(together.values(), key=lambda each: (-each.faces, each.name))


def _conflict(
    person: Person, names: list[SourceName], everybody: list[Person], known: dict[int, list[SourceName]], at_least: float
) -> str | None:
    best = names[0]
    try:
        checked(best.name)
    except UsageError as err:
        return f"its name there cannot be taken: {err}"
    if person.name:
        return f"it is called {person.name} here, and {best.name} there ({best.share:.0%} of its faces)"
    if best.share < at_least:
        others = ", ".join(f"{each.name} {each.share:.0%}" for each in names[:3])
        return f"not clear enough: {others}"
    for other in everybody:
        if other.id == person.id or other.retired:
            continue
        theirs = _by_name(known.get(other.id, []))
        called = other.name or (theirs[0].name if theirs and theirs[0].share >= at_least else "")
        if folded(called) == folded(best.name):
            return f"{other.said} is {best.name} as well. If they are one person: facesets merge {person.set_name} {other.set_name}"
    return None


def ask_sources(workspace: Workspace, registry: Registry, progress: Progress) -> None:
    """Learn from every user's source whom it knows by now; where one cannot be asked, what it said before holds, and this is said."""
    for user in assets.users(registry):
        folder = folder_of(registry, user.label)
        if folder is not None:
            continue  # a folder names nobody
        try:
            with without_dump(workspace), open_source(workspace, registry, user.label, folder, progress) as source:
                _learn(registry, source, progress)
        except (ServerError, UsageError) as err:
            progress.note(f"{user.label}: names are as the last run saw them ({err})")


def _learn(registry: Registry, source: Source, progress: Progress) -> None:
    """Learn whom a source knows: names and birth dates. Where the key may not ask, this is said, and what is known stays.

    Raises ServerError.
    """
    try:
        names = list(source.people())
    except MissingPermission as err:
        progress.note(f"{source.user.label}: names and birth dates are as known before ({err})")
        return
    with registry.transaction():
        source_people.replace(registry, source.user.label, names)
