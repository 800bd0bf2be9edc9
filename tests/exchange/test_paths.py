from __future__ import annotations

import pytest

from facesets.exchange.paths import to_ours, to_worker

WINDOWS = {"/mnt/x/": "X:\\", "/mnt/x/photos/": "P:\\"}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("/mnt/x/queue/anna.jsonl", "X:\\queue\\anna.jsonl"),
        ("/mnt/x/photos/a b/ü.jpg", "P:\\a b\\ü.jpg"),  # the longest prefix decides
        ("/srv/other.jpg", "/srv/other.jpg"),
        ("/mnt/xy/photo.jpg", "/mnt/xy/photo.jpg"),
    ],
)
def test_paths_go_to_a_windows_worker_and_come_back(ours: str, theirs: str) -> None:
    assert to_worker(ours, WINDOWS) == theirs
    assert to_ours(theirs, WINDOWS) == ours


def test_windows_takes_either_slash_and_any_case() -> None:
    assert to_ours("x:/Queue/anna.jsonl", WINDOWS) == "/mnt/x/Queue/anna.jsonl"
    assert to_worker("C:/Users/Ann/p/1.jpg", {"c:\\users\\ann\\": "/home/ann/"}) == "/home/ann/p/1.jpg"


def test_a_prefix_without_its_last_slash_ends_where_a_folder_ends() -> None:
    assert to_worker("/mnt/x/1.jpg", {"/mnt/x": "/data"}) == "/data/1.jpg"
    assert to_worker("/mnt/xy/1.jpg", {"/mnt/x": "/data"}) == "/mnt/xy/1.jpg"
