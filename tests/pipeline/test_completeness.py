"""Whole runs say that they saw everything, or what differs; later runs ask for what changed, in every dialect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from facesets.testing import Faults, ImmichServer, Library, immich_server
from facesets.testing import faults as fault
from facesets.testing.immich.transport import Request, Response

from .world import CommandLine, add_photos

FACES, SEARCH = "GET /api/faces", "POST /api/search/metadata"


@pytest.fixture(params=["2.7.2", "3.1.0", "3.2.2"])
def server(request: pytest.FixtureRequest, library: Library, faults: Faults) -> Iterator[ImmichServer]:
    with immich_server(library, request.param, faults=faults) as running:
        yield running


def test_the_summary_says_that_listing_timeline_and_statistics_agree(cli: CommandLine) -> None:
    for _ in range(2):
        summary = cli("run", "--user", "anna", "--json").json
        counted = summary["steps"]["stage"]["anna"]["reconciliation"]
        assert counted["agrees"]
        assert counted["listed"] == counted["timeline"] == counted["statistics"] == summary["listed"] == 24
        assert summary["listed"] == sum(summary["assets_by_state"].values())
    assert "anna: 24 listed, 24 of them yours; timeline and statistics agree." in cli("run", "--user", "anna").out


def test_a_difference_is_named(cli: CommandLine, faults: Faults) -> None:
    faults.add(_two_more(), "GET /api/assets/statistics")
    answer = cli("run", "--user", "anna", "--json")
    counted = answer.json["steps"]["stage"]["anna"]["reconciliation"]
    assert not counted["agrees"]
    assert (counted["statistics"], counted["active"]) == (26, 24)
    assert "THE COUNTS DIFFER: timeline 24, statistics 26 for 24 active" in answer.err


def _two_more() -> fault.Fault:
    def change(response: Response, _: object) -> Response:
        response.body = response.body.replace(b'"total":24', b'"total":26')
        return response

    return fault.Fault("counts two more", change=change)


def test_a_second_run_asks_a_handful_of_times(cli: CommandLine, server: ImmichServer) -> None:
    cli("run", "--user", "anna")
    server.requests.clear()
    summary = cli("run", "--user", "anna", "--json").json
    assert (summary["downloads"], summary["embedded"], summary["sets_new"]) == (0, 0, [])
    assert summary["requests"] == sum(server.requests.values()) <= 22
    assert summary["listed"] == sum(summary["assets_by_state"].values()) == 24


def test_every_search_says_its_visibility_in_the_servers_own_dialect(
    cli: CommandLine, server: ImmichServer, faults: Faults, library: Library
) -> None:
    asked: list[Any] = []
    faults.add(_listened_to(asked), SEARCH)
    cli("doctor")
    cli("run", "--user", "anna")
    victim = library.assets.pop(next(iter(library.assets)))
    library.assets[victim.id] = victim  # and one that is fetched singly
    cli("run", "--user", "anna")
    victim.visibility = "archive"
    cli("run", "--user", "anna")
    cli("run", "--user", "anna", "--full")
    assert len(asked) > 12
    if server.dialect.parts >= (3, 2):
        assert {body["filter"]["visibility"]["eq"] for body in asked} == {"timeline", "archive", "hidden"}
        assert not any({"page", "visibility", "updatedAfter", "id"} & body.keys() for body in asked)
    else:
        assert {body["visibility"] for body in asked} == {"timeline", "archive", "hidden"}
        assert not any({"filter", "cursor"} & body.keys() for body in asked)
    assert not any({"userId", "userIds", "ownerId"} & body.keys() for body in asked)


def _listened_to(asked: list[Any]) -> fault.Fault:
    def answer(request: Request) -> Response | None:
        asked.append(json.loads(request.body))
        return None

    return fault.Fault("listened to", answer=answer)


def test_pages_follow_one_another_by_number_or_by_cursor(cli: CommandLine, server: ImmichServer, faults: Faults) -> None:
    asked: list[Any] = []
    faults.add(_listened_to(asked), SEARCH)
    cli.set("page_size = 5")
    summary = cli("run", "--user", "anna", "--json").json
    assert summary["listed"] == sum(summary["assets_by_state"].values()) == 24
    how = "cursor" if server.dialect.parts >= (3, 2) else "page"
    assert len({body[how] for body in asked if how in body}) >= 4


def test_what_changed_is_found_and_counted(cli: CommandLine, library: Library) -> None:
    cli("run", "--user", "anna")
    anna = next(iter(library.users.values()))
    add_photos(library, anna, [5], 6, first=40)
    embedded, deleted = list(library.assets.values())[:2]
    embedded.visibility = "archive"
    del library.assets[deleted.id]
    summary = cli("run", "--user", "anna", "--json").json
    assert (summary["downloads"], summary["sets_new"]) == (6, ["faceset_004"])
    assert summary["listed"] == 29
    counts = summary["assets_by_state"]
    assert sum(counts.values()) == 29
    assert summary["gone"] == 1


def test_a_photo_whose_faces_came_late_is_taken_by_the_next_run(cli: CommandLine, library: Library) -> None:
    last = max(library.assets.values(), key=lambda asset: asset.updated_at)
    faces, last.faces = last.faces, []
    assert cli("run", "--user", "anna", "--json").json["assets_by_reason"]["no_faces"] == 1
    last.faces = faces
    summary = cli("run", "--user", "anna", "--json").json
    assert summary["downloads"] == 1
    assert "no_faces" not in summary["assets_by_reason"]
    assert summary["listed"] == sum(summary["assets_by_state"].values()) == 24


def test_full_lists_everything_again(cli: CommandLine, server: ImmichServer, library: Library) -> None:
    cli("run", "--user", "anna")
    early = min(library.assets.values(), key=lambda asset: asset.updated_at)
    early.exif.description = "changed without a mark"
    early.updated_at -= timedelta(days=1)
    server.requests.clear()
    summary = cli("run", "--user", "anna", "--full", "--json").json
    assert summary["steps"]["stage"]["anna"]["listed"] == 24
    assert server.count("GET /api/timeline/bucket") > 0
    assert (summary["downloads"], summary["embedded"]) == (0, 0)
    assert summary["listed"] == sum(summary["assets_by_state"].values()) == 24


def test_what_only_newer_servers_know_is_counted_and_said_once(cli: CommandLine, library: Library) -> None:
    odd = [asset for asset in library.assets.values() if len(asset.faces) == 1][:3]
    for asset in odd:
        asset.type = "HOLOGRAM\x1b[2J " + "x" * 1000  # type: ignore[assignment]
    answer = cli("run", "--user", "anna", "--json")
    (value,), (number,) = zip(*answer.json["steps"]["stage"]["anna"]["unknown_values"].items(), strict=True)
    assert (number, len(value) < 120) == (3, True)
    assert value.startswith("type 'HOLOGRAM\\x1b[2J xxx")
    assert answer.err.count("3 assets are left aside for their type 'HOLOGRAM") == 1
    rows = {row["asset_id"]: row for row in cli("list", "assets", "--json").json}
    assert {(rows[asset.id]["reason"], rows[asset.id]["detail"]) for asset in odd} == {("not_image", value)}
    again = cli("run", "--user", "anna", "--json")
    assert "HOLOGRAM" not in again.err
    for summary in (answer.json, again.json):
        assert summary["listed"] == sum(summary["assets_by_state"].values()) == 24


def test_a_library_of_nothing_but_unknown_types_is_not_passed_over_in_silence(cli: CommandLine, library: Library) -> None:
    for number, asset in enumerate(library.assets.values()):
        asset.type = f"KIND{number % 7}"  # type: ignore[assignment]
    answer = cli("run", "--user", "anna", "--json")
    assert answer.json["assets_by_reason"] == {"not_image": 24}
    assert "4 assets are left aside for their type 'KIND0', which this version of facesets does not know." in answer.err
    assert "2 more values that the server sent are not known" in answer.err


@pytest.mark.parametrize("name", ["checksum", "ownerId", "isTrashed"])
def test_a_field_that_matters_and_is_missing_ends_the_run_with_its_name(cli: CommandLine, faults: Faults, name: str) -> None:
    def without(response: Response, _: object) -> Response:
        body = json.loads(response.body)
        for item in body["assets"]["items"]:
            del item[name]
        response.body = json.dumps(body).encode()
        return response

    faults.add(fault.Fault("lacks a field", change=without), SEARCH)
    answer = cli("run", "--user", "anna")
    assert answer.code == 1
    assert f"the answer lacks {name!r}" in answer.line
    faults.clear()
    summary = cli("run", "--user", "anna", "--json").json
    assert summary["listed"] == sum(summary["assets_by_state"].values()) == 24
