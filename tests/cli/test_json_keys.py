"""Every verb's --json calls one thing by one word; see tests/json_keys.py, by which all answers of all tests are read."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest

from facesets.cli import VERBS
from facesets.testing import Library
from tests.json_keys import MEANT, check_keys
from tests.pipeline.conftest import cli, faults, library, pack, server  # noqa: F401 - the same small world
from tests.pipeline.world import CommandLine, add_photos, jpeg

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"demo": "tests/test_demo.py", "fetch": "tests/models/test_published.py"}  # whose answers pass check_keys there


class Asked:
    """Asks one verb after another; what each answered, by its words."""

    def __init__(self, cli: CommandLine) -> None:
        self.cli, self.answers = cli, dict[str, Any]()

    def __call__(self, *words: str | Path, code: int = 0) -> Any:
        answer = self.cli(*words, "--json")
        assert answer.code == code, (words, answer.out, answer.err)
        self.answers[" ".join(map(str, words))] = answer.json
        return answer.json


def of_set(asked: Asked, name: str) -> list[str]:
    return [row["face_id"] for row in asked("list", "faces") if row["set"] == name and row["reason"] == "member"]


def test_every_verb_calls_one_thing_by_one_word(
    cli: CommandLine, library: Library, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(cli)
    (anna,) = library.users.values()
    asked("init", cli.workspace.parent / "another")
    monkeypatch.setattr("sys.stdin", io.StringIO("password\n"))
    asked("login", "--user", "anna", "--email", "anna@example.test", "--password-stdin")
    asked("login", "--user", "anna", "--logout")
    asked("doctor")
    for step in (["stage", "--user", "anna"], ["embed"], ["cluster"], ["write"], ["run", "--user", "anna"]):
        asked(*step)
    add_photos(library, anna, [1], 2, first=40)
    asked("run", "--user", "anna")

    asked("status")
    for what in ("assets", "faces", "sets", "people"):
        assert asked("list", what)
    face = asked("list", "faces")[0]
    for meant in ("faceset_001", face["face_id"], face["asset_id"], face["file_name"]):
        asked("explain", meant)
    asked("report")
    asked("suggest")
    monkeypatch.setattr("facesets.cli.review.serve", lambda _workspace, _options, _progress, started: started("http://127.0.0.1:1/x"))
    asked("review", "--no-browser")

    asked("name", "faceset_001", "Zoë")
    asked("name", "--from-immich")
    asked("name", "faceset_002", "Ben")
    asked("distinct", "1", "2")
    asked("confirm", "faceset_001")
    asked("confirm", "faceset_002")
    asked("calibrate")
    asked("best", of_set(asked, "faceset_001")[0])
    asked("reject", of_set(asked, "faceset_002")[0])
    asked("move", of_set(asked, "faceset_002")[1], "--to", "faceset_001")
    asked("split", "faceset_003", of_set(asked, "faceset_003")[0])
    asked("merge", "faceset_003", "faceset_002")
    asked("extend", "faceset_001")
    asked("write")
    asked("eras")
    asked("ignore", "faceset_002")
    asked("undo")
    assert any(one["sets_to_revise"] == [] for one in asked("history"))
    asked("history", "prune", "--older-than", "0h")
    asked("explain", "Zoë")

    for _ in range(2):
        asked("export", "--to", "xmp", "--out", tmp_path / "sidecars")
    asked("export", "--to", "lora", "Zoë", "--out", tmp_path / "lora", code=4)
    asked("consent", "Zoë", "--show")
    asked("consent", "Zoë", "--by", "me", "--adult", "--looked")
    asked("export", "--to", "frigate", "Zoë", "--out", tmp_path / "frigate")
    assert asked("consent", "Zoë", "--withdraw")["exports"]
    assert asked("publish", "--user", "anna")["people"]
    asked("publish", "--user", "anna", "--names", "--albums", "--apply")
    asked("undo")

    cache = cli.workspace / "caches" / "anna.npz"
    asked("cache", "info", cache)
    asked("cache", "merge", tmp_path / "merged.npz", cache)
    asked("cache", "import", cache)
    asked("cache", "export", tmp_path / "own.npz", "--user", "anna")
    asked("cache", "convert", cache, tmp_path / "converted.npz")
    asked("bench", "providers", "--pack", pack, "--repeats", "1")
    (tmp_path / "known").mkdir()
    rows = [f"{person}-{n}.jpg,person {person},main_face" for person in (1, 2) for n in range(3)]
    for row in rows:
        name = row.split(",")[0]
        (tmp_path / "known" / name).write_bytes(jpeg([int(name[0])], int(name[2])))
    (tmp_path / "known" / "labels.csv").write_text("\n".join(["path,identity,scope", *rows]))
    asked("evaluate", "--labels", tmp_path / "known" / "labels.csv", "--pack", pack)

    (cli.workspace / "facesets/faceset_001/faces/0001.png").unlink()
    assert asked("verify", code=1)["problems"]
    asked("accept", "faceset_001")
    backups = asked("restore")
    asked("restore", backups[0]["backup"])

    for words in (["explain"], ["nonverb"], ["list", "assets", "--nothing"], ["list", "nothing"], ["export"]):
        assert asked(*words, code=2).keys() == {"error", "exit_code"}
    assert {words.split()[0] for words in asked.answers} | ELSEWHERE.keys() >= VERBS.keys()
    assert all("check_keys" in text or "CommandLine" in text for text in ((ROOT / page).read_text() for page in ELSEWHERE.values()))


@pytest.mark.parametrize(
    "document",
    [
        {"faceset": "faceset_001"},
        [{"set": "Zoë"}],
        {"people": [{"name": "faceset_001"}]},
        {"person": "Zoë"},
        {"steps": {"at": "2026-01-01T12:00:00"}},
        {"bytes_held": "1.2 MB"},
        {"sets_new": ["Zoë"]},
        {"face": "0123"},
    ],
    ids=str,
)
def test_another_word_or_another_thing_is_refused(document: Any) -> None:
    with pytest.raises(AssertionError):
        check_keys(document)


def test_the_reference_explains_each_of_these_keys() -> None:
    page = (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`[^|]*) \|", page, re.MULTILINE))))
    assert explained >= MEANT
