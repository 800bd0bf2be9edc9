"""Compare what is known here with what Immich has now: the diff that a publish would write. Writes nothing there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from facesets.identity import WhatStands, what_stands
from facesets.immich import NamedItem, write_back
from facesets.people import Told, last_look, told
from facesets.progress import Progress
from facesets.publish.collection_diff import album_diff, bearers_of, tag_diff
from facesets.publish.diff import ADD_FACES_WARNING, MAKE, NAME, TAGS_WARNING, Cannot, Diff, PersonDiff, What, Write, quoted
from facesets.publish.faces_diff import FaceRules, Pair, is_other_picture, not_to_be_written, pairs_of, sentences
from facesets.publish.targets import Ours, Target, choose, giving_up, name_of, votes_of
from facesets.publish.there import There
from facesets.records import Asset, Box, Reason, User
from facesets.registry import Made, PlacedFace, Registry, assets, decisions, listings, people, published, same_places
from facesets.wording import count_of, folded, listed, plural

Rejected = Mapping[int, Sequence[tuple[str, Box]]]
_NOT_ASKED = (Reason.GONE, Reason.OTHER_OWNER, Reason.LOCKED)  # of what there is nothing to be asked with this key


def compare(registry: Registry, there: There, what: What, progress: Progress) -> Diff:
    """The diff for the user of that Immich. Raises ServerError, MissingPermission."""
    user = there.source.user
    faces = published.placed_faces(registry, user.user_id)
    known = {face.asset_id: face.row_id for face in faces if face.reason not in _NOT_ASKED}
    to_ask = {asset_id: assets.get(registry, row_id).asset for asset_id, row_id in known.items()}
    made = decisions.select(registry)
    stand = what_stands((one.id, one.act, one.payload) for one in made if one.stands)
    rejected = _rejected(registry, stand, user, {face.key for face in faces})
    rows = listings.owned(registry, user.user_id, sorted({asset for places in rejected.values() for asset, _ in places}))
    to_ask |= {row.asset.asset_id: row.asset for row in rows if row.reason not in _NOT_ASKED}
    there.read_faces(to_ask, progress)
    said = told(published.standing(registry, user.label))
    ours = _ours(registry, faces, there, made)
    merged = published.merged_names(registry)
    inherited = said.inherited(merged)
    targets = choose(ours, there, said.people, inherited, what.overrule)
    changed = _read_changed(there, faces, targets, to_ask, what, progress)
    if changed:  # what was edited since is seen anew
        ours = _ours(registry, faces, there, made)
        targets = choose(ours, there, said.people, inherited, what.overrule)
    if what.tags:
        tagged = {asset for paths in said.tagged.values() for assets_ in paths.values() for asset in assets_}
        there.read_assets(sorted(tagged), progress)
    by_number: dict[int, list[Pair]] = {one.number: [] for one in ours}
    for pair in pairs_of(faces, there.faces):
        by_number.setdefault(pair.face.number, []).append(pair)
    diff = _Person(registry, there, said, what, user.user_id, made, stand, rejected)
    diff.listed = to_ask
    diff.rules.look_over(list(by_number.values()))
    diff.merged = merged
    diff.given_up = giving_up(ours, targets, there, said, what.overrule) if what.names else set()
    diff.bearers = bearers_of((one, [pair.face.asset_id for pair in by_number[one.number]]) for one in ours)
    people_ = tuple(diff.of(one, targets[one.number], by_number[one.number]) for one in ours)
    cut_off = sorted({step.decision for step in published.open_steps(registry, user.label) if step.state == published.UNDOING})
    notes = [f"the undo of decision {decision} was cut off: facesets undo {decision}  goes on" for decision in cut_off]
    notes += _left_behind(said, diff.albums, {one.number for one in ours})
    notes += [ADD_FACES_WARNING] if what.add_faces else []
    notes += [TAGS_WARNING] if what.tags else []
    return Diff(user.label, what, people_, published.nameless(registry), tuple(notes))


class _Person:
    """Makes the diff of one person after the other."""

    def __init__(
        self, registry: Registry, there: There, said: Told, what: What, owner_id: str, made: list[Made], stand: WhatStands,
        rejected: Rejected,
    ) -> None:  # fmt: skip
        self.registry, self.there, self.said, self.what, self.owner_id = registry, there, said, what, owner_id
        self.stand, self.rejected = stand, rejected
        self.rules = FaceRules(there, said, what, last_look(registry, made, stand))
        self.albums = {album.id: album for album in write_back.albums(there.client, owner_id)} if what.albums else {}
        self.tags = {tag.name: tag.id for tag in write_back.tags(there.client)} if what.tags else {}
        self.merged: Mapping[int, Sequence[tuple[int, str | None]]] = {}
        self.bearers: Mapping[str, set[str]] = {}
        self.given_up: set[str] = set()
        self.listed: Mapping[str, Asset] = {}
        self.nameless = published.nameless_there(registry) if what.names else {}

    def of(self, one: Ours, target: Target, pairs: list[Pair]) -> PersonDiff:
        """What is to be written about a person."""
        writes: list[Write] = []
        cannot: list[Cannot] = []
        person, in_step = target.person, 0
        hidden = target.problem is not None and target.problem.kind == "hidden"
        if target.problem is not None and (self.what.names or self.what.faces or self.what.add_faces or hidden):
            cannot.append(target.problem)
        elif target.problem is None:
            found = self.rules.decide(one, target, pairs, self._no_face_in)
            in_step = found.in_step
            cannot += sentences(found, one) if self.what.faces or self.what.add_faces else []
            if person is not None and self.what.faces:
                cannot += self._rejected_there(one, person.person_id)
            if person is None and found.writes:
                writes.append(Write(MAKE, one.number, {"name": one.name}))
            elif person is None and self.what.names and not self.what.faces:
                cannot.append(
                    Cannot("nobody", "nobody in Immich has this name, and nobody is clearly this person", 1, "--faces makes them")
                )
            elif person is not None and person.name == self.said.tokens.get(person.person_id):  # made, and cut off before the name
                writes.append(Write(NAME, one.number, {"person": person.person_id, "name": one.name}, {"name": person.name}))
            elif person is not None and self.what.names:
                name = name_of(one, person, self.there, self.said, self.given_up, overrule=one.number in self.what.overrule)
                writes += [name] if isinstance(name, Write) else []
                cannot += [name] if isinstance(name, Cannot) else self._nameless_there(person.person_id) if name is not None else []
            writes += found.writes
        if self.what.albums and not hidden:
            more, why = album_diff(one, self.photos(pairs), self.there, self.said, self.albums, self.what)
            writes += more
            cannot += why
        if self.what.tags and not hidden:
            ours = self.said.tagged_of([one.number, *(number for number, _ in self.merged.get(one.number, ()))])
            more, why = tag_diff(one, self.photos(pairs), self.there, ours, self.tags, self.bearers, self.what)
            writes += more
            cannot += why
        return PersonDiff(
            one.number, one.set_name, one.name, person.person_id if person else None, person.name if person else "", tuple(writes),
            tuple(cannot), in_step,
        )  # fmt: skip

    def _rejected_there(self, one: Ours, person_id: str) -> list[Cannot]:
        """Faces that are not this person's, as somebody said here, and that Immich has with them."""
        n = 0
        for asset_id, place in self.rejected.get(one.number, ()):
            seen = [face for face in self.there.faces.get(asset_id) or () if face.place is not None and face.person_id == person_id]
            n += bool(same_places([place], [face.place for face in seen if face.place]))
        if not n:
            return []
        many = f"{count_of(n, 'face')} that {plural(n, 'was')} rejected here {plural(n, 'is')} with them in Immich"
        why = f"{many}, and it is not known whose {'it is' if n == 1 else 'they are'}"
        return [Cannot("rejected", why, n, "facesets move FACE --to SET says it; or in Immich, by hand")]

    def _nameless_there(self, person_id: str) -> list[Cannot]:
        """Faces of people without a name here whom Immich has for this person: what that gets of a name is theirs as well."""
        return [
            Cannot(
                "nameless", f"{count_of(n, 'face')} of {set_name}, which has no name here, {plural(n, 'is')} with them in Immich, and "
                f"{'gets' if n == 1 else 'get'} this name there too", n, f"facesets name {set_name} NAME, and --faces moves them",
            )
            for set_name, n in self.nameless.get(person_id, ())
        ]  # fmt: skip

    def photos(self, pairs: list[Pair]) -> dict[str, list[str]]:
        """Face's key -> the assets that show it and may be written to, the one that stands for the photo first."""
        found: dict[str, list[str]] = {}
        for pair in pairs:
            if self._blocked(pair.face) is None:
                found.setdefault(pair.face.key, []).append(pair.face.asset_id)
        return found

    def _no_face_in(self, face: PlacedFace) -> str | None:
        """Why no face is written to an asset."""
        known, now = self.listed.get(face.asset_id), self.there.assets.get(face.asset_id)
        other = known is not None and now is not None and is_other_picture(known, now)
        return self._blocked(face) or ("other_picture" if other else None)

    def _blocked(self, face: PlacedFace) -> str | None:
        asset_id = face.asset_id
        asked = asset_id in self.there.assets or (asset_id in self.there.faces and self.there.faces[asset_id] is None)
        return not_to_be_written(face, self.owner_id, self.there.assets.get(asset_id), asked=asked)


def _left_behind(said: Told, albums: Mapping[str, NamedItem], published_now: Collection[int]) -> list[str]:
    """Albums that were made for people who are not published any more: merged into others, without a name or a photo."""
    names = [albums[album].name for number, album in said.albums.items() if number not in published_now and album in albums]
    return [f"the {plural(len(names), 'album')} {listed(map(quoted, sorted(names)))} {plural(len(names), 'is')} of people who are not "
            f"published any more, and {'stays' if len(names) == 1 else 'stay'} in Immich"] if names else []  # fmt: skip


def _rejected(registry: Registry, stand: WhatStands, user: User, placed: Collection[str]) -> Rejected:
    """Number -> assets and places of the faces that are not of that person, and not of another one who has a name."""
    assets_ = sorted({str(key["asset"]) for key in stand.keys.values() if key.get("asset") and key.get("owner") == user.user_id})
    found: dict[int, list[tuple[str, Box]]] = {}
    for asset_id in assets_ if stand.not_of else ():
        for face in published.faces_there(registry, user.label, asset_id):
            if face.key in placed:
                continue
            (content,) = decisions.content_keys(registry, [face.key])
            for number in stand.rejected(content):
                found.setdefault(number, []).append((asset_id, face.place))
    return found


def _ours(registry: Registry, faces: list[PlacedFace], there: There, made: list[Made]) -> list[Ours]:
    """The people with a name who have a face in this user's photos, with what Immich says of their faces."""
    by_number: dict[int, list[PlacedFace]] = {}
    for face in faces:
        by_number.setdefault(face.number, []).append(face)
    everybody = {person.number: person for person in people.select(registry, standing=("active",)) if not person.retired}
    merged, dates = published.merged_names(registry), _named_at(made)
    votes: dict[int, set[tuple[str, str]]] = {}
    for pair in pairs_of(faces, there.faces):
        if pair.seen is not None and pair.seen.person_id is not None:
            votes.setdefault(pair.face.number, set()).add((pair.face.asset_id, pair.seen.person_id))
    return [
        Ours(
            number, person.set_name, person.name, dates.get((number, person.name)),
            frozenset(folded(name) for _, name in merged.get(number, ()) if name), votes_of(votes.get(number, set())),
        )
        for number in sorted(by_number)
        if (person := everybody.get(number)) is not None and person.name
    ]  # fmt: skip


def _named_at(made: list[Made]) -> dict[tuple[int, str], str]:
    """(Number, name) -> when it was last said."""
    stand = what_stands((one.id, one.act, one.payload) for one in made if one.stands)
    found: dict[tuple[int, str], str] = {}
    for one in made:
        if not one.stands:
            continue
        said = one.payload
        match one.act:
            case "name":
                named = {said["set"]: said["name"]}
            case "names":
                named = {int(number): name for number, name in said["names"].items()}
            case "merge":
                named = {said["into"]: said["name"]}
            case "split":
                named = {said["to"]: said["name"]}
            case _:
                named = {}
        found.update({(stand.now(number), name): one.at for number, name in named.items() if name})
    return found


def _read_changed(
    there: There, faces: list[PlacedFace], targets: Mapping[int, Target], listed: Mapping[str, Asset], what: What, progress: Progress
) -> set[str]:
    """Ask for the assets to which something would be written; gives those whose edits changed since they were listed."""
    wanted = set[str]()
    for pair in pairs_of(faces, there.faces):
        face, target = pair.face, targets.get(pair.face.number, Target())
        if face.asset_id not in listed or there.faces.get(face.asset_id) is None:
            continue
        differs = target.problem is None and (
            (pair.seen is None and what.add_faces)
            or (pair.seen is not None and what.faces and (target.person is None or pair.seen.person_id != target.person.person_id))
        )
        if differs or what.albums or what.tags:
            wanted.add(face.asset_id)
    there.read_assets(sorted(wanted), progress)
    return there.reread_edited({asset_id: listed[asset_id] for asset_id in sorted(wanted)}, progress)
