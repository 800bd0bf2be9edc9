"""What a publish would write, person by person: as records, as data for a page, in words. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from facesets.wording import count_of, listed, plural

NAME, FACE, DRAW, ALBUM, ALBUM_ADD, ALBUM_REMOVE, TAG = "name", "face", "draw", "album", "album_add", "album_remove", "tag"
MAKE, ALBUM_NAME, TAG_MAKE, UNTAG = "make", "album_name", "tag_make", "untag"
_LONG = 80  # characters of a name in a message

ADD_FACES_WARNING = (
    "on Immich 2.7 and 3.1 a photo to which a face is added may fail each later refresh of its faces (Immich finds a face at the same "
    "place, and cannot give it a vector twice); an undo takes the added face away again"
)
TAGS_WARNING = (
    "tags make Immich write an XMP file beside each original, in the folders of external libraries too, and the file stays when the "
    "tag is taken off"
)


@dataclass(frozen=True, slots=True)
class What:
    """What is to be published. ``overrule``: numbers of people for whom ours is written where Immich's was changed since."""

    names: bool = False
    faces: bool = False
    albums: bool = False
    tags: bool = False
    add_faces: bool = False
    overrule: frozenset[int] = frozenset()

    @property
    def asked(self) -> tuple[str, ...]:
        """The names of what is on."""
        return tuple(each.name for each in fields(self) if each.name != "overrule" and getattr(self, each.name))

    def as_dict(self) -> dict[str, Any]:
        """For --json and the journal."""
        return {"what": list(self.asked), "overrule": sorted(self.overrule)}


@dataclass(frozen=True, slots=True)
class Write:
    """One request about the person with ``number``: ids and values ``wanted``, and what was there ``before``.

    ``before`` of a face has ``first`` where its person had no picture in Immich: the one that is made of it cannot be taken away.
    """

    action: str
    number: int
    wanted: Mapping[str, Any]
    before: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cannot:
    """``count`` things that are not written, why in words, and the command that would decide it, where there is one."""

    kind: str
    why: str
    count: int = 1
    advice: str = ""


@dataclass(frozen=True, slots=True)
class PersonDiff:
    """A person here and in Immich: ``person_id`` is None where it has nobody for them yet. ``in_step``: faces that agree already."""

    number: int
    set_name: str
    name: str
    person_id: str | None
    immich_name: str
    writes: tuple[Write, ...]
    cannot: tuple[Cannot, ...]
    in_step: int = 0

    def counts(self) -> dict[str, int]:
        """How many of each: named, assigned, moved, added faces, photos into and out of albums, tagged photos."""
        found: Counter[str] = Counter()
        for write in self.writes:
            for what, n in counted(write):
                found[what] += n
        return dict(found)

    def in_words(self) -> str:
        """What would be written, in words; empty where nothing would."""
        return "; ".join(_said(self))

    def as_dict(self) -> dict[str, Any]:
        """For --json and the page."""
        return {
            "person": self.number, "set": self.set_name, "name": self.name, "immich_person_id": self.person_id,
            "immich_name": self.immich_name, "counts": self.counts(), "faces_in_step": self.in_step,
            "writes": [{"action": w.action, "wanted": _for_json(w.wanted), "before": _for_json(w.before)} for w in self.writes],
            "cannot": [{"kind": c.kind, "why": c.why, "count": c.count, "advice": c.advice} for c in self.cannot],
        }  # fmt: skip


# what an action calls the things of Immich that it writes about -> their keys in --json
_KEYS = {"asset": "asset_id", "assets": "asset_ids", "face": "immich_face_id", "person": "immich_person_id", "album": "album_id"}


def _for_json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {_KEYS.get(key, key): value for key, value in values.items()}


@dataclass(frozen=True, slots=True)
class Diff:
    """What would be written for a user, by person; ``nameless``: how many sets have no name and are left alone."""

    label: str
    what: What
    people: tuple[PersonDiff, ...]
    nameless: int = 0
    notes: tuple[str, ...] = ()

    @property
    def writes(self) -> tuple[Write, ...]:
        """All of them in order."""
        return tuple(write for person in self.people for write in person.writes)

    def counts(self) -> dict[str, int]:
        """As :meth:`PersonDiff.counts`, of all."""
        total: Counter[str] = Counter()
        for person in self.people:
            total.update(person.counts())
        return dict(total)

    def in_words(self) -> list[str]:
        """All of it together: ``3 people named``, ``12 faces moved to the right person``."""
        return in_words(self.counts())

    def as_dict(self) -> dict[str, Any]:
        """For --json and the page."""
        return {
            "user": self.label, **self.what.as_dict(), "counts": self.counts(), "nameless_sets": self.nameless,
            "notes": list(self.notes), "people": [person.as_dict() for person in self.people],
        }  # fmt: skip

    def sentences(self) -> list[str]:
        """In words: a line a person, what cannot be done below it, then all together."""
        lines: list[str] = []
        quiet = 0
        for person in self.people:
            if not (person.writes or person.cannot):
                quiet += 1
                continue
            lines.append(f"{person.name} ({person.set_name}): {person.in_words() or 'nothing to write'}")
            for cannot in person.cannot:
                advice = f" ({cannot.advice})" if cannot.advice else ""
                lines.append(f"  not written: {cannot.why}{advice}")
        if quiet:
            lines.append(f"{count_of(quiet, 'person')} {plural(quiet, 'is')} in Immich as here")
        if self.nameless:
            lines.append(f"{count_of(self.nameless, 'set')} without a name {plural(self.nameless, 'is')} left alone (facesets name)")
        lines += [f"note: {note}" for note in self.notes]
        return lines


def quoted(name: str) -> str:
    """A name in quotes, a long one cut short."""
    return repr(name if len(name) <= _LONG else f"{name[:_LONG]}...")


def counted(write: Write) -> Iterator[tuple[str, int]]:
    """What a write adds to the counts."""
    match write.action:
        case "make":
            yield "people_made", 1
        case "name":
            yield "people_named", 1
        case "face":
            yield ("faces_assigned" if write.before.get("person") is None else "faces_moved"), 1
        case "draw":
            yield "faces_added", 1
        case "album":
            yield "albums_made", 1
        case "album_name":
            yield "albums_named", 1
        case "album_add":
            yield "album_photos_added", len(write.wanted["assets"])
        case "album_remove":
            yield "album_photos_removed", len(write.wanted["assets"])
        case "tag":
            yield "photos_tagged", len(write.wanted["assets"])
        case "untag":
            yield "photos_untagged", len(write.wanted["assets"])


_SAID: Mapping[str, tuple[str, str]] = {
    "people_made": ("person made", "people made"),
    "people_named": ("person named", "people named"),
    "faces_assigned": ("face given a person", "faces given a person"),
    "faces_moved": ("face moved to the right person", "faces moved to the right person"),
    "faces_added": ("face added", "faces added"),
    "albums_made": ("album made", "albums made"),
    "albums_named": ("album renamed", "albums renamed"),
    "album_photos_added": ("photo put into an album", "photos put into albums"),
    "album_photos_removed": ("photo taken out of an album", "photos taken out of albums"),
    "photos_tagged": ("photo tagged", "photos tagged"),
    "photos_untagged": ("photo rid of a tag", "photos rid of a tag"),
}


def in_words(counts: Mapping[str, int]) -> list[str]:
    """``3 people named``, ``12 faces moved to the right person``."""
    return [f"{counts[key]:,} {one if counts[key] == 1 else many}" for key, (one, many) in _SAID.items() if counts.get(key)]


def _said(person: PersonDiff) -> Iterator[str]:
    counts = person.counts()
    for write in person.writes:
        if write.action == MAKE:
            yield "a new person in Immich"
        elif write.action == NAME:
            was = write.before.get("name")
            yield (
                f"the person {quoted(was)} in Immich is called {quoted(person.name)}"
                if was
                else "the person without a name in Immich gets the name"
            )
    if n := counts.get("faces_assigned"):
        yield f"{count_of(n, 'face')} that {plural(n, 'was')} nobody's {plural(n, 'is')} given to them"
    if n := counts.get("faces_moved"):
        yield f"{count_of(n, 'face')} {plural(n, 'is')} moved to them from {listed(_from(person.writes))}"
    if n := counts.get("faces_added"):
        yield f"{count_of(n, 'face')} {plural(n, 'is')} added where Immich has none"
    if any(write.before.get("first") for write in person.writes):
        yield "they have no picture in Immich, and keep the one that it makes of the first face, also when this is taken back"
    if counts.get("albums_named"):
        yield "the album gets the name"
    if n := counts.get("album_photos_added"):
        yield f"{count_of(n, 'photo')} {plural(n, 'is')} put into {'a new' if counts.get('albums_made') else 'the'} album"
    if n := counts.get("album_photos_removed"):
        yield f"{count_of(n, 'photo')} {plural(n, 'is')} taken out of the album"
    if n := counts.get("photos_tagged"):
        yield f"{count_of(n, 'photo')} {plural(n, 'is')} tagged"
    if n := counts.get("photos_untagged"):
        tags = sorted({str(write.wanted["path"]) for write in person.writes if write.action == UNTAG})
        yield f"{count_of(n, 'photo')} {plural(n, 'is')} rid of the {plural(len(tags), 'tag')} {listed(list(map(quoted, tags)))}"


def _from(writes: Sequence[Write]) -> list[str]:
    names = Counter(w.before.get("name") or "" for w in writes if w.action == FACE and w.before.get("person") is not None)
    named = [f"{quoted(name)} ({n:,})" for name, n in sorted(names.items()) if name]
    return [*named, f"people without a name ({names['']:,})" if named else "people without a name"] if names.get("") else named
