"""What is said of a person after runs recognised faces as theirs binds those faces, too."""

from __future__ import annotations

from facesets.registry import people as rows
from facesets.testing import Library
from facesets.workspace import Workspace

from ..pipeline.conftest import cli, faults, library, server  # noqa: F401 - fixtures
from ..pipeline.world import CommandLine, add_photos
from .test_binding import RUN, _say_who, tagged
from .test_other_bytes import again


def _recognised_before_the_birth(cli: CommandLine, library: Library) -> None:
    """Three faces of photos of February 2020 are recognised, and Immich says who it is: born in 2022."""
    (anna,) = library.users.values()
    cli(*RUN)
    who = library.person(anna, "Anna", birth_date="2022-01-01")
    _say_who(library, who, "p1_0.jpg")
    add_photos(library, anna, [1], 2, first=40)
    assert cli(*RUN).json["faces_by_reason"]["recognised"] == 2


def test_a_name_that_brings_a_birth_date_opens_what_was_recognised_in_older_photos(cli: CommandLine, library: Library) -> None:
    _recognised_before_the_birth(cli, library)
    assert cli("name", "1", "Anna").code == 0
    by_reason = cli(*RUN).json["faces_by_reason"]
    assert "recognised" not in by_reason
    assert "new" not in by_reason
    assert cli(*RUN).json["faces_by_reason"] == by_reason
    assert cli("undo").code == 0
    assert cli(*RUN).json["faces_by_reason"]["recognised"] == 2


def test_no_extension_takes_what_is_from_before_the_birth(cli: CommandLine, library: Library) -> None:
    _recognised_before_the_birth(cli, library)
    assert any(each["kind"] == "extend" for each in cli("suggest", "--json").json)
    cli("name", "1", "Anna")
    assert not any(each["kind"] == "extend" for each in cli("suggest", "--json").json)
    refused = cli("extend", "1")
    assert refused.code == 2
    assert "2 faces that were recognised as faceset_001 (Anna) cannot be of that person" in refused.err


def test_what_somebody_confirmed_stays_recognised_whatever_the_birth_date(cli: CommandLine, library: Library) -> None:
    _recognised_before_the_birth(cli, library)
    one, _ = [row["face_id"] for row in cli("list", "faces", "--reason", "recognised", "--json").json]
    cli("confirm", one)
    cli("name", "1", "Anna")
    done = cli("extend", "1", "--dry-run", "--json").json
    assert done["changes"]["extended"]["faces"] == 1
    assert "1 recognised face is left out" in done["notes"][0]
    assert cli(*RUN).json["faces_by_reason"]["recognised"] == 1


def test_years_are_known_and_nothing_waits_after_a_tag_was_written_into_every_photo(cli: CommandLine, library: Library) -> None:
    cli(*RUN)
    years = [(row["year_from"], row["year_to"]) for row in cli("list", "people", "--json").json]
    story = next(line for line in cli("explain", "faceset_001").out.splitlines() if "was made by" in line)
    assert "from 2020" in story
    one = cli("explain", "faceset_001", "--json").json["members"][0]["face_id"]
    assert cli("reject", one).code == 0
    assert cli("write").code == 0
    for asset in library.assets.values():
        assert isinstance(asset.data, bytes)
        again(asset, tagged(asset.data))
    for _ in range(2):
        assert "new" not in cli(*RUN).json["faces_by_reason"], "the face in bytes that nobody has any more waits for nothing"
    assert [(row["year_from"], row["year_to"]) for row in cli("list", "people", "--json").json] == years
    assert "from 2020" in cli("explain", "faceset_001").out
    with Workspace.open(cli.workspace).registry() as registry:
        assert all(first and last for first, last, _ in rows.years(registry).values())
    assert cli("undo").code == 0
    assert one in [row["face_id"] for row in cli("explain", "faceset_001", "--json").json["members"]]
    assert cli(*RUN).code == 0
    assert cli("verify").code == 0
