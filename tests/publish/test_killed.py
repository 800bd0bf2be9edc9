"""A publish, and an undo, that is killed before or after each of its writes ends as an undisturbed one does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from facesets import publish
from facesets.immich import Client
from facesets.people import to_undo
from facesets.progress import Silent
from facesets.publish import What
from facesets.registry import published

from .home import PHOTOS, VERSIONS, Home

EVERYTHING = What(names=True, faces=True, albums=True, tags=True, add_faces=True)


class Killed(BaseException):
    """Nothing catches it, as nothing catches a plug that is pulled."""


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """``kill("before", n)`` or ``kill("after", n)``: when the n-th write from now is sent; it lives after that."""
    exchange = Client.exchange
    armed: list[Any] = ["", 0]

    def watched(self: Client, method: str, path: str, consume: Any, **more: Any) -> Any:
        if method == "GET" or path.startswith("/search") or not armed[0]:
            return exchange(self, method, path, consume, **more)
        armed[1] -= 1
        if armed[1]:
            return exchange(self, method, path, consume, **more)
        when, armed[0] = armed[0], ""
        if when == "after":
            exchange(self, method, path, consume, **more)
        raise Killed

    monkeypatch.setattr(Client, "exchange", watched)

    def arm(when: str, n: int = 1) -> None:
        armed[:] = [when, n]

    return arm


def shape(home: Home) -> Any:
    """What is in Immich, whatever the ids of what was made."""
    state = home.state()
    names = {person: row[0] for person, row in state["people"].items()}
    return {
        "people": sorted(row[0] for row in state["people"].values()),
        "faces": {asset: [(*row[1:6], names.get(row[6])) for row in rows] for asset, rows in state["faces"].items()},
        "albums": sorted((row[0], row[2]) for row in state["albums"].values()),
        "tagged": {asset: sorted(state["tags"][tag] for tag in tags) for asset, tags in state["tagged"].items()},
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_killed_around_every_write_and_repeated_it_ends_as_if_nothing_had_been(
    home: Home, kill: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facesets.immich.write_back.AT_ONCE", 2)  # an album and a tag take several requests
    home.asset(10, 4).faces.clear()
    for person in (1, 2, 4, 6, 8):  # fewer people, fewer writes
        for asset in [a for a in home.library.assets.values() if a.file_name.startswith(f"p{person}_")]:
            del home.library.assets[asset.id]
    start = home.state()
    turn = 0

    def publish_once(when: str, n: int) -> bool:
        with home.open() as (workspace, registry):
            found = publish.diff(workspace, registry, "anna", EVERYTHING, Silent())
            kill(when, n)
            publish.apply(workspace, registry, found, Silent(), tags_confirmed=True)
            return bool(found.writes)

    def repeat(once: Callable[[str, int], object]) -> int:
        killed = 0
        while True:
            try:
                once(("before", "after", "after")[(turn + killed) % 3], 1 + killed // 2 % 2)
            except Killed:
                killed += 1
            else:
                return killed

    for turn in range(2):
        assert repeat(publish_once) > 10
        assert not publish_once("", 1)
        published = shape(home)
        assert [row["act"] for row in home("history", "--json").json].count("publish") == turn + 1
        named = [name for name in published["people"] if name]
        assert named == ["Cleo", "Emil", "Greta", "Jakob", "Old Hanna"]
        assert len(published["albums"]) == len({name for name, _ in published["albums"]})
        assert len(home.asset(10, 4).faces) == 1
        assert sum(len(tags) for tags in published["tagged"].values()) == sum(len(photos) for _, photos in published["albums"]) == 20

        def undo_once(when: str, n: int) -> None:
            with home.open() as (workspace, registry):
                number = to_undo(registry, None).id
                kill(when, n)
                publish.undo(workspace, registry, number, Silent())

        assert repeat(undo_once) > 10
        kill("", 0)
        assert home.state() == start


def test_a_face_that_immich_found_after_a_kill_is_not_taken_for_one_that_was_added(
    home: Home, kill: Callable[[str, int], None]
) -> None:
    asset, adding = home.asset(10, 4), What(faces=True, add_faces=True)
    own = asset.faces.pop()
    for k in range(PHOTOS - 1):
        assert home.face(10, k).person_id == own.person_id
    with home.open() as (workspace, registry):
        found = publish.diff(workspace, registry, "anna", adding, Silent())
        actions = [write.action for write in found.writes]
        before = actions[: actions.index("draw")]
        kill("before", len(before) + before.count("make") + 1)  # who is made is named then
        with pytest.raises(Killed):
            publish.apply(workspace, registry, found, Silent())
        assert [step.action for step in published.open_steps(registry, "anna")] == ["draw"]
    asset.faces.append(own)  # Immich's nightly job
    home.apply("--faces", "--add-faces")
    assert home("undo").code == 0
    assert own in asset.faces
