"""What Immich missed: faces found on previews bring their photos in, and nothing else is downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from facesets.testing import Asset, Faults, ImmichServer, Library, immich_server
from facesets.testing import faults as fault

from .world import CommandLine, jpeg

THUMBNAIL, ORIGINAL = "GET /api/assets/{id}/thumbnail", "GET /api/assets/{id}/original"


@pytest.fixture(params=["2.7.2", "3.1.0", "3.2.2"])
def server(request: pytest.FixtureRequest, library: Library, faults: Faults) -> Iterator[ImmichServer]:
    with immich_server(library, request.param, faults=faults) as running:
        yield running


@pytest.fixture
def missed(library: Library) -> list[Asset]:
    """Six photos of a fourth person in which Immich saw no face, and four of nobody at all."""
    anna = next(iter(library.users.values()))
    made = []
    for n in range(10):
        taken = datetime.fromisoformat("2021-01-01T12:00:00+00:00") + timedelta(days=n)
        made.append(library.photo(anna, jpeg([4] if n < 6 else [], 4000 + n), file_name=f"missed_{n}.jpg", taken_at=taken))
    return made


def test_a_second_look_gains_the_photos_that_immich_missed_and_reports_them(
    cli: CommandLine, missed: list[Asset], server: ImmichServer
) -> None:
    first = cli("run", "--user", "anna", "--json").json
    assert (first["assets_by_reason"]["no_faces"], len(first["sets_new"])) == (10, 3)
    answer = cli("run", "--user", "anna", "--second-look", "--json")
    assert answer.code == 0, answer.err
    summary = answer.json
    look = summary["steps"]["second_look"]["anna"]
    assert (look["looked"], look["found"], look["photos_gained"], look["faces_gained"]) == (10, 6, 6, 6)
    assert summary["downloads"] == 6
    assert server.count(THUMBNAIL) == 10
    assert (summary["sets_new"], summary["assets_by_reason"]["no_faces"]) == (["faceset_004"], 4)
    assert summary["listed"] == sum(summary["assets_by_state"].values())


def test_what_was_looked_at_once_is_not_looked_at_again(cli: CommandLine, missed: list[Asset], server: ImmichServer) -> None:
    cli("run", "--user", "anna", "--second-look")
    server.requests.clear()
    for words in (("--second-look",), ()):
        summary = cli("run", "--user", "anna", *words, "--json").json
        assert (summary["downloads"], summary["embedded"]) == (0, 0)
        assert summary["assets_by_reason"]["no_faces"] == 4
        assert summary["listed"] == sum(summary["assets_by_state"].values())
    assert server.count(THUMBNAIL) == 0
    assert "no face" in cli("explain", missed[9].id, "--json").json["detail"]


def test_a_face_too_small_on_the_original_is_no_gain(cli: CommandLine, missed: list[Asset], server: ImmichServer) -> None:
    settings = cli.workspace / "facesets.toml"
    settings.write_text(settings.read_text().replace("# min_face_short = 90", "min_face_short = 200", 1))
    look = cli("stage", "--user", "anna", "--second-look", "--json").json["steps"]["second_look"]["anna"]
    assert (look["found"], look["too_small"]) == (0, 6)
    assert server.count(ORIGINAL) == 0


def test_previews_that_do_not_come_are_looked_at_by_the_next_run_and_missing_ones_are_not(
    cli: CommandLine, missed: list[Asset], server: ImmichServer, faults: Faults
) -> None:
    settings = cli.workspace / "facesets.toml"
    settings.write_text(settings.read_text().replace("# attempts = 5", "attempts = 1"))
    missed[0].has_preview = False
    faults.add(fault.status(503), THUMBNAIL, containing=missed[1].id)
    look = cli("run", "--user", "anna", "--second-look", "--json").json["steps"]["second_look"]["anna"]
    assert (look["found"], look["no_preview"], look["unanswered"]) == (4, 1, 1)
    faults.clear()
    look = cli("run", "--user", "anna", "--second-look", "--json").json["steps"]["second_look"]["anna"]
    assert (look["looked"], look["found"], look["no_preview"]) == (1, 1, 0)


def test_a_download_that_fails_after_a_second_look_heals_without_one(
    cli: CommandLine, missed: list[Asset], server: ImmichServer, faults: Faults
) -> None:
    settings = cli.workspace / "facesets.toml"
    settings.write_text(settings.read_text().replace("# attempts = 5", "attempts = 1"))
    faults.add(fault.status(503), ORIGINAL, containing=missed[0].id)
    answer = cli("run", "--user", "anna", "--second-look", "--json")
    assert (answer.code, answer.json["retryable"]) == (3, 1)
    faults.clear()
    healed = cli("run", "--user", "anna", "--json")
    assert (healed.code, healed.json["downloads"], len(healed.json["sets_new"])) == (0, 1, 4)


def test_without_the_permission_a_second_look_says_so(
    cli: CommandLine, library: Library, missed: list[Asset], server: ImmichServer
) -> None:
    server.library.keys[server.key_for("anna")].permissions = ("asset.read", "asset.download", "user.read", "face.read")
    answer = cli("run", "--user", "anna", "--second-look")
    assert answer.code == 2
    assert "asset.view" in answer.err
    assert cli("run", "--user", "anna").code == 0


def test_copies_that_only_look_alike_can_be_verified_from_the_command_line(cli: CommandLine, server: ImmichServer) -> None:
    assert cli("stage", "--user", "anna", "--verify-duplicates").code == 0


def test_photos_that_immich_has_not_looked_through_are_looked_at_here(
    cli: CommandLine, missed: list[Asset], server: ImmichServer
) -> None:
    for asset in missed[:3]:
        asset.thumbhash = None
    first = cli("run", "--user", "anna", "--json").json
    assert (first["assets_by_reason"]["no_faces"], first["assets_by_reason"]["not_scanned"]) == (7, 3)
    summary = cli("run", "--user", "anna", "--second-look", "--json").json
    look = summary["steps"]["second_look"]["anna"]
    assert (look["looked"], look["found"], summary["sets_new"]) == (10, 6, ["faceset_004"])
