"""Photos that no decoder takes, in whole runs: what the server shows of them makes sets, and nothing is lost from the books."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from facesets.testing import Asset, Faults, ImmichServer, Library, immich_server
from facesets.testing import faults as fault

from .world import CommandLine, boxes, jpeg

THUMBNAIL, ORIGINAL = "GET /api/assets/{id}/thumbnail", "GET /api/assets/{id}/original"


@pytest.fixture(params=["2.7.2", "3.1.0", "3.2.2"])
def server(request: pytest.FixtureRequest, library: Library, faults: Faults) -> Iterator[ImmichServer]:
    with immich_server(library, request.param, faults=faults) as running:
        yield running


@pytest.fixture
def strange(library: Library) -> list[Asset]:
    """Six photos of a fourth person: the server can show them, and nobody here can read their files."""
    anna, made = next(iter(library.users.values())), []
    for n in range(6):
        taken = datetime.fromisoformat("2021-01-01T12:00:00+00:00") + timedelta(days=n)
        name = f"odd_{n}.heic" if n % 2 else f"odd_{n}.jpg"
        data = b"bytes that no decoder knows, %d" % n
        shown = jpeg([4], 4000 + n)
        made.append(library.photo(anna, data, file_name=name, taken_at=taken, faces=boxes([4]), preview=shown, has_preview=True))
    return made


def test_sets_are_made_of_what_the_server_shows_where_originals_cannot_be_read(cli: CommandLine, strange: list[Asset]) -> None:
    answer = cli("run", "--user", "anna", "--json")
    assert answer.code == 0, answer.err
    summary = answer.json
    assert len(summary["sets_new"]) == 4
    assert summary["listed"] == sum(summary["assets_by_state"].values()) == 30
    assert summary["steps"]["stage"]["anna"]["renditions"] == 6
    assert (summary["embedded"], summary["steps"]["embed"]["load_errors"]) == (30, 0)
    story = cli("explain", strange[0].id, "--json").json
    assert (story["state"], story["pixels"], len(story["faces"])) == ("done", "preview", 1)
    assert cli("verify").code == 0
    again = cli("run", "--user", "anna", "--json").json
    assert (again["downloads"], again["embedded"], again["sets_new"]) == (0, 0, [])
    assert again["listed"] == sum(again["assets_by_state"].values())


def test_what_nobody_can_show_is_counted_as_unreadable(cli: CommandLine, strange: list[Asset], server: ImmichServer) -> None:
    for asset in strange:
        asset.has_preview = False
    summary = cli("run", "--user", "anna", "--json").json
    assert summary["assets_by_reason"]["unsupported_format"] == 6
    assert summary["listed"] == sum(summary["assets_by_state"].values())
    assert summary["steps"]["embed"]["load_errors"] == 6
    before = server.count(THUMBNAIL) + server.count(ORIGINAL)
    assert cli("run", "--user", "anna").code == 0
    assert server.count(THUMBNAIL) + server.count(ORIGINAL) == before


def test_a_preview_that_fails_for_the_moment_stops_the_run_before_the_plan(
    cli: CommandLine, strange: list[Asset], faults: Faults
) -> None:
    settings = cli.workspace / "facesets.toml"
    settings.write_text(settings.read_text().replace("# attempts = 5", "attempts = 1"))
    faults.add(fault.status(503), THUMBNAIL, containing=strange[0].id)
    answer = cli("run", "--user", "anna", "--json")
    assert (answer.code, answer.json["retryable"]) == (3, 1)
    assert answer.json["listed"] == sum(answer.json["assets_by_state"].values())
    faults.clear()
    healed = cli("run", "--user", "anna", "--json")
    assert (healed.code, len(healed.json["sets_new"])) == (0, 4)
