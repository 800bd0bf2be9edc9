"""What a key lacks is said at once, all of it, before anything is written."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from facesets import publish

from .home import Home


@pytest.fixture
def key(home: Home, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    anna = next(user for user in home.library.users.values() if user.name == "anna")

    def give(*permissions: str) -> None:
        monkeypatch.setenv("IMMICH_API_KEY", home.library.key(anna, permissions).secret)

    return give


def test_the_least_key_that_is_named_can_do_all_of_it_and_take_it_back(home: Home, key: Callable[..., None]) -> None:
    start = home.state()
    home.asset(10, 4).faces.clear()
    everything = ("names", "faces", "albums", "add_faces", "tags")
    key(*publish.needed(everything, undo=True))
    home.apply("--names", "--faces", "--albums", "--add-faces", "--tags", "--yes-write-beside-originals")
    undone = home("undo")
    assert undone.code == 0, undone.err
    assert home.state()["people"] == start["people"]
    assert home.library.tags == {}


def test_everything_that_is_lacking_is_named_at_once_and_nothing_is_written(home: Home, key: Callable[..., None]) -> None:
    key("asset.read", "user.read", "face.read")
    answer = home.publish("--names", "--faces")
    assert answer.code == 2
    for name in ("person.read", "person.statistics", "person.update", "face.update", "person.create", "person.delete"):
        assert name in answer.line
    key(*publish.READING, "album.read")
    shown = home.publish("--names", "--faces", "--albums")
    assert shown.code == 0
    assert shown.err.count("To take it back the key of 'anna' needs person.delete, album.delete as well") == 1
    assert "To write this the key of 'anna' needs person.update, face.update, person.create, album.create" in shown.err
    start = home.state()
    answer = home.publish("--names", "--faces", "--albums", "--apply")
    assert answer.code == 2
    assert "album.delete" in answer.line
    assert home.state() == start
    assert home.writes() == 0


def test_what_only_an_undo_lacks_is_told_once_before_anything_is_written(home: Home, key: Callable[..., None]) -> None:
    key(*publish.needed(["albums"]))
    done = home.publish("--albums", "--apply")
    assert done.code == 0
    assert done.err.count("To take it back the key of 'anna' needs album.delete as well") == 1
    refused = home("undo")
    assert refused.code == 2
    assert "album.delete" in refused.line
    key(*publish.needed(["albums"], undo=True))
    assert home("undo").code == 0
    assert home.library.albums == {}
