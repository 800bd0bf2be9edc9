"""Caches of vectors: written where something changed, joined, and taken from others without trusting them."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np

from facesets.exchange.cache import Cache, load_cache, save_cache

from .world import CommandLine, jpeg


def test_a_cache_of_another_tool_on_windows_finds_its_photos_by_mapped_paths(cli: CommandLine, tmp_path: Path) -> None:
    """No hashes, no landmarks, backslashes: what the reference's worker wrote."""
    cli("stage", "--user", "anna")
    cli.set(f'map = {{ "{cli.workspace.as_posix()}/" = "X:\\\\w\\\\" }}')
    photos = sorted((cli.workspace / "photos").rglob("*.jpg"))[:2]
    paths = ["X:\\W\\" + path.relative_to(cli.workspace).as_posix().replace("/", "\\") for path in photos]
    box = {"bbox": [64.0, 192.0, 192.0, 320.0], "det_score": 0.9}
    cache = Cache("buffalo_l@1", np.eye(2, dtype=np.float32), [{"path": path, **box} for path in paths], [*paths, "X:\\not\\ours.jpg"])
    save_cache(tmp_path / "theirs.npz", cache)
    answer = cli("cache", "import", tmp_path / "theirs.npz", "--json")
    assert answer.code == 0, answer.err
    assert {key: answer.json[0][key] for key in ("photos", "faces", "unknown", "guessed")} == {
        "photos": 2, "faces": 2, "unknown": 1, "guessed": 2,
    }  # fmt: skip
    assert "2 faces came without landmarks" in answer.err
    with sqlite3.connect(cli.workspace / "registry.sqlite") as db:
        ((points,), *_) = db.execute("SELECT landmarks FROM measurements").fetchall()
    assert all(64 < x < 192 and 192 < y < 320 for x, y in json.loads(points))


def test_the_verbs_of_caches(cli: CommandLine, tmp_path: Path) -> None:
    cli("run", "--user", "anna")
    out = tmp_path / "anna.npz"
    assert cli("cache", "export", out, "--user", "anna", "--json").json["faces"] == 26
    (told,) = cli("cache", "info", out, "--json").json
    assert (told["faces"], told["photos_with_faces"], told["processed"], told["dim"]) == (26, 24, 24, 512)
    theirs, own = load_cache(out), load_cache(cli.workspace / "caches" / "anna.npz")
    assert (theirs.meta, theirs.processed, theirs.embeddings.tobytes()) == (own.meta, own.processed, own.embeddings.tobytes())

    merged = cli("cache", "merge", tmp_path / "all.npz", out, cli.workspace / "caches" / "anna.npz", "--json").json
    assert (merged["faces"], merged["photos_again"], merged["conflicts"]) == (26, 24, [])
    again = cli("cache", "merge", tmp_path / "all.npz", out)
    assert again.code == 2
    assert "--force" in again.err
    save_cache(tmp_path / "other.npz", Cache("other@1", np.eye(1, 512, dtype=np.float32), [{"path": "x"}], ["x"]))
    mixed = cli("cache", "merge", tmp_path / "mixed.npz", out, tmp_path / "other.npz")
    assert mixed.code == 2
    assert "twin" in mixed.err
    assert "other@1" in mixed.err
    assert not (tmp_path / "mixed.npz").exists()

    assert cli("cache", "convert", out, tmp_path / "same.npz").code == 0
    assert np.allclose(load_cache(tmp_path / "same.npz").embeddings, load_cache(out).embeddings, atol=1e-6)
    for verb in ("info", "merge", "import", "export", "convert"):
        assert cli("cache", verb, "--help").code == 0


def engines(cli: CommandLine) -> set[str]:
    with sqlite3.connect(cli.workspace / "registry.sqlite") as db:
        return {engine for (engine,) in db.execute("SELECT engine FROM measurements")}


def test_a_cache_is_not_trusted_and_what_is_not_taken_is_counted(cli: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(6):
        (folder / f"{i}.jpg").write_bytes(jpeg([1], i))
    assert cli("stage", "--user", "me", "--folder", folder).code == 0
    assets = {Path(row["path"]).name: row for row in cli("list", "assets", "--json").json}
    hashes = [assets[f"{i}.jpg"]["sha256"] for i in range(6)]

    def face(photo: int, *box: float, **more: object) -> dict[str, object]:
        return {"path": f"{photo}.jpg", "sha256": hashes[photo], "face_id": "same", "bbox": box, "det_score": 0.9, **more}

    meta = [
        face(0, 10, 10, 110, 110), face(0, 10.2, 10, 110, 110), face(0, 200, 10, 300, 110),  # the first two are one face
        face(1, 10, 10, 110, 110, engine="onnxruntime/CUDA"),  # the file gives it the id of the others
        face(2, 10, 10, 10, 110), face(3, 10, 10, 110, 110, det_score=float("nan")),
    ]  # fmt: skip
    vectors = np.eye(6, 512, dtype=np.float32)
    failed = {str(i): {"reason": reason, "sha256": hashes[i]} for i, reason in ((4, "member"), (5, "truncated"))}
    save_cache(tmp_path / "their.npz", Cache("other@1", vectors, meta, failed=failed))
    (taken,) = cli("cache", "import", tmp_path / "their.npz", "--json").json
    assert engines(cli) == {"onnxruntime/CUDA", "unknown"}
    assert (taken["photos"], taken["faces"], taken["repeated"], taken["unusable"], taken["failed"]) == (2, 3, 1, 3, 1)
    faces = cli("list", "faces", "--json").json
    assert len(faces) == len({row["face_id"] for row in faces}) == 3
    reasons = {Path(row["path"]).name: row["reason"] for row in cli("list", "assets", "--json").json}
    assert [reasons[f"{i}.jpg"] for i in range(6)] == ["embedded", "embedded", "staged", "staged", "staged", "truncated"]

    save_cache(tmp_path / "wrong.npz", Cache("other@1", np.eye(1, 128, dtype=np.float32), meta[3:4]))
    answer = cli("cache", "import", tmp_path / "wrong.npz")
    assert answer.code == 1
    assert "its vectors have 128 numbers where that model's have 512" in answer.err


def test_the_users_cache_is_written_again_only_where_something_changed(cli: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(jpeg([1], 1))
    assert cli("run", "--user", "me", "--folder", folder).code == 0
    assert engines(cli) == {"onnxruntime/CPU"}
    (cache,) = (cli.workspace / "caches").glob("*.npz")
    before = cache.stat()
    assert cli("run", "--user", "me", "--folder", folder).code == 0
    assert cache.stat().st_mtime_ns == before.st_mtime_ns
    (folder / "2.jpg").write_bytes(jpeg([2], 2))
    assert cli("run", "--user", "me", "--folder", folder).code == 0
    assert len(load_cache(cache).processed) == 2
    cache.unlink()
    assert cli("run", "--user", "me", "--folder", folder).code == 0
    assert len(load_cache(cache).processed) == 2
