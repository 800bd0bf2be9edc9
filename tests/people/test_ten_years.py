"""Ten years of a family, told in chapters over a real server. After each a ledger recomputes what every set must hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from facesets.photos.decoder_pool import DecoderPool
from facesets.testing import Library, immich_server

from ..decoders import lend
from ..migrations.worlds import packs
from ..pipeline.world import CommandLine, configure
from .ten_years import BEN, KAI, LEA, MIA, NAMES, OMA, OMA_GREY, TOM, ZOE, Family, Ledger, Spot


@pytest.fixture
def family(
    tmp_path: Path, decoders: DecoderPool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Family]:
    lend(decoders, monkeypatch)
    monkeypatch.setattr("facesets.cli.run._write_report", lambda app, workspace: None)  # pages are half of so small a run
    library, both = Library(), packs(tmp_path / "packs")
    anna = library.user("anna")
    cli = CommandLine(tmp_path / "w", capsys)
    with immich_server(library) as server:
        monkeypatch.setenv("IMMICH_URL", server.url)
        monkeypatch.setenv("IMMICH_API_KEY_ANNA", server.key_for("anna"))
        assert cli("init").code == 0
        configure(cli.workspace, both / "twin")
        yield Family(library, server, cli, monkeypatch, both, {"anna": anna})


def crop(ledger: Ledger, spot: Spot) -> str:
    """The file of a face in a set, as a user would point at it."""
    (number,) = (number for number, members in ledger.sets.items() if spot in members)
    folder = ledger.root / f"faceset_{number:03d}"
    faces = json.loads((folder / "faceset.json").read_text())["faces"]
    return next(f"{folder.name}/{face['file']}" for face in faces if face["face_id"] == ledger.ids[spot])


def named(family: Family, ledger: Ledger, person: int) -> None:
    """A new set gets its name by hand."""
    family.says("name", str(ledger.number(person)), NAMES[person])
    ledger.is_called(ledger.number(person), NAMES[person])


def extended(family: Family, ledger: Ledger, person: int) -> None:
    """What runs recognised comes into a set: exactly the faces of its person that are in no set, and were not said to be not theirs."""
    number = ledger.number(person)
    taken = {spot for members in ledger.sets.values() for spot in members}
    wanted = {s for s in family.spots() - taken if family.who(s) == person and (s, number) not in ledger.rejected}
    said = family.says("extend", NAMES[person])
    assert said["changes"]["extended"]["faces"] == len(wanted), wanted
    ledger.joins(number, *wanted)


def rejected(family: Family, ledger: Ledger, person: int, n: int = 0) -> None:
    """A face of a set turns out to be blurred, or somebody else."""
    number = ledger.number(person)
    spot = sorted(ledger.sets[number])[n]
    family.says("reject", crop(ledger, spot))
    ledger.rejects(number, spot)


def written(family: Family, ledger: Ledger) -> None:
    assert family.cli("write").code == 0
    ledger.check()


# -- chapters


def a_family(family: Family, ledger: Ledger) -> None:
    """2015: Mia, Ben and Oma; their names come from Immich."""
    for person in (MIA, BEN, OMA):
        family.knows(person)
        family.photos([person], 2015, 7)
    family.photos([MIA, BEN], 2015, 2)
    assert len(family.run()["sets_new"]) == 3
    ledger.check()
    assert family.says("name", "--from-immich")["changes"]["conflicts"] == {}
    for person in (MIA, BEN, OMA):
        ledger.is_called(ledger.number(person), NAMES[person])
    rejected(family, ledger, MIA)
    family.says("confirm", "Ben")


def a_birth(family: Family, ledger: Ledger) -> None:
    """2016: Lea is born; who is on older photos is not Lea, whatever Immich says."""
    family.knows(LEA, birthDate="2016-03-01")
    family.photos([LEA], 2016, 7)
    family.photos([MIA, LEA], 2016, 2)
    assert family.run()["sets_new"] == ["faceset_004"]
    ledger.check()
    named(family, ledger, LEA)
    (album,) = family.photos([LEA], 2014, 1)
    ledger.rejected.add(((album, 0), ledger.number(LEA)))
    family.run()
    extended(family, ledger, MIA)
    rejected(family, ledger, BEN)


def a_sibling(family: Family, ledger: Ledger) -> None:
    """2017: Tom, who looks like his sister. A photo of hers is taken for his, by mistake."""
    family.knows(TOM, birthDate="2017-01-15")
    family.photos([TOM], 2017, 7)
    family.photos([LEA, TOM], 2017, 2)
    family.photos([OMA], 2017, 1)
    assert family.run()["sets_new"] == ["faceset_005"]
    ledger.check()
    named(family, ledger, TOM)
    spot = sorted(ledger.sets[ledger.number(LEA)])[1]
    ledger.mistake = family.says("move", crop(ledger, spot), "--to", "Tom")["decision"], spot
    ledger.moves(ledger.number(LEA), ledger.number(TOM), spot)
    extended(family, ledger, LEA)


def a_new_partner(family: Family, ledger: Ledger) -> None:
    """2018: Kai comes; Oma has gone grey, so that a run makes a second set of her: they are one."""
    family.knows(KAI)
    family.photos([KAI], 2018, 7)
    family.photos([MIA, KAI], 2018, 2)
    family.photos([OMA_GREY], 2018, 7)
    assert family.run()["sets_new"] == ["faceset_006", "faceset_007"]
    ledger.check()
    named(family, ledger, KAI)
    old, grey = sorted(ledger.numbers(OMA))
    (two_sets,) = (each for each in family.says("suggest") if each["kind"] == "merge")
    assert two_sets["command"] == f"facesets merge faceset_{grey:03d} faceset_{old:03d}"
    family.says(*two_sets["command"].split()[1:])
    ledger.merges(grey, old)
    extended(family, ledger, OMA)
    rejected(family, ledger, KAI)


def a_lost_drive(family: Family, ledger: Ledger) -> None:
    """2019: half of the photos are gone, and come back from a backup, as new ones to Immich."""
    lost = [asset for n, asset in enumerate(family.library.assets.values()) if n % 2]
    for asset in lost:
        del family.library.assets[asset.id]
    assert family.run()["sets_new"] == []
    ledger.gone += len(lost)
    ledger.check()
    for asset in lost:
        assert isinstance(asset.data, bytes)
        family.add(asset.file_name, family.shown[asset.file_name], asset.data, asset.exif.date_time_original)
    assert family.run()["sets_new"] == []
    ledger.check()
    number = ledger.number(KAI)
    some = sorted(ledger.sets[number])[:2]
    said = family.says("split", "Kai", *(crop(ledger, spot) for spot in some), "--name", "Kai's brother")
    new = int(said["changes"]["split"]["new_set"].removeprefix("faceset_"))
    ledger.splits(number, new, *some)
    ledger.is_called(new, "Kai's brother")
    written(family, ledger)
    family.says("undo")  # it was Kai, after all
    ledger.sets[number] |= ledger.sets.pop(new)
    ledger.rejected -= {(spot, number) for spot in some}
    ledger.retired.add(new)
    del ledger.names[new]
    ledger.decided.add(number)
    rejected(family, ledger, OMA, 3)
    family.says("confirm", "Lea")


def a_second_user(family: Family, ledger: Ledger) -> None:
    """2020: Bob joins, with two of Anna's photos, some of Mia, and Zoë, whom nobody knew."""
    bob = family.joins("bob")
    for asset in [asset for asset in family.library.assets.values() if asset.owner_id != bob.id][:2]:
        assert isinstance(asset.data, bytes)
        family.add(asset.file_name, family.shown[asset.file_name], asset.data, asset.exif.date_time_original, "bob")
    family.photos([MIA], 2020, 3, "bob")
    family.photos([ZOE], 2020, 7, "bob")
    assert family.run()["sets_new"] == ["faceset_009"]
    ledger.check()
    named(family, ledger, ZOE)
    extended(family, ledger, MIA)
    rejected(family, ledger, ZOE, 2)


def immich_renumbers(family: Family, ledger: Ledger) -> None:
    """2021: Immich finds all faces and people anew; every id is another one."""
    family.renumbered()
    assert family.run()["sets_new"] == []
    ledger.check()
    said = family.says("name", "--from-immich")
    assert (said["changes"]["named"], said["changes"]["conflicts"]) == ({}, {})
    family.photos([TOM], 2021, 2)
    family.run()
    extended(family, ledger, TOM)
    family.says("ignore", "Kai")
    rejected(family, ledger, TOM, 4)


def another_pack(family: Family, ledger: Ledger) -> None:
    """2022: another model measures every photo; nobody is found anew, and nobody who was rejected comes back."""
    family.another_pack()
    family.photos([LEA], 2022, 2)
    assert family.run()["sets_new"] == []
    ledger.check()
    extended(family, ledger, LEA)
    rejected(family, ledger, LEA, 5)
    family.says("confirm", "Zoë")


def tags_everywhere(family: Family, ledger: Ledger) -> None:
    """2023: exiftool writes a tag into every photo: other bytes, the same faces."""
    family.tagged()
    assert family.run()["sets_new"] == []
    ledger.check()
    family.photos([OMA_GREY], 2023, 2)
    family.run()
    extended(family, ledger, OMA)
    rejected(family, ledger, OMA, 1)
    family.says("confirm", "Oma")


def an_old_mistake(family: Family, ledger: Ledger) -> None:
    """2024: the photo that was taken for Tom's seven years ago goes back to his sister."""
    decision, spot = ledger.mistake
    family.says("undo", str(decision))
    tom, lea = ledger.number(TOM), ledger.number(LEA)
    ledger.sets[tom].remove(spot)
    ledger.rejected.discard((spot, lea))
    ledger.joins(lea, spot)
    ledger.decided.add(tom)
    family.photos([MIA, LEA, TOM], 2024, 2)
    family.run()
    for person in (MIA, LEA, TOM):
        extended(family, ledger, person)


CHAPTERS = (
    a_family, a_birth, a_sibling, a_new_partner, a_lost_drive, a_second_user, immich_renumbers, another_pack, tags_everywhere,
    an_old_mistake,
)  # fmt: skip


def test_ten_years_of_a_family(family: Family) -> None:
    ledger = Ledger(family)
    for chapter in CHAPTERS:
        chapter(family, ledger)
        written(family, ledger)
        family.run()  # nothing is new, so nothing moves
        ledger.check()
        assert family.cli("verify").code == 0, family.cli("verify").out


def test_the_ledger_notices_what_must_not_be(family: Family) -> None:
    ledger = Ledger(family)
    a_family(family, ledger)
    written(family, ledger)
    folder = ledger.root / "faceset_002"
    some, *_ = sorted(folder.glob("faces/*.png"))
    data = some.read_bytes()

    some.write_bytes(data + b"\0")
    with pytest.raises(AssertionError, match="other bytes than at first"):
        ledger.check()
    some.write_bytes(data)
    (folder / "faceset.json").write_text((folder / "faceset.json").read_text() + "\n")
    with pytest.raises(AssertionError, match="faceset_002 was altered, and nobody said so"):
        ledger.check()
    (folder / "faceset.json").write_text((folder / "faceset.json").read_text()[:-1])
    ledger.decided.clear()
    ledger.check()
    (spot, number), *_ = ledger.rejected
    with family.cli_registry() as registry:
        registry.db.execute(
            "UPDATE memberships SET standing = 'recognised', person_id = (SELECT id FROM people WHERE number = ?) "
            "WHERE face_id = (SELECT face_id FROM measurements WHERE key = ?)",
            (number, ledger.ids[spot]),
        )
    with pytest.raises(AssertionError, match="was rejected from"):
        ledger.check()
    ledger.retired.add(ledger.number(OMA))
    with pytest.raises(AssertionError, match="is retired, and there again"):
        ledger.check()
