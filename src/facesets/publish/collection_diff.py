"""Which photos are to be in a person's album, or to bear their tag. What somebody took out in Immich stays out. Reads alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from facesets.immich import NamedItem, write_back
from facesets.people import Told
from facesets.publish.diff import ALBUM, ALBUM_ADD, ALBUM_NAME, ALBUM_REMOVE, TAG, TAG_MAKE, UNTAG, Cannot, What, Write
from facesets.publish.targets import Ours
from facesets.publish.there import There
from facesets.wording import count_of, plural

MADE_BY = "Made by facesets"
Photos = Mapping[str, list[str]]  # face's key -> assets that show it, the one that stands for the photo first
Bearers = Mapping[str, set[str]]


def album_diff(
    one: Ours, photos: Photos, there: There, said: Told, albums: Mapping[str, NamedItem], what: What
) -> tuple[list[Write], list[Cannot]]:
    """A person's own album: made, filled, and rid of photos that were put in from here and do not show them any more."""
    wanted = _one_each(photos.values())
    album_id = said.albums.get(one.number) or made_elsewhere(one.name, albums.values())
    overruled = one.number in what.overrule
    if album_id is not None and album_id not in albums:
        if not overruled:
            why = "their album was deleted in Immich"
            return [], [Cannot("album_deleted", why, 1, f"--overrule {one.set_name}  makes it anew")] if wanted else []
        album_id = None
    if album_id is None:
        if not wanted:
            return [], []
        made = Write(ALBUM, one.number, {"name": one.name})
        return [made, *_writes(ALBUM_ADD, one, {"album": None}, wanted)], []
    writes = []
    now = albums[album_id].name
    if now != one.name and now == said.album_names.get(album_id):
        writes.append(Write(ALBUM_NAME, one.number, {"album": album_id, "name": one.name}, {"name": now}))
    inside = write_back.in_album(there.client, album_id)
    ours = said.in_albums.get(album_id, set())
    taken_out = [] if overruled else [asset for asset in wanted if asset in ours and asset not in inside]
    every = {asset for copies in photos.values() for asset in copies}
    if missing := [asset for asset in wanted if asset not in inside and asset not in taken_out]:
        writes += _writes(ALBUM_ADD, one, {"album": album_id}, missing)
    writes += _writes(ALBUM_REMOVE, one, {"album": album_id}, sorted((ours & inside) - every))
    return writes, _taken_out(taken_out, "taken out of their album", one)


def made_elsewhere(name: str, albums: Iterable[NamedItem]) -> str | None:
    """The album of this name that another workspace made, or this one before its registry was lost."""
    return next((album.id for album in albums if album.name == name and album.description.startswith(MADE_BY)), None)


def tag_diff(
    one: Ours, photos: Photos, there: There, ours: Bearers, tags: Mapping[str, str], bearers: Bearers, what: What
) -> tuple[list[Write], list[Cannot]]:
    """A person's tag, ``People/NAME``: put on their photos, and taken off where it was put from here and is not theirs any more.

    That is a photo that does not show them, and after another name every photo that bears the tag of the former one. ``ours``: what
    was tagged from here, ``bearers``: what is to be, for whomever.
    """
    path = tag_path(one.name)
    bear = _bearing(there, tags.get(path))
    wanted = [asset for asset in _one_each(photos.values()) if asset not in bear]
    taken_off = [] if one.number in what.overrule else [asset for asset in wanted if asset in ours.get(path, set())]
    writes = []
    if missing := [asset for asset in wanted if asset not in taken_off]:
        if path not in tags:
            parts = path.split("/")
            paths = ["/".join(parts[: n + 1]) for n in range(len(parts))]
            writes.append(Write(TAG_MAKE, one.number, {"path": path}, {"tags": [each for each in paths if each in tags]}))
        writes += _writes(TAG, one, {"path": path, "tag": tags.get(path)}, missing)
    for former, assets in sorted(ours.items()):
        strange = (assets & _bearing(there, tags.get(former))) - bearers.get(former, set())
        writes += _writes(UNTAG, one, {"path": former, "tag": tags.get(former)}, sorted(strange))
    return writes, _taken_out(taken_off, "rid of their tag", one)


def bearers_of(people: Iterable[tuple[Ours, Iterable[str]]]) -> Bearers:
    """The path of a tag -> assets that it is for, of whomever: two names may come to one tag."""
    found: dict[str, set[str]] = {}
    for one, assets in people:
        found.setdefault(tag_path(one.name), set()).update(assets)
    return found


def _bearing(there: There, tag_id: str | None) -> set[str]:
    """Those of the assets that were asked for that bear a tag, but for the trash."""
    known = there.assets.items() if tag_id else ()
    return {asset for asset, now in known if now is not None and tag_id in now.tags and not now.is_trashed}


def tag_path(name: str) -> str:
    """The tag of a person of this name; a slash would make a tag below another one."""
    return f"People/{name.replace('/', '-')}"


def _writes(action: str, one: Ours, wanted: Mapping[str, str | None], assets: list[str]) -> list[Write]:
    """A write about so many assets; several where they are more than go into one request, since a write is done or it is not."""
    most = write_back.AT_ONCE
    parts = [assets[start : start + most] for start in range(0, len(assets), most)]
    return [Write(action, one.number, {**wanted, "assets": part}) for part in parts]


def _one_each(copies: Iterable[list[str]]) -> list[str]:
    """One asset a photo, each once."""
    return list(dict.fromkeys(assets[0] for assets in copies if assets))


def _taken_out(assets: list[str], how: str, one: Ours) -> list[Cannot]:
    if not assets:
        return []
    n = len(assets)
    why = f"{count_of(n, 'photo')} {plural(n, 'was')} {how} in Immich since, and {'stays' if n == 1 else 'stay'} so"
    return [Cannot("taken_out_there", why, n, f"--overrule {one.set_name}  puts {'it' if n == 1 else 'them'} back")]
