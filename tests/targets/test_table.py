"""The table, and who is meant: names that are odd, doubled or none."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from facesets import export_to
from facesets.errors import NotFound, Refused, UsageError
from facesets.settings import TargetSettings
from facesets.targets import TARGETS, Purpose
from facesets.targets.job import NO_LIMIT
from facesets.targets.names import file_name, frigate_name, one_line
from facesets.workspace import Workspace

from .conftest import agree, change, name

ROOT = Path(__file__).parents[2]
GENERATE = [row.name for row in TARGETS.values() if row.purpose is Purpose.GENERATE]


def test_every_row_says_what_it_is_for_and_what_it_makes() -> None:
    assert {row.name: row.purpose for row in TARGETS.values()} == {
        "frigate": "recognise", "frigate-api": "recognise", "compreface": "recognise", "doubletake": "recognise", "xmp": "recognise",
        "lora": "generate", "fsz": "generate", "reactor": "generate", "folder": "generate", "imagefolder": "generate",
        "parquet": "generate",
    }  # fmt: skip
    assert all(row.kind in ("files", "service", "sidecars") and row.help and row.read_back for row in TARGETS.values())
    assert all(TargetSettings().of(row.name) is not None for row in TARGETS.values() if row.kind == "service")


def test_what_reads_an_export_back_is_what_ci_installs() -> None:
    pins = dict(re.findall(r"^(\S+)==([^\s;]+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    said = dict(re.findall(r"([a-z]\w+) ([\d.]+)", "; ".join(row.read_back for row in TARGETS.values())))
    known = {"datasets", "insightface", "pyarrow", "safetensors"}
    assert {name: said.get(name) for name in known} == {name: pins[name] for name in known}


def test_the_readme_has_a_line_for_each_target_and_for_nothing_else() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [line for line in readme.splitlines() if line.startswith("|") and "--to " in line]
    assert set(re.findall(r"--to ([a-z-]+)", "\n".join(rows))) == TARGETS.keys()


@pytest.mark.parametrize("target", GENERATE)
def test_whatever_generates_is_refused_without_an_agreement_and_writes_nothing(
    target: str, workspace: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=r"no agreement of Grandma .* is recorded"):
        export_to(workspace, target, ["Grandma"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", GENERATE)
def test_whatever_generates_wants_each_person_named(target: str, agreed: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name each person or set"):
        export_to(agreed, target, out=tmp_path / "out")


@pytest.mark.parametrize("target", ["frigate", "folder", "xmp"])
def test_ignored_people_are_never_exported(target: str, agreed: Workspace, tmp_path: Path) -> None:
    change(agreed, "faceset_002", standing="ignored")
    with pytest.raises(Refused, match="ignored people are never exported"):
        export_to(agreed, target, ["Grandma"], out=tmp_path / "out")
    done = export_to(agreed, "frigate", out=tmp_path / "all")
    assert [one.name for one in done.people] == ["Opa"]


def test_two_people_of_one_name_are_refused_and_told_apart_by_their_sets(agreed: Workspace, tmp_path: Path) -> None:
    name(agreed, "faceset_003", "GRANDMA")
    with pytest.raises(Refused, match="faceset_002 and faceset_003 are both called"):
        export_to(agreed, "frigate", out=tmp_path / "out")
    with pytest.raises(UsageError, match="Name the set"):
        export_to(agreed, "frigate", ["grandma"], out=tmp_path / "out")
    assert export_to(agreed, "folder", ["faceset_002"], out=tmp_path / "one").people[0].new == 9


def test_what_cannot_be_is_said_in_words(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for call, words in (
        (("frigat", [], {"out": tmp_path}), "did you mean frigate"),
        (("frigate", [], {}), "--out DIR"),
        (("frigate-api", [], {}), "--url http"),
        (("frigate-api", ["Grandma"], {"url": "localhost:5000"}), "is no address"),
        (("frigate", [], {"out": tmp_path / "file"}), "is a file"),
        (("frigate", ["faceset_001"], {"out": tmp_path}), "has no name"),
    ):
        target, names, more = call
        with pytest.raises(UsageError, match=words):
            export_to(workspace, target, names, **more)
    with pytest.raises(NotFound, match="did you mean 'Grandma'"):
        export_to(workspace, "frigate", ["Granma"], out=tmp_path / "out")


@pytest.mark.parametrize(
    ("odd", "plain"),
    [
        ("a/b\\c", "a_b_c"), ("line\nbreak", "linebreak"), ('"quoted"', "_quoted_"), ("con", "_con"), ("LPT1.x", "_LPT1.x"),
        ("...", "set"), ("", "set"), ("///", "set"), (" dots. ", "dots"), ("\N{GRINNING FACE}", "\N{GRINNING FACE}"),
        ("../up", "_up"), ("x" * 200, "x" * 60), ("nul\0l", "null"), ("COM\u00b9", "_COM\u00b9"), ("conin$", "_conin$"),
    ],
)  # fmt: skip
def test_any_name_makes_a_file_name_that_every_system_takes(odd: str, plain: str) -> None:
    assert file_name(odd, "set") == plain


def test_frigate_and_captions_get_names_that_they_take() -> None:
    assert frigate_name("Zoë O'Neil-2_b", "s") == "Zoë O'Neil-2_b"
    assert frigate_name("a/b.c \N{GRINNING FACE}", "s") == "a b c"
    assert (frigate_name("train", "s"), frigate_name("\N{GRINNING FACE}", "s"), frigate_name("", "s")) == ("s", "s", "s")
    assert len(frigate_name("ab " * 40, "s")) <= 50
    assert one_line("two\nlines\tand\0more\ud800") == "two lines and more"


def test_a_person_with_an_odd_name_is_exported_all_the_same(agreed: Workspace, tmp_path: Path) -> None:
    name(agreed, "faceset_002", '../"Gr/a\nndma"')
    agree(agreed, "faceset_002")
    export_to(agreed, "folder", ["faceset_002"], out=tmp_path / "out")
    (home,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert home.name == "__Gr_andma_" or home.name.startswith("_")
    assert len(list(home.iterdir())) == 9


@pytest.mark.parametrize("target", TARGETS)
def test_a_count_of_0_is_no_limit_for_every_target_be_it_said_or_set(
    target: str, agreed: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    row = TARGETS[target]
    monkeypatch.setitem(TARGETS, target, replace(row, run=lambda job: counts.append(job.count) or {}))  # type: ignore[func-returns-value]
    settings: Any = TargetSettings().of(target)
    if hasattr(settings, "count"):
        assert "0: no limit." in next(each for each in fields(settings) if each.name == "count").metadata["doc"]
        path, section = agreed.root / "facesets.toml", f"[targets.{target.removesuffix('-api')}]"
        path.write_text(path.read_text().replace(section, f"{section}\ncount = 0"))
    workspace = Workspace.open(agreed.root)
    place: Any = {"out": tmp_path} if row.kind != "service" else {"url": "http://127.0.0.1:9"}
    for count in (None, 0, 2):
        export_to(workspace, target, ["Grandma"], count=count, **place)
    assert counts == [NO_LIMIT, NO_LIMIT, 2]
    with pytest.raises(UsageError, match="0 for no limit"):
        export_to(workspace, target, ["Grandma"], count=-1, **place)


@pytest.mark.parametrize("target", TARGETS)
def test_an_option_that_means_nothing_to_a_target_is_refused(target: str, agreed: Workspace, tmp_path: Path) -> None:
    service = TARGETS[target].kind == "service"
    options: dict[str, Any] = {"out": tmp_path / "out", "url": "http://127.0.0.1:9", "check": True, "trigger": "x"}
    takes = {"url", "check"} if service else {"out"}
    for option in options.keys() - takes - ({"trigger"} if target == "lora" else set()):
        hint = "; frigate-api does" if target == "frigate" and option in ("url", "check") else "$"
        with pytest.raises(UsageError, match=f"{target} takes no --{option}{hint}"):
            export_to(agreed, target, ["Grandma"], **{option: options[option]})
    assert not (tmp_path / "out").exists()
