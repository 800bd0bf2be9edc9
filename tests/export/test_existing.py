from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from facesets.errors import CorruptFile, FacesetsError
from facesets.export.existing_sets import existing_sets, file_facts, highest_number


def put(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_sets_are_the_real_folders_named_exactly_so(tmp_path: Path) -> None:
    others = ("faceset_12", "faceset_003_era_2012-2016", "_faceset_004", "xfaceset_005", "_thin/faceset_007", "faceset_٣٣٣")
    for name in ("faceset_002", "faceset_1000", "faceset_010", *others):
        put(tmp_path / name / "1.jpg")
    put(tmp_path / "faceset_008")
    (tmp_path / "faceset_009").symlink_to(tmp_path / "faceset_002")
    assert [(s.name, s.number) for s in existing_sets(tmp_path)] == [("faceset_002", 2), ("faceset_010", 10), ("faceset_1000", 1000)]


@pytest.mark.skipif(os.name == "nt", reason="its file system ignores case")
def test_other_spellings_are_no_sets_but_their_numbers_are_used(tmp_path: Path) -> None:
    put(tmp_path / "FaceSet_044" / "1.jpg")
    assert existing_sets(tmp_path) == []
    assert highest_number(tmp_path) == 44


def test_images_are_those_in_faces_or_else_the_folders_own(tmp_path: Path) -> None:
    put(tmp_path / "faceset_001/faces/0002.png")
    put(tmp_path / "faceset_001/faces/0001.png")
    put(tmp_path / "faceset_001/faces/notes.txt")
    put(tmp_path / "faceset_001/cover.jpg")
    put(tmp_path / "faceset_002/B.JPG")
    put(tmp_path / "faceset_002/a.heic")
    put(tmp_path / "faceset_002/._a.heic")
    put(tmp_path / "faceset_002/old/c.jpg")
    (tmp_path / "faceset_002/faces").mkdir()
    images = [[path.relative_to(tmp_path / s.name).as_posix() for path in s.images] for s in existing_sets(tmp_path)]
    assert images == [["faces/0001.png", "faces/0002.png"], ["B.JPG", "a.heic"]]


def test_links_are_followed_inside_the_folder_of_sets_only(tmp_path: Path) -> None:
    outside = put(tmp_path / "elsewhere/secret.jpg")
    sets = tmp_path / "facesets"
    inside = put(sets / "_pool/a.jpg")
    (sets / "faceset_001").mkdir()
    (sets / "faceset_001/a.jpg").symlink_to(inside)
    (sets / "faceset_001/b.jpg").symlink_to(outside)
    (found,) = existing_sets(sets)
    assert [path.name for path in found.images] == ["a.jpg"]
    assert [path.name for path in found.left_aside] == ["b.jpg"]


def test_no_folder_means_no_sets_and_an_unreadable_one_is_an_error(tmp_path: Path) -> None:
    assert existing_sets(tmp_path / "none") == []
    assert highest_number(tmp_path / "none") == 0
    put(tmp_path / "file")
    with pytest.raises(FacesetsError, match="cannot be read"):
        existing_sets(tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "number"),
    [("faceset_026", 26), ("faceset_027_era_2012-2016", 27), ("_thin/faceset_028_era_2001", 28), ("_faceset_029", 29),
     ("_gone/faceset_030", 30), ("faceset_031.fsz", 31), (".faceset_099.partial", 1), ("holiday_2019", 1)],
)  # fmt: skip
def test_numbering_counts_whatever_carries_a_number(tmp_path: Path, name: str, number: int) -> None:
    put(tmp_path / "faceset_001/1.jpg")
    put(tmp_path / name / "1.jpg")
    assert highest_number(tmp_path) == number


def test_numbering_counts_what_only_the_manifest_remembers(tmp_path: Path) -> None:
    put(tmp_path / "faceset_003/1.jpg")
    foreign = {"facesets": [{"name": "faceset_040"}, {"folder": "old/faceset_041"}, {"number": 42}, "faceset_043", 99]}
    put(tmp_path / "manifest.json", json.dumps(foreign).encode())
    assert highest_number(tmp_path) == 43
    put(tmp_path / "manifest.json", b"{")
    with pytest.raises(CorruptFile):
        highest_number(tmp_path)


def test_file_facts_name_every_file_once_and_follow_no_link(tmp_path: Path) -> None:
    put(tmp_path / "faces/b.png", b"bb")
    put(tmp_path / "a.json", b"")
    put(tmp_path / ".DS_Store")
    put(tmp_path / "Thumbs.db")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "loop").symlink_to(tmp_path)
    facts = {fact.path: fact for fact in file_facts(tmp_path)}
    assert list(facts) == ["a.json", "faces/b.png", "link", "loop"]
    assert facts["faces/b.png"].size == 2
    assert facts["faces/b.png"].sha256 == hashlib.sha256(b"bb").hexdigest()
    assert facts["link"].size == len("/etc/passwd")


def test_file_facts_take_names_that_are_not_utf8(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (fact,) = file_facts(tmp_path)
    assert fact.path == "caf\\xe9.jpg"
    fact.path.encode("utf-8")
