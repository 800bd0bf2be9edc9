from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facesets.clustering.scoring import b_cubed, main_face, pairwise, per_identity, persons_in_photos

Labels = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40)


@given(Labels)
def test_b_cubed_is_the_mean_over_faces(pairs: list[tuple[int, int]]) -> None:
    precision = recall = 0.0
    for mine, true in pairs:
        both = sum(p == (mine, true) for p in pairs)
        precision += both / sum(p[0] == mine for p in pairs)
        recall += both / sum(p[1] == true for p in pairs)
    score = b_cubed(*zip(*pairs, strict=True))
    assert score.precision == pytest.approx(precision / len(pairs))
    assert score.recall == pytest.approx(recall / len(pairs))


@pytest.mark.slow
@given(Labels)
def test_pair_scores_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    from sklearn.metrics.cluster import pair_confusion_matrix  # noqa: PLC0415 - 1.5 s, which the fast tier does without

    mine, true = zip(*pairs, strict=True)
    (_, fp), (fn, tp) = pair_confusion_matrix(true, mine)
    score = pairwise(mine, true)
    assert score.precision == pytest.approx(tp / (tp + fp) if tp + fp else 1)
    assert score.recall == pytest.approx(tp / (tp + fn) if tp + fn else 1)


def test_each_person_is_told_faces_clusters_and_score() -> None:
    a, b = per_identity([0, 0, 0, 1, 2, 2, 0], ["ann"] * 5 + ["bob"] * 2, sizeable=2)
    assert (a.name, a.faces, a.clusters, a.sizeable) == ("ann", 5, 3, 1)
    assert a.score.precision == pytest.approx((3 * 0.75 + 1 + 0.5) / 5)
    assert b.score.recall == 0.5


def test_the_main_face_is_the_central_one_of_the_large() -> None:
    boxes = [(0.0, 0.0, 100.0, 100.0), (120.0, 120.0, 130.0, 130.0), (100.0, 100.0, 190.0, 190.0)]
    assert main_face(boxes, 250, 250) == 2
    assert main_face([], 250, 250) is None


def test_the_labelled_person_is_found_by_their_photos_alone_and_doubtful_photos_are_counted() -> None:
    ann, bob, eve = np.eye(3, 8)
    photos = [ann[None], bob[None], np.stack([bob, ann]), np.stack([eve, eve * 0.99]), np.stack([eve, bob]), np.empty((0, 8))]
    chosen, ambiguous = persons_in_photos(photos, ["ann", "bob", "ann", "ann", "eve", "bob"])
    assert chosen == [0, 0, 1, None, None, None]
    assert ambiguous == 2
