from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

from facesets.errors import CorruptFile
from facesets.exchange.queue import QueueEntry, append_queue, read_queue

ENTRIES = [
    QueueEntry("a1", "photos/me/a1.jpg", "X:\\photos\\a1.jpg", "00" * 32, "2019-05-01T10:00:00", ((1.0, 2.5, 30.0, 40.0),)),
    QueueEntry("a2", "photos/me/Ünïcødé \n\u2028 \U0001f600.jpg"),
]


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    path = tmp_path / "queue" / "me.jsonl"
    append_queue(path, "me", ENTRIES, path_map={"/mnt/x/": "X:\\"})
    return path


def test_a_queue_gives_back_what_was_put_in(queue: Path) -> None:
    got = read_queue(queue)
    assert got.user == "me"
    assert got.path_map == {"/mnt/x/": "X:\\"}
    assert list(got.entries) == ENTRIES


def test_every_line_is_one_json_object_with_the_header_first(queue: Path) -> None:
    lines = [json.loads(line) for line in queue.read_text("ascii").splitlines()]
    assert lines[0] == {"schema": "facesets.queue/1", "user": "me", "path_map": {"/mnt/x/": "X:\\"}}
    assert list(lines[1]) == ["asset_id", "path", "worker_path", "sha256", "taken_at", "boxes", "people"]
    assert lines[1]["boxes"] == [[1.0, 2.5, 30.0, 40.0]]


def test_entries_are_appended_and_nothing_before_them_changes(queue: Path) -> None:
    before = queue.read_bytes()
    append_queue(queue, "me", [QueueEntry("a3", "c.jpg")])
    assert queue.read_bytes().startswith(before)
    assert [entry.asset_id for entry in read_queue(queue).entries] == ["a1", "a2", "a3"]


def test_an_empty_queue_has_a_header_only(tmp_path: Path) -> None:
    append_queue(tmp_path / "q.jsonl", "me", [])
    assert read_queue(tmp_path / "q.jsonl").entries == ()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_queue_is_private(queue: Path) -> None:
    assert stat.S_IMODE(queue.stat().st_mode) == 0o600


@pytest.mark.parametrize("torn", ['{"asset_id":"a9","pa', "{", '{"asset_id":"a9","path":"caf\xc3'])
def test_a_line_that_a_crash_cut_off_is_dropped_and_written_over(queue: Path, torn: str) -> None:
    with queue.open("ab") as file:
        file.write(torn.encode("latin-1"))
    assert list(read_queue(queue).entries) == ENTRIES
    append_queue(queue, "me", [QueueEntry("a3", "c.jpg")])
    assert [entry.asset_id for entry in read_queue(queue).entries] == ["a1", "a2", "a3"]


def test_a_whole_last_line_without_a_newline_is_kept(queue: Path) -> None:
    with queue.open("ab") as file:
        file.write(b'{"asset_id":"a3","path":"c.jpg"}')
    assert read_queue(queue).entries[-1] == QueueEntry("a3", "c.jpg")
    append_queue(queue, "me", [QueueEntry("a4", "d.jpg")])
    assert [entry.asset_id for entry in read_queue(queue).entries] == ["a1", "a2", "a3", "a4"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("not json", "line 2 is not a JSON object"),
        ("[]", "line 2 is not a JSON object"),
        ('{"asset_id": "x"}', "line 2: .*path not empty"),
        ('{"path": 5}', "line 2: .*must be strings"),
        ('{"path": "x", "taken_at": 5}', "line 2: .*must be strings"),
        ('{"path": "x", "boxes": [[1, 2, 3]]}', "line 2: boxes must be"),
        ('{"path": "x", "boxes": [["a", 2, 3, 4]]}', "line 2: boxes must be"),
        ('{"path": "x", "boxes": 7}', "line 2: boxes must be"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(f'{{"schema": "facesets.queue/1", "user": "me", "path_map": {{}}}}\n{line}\n{{"path": "y"}}\n')
    with pytest.raises(CorruptFile, match=problem):
        read_queue(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no header line"),
        (b"\n", "no header line"),
        (b"PK\x03\x04\xff\xfe\n", "not UTF-8"),
        (b'{"schema": "facesets.queue/2", "user": "me"}\n', r"schema 'facesets.queue/2'; this version reads facesets.queue/1"),
        (b'{"path": "x"}\n', "schema None"),
        (b'{"schema": "facesets.queue/1", "user": 4}\n', "user must be a string"),
    ],
)
def test_a_file_that_is_no_queue_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(content)
    with pytest.raises(CorruptFile, match=problem):
        read_queue(path)
    with pytest.raises(CorruptFile, match=problem):
        append_queue(path, "me", ENTRIES)
    assert path.read_bytes() == content


def test_another_users_queue_is_not_appended_to(queue: Path) -> None:
    with pytest.raises(CorruptFile, match="queue of 'me', not of 'you'"):
        append_queue(queue, "you", [])


def test_a_missing_queue_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorruptFile, match=r"gone\.jsonl: cannot be read: No such file"):
        read_queue(tmp_path / "gone.jsonl")


def test_of_a_long_queue_only_the_ends_are_read(tmp_path: Path) -> None:
    """What lies between is left alone, so that the thousandth batch costs what the first did; reading the queue finds it."""
    path = tmp_path / "q.jsonl"
    append_queue(path, "me", [QueueEntry(f"a{i}", "x" * 200) for i in range(1000)])
    data = path.read_bytes()
    middle = data.index(b"\n", len(data) // 2) + 1
    path.write_bytes(data[:middle] + b"[" + data[middle + 1 :])
    append_queue(path, "me", [QueueEntry("last", "y" * 100_000)])
    append_queue(path, "me", [QueueEntry("more", "z")])
    assert path.read_bytes().count(b"\n") == 1003
    with pytest.raises(CorruptFile, match="is not a JSON object"):
        read_queue(path)
