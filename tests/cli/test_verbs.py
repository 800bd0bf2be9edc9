"""Verbs that answer from the registry, the help, and what stdout may carry."""

from __future__ import annotations

import json
import os
import re
import shlex
import unicodedata
from pathlib import Path

import click
import pytest

from facesets.cli import VERBS
from facesets.cli.export import export
from facesets.cli.summary_text import summary_text
from facesets.errors import EXIT_CODES
from facesets.pipeline import Summary
from facesets.registry import assets, runs
from facesets.targets import TARGETS
from facesets.testing import Library
from facesets.workspace import Workspace
from tests.pipeline.conftest import cli, faults, library, pack, server  # noqa: F401 - the same small world
from tests.pipeline.world import CommandLine, jpeg


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_and_takes_json(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = CommandLine(tmp_path, capsys)(verb, "--help")
    assert answer.code == 0
    assert "--json" in answer.out
    assert len(answer.out.splitlines()) > 5


def test_the_help_names_every_verb_and_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = CommandLine(tmp_path, capsys)("--help").out
    for verb in VERBS:
        assert verb in text
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {meaning}" in " ".join(text.split())


def test_list_has_every_asset_and_face_with_what_scripts_need(cli: CommandLine) -> None:
    cli("run", "--user", "anna")
    listed = cli("list", "assets", "--json").json
    assert len(listed) == 24
    assert {"asset_id", "owner_id", "sha256", "path", "user", "state", "reason"} <= listed[0].keys()
    faces = cli("list", "faces", "--json").json
    assert {"face_id", "asset_id", "path", "box", "state", "set"} <= faces[0].keys()
    assert {face["asset_id"] for face in faces} <= {asset["asset_id"] for asset in listed}
    in_first = cli("list", "faces", "--state", "in_set", "--json").json
    assert sum(face["set"] == "faceset_001" for face in in_first) == 9
    assert {s["set"]: s["faces"] for s in cli("list", "sets", "--json").json} == {"faceset_001": 9, "faceset_002": 9, "faceset_003": 7}
    assert len(cli("list", "assets").out.splitlines()) == 25


def test_explain_tells_the_story_of_an_asset_a_face_and_a_set(cli: CommandLine) -> None:
    cli("run", "--user", "anna")
    face = cli("list", "faces", "--state", "in_set", "--json").json[0]
    story = cli("explain", face["face_id"][:10], "--json").json
    assert (story["face_id"], story["set"], story["asset_id"]) == (face["face_id"], face["set"], face["asset_id"])
    assert story["distance"] <= 0.45
    story = cli("explain", face["asset_id"], "--json").json
    assert story["state"] == "done"
    assert face["face_id"] in [f["face_id"] for f in story["faces"]]
    story = cli("explain", face["set"], "--json").json
    assert face["face_id"] in [member["face_id"] for member in story["members"]]
    left_out = cli("list", "faces", "--state", "left_out", "--json").json[0]
    assert "Too few faces" in cli("explain", left_out["face_id"]).out


def test_explain_is_told_what_is_meant_in_any_way(cli: CommandLine) -> None:
    cli("run", "--user", "anna")
    with Workspace.open(cli.workspace).registry() as registry, registry.transaction():
        registry.db.execute("UPDATE people SET name = 'Zoë' WHERE number = 2")
    asset = next(each for each in cli("list", "assets", "--json").json if each["file_name"] == "p1_0.jpg")
    for name in (
        asset["asset_id"],
        asset["asset_id"][:13],
        "p1_0.jpg",
        "P1_0.JPG",
        asset["path"],
        asset["original"],
        cli.workspace / asset["original"],
    ):
        assert cli("explain", name, "--json").json["asset_id"] == asset["asset_id"], name
    text = cli("explain", "p1_0.jpg").out
    assert text.startswith("p1_0.jpg, taken on 2020-01-02 at 12:00, belongs to anna.\nIt was looked through")
    assert "It is in faceset_00" in text
    for name in ("2", "002", "faceset_2", "faceset_002", "zoë"):
        assert cli("explain", name, "--json").json["set"] == "faceset_002", name
    assert "faceset_002 (Zoë) was made by facesets of 9 faces in 9 photos, from 2020." in cli("explain", "2").out
    best = cli("explain", "2", "--json").json["members"][0]["face_id"]
    assert cli("explain", "facesets/faceset_002/faces/0001.png", "--json").json["face_id"] == best
    assert cli("explain", "faceset_002/nothing.png").code == 1
    assert "is called 'nobody' here. facesets list" in cli("explain", "nobody").line


def test_a_file_of_a_folder_is_meant_by_any_path_and_form_of_its_name(cli: CommandLine, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    odd = os.fsdecode(b"odd\xff.jpg")
    for name in ("a/same.jpg", "b/same.jpg", "@eaDir/same.jpg", unicodedata.normalize("NFD", "Über.jpg"), odd):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(jpeg([1], 1))
    (tmp_path / "link").symlink_to(photos)
    assert cli("stage", "--folder", photos, "--user", "folder").code == 0
    for place in (photos, tmp_path / "link", tmp_path / "link" / "a" / ".."):
        for inside in ("a/same.jpg", "b/same.jpg", "@eaDir/same.jpg"):
            assert cli("explain", place / inside, "--json").json["path"] == inside
    assert cli("explain", photos / odd, "--json").json["path"] == "odd\\xff.jpg"
    assert unicodedata.normalize("NFC", cli("explain", "über.jpg", "--json").json["path"]) == "Über.jpg"
    assert cli("explain", photos / "same.jpg").code == 1


def test_words_of_another_encoding_are_no_fault_of_ours(cli: CommandLine) -> None:
    cli("run", "--user", "anna")
    for words in (("ignore", "Zo\udceb"), ("name", "Zo\udceb", "Zoë"), ("confirm", "Zo\udceb")):
        answer = cli(*words)
        assert answer.code == 2
        assert "is no text in UTF-8: is the terminal set to another encoding?" in answer.line
    assert "is called 'Zo\\\\xeb' here" in cli("explain", "Zo\udceb").line


def test_an_id_that_is_cut_too_short_to_tell_is_refused_with_those_it_may_be(cli: CommandLine) -> None:
    cli("run", "--user", "anna")
    with Workspace.open(cli.workspace).registry() as registry, registry.transaction():
        for n in (1, 2):
            registry.db.execute("UPDATE measurements SET key = ? WHERE id = ?", (f"abcdef{n}", n))
    answer = cli("explain", "abcdef")
    assert answer.code == 2
    assert "abcdef1 and abcdef2" in answer.line


def test_who_is_of_no_interest_is_said_wherever_sets_are_told_of(cli: CommandLine) -> None:
    cli("run", "--user", "anna")
    cli("report")
    page = cli.workspace / "reports" / "latest.html"
    assert "ignored" not in page.read_text("utf-8") + cli("status").out + cli("explain", "2").out
    cli("name", "1", "Zoë")
    cli("ignore", "2")
    assert "\n3 sets, 1 named and 1 ignored.\n" in cli("status").out
    assert cli("status", "--json").json["people_ignored"] == 1
    assert "You said that it is of no interest (ignored)" in cli("explain", "2").out
    assert cli("explain", "2", "--json").json["standing"] == "ignored"
    assert [row["standing"] for row in cli("list", "sets", "--json").json] == ["active", "ignored", "active"]
    cli("report")
    assert page.read_text("utf-8").count("· ignored") == 1


def test_list_refuses_users_and_reasons_that_do_not_exist(cli: CommandLine) -> None:
    for words in (["list", "assets"], ["embed"], ["cluster"], ["write"]):
        assert "nobody is known here yet" in cli(*words, "--user", "anna").line
    assert "facesets run --user NAME --folder" in cli("write").out.replace(f"-C {cli.workspace} ", "")
    cli("run", "--user", "anna")
    answer = cli("list", "assets", "--user", "bob")
    assert (answer.code, answer.line) == (2, "facesets: no user is called 'bob'; known here: anna")
    for step in ("embed", "cluster", "write"):
        assert cli(step, "--user", "bob").line == answer.line
    answer = cli("list", "faces", "--reason", "near_duplicat")
    assert answer.code == 2
    assert "did you mean near_duplicate?" in answer.line


def test_list_refuses_what_nothing_of_that_kind_can_have(cli: CommandLine) -> None:
    """An empty list would look like an answer."""
    cli("run", "--user", "anna")
    for words, said in (
        (("assets", "--state", "in_set"), "in_set is a state of faces: facesets list faces --state in_set"),
        (("faces", "--reason", "no_faces"), "no_faces is a reason of assets: facesets list assets --reason no_faces"),
        (("people", "--user", "anna"), "--user chooses among assets or faces; people are listed without it"),
        (("sets", "--state", "pending"), "--state chooses among assets or faces; sets are listed without it"),
    ):
        answer = cli("list", *words)
        assert (answer.code, answer.line) == (2, f"facesets: {said}")
    for what in ("assets", "faces"):
        assert cli("list", what, "--state", "pending", "--json").json == []


def test_list_stops_at_its_limit_and_is_a_table_on_a_terminal(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("run", "--user", "anna")
    assert len(cli("list", "assets", "--limit", "5").out.splitlines()) == 6
    assert len(cli("list", "assets", "--limit", "5", "--json").json) == 5
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("facesets.cli.list.on_terminal", lambda: True)
    lines = cli("list", "faces", "--limit", "3").out.splitlines()
    assert lines[0].split() == ["File", "Taken", "Reason", "Set", "Distance", "Face"]
    assert all(len(line) <= 80 for line in lines)
    assert [word for line in lines[:-1] for word in line.split()[1:] if "…" in word] == []  # names of files alone are cut
    assert "p1_" in lines[1] + lines[2] + lines[3]
    assert lines[-1].startswith("3 faces; 23 more: --limit 0 shows all. Next: facesets explain")
    assert cli("list", "faces", "--state", "matched").out.startswith("No faces here, or none like that.")


def test_a_narrow_terminal_keeps_whole_what_a_command_can_be_given(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("run", "--user", "anna")
    monkeypatch.setenv("COLUMNS", "56")
    monkeypatch.setattr("facesets.cli.list.on_terminal", lambda: True)
    face = cli("list", "faces", "--state", "in_set", "--limit", "1", "--json").json[0]
    line = cli("list", "faces", "--state", "in_set", "--limit", "1").out.splitlines()[1]
    assert len(line) <= 56
    assert face["set"] in line
    assert face["face_id"][:12] in line
    heading, *people, _ = cli("list", "people").out.splitlines()
    assert "Name" not in heading, "nobody has one yet"
    assert [row.split()[0] for row in people[:3]] == ["1", "2", "3"]
    assert all(f"faceset_00{n}" in row for n, row in enumerate(people[:3], 1))


def test_the_shell_completes_targets() -> None:
    ctx = click.Context(export)
    (to,) = (option for option in export.params if option.name == "target")
    assert [one.value for one in to.shell_complete(ctx, "re")] == ["reactor"]
    assert len(to.shell_complete(ctx, "")) == len(TARGETS)


def test_list_has_people_with_their_names_years_and_standing(cli: CommandLine) -> None:
    cli("run", "--user", "anna")
    with Workspace.open(cli.workspace).registry() as registry, registry.transaction():
        registry.db.execute("UPDATE people SET name = 'Zoë' WHERE number = 2")
    listed = cli("list", "people", "--json").json
    assert [(p["person"], p["name"], p["faces"], p["recognised"], p["standing"]) for p in listed] == [
        (1, None, 9, 0, "active"), (2, "Zoë", 9, 0, "active"), (3, None, 7, 0, "active"),
    ]  # fmt: skip
    assert {(p["year_from"], p["year_to"], p["set"]) for p in listed[:1]} == {("2020", "2020", "faceset_001")}
    assert cli("list", "people").out.splitlines()[0].split("\t")[:2] == ["person", "name"]


def test_a_run_ends_with_its_sets_its_report_and_what_to_do_next(cli: CommandLine) -> None:
    answer = cli("run", "--user", "anna")
    page = cli.workspace / "reports/latest.html"
    assert page.is_file()
    assert f"Report: {page}" in answer.out
    first, second, third = answer.out.splitlines()[-3:]
    assert first.startswith(f"Next:   facesets -C {cli.workspace} report --open ")
    assert f"facesets -C {cli.workspace} name --from-immich " in second
    assert f'facesets -C {cli.workspace} name faceset_001 "NAME" ' in third
    assert "export --to xmp --out sidecars" in cli("name", "1", "Ada").out.splitlines()[-1]
    assert 'name faceset_002 "NAME" ' in cli("status").out.splitlines()[-2]
    assert "export --to xmp --out sidecars" in cli("status").out.splitlines()[-1]
    assert cli("undo").code == 0
    made = page.stat().st_mtime_ns
    assert cli("run", "--user", "anna", "--json").json["report"] == str(page)
    assert page.stat().st_mtime_ns == made, "a run that changes nothing makes no new report"
    assert cli("report", "--json").json == {"report": str(page), "opened": False}
    assert page.stat().st_mtime_ns > made
    assert "24 files: 24 looked through" in answer.out
    assert "<b>24</b>" in page.read_text()


def test_a_report_opens_in_the_browser_and_a_blurred_one_lies_beside_it(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def browse(address: str) -> bool:
        opened.append(address)
        return len(opened) == 1

    monkeypatch.setattr("webbrowser.open", browse)
    assert cli("report", "--open").out == f"Report: {cli.workspace / 'reports/latest.html'}\n"
    assert opened == [(cli.workspace / "reports/latest.html").as_uri()]
    assert "No browser could be started here" in cli("report", "--open").out
    assert cli("report", "--blur", "--json").json["report"].endswith("reports/blurred.html")
    assert (cli.workspace / "reports/latest.html").is_file()


def test_a_run_of_a_folder_says_nothing_of_requests_and_an_empty_one_is_said(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    answer = cli("run", "--user", "bob", "--folder", tmp_path / "empty")
    assert "bob: nothing is listed there" in answer.out
    assert next_of(answer.out) == ["run", "--help"]
    assert "request" not in answer.out
    assert "download" not in answer.out


def next_of(text: str) -> list[str]:
    """The first command after ``Next:``, as words without the program and its workspace."""
    words = shlex.split(text.partition("Next:")[2].splitlines()[0].strip().split("   ")[0])
    assert words[:2] == ["facesets", "-C"]
    return words[3:]


def test_what_is_said_to_come_next_can_be_typed(cli: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "her photos"
    folder.mkdir()
    for n in range(6):
        (folder / f"{n}.jpg").write_bytes(jpeg([5], n))
    staged = cli("stage", "--user", "bob", "--folder", folder).out
    assert next_of(staged) == ["run", "--user", "bob", "--folder", str(folder)]
    assert cli("embed").code == cli("cluster").code == 0
    assert next_of(cli("status").out) == ["write"]
    assert cli(*next_of(cli("status").out)).code == 0
    assert cli(*next_of(staged)).code == 0
    assert next_of(cli("stage", "--user", "anna").out) == ["run", "--user", "anna"]
    assert cli("run", "--user", "anna").code == 0


def test_status_names_the_run_that_tries_again(cli: CommandLine) -> None:
    cli("run", "--user", "anna")
    with Workspace.open(cli.workspace).registry() as registry, registry.transaction():
        registry.db.execute("UPDATE assets SET reason = 'download_error' WHERE id = 1")
    assert next_of(cli("status").out) == ["run", "--user", "anna"]


def test_status_sums_up_and_says_how_the_last_run_ended(cli: CommandLine) -> None:
    assert "0 files." in cli("status").out
    cli("run", "--user", "anna")
    text = cli("status").out
    assert "24 files: 24 looked through." in text
    assert "26 faces: 25 in a set, 1 left out." in text
    assert re.search(
        r"^Last run: stage, embed, cluster and write, started on \d{4}-\d\d-\d\d \d\d:\d\d UTC, done\.$", text, re.MULTILINE
    )
    after = text.partition("\nNext: ")[2].splitlines()
    assert after
    assert all(line.split()[0] == "facesets" for line in after), after


def test_status_tells_a_run_that_is_at_work_from_one_that_was_cut_off(cli: CommandLine) -> None:
    cli("run", "--user", "anna")
    workspace = Workspace.open(cli.workspace)
    with workspace.registry() as registry:
        runs.start(registry, "stage")
    assert "cut off before its end" in cli("status").out
    with workspace.lock():
        assert ", still at work." in cli("status").out
        assert cli("status", "--json").json["last_run"]["running"] is True


def test_a_photo_that_its_source_has_no_longer_is_of_no_sum_and_said_apart(cli: CommandLine, library: Library) -> None:
    cli("run", "--user", "anna")
    gone = next(iter(library.assets))
    del library.assets[gone]
    cli("run", "--user", "anna")
    text = cli("status").out
    assert "23 files: 23 looked through." in text
    assert "1 more file is no longer at the source; faces that were found there stay in sets that are written." in text
    assert f"Asset {gone}; its source does not have it any more." in cli("explain", gone).out
    assert cli("explain", gone, "--json").json["path"] is None
    page = (cli.workspace / "reports/latest.html").read_text()
    assert "<b>23</b>" in page
    assert "1 more file is no longer at the source" in page


def test_a_report_is_made_of_a_registry_that_cannot_be_written(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("run", "--user", "anna")
    (cli.workspace / "reports/latest.html").unlink()
    monkeypatch.setattr("facesets.registry.database._is_on_read_only_disk", lambda _path: True)
    assert cli("status").code == 0
    answer = cli("report")
    assert answer.code == 0, answer.err
    assert "24 files" in (cli.workspace / "reports/latest.html").read_text()


def test_status_says_what_each_part_takes_on_disk(cli: CommandLine) -> None:
    cli("run", "--user", "anna")
    (cli.workspace / "crops").mkdir()
    (cli.workspace / "crops/one.png").write_bytes(bytes(2_500_000))
    on_disk = cli("status", "--json").json["bytes_on_disk"]
    assert on_disk["crops"] == 2_500_000
    originals = sum(path.stat().st_size for path in (cli.workspace / "photos").rglob("*") if path.is_file())
    assert on_disk["originals"] == originals > 0
    assert on_disk["history"] == 0
    text = cli("status").out
    assert "2.5 MB  crops" in text
    assert "keep_originals = false" in text
    assert "revisions" not in text, "what takes nothing is not named"


def test_what_could_not_be_read_is_not_counted_as_looked_through() -> None:
    embed = {"queue": 64, "load_errors": 1, "new_faces": 77, "new_noface": 1, "images_per_second": 16.0}
    by_state = {"done": 63, "failed": 1}
    said = summary_text(Summary("w", "w/facesets", assets_by_state=by_state, pack="open@1", steps={"embed": embed}), None)
    assert "63 photos looked through: 77 faces found, 1 photo without a face; 1 more photo could not be read (" in said
    assert "64 files: 63 looked through, 1 cannot be read." in said


def test_a_file_of_two_names_takes_its_room_once(cli: CommandLine) -> None:
    """A merge's crops are linked from the earlier revision: letting that go frees next to nothing, and no more is promised."""
    cli("run", "--user", "anna")
    before = cli("status", "--json").json["bytes_on_disk"]
    cli("merge", "2", "1")
    cli("write")
    after = cli("status", "--json").json["bytes_on_disk"]
    freed = cli("history", "prune", "--older-than", "0d", "--json").json["bytes"]
    assert after["history"] == freed > 0
    assert freed < before["sets"] // 4


def test_hostile_names_are_shown_escaped(cli: CommandLine) -> None:
    cli("run", "--user", "anna")
    with Workspace.open(cli.workspace).registry() as registry, registry.transaction():
        registry.db.execute("UPDATE assets SET original_path = ? WHERE id = 1", ("\x1b[2J\nfaceset_001\tevil",))
        asset_id = assets.get(registry, 1).asset.asset_id
    for answer in (cli("list", "assets"), cli("explain", asset_id)):
        assert "\x1b" not in answer.out
        assert "\nfaceset_001\tevil" not in answer.out


def test_a_log_of_every_run_is_kept_privately(cli: CommandLine) -> None:
    cli("run", "--user", "anna")
    (log,) = (cli.workspace / "logs").iterdir()
    assert log.name == "run-00001.log"
    assert log.stat().st_mode & 0o077 == 0


def test_the_log_of_a_run_in_which_nothing_went_wrong_has_its_steps_counts_and_notes(cli: CommandLine) -> None:
    answer = cli("run", "--user", "anna", "--json")
    summary, notes = answer.json, answer.err.splitlines()
    text = (cli.workspace / "logs" / "run-00001.log").read_text()
    assert "stage embed cluster write for anna" in text
    for step in ("stage", "embed", "cluster"):
        assert f"{step}: {json.dumps(summary['steps'][step])}" in text
    assert "staging: 24 photos in" in text
    assert "writing sets: 3 sets in" in text
    assert 'assets_by_reason: {"embedded": 24}' in text
    assert notes
    assert [note for note in notes if note not in text] == []
    assert text.splitlines()[-1].split(": ")[1].startswith("done, in")


def test_folders_beside_the_sets_that_are_none_are_named_once_and_left_alone(cli: CommandLine) -> None:
    sets = cli.workspace / "facesets"
    names = ["grandma", "faceset_1", "faceset_00000000000000000042", "faceset_041_era_2012-2016", "_thin", ".cache", "@eaDir"]
    for name in names:
        (sets / name).mkdir(parents=True)
        (sets / name / "note.txt").write_text(name)
    answer = cli("run", "--user", "anna", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["folders_ignored"] == ["faceset_00000000000000000042", "faceset_1", "grandma"]
    assert answer.json["sets_new"][0] == "faceset_042", "twenty digits are no number, an era's number is used"
    text = cli("run", "--user", "anna").out
    assert text.count("grandma") == 1
    assert {name: (sets / name / "note.txt").read_text() for name in names} == {name: name for name in names}
