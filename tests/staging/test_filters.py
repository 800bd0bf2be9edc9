from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, strategies

from facesets.records import Asset, FaceBox, Reason
from facesets.settings import StageSettings
from facesets.staging import filters

PHOTO = Asset("anna", "1", width=4000, height=3000)


@pytest.mark.parametrize(
    ("path", "excluded"),
    [
        ("/data/thumbs/ab/cd/x-preview.jpeg", True),
        ("thumbs/x.jpeg", True),
        ("C:\\photos\\thumbs\\a.jpg", True),
        ("/photos/my thumbs/a.jpg", False),
        ("/photos/thumbs.jpg", False),
        ("/photos/Thumbs/a.jpg", False),
        ("/volume1/photo/@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg", True),
        ("/photos/._a.jpg", True),
        ("/photos/a._b.jpg", False),
        ("/home/me/.Trash-1000/files/a.jpg", True),
        ("/photos/#recycle/a.jpg", True),
        ("/photos/grandma.jpg", False),
        ("", False),
        ("../../etc/passwd", False),
        ("/x/" * 2000 + "thumbs/a.jpg", True),
    ],
)
def test_junk_is_excluded_by_default_and_nothing_else(path: str, excluded: bool) -> None:
    assert filters.path_filter(StageSettings().exclude)(path) is excluded


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.gif", "/a/b/c.gif", True),
        ("*.gif", "/a/b.gif/c.jpg", False),
        ("/mnt/x/**", "/mnt/x/y/z.jpg", True),
        ("/mnt/x/**", "/other/mnt/x/z.jpg", False),
        ("**/scan?.jpg", "scan1.jpg", True),
        ("**/scan?.jpg", "a/scan12.jpg", False),
        ("**/[ab]*.jpg", "x/beta.jpg", True),
        ("**/[!ab]*.jpg", "x/beta.jpg", False),
        ("**/a.b/*", "x/aXb/c", False),
        ("**/[x", "y/[x", True),
        ("a/**/b.jpg", "a/b.jpg", True),
        ("**/[[]1].jpg", "y/[1].jpg", True),
    ],
)
def test_globs_mean_what_they_say(pattern: str, path: str, matches: bool) -> None:
    assert filters.path_filter([pattern])(path) is matches


@given(strategies.lists(strategies.text("ab*?[]!^/\\.(){}|+$\n-", max_size=8), max_size=4), strategies.text(max_size=20))
def test_any_pattern_is_usable(patterns: list[str], path: str) -> None:
    filters.path_filter(patterns)(path)


def test_no_pattern_excludes_nothing() -> None:
    assert not filters.path_filter([])("")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"owner_id": "bob", "is_trashed": True}, Reason.OTHER_OWNER),
        ({"is_offline": True, "is_trashed": True}, Reason.OFFLINE),
        ({"is_trashed": True, "type": "VIDEO"}, Reason.TRASHED),
        ({"visibility": "locked"}, Reason.LOCKED),
        ({"visibility": "hidden", "type": "VIDEO"}, Reason.HIDDEN),
        ({"type": "VIDEO", "visibility": "archive"}, Reason.NOT_IMAGE),
        ({"type": "HOLOGRAM"}, Reason.NOT_IMAGE),
        ({"visibility": "archive", "original_path": "a/thumbs/b"}, Reason.ARCHIVED),
        ({"visibility": "someday"}, Reason.HIDDEN),
        ({"original_path": "a/thumbs/b"}, Reason.EXCLUDED_PATH),
    ],
)
def test_each_asset_has_one_reason(change: dict[str, object], reason: Reason | None) -> None:
    excluded = filters.path_filter(StageSettings().exclude)
    found = filters.by_listing(replace(PHOTO, **change), "anna", archived=False, excluded=excluded)  # type: ignore[arg-type]
    assert (found[0] if found else None) is reason


def test_archived_photos_are_a_choice() -> None:
    archived = replace(PHOTO, visibility="archive")
    assert filters.by_listing(archived, "anna", archived=True, excluded=filters.path_filter([])) is None


def box(width: float, height: float, frame: tuple[int, int] = (1440, 1080), *, at: float = 100) -> FaceBox:
    return FaceBox(at, at, at + width, at + height, *frame)


def test_faces_are_measured_in_pixels_of_the_upright_original() -> None:
    assert filters.face_short(PHOTO, [box(36, 40)]) == pytest.approx(100)
    portrait = replace(PHOTO, width=3000, height=4000)
    assert filters.face_short(portrait, [box(36, 40, (1080, 1440))]) == pytest.approx(100)
    assert filters.face_short(PHOTO, [box(10, 400), box(36, 40), box(20, 20)]) == pytest.approx(100)


def test_each_box_is_scaled_from_its_own_frame() -> None:
    assert filters.face_short(PHOTO, [box(50, 50, (4000, 3000)), box(10, 10, (400, 300))]) == pytest.approx(100)


def test_a_box_counts_as_far_as_it_lies_inside() -> None:
    assert filters.face_short(PHOTO, [box(100, 100, (400, 300), at=-50)]) == pytest.approx(500)
    assert filters.by_faces(PHOTO, [box(100, 100, (400, 300), at=5000)], 0) is not None


def test_what_cannot_be_measured_is_worth_a_look() -> None:
    assert filters.face_short(PHOTO, [box(5, 5, (0, 0))]) == math.inf
    assert filters.face_short(replace(PHOTO, width=None), [box(5, 5)]) == math.inf
    assert filters.by_faces(PHOTO, [box(5, 5, (0, 0))], 90) is None


def test_the_smallest_face_wanted_is_wanted() -> None:
    assert filters.by_faces(PHOTO, [box(90, 90, (4000, 3000))], 90) is None
    reason = filters.by_faces(PHOTO, [box(89, 200, (4000, 3000))], 90)
    assert reason == (Reason.NO_BIG_FACE, "largest face 89 px, wanted 90")
    assert filters.by_faces(PHOTO, [], 0) == (Reason.NO_FACES, None)
    assert filters.by_faces(PHOTO, [box(1, 1)], 0) is None
