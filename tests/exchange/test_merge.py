from __future__ import annotations

import numpy as np
import pytest

from facesets.errors import PackMismatch, UsageError
from facesets.exchange.cache import Cache
from facesets.exchange.merge import merge_caches

AXES = np.eye(8, dtype=np.float32)


def cache(*faces: tuple[str, str, int], processed: tuple[str, ...] = (), model: str = "m@1") -> Cache:
    """Faces as (path, bytes, which vector)."""
    meta = [{"path": path, "sha256": sha256} for path, sha256, _ in faces]
    paths = list(dict.fromkeys([path for path, _, _ in faces])) + list(processed)
    return Cache(model, AXES[[n for _, _, n in faces]].reshape(-1, 8), meta, paths)


def test_two_caches_become_one_in_their_order() -> None:
    merged = merge_caches([("a", cache(("1", "s1", 0), ("2", "s2", 1))), ("b", cache(("3", "s3", 2), processed=("noface",)))])
    assert [row["path"] for row in merged.cache.meta] == ["1", "2", "3"]
    assert (merged.cache.embeddings == AXES[:3]).all()
    assert merged.cache.processed == ["1", "2", "3", "noface"]
    assert (merged.photos_again, merged.aliases, merged.conflicts) == (0, 0, [])


def test_a_photo_that_both_have_is_taken_once_and_its_other_path_becomes_an_alias() -> None:
    merged = merge_caches([("a", cache(("1", "s1", 0), ("1", "s1", 1))), ("b", cache(("copy", "s1", 0), ("copy", "s1", 1)))])
    assert len(merged.cache.meta) == 2
    assert merged.cache.path_aliases == {"copy": "1"}
    assert merged.cache.processed == ["1", "copy"]
    assert (merged.photos_again, merged.aliases, merged.conflicts) == (1, 1, [])


def test_what_the_caches_disagree_about_is_said_and_the_first_is_kept() -> None:
    first = cache(("1", "s1", 0), ("2", "s2", 1))
    first.path_aliases["c"] = "1"
    second = cache(("1", "other bytes", 2), ("2", "s2", 3))
    second.path_aliases["c"] = "2"
    merged = merge_caches([("a", first), ("b", second)])
    assert (merged.cache.embeddings == AXES[:2]).all()
    assert merged.cache.path_aliases == {"c": "1"}
    assert merged.conflicts == [
        "b: 1: the first cache has a photo of other bytes under this path, which is kept",
        "b: 2: other vectors; the first cache's are kept",
        "b: c is listed as a copy of 2, but the first cache has it as 1; that is kept",
    ]


def test_caches_without_hashes_know_photos_by_their_paths() -> None:
    a, b = cache(("1", "", 0)), cache(("1", "", 0), ("2", "", 1))
    merged = merge_caches([("a", a), ("b", b)])
    assert [row["path"] for row in merged.cache.meta] == ["1", "2"]


def test_a_photo_that_one_machine_could_not_read_and_another_could_is_no_failure() -> None:
    a, b = cache(), cache(("1.heic", "s1", 0))
    a.failed = {p: {"reason": "unsupported_format", "detail": "", "sha256": ""} for p in ("1.heic", "2.raw")}
    assert list(merge_caches([("a", a), ("b", b)]).cache.failed) == ["2.raw"]


def test_merging_is_the_same_however_it_is_grouped() -> None:
    parts = [("a", cache(("1", "s1", 0))), ("b", cache(("2", "s2", 1), ("x", "s1", 0))), ("c", cache(("y", "s2", 1), ("3", "s3", 2)))]
    whole = merge_caches(parts).cache
    pairs = merge_caches([("ab", merge_caches(parts[:2]).cache), parts[2]]).cache
    assert (pairs.meta, pairs.processed, pairs.path_aliases) == (whole.meta, whole.processed, whole.path_aliases)
    assert (pairs.embeddings == whole.embeddings).all()


def test_two_models_never_meet() -> None:
    with pytest.raises(PackMismatch, match=r"m@1.*other@2"):
        merge_caches([("a", cache(("1", "s", 0))), ("b", cache(("2", "t", 0), model="other@2"))])
    liar = Cache("m@1", np.eye(4, dtype=np.float32)[:1], [{"path": "z"}], ["z"])
    with pytest.raises(UsageError, match="8 and 4 numbers"):
        merge_caches([("a", cache(("1", "s", 0))), ("b", liar)])
    with pytest.raises(UsageError, match="no cache"):
        merge_caches([])
