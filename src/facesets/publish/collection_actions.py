"""The single writes to albums and tags, each with what takes it back."""

from __future__ import annotations

from collections.abc import Mapping

from facesets.immich import AssetNow, NamedItem, write_back
from facesets.publish.collection_diff import MADE_BY, made_elsewhere
from facesets.publish.diff import ALBUM, ALBUM_ADD, ALBUM_NAME, ALBUM_REMOVE, TAG, TAG_MAKE, UNTAG, quoted
from facesets.publish.people_actions import Action, Changed, Context, Sent, Values, token
from facesets.registry import PublishedStep


class _Album:
    """An album, found again by what its description says."""

    def ready(self, context: Context, write: Sent) -> Values | Changed:
        if made_elsewhere(write.wanted["name"], write_back.albums(context.client, context.source.user.user_id)):
            return Changed("an album of that name was made by facesets meanwhile, and the next publish fills it")
        return {**write.before, "token": token()}

    def send(self, context: Context, write: Sent) -> Values:
        return {"album": write_back.create_album(context.client, write.wanted["name"], f"{MADE_BY} ({write.before['token']})")}

    def landed(self, context: Context, write: Sent) -> Values | None:
        found = [
            album.id
            for album in write_back.albums(context.client, context.source.user.user_id)
            if write.before["token"] in album.description
        ]
        return {"album": found[0]} if found else None

    def take_back(self, context: Context, step: PublishedStep) -> Changed | None:
        album = _album(context, step.result["album"])
        if album is None:
            return None
        if album.name != step.wanted["name"]:
            return Changed(f"the album {quoted(step.wanted['name'])} is called {quoted(album.name)} in Immich by now, and stays")
        if write_back.is_album_used(context.client, album.id):
            return Changed(f"the album {quoted(album.name)} holds photos that were put into it in Immich, and stays")
        write_back.delete_album(context.client, album.id)
        return None


class _AlbumAdd:
    """Photos into an album; ``inside`` are those that somebody has put in before that, and that are not ours to take out."""

    def ready(self, context: Context, write: Sent) -> Values | Changed:
        inside = _inside(context, write)
        if inside is None:
            return Changed("the album was deleted in Immich")
        if len(inside) == len(write.wanted["assets"]):
            return Changed("they were put in in Immich meanwhile")
        return {**write.before, "inside": inside}

    def send(self, context: Context, write: Sent) -> Values:
        failed = write_back.add_to_album(context.client, write.wanted["album"], write.wanted["assets"])
        # one that is a duplicate now was not there right before: an attempt whose answer was lost has put it in
        added = [asset for asset in write.wanted["assets"] if failed.get(asset, "duplicate") == "duplicate"]
        return {"added": [asset for asset in added if asset not in write.before.get("inside", ())]}

    def landed(self, context: Context, write: Sent) -> Values | None:
        added = [asset for asset in _inside(context, write) or () if asset not in write.before.get("inside", ())]
        return {"added": added} if added else None  # one of several may be refused

    def take_back(self, context: Context, step: PublishedStep) -> Changed | None:
        if _album(context, step.wanted["album"]) is not None and step.result.get("added"):
            write_back.remove_from_album(context.client, step.wanted["album"], step.result["added"])
        return None


class _AlbumRemove:
    """Photos out of an album into which they were put from here; those that are not ``inside`` any more do not come back."""

    def ready(self, context: Context, write: Sent) -> Values | Changed:
        inside = _inside(context, write)
        if inside is None:
            return Changed("the album was deleted in Immich")
        return {**write.before, "inside": inside} if inside else Changed("they were taken out in Immich meanwhile")

    def send(self, context: Context, write: Sent) -> Values:
        write_back.remove_from_album(context.client, write.wanted["album"], write.wanted["assets"])
        return {"removed": write.before["inside"]}

    def landed(self, context: Context, write: Sent) -> Values | None:
        return {"removed": write.before["inside"]} if _inside(context, write) == [] else None

    def take_back(self, context: Context, step: PublishedStep) -> Changed | None:
        if _album(context, step.wanted["album"]) is None:
            return Changed("an album was deleted in Immich")
        write_back.add_to_album(context.client, step.wanted["album"], step.result.get("removed", step.wanted["assets"]))
        return None


class _AlbumName:
    """The name of an album that was made from here, after its person's."""

    def ready(self, context: Context, write: Sent) -> Values | Changed:
        album = _album(context, write.wanted["album"])
        if album is None or album.name != write.before["name"]:
            return Changed("the album was deleted or renamed in Immich")
        return write.before

    def send(self, context: Context, write: Sent) -> Values:
        write_back.rename_album(context.client, write.wanted["album"], write.wanted["name"])
        return {}

    def landed(self, context: Context, write: Sent) -> Values | None:
        album = _album(context, write.wanted["album"])
        return {} if album is not None and album.name == write.wanted["name"] else None

    def take_back(self, context: Context, step: PublishedStep) -> Changed | None:
        album = _album(context, step.wanted["album"])
        if album is None or album.name == step.before["name"]:
            return None
        if album.name != step.wanted["name"]:
            return Changed(f"the album {quoted(step.wanted['name'])} is called {quoted(album.name)} in Immich by now, and stays so")
        write_back.rename_album(context.client, album.id, step.before["name"])
        return None


class _TagMake:
    """A tag, with its parents. Asked for twice it is made once."""

    def ready(self, context: Context, write: Sent) -> Values | Changed:  # noqa: ARG002 - the protocol's names
        return write.before

    def send(self, context: Context, write: Sent) -> Values:
        return {"tag": write_back.upsert_tag(context.client, write.wanted["path"])}

    def landed(self, context: Context, write: Sent) -> Values | None:
        tag = _tags(context).get(write.wanted["path"])
        return None if tag is None else {"tag": tag}

    def take_back(self, context: Context, step: PublishedStep) -> Changed | None:
        there = _tags(context)
        parts = step.wanted["path"].split("/")
        for depth in range(len(parts), 0, -1):
            path = "/".join(parts[:depth])
            if path in step.before["tags"] or any(other.startswith(f"{path}/") for other in there):
                break
            if path not in there:
                continue
            if write_back.is_tag_used(context.client, there[path]):
                return Changed(f"the tag {quoted(path)} is on photos that were tagged in Immich, and stays")
            write_back.delete_tag(context.client, there.pop(path))
        return None


class _Tag:
    """A tag on photos. What Immich wrote beside the originals stays, without the tag, when it is taken off."""

    def ready(self, context: Context, write: Sent) -> Values | Changed:
        return write.before if write.wanted["tag"] in _tags(context).values() else Changed("the tag was deleted in Immich")

    def send(self, context: Context, write: Sent) -> Values:
        write_back.tag_assets(context.client, write.wanted["tag"], write.wanted["assets"])
        return {}

    def landed(self, context: Context, write: Sent) -> Values | None:
        now = [write_back.asset(context.client, asset) for asset in write.wanted["assets"]]
        return {} if all(asset is None or write.wanted["tag"] in asset.tags for asset in now) else None

    def take_back(self, context: Context, step: PublishedStep) -> Changed | None:
        _untag(context, step)
        return None


class _Untag:
    """A tag off photos on which it was put from here."""

    def ready(self, context: Context, write: Sent) -> Values | Changed:  # noqa: ARG002 - the protocol's names
        return write.before

    def send(self, context: Context, write: Sent) -> Values:
        _untag(context, write)
        return {}

    def landed(self, context: Context, write: Sent) -> Values | None:
        return None if _bearing(context, write) else {}

    def take_back(self, context: Context, step: PublishedStep) -> Changed | None:
        if step.wanted["tag"] not in _tags(context).values():
            return Changed(f"the tag {quoted(step.wanted['path'])} was deleted in Immich")
        write_back.tag_assets(context.client, step.wanted["tag"], step.wanted["assets"])
        return None


COLLECTION_ACTIONS: Mapping[str, Action] = {
    ALBUM_NAME: _AlbumName(),
    ALBUM: _Album(),
    ALBUM_ADD: _AlbumAdd(),
    ALBUM_REMOVE: _AlbumRemove(),
    TAG_MAKE: _TagMake(),
    TAG: _Tag(),
    UNTAG: _Untag(),
}


def _album(context: Context, album_id: str) -> NamedItem | None:
    return next((album for album in write_back.albums(context.client, context.source.user.user_id) if album.id == album_id), None)


def _inside(context: Context, write: Sent) -> list[str] | None:
    """Those of a write's assets that its album holds; None where there is no such album any more."""
    if _album(context, write.wanted["album"]) is None:
        return None
    inside = write_back.in_album(context.client, write.wanted["album"])
    return [asset for asset in write.wanted["assets"] if asset in inside]


def _tags(context: Context) -> dict[str, str]:
    """Path -> id."""
    return {tag.name: tag.id for tag in write_back.tags(context.client)}


def _bearing(context: Context, write: Sent) -> list[AssetNow]:
    """Those of a write's assets that bear its tag."""
    now = (write_back.asset(context.client, asset) for asset in write.wanted["assets"])
    return [asset for asset in now if asset is not None and write.wanted["tag"] in asset.tags]


def _untag(context: Context, write: Sent) -> None:
    if bear := _bearing(context, write):
        write_back.untag_assets(context.client, write.wanted["tag"], [one.asset_id for one in bear])
        _wait_for_files(context, {one.asset_id: one.updated_at for one in bear[-1:]})


def _wait_for_files(context: Context, before: Mapping[str, str]) -> None:
    """Until Immich has written the file beside an untagged original, which its date shows: else it reads the tag back from there."""
    for _ in range(20):
        now = {asset_id: write_back.asset(context.client, asset_id) for asset_id in before}
        if all(one is None or one.updated_at != before[asset_id] for asset_id, one in now.items()):
            return
        context.client.pause(0.5)
