"""Several people on one server: each by their own key, and what they share is there once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from facesets.testing import Faults, ImmichServer, Library, immich_server

from .world import CommandLine, add_photos, boxes, jpeg, tree


@pytest.fixture(params=["2.7.2", "3.1.0", "3.2.2"])
def server(request: pytest.FixtureRequest, library: Library, faults: Faults) -> Iterator[ImmichServer]:
    with immich_server(library, request.param, faults=faults) as running:
        yield running


@pytest.fixture
def family(library: Library, server: ImmichServer, monkeypatch: pytest.MonkeyPatch) -> Library:
    """Anna's library, and Bob with two people of his own, one of anna's photos, and his timeline shown to her."""
    bob = library.user("bob")
    anna = next(user for user in library.users.values() if user.name == "anna")
    add_photos(library, bob, [5], 6)
    shared = jpeg([1], 1000)
    library.photo(bob, shared, file_name="same.jpg", faces=boxes([1]))
    library.partner(bob, anna, in_timeline=True)
    monkeypatch.delenv("IMMICH_API_KEY")
    monkeypatch.setenv("IMMICH_API_KEY_ANNA", library.key_for("anna"))
    monkeypatch.setenv("IMMICH_API_KEY_BOB", library.key_for("bob"))
    return library


def test_each_is_asked_with_their_own_key_and_everything_is_counted_once(cli: CommandLine, family: Library) -> None:
    summary = cli("run", "--user", "anna", "--user", "bob", "--json").json
    assert summary["listed"] == sum(summary["assets_by_state"].values()) == 31
    assert summary["assets_by_state"]["duplicate"] == 1  # one photo owned twice
    assert summary["downloads"] == summary["embedded"] == 30
    assert summary["sets_new"] == ["faceset_001", "faceset_002", "faceset_003", "faceset_004"]
    assert {label: counted["total_assets_seen"] for label, counted in summary["steps"]["stage"].items()} == {"anna": 31, "bob": 7}
    again = cli("run", "--all-users", "--json").json
    assert again["listed"] == sum(again["assets_by_state"].values()) == 31
    assert (again["downloads"], again["embedded"]) == (0, 0)
    assert again["requests"] < 50  # of two people: whose key each is, who is known, and what changed


def test_the_order_of_the_people_changes_nothing(cli: CommandLine, family: Library) -> None:
    summary = cli("run", "--user", "bob", "--user", "anna", "--json").json
    assert summary["listed"] == sum(summary["assets_by_state"].values()) == 31
    assert (summary["downloads"], summary["embedded"]) == (30, 30)


def test_all_users_are_those_with_a_key(cli: CommandLine, family: Library) -> None:
    summary = cli("run", "--all-users", "--json").json
    assert set(summary["steps"]["stage"]) == {"anna", "bob"}
    assert summary["listed"] == sum(summary["assets_by_state"].values()) == 31


def test_nobody_known_is_said(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = cli("run", "--all-users")
    assert answer.code == 2
    assert "IMMICH_API_KEY_<NAME>" in answer.err


def test_one_key_for_two_people_is_refused(cli: CommandLine, family: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMMICH_API_KEY_BOB", family.key_for("anna"))
    answer = cli("run", "--user", "anna", "--user", "bob")
    assert answer.code == 2
    assert "IMMICH_API_KEY_BOB" in answer.err
    assert not list((cli.workspace / "photos").rglob("*.jpg"))  # said before any work


def test_partners_photos_are_left_aside_or_taken_by_choice(cli: CommandLine, family: Library) -> None:
    alone = cli("run", "--user", "anna", "--json").json
    assert alone["assets_by_reason"]["other_owner"] == 7
    assert alone["listed"] == sum(alone["assets_by_state"].values()) == 31
    assert alone["sets_new"] == ["faceset_001", "faceset_002", "faceset_003"]
    before = tree(cli.workspace / "facesets")
    settings = cli.workspace / "facesets.toml"
    settings.write_text(settings.read_text().replace("# partners = false", "partners = true"))
    taken = cli("run", "--user", "anna", "--json").json
    assert taken["listed"] == sum(taken["assets_by_state"].values()) == 31
    assert (taken["downloads"], taken["sets_new"]) == (6, ["faceset_004"])  # the seventh is a photo of anna's too
    after = tree(cli.workspace / "facesets")
    assert all(after[name] == digest for name, digest in before.items() if name != "manifest.json")
    both = cli("run", "--user", "anna", "--user", "bob", "--json").json
    assert both["listed"] == sum(both["assets_by_state"].values()) == 31
    assert (both["downloads"], both["embedded"], both["sets_new"]) == (0, 0, [])
