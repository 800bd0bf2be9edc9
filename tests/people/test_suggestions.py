"""Each kind of suggestion: it comes with its evidence, its command works, and once answered it is gone."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facesets.people import suggest
from facesets.photos.decoder_pool import DecoderPool
from facesets.testing import Library, immich_server
from facesets.workspace import Workspace

from ..decoders import lend
from ..pipeline.world import CommandLine, boxes, configure, jpeg
from .conftest import call

#: who is on photos -> what Immich calls them, photo by photo
NAMED = {
    1: ["Anna"] * 7, 2: ["Anna"] * 6, 3: ["Cleo"] * 4 + ["Dora"] * 3, 4: ["Eva"] * 7, 5: [""] * 4, 6: [""] * 3,
}  # fmt: skip


@pytest.fixture(scope="session")
def named_by_immich(tmp_path_factory: pytest.TempPathFactory, pack: Path, decoders: DecoderPool) -> Path:
    root = tmp_path_factory.mktemp("named") / "w"
    library = Library()
    anna = library.user("anna")
    people = {name: library.person(anna, name) for names in NAMED.values() for name in names if name}
    for who, names in NAMED.items():
        for n, name in enumerate(names):
            (box,) = (replace(box, person=people.get(name)) for box in boxes([who]))
            taken = f"2020-0{who}-{2 + 3 * n:02d}T12:00:00+00:00"
            library.photo(anna, jpeg([who], 1000 * who + n), file_name=f"p{who}_{n}.jpg", taken_at=taken, faces=[box])
    with pytest.MonkeyPatch.context() as patched, immich_server(library) as server:
        lend(decoders, patched)
        patched.setenv("IMMICH_URL", server.url)
        patched.setenv("IMMICH_API_KEY", server.key_for("anna"))
        call(root, "init")
        configure(root, pack)
        call(root, "run", "--user", "anna")
    return root


@pytest.fixture
def cli(tmp_path: Path, named_by_immich: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    shutil.copytree(named_by_immich, tmp_path / "w")
    return CommandLine(tmp_path / "w", capsys)


def kinds(cli: CommandLine, kind: str) -> list[dict[str, Any]]:
    return [each for each in cli("suggest", "--json").json if each["kind"] == kind]


def set_of(cli: CommandLine, person: int) -> str:
    """The set of whoever is on these photos."""
    rows = cli("list", "faces", "--json").json
    (name,) = {row["set"] for row in rows if row["file_name"].startswith(f"p{person}_") and row["reason"] == "member"}
    return str(name)


def does(cli: CommandLine, suggestion: dict[str, Any]) -> None:
    assert cli(*shlex.split(suggestion["command"])[1:]).code == 0, suggestion


def test_a_name_that_immich_knows(cli: CommandLine) -> None:
    (eva,) = kinds(cli, "name")
    assert (eva["text"], eva["faces"]) == (f"{set_of(cli, 4)} is Eva at its source (100% of its faces)", 7.0)
    does(cli, eva)
    assert kinds(cli, "name") == []
    assert cli("list", "people", "--json").json[int(set_of(cli, 4)[-1]) - 1]["name"] == "Eva"


def test_one_person_of_immich_in_two_sets(cli: CommandLine) -> None:
    big, small = set_of(cli, 1), set_of(cli, 2)
    (merge,) = kinds(cli, "merge")
    assert merge["text"] == f"{small} and {big} are both Anna at their source (100% and 100% of their faces)"
    assert merge["evidence"] == {"name": "Anna", "shares": [1.0, 1.0]}
    assert merge["faces"] == 6.0
    does(cli, merge)
    assert kinds(cli, "merge") == []
    assert cli("write").code == 0
    assert cli("verify").code == 0


def test_two_people_of_immich_in_one_set(cli: CommandLine) -> None:
    mixed = set_of(cli, 3)
    (split,) = kinds(cli, "split")
    assert split["text"] == f"{mixed} may hold two people: its source calls its faces Cleo (4) and Dora (3)"
    does(cli, split)
    assert cli("confirm", mixed).code == 0
    assert kinds(cli, "split") == [], "somebody looked at every face of it"
    assert cli("undo").code == 0
    theirs = [row["face_id"] for row in cli("list", "faces", "--json").json if row["file_name"] in ("p3_4.jpg", "p3_5.jpg", "p3_6.jpg")]
    assert cli("split", mixed, *theirs, "--name", "Dora").code == 0
    assert kinds(cli, "split") == []
    assert [each["text"] for each in kinds(cli, "name") if "Cleo" in each["text"]] == [
        f"{mixed} is Cleo at its source (100% of its faces)"
    ]


def test_a_group_that_only_just_failed_a_gate_and_none_that_failed_by_far(cli: CommandLine) -> None:
    (group,) = kinds(cli, "group")
    why = "few faces (4 of 5); [gates] in facesets.toml says what one needs"
    assert group["text"] == f"a group of 4 faces narrowly fails to be a set: {why}"
    does(cli, group)
    (face,) = (row for row in cli("list", "faces", "--json").json if row["face_id"].startswith(group["command"].split()[-1]))
    assert face["file_name"].startswith("p5_")


def test_two_sets_named_alike_are_asked_about(cli: CommandLine) -> None:
    eva, other = set_of(cli, 4), set_of(cli, 3)
    assert cli("name", eva, "Eva").code == 0
    said = cli("name", other, "eva")
    question = f"{eva} is called eva too: are they one person? Then: facesets merge {other} {eva}. If not: facesets distinct"
    assert question in " ".join(said.out.split())
    (alike,) = (each for each in kinds(cli, "merge") if "called" in each["text"])
    assert alike["text"] == f"{other} and {eva} are both called eva: are they one person?"
    assert alike["command"] == f"facesets merge {other} {eva} --name Eva"
    assert cli("distinct", other, eva).code == 0
    assert not [each for each in kinds(cli, "merge") if "called" in each["text"]]
    assert cli("undo").code == 0
    does(cli, alike)
    assert not [each for each in kinds(cli, "merge") if "called" in each["text"]]


def test_the_list_is_ranked_by_faces_put_right(cli: CommandLine) -> None:
    found = cli("suggest", "--json").json
    assert [each["faces"] for each in found] == sorted((each["faces"] for each in found), reverse=True)
    assert {each["kind"] for each in found} == {"name", "merge", "split", "group"}
    said = cli("suggest").out
    assert all(each["command"].removeprefix("facesets ") in said for each in found)


def test_all_faces_are_read_once_for_what_sources_call_them(cli: CommandLine) -> None:
    with Workspace.open(cli.workspace).registry() as registry:
        asked = list[str]()
        registry.db.set_trace_callback(asked.append)
        kinds = {each.kind for each in suggest(registry)}
        registry.db.set_trace_callback(None)
    assert {"name", "merge", "split"} <= kinds, "the three that need them"
    assert len([sql for sql in asked if "f.y2, f.source_person_id" in sql]) == 1
