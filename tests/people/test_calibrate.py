"""Distances that suit one's own people: measured on names and confirmed sets, and written only when asked."""

from __future__ import annotations

import numpy as np
import pytest

from facesets import people
from facesets.errors import UsageError
from facesets.identity import cut_rates, distances_between, propose
from facesets.settings import load

from .home import ONE, THREE, TWO, Home


def crowd(seed: int, *, spread: float, people_: int = 12, faces: int = 10) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people_), faces)
    x = rng.standard_normal((people_, 64))[who] + spread * rng.standard_normal((len(who), 64))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), who


def test_a_faces_own_distance_is_to_the_average_of_the_others_alone() -> None:
    x, who = crowd(1, spread=0.7)
    found = distances_between(x, who)
    rest = x[1:10].astype(np.float64).sum(axis=0)
    assert found.own[0] == pytest.approx(1 - float(x[0] @ rest) / np.linalg.norm(rest), abs=1e-5)
    assert np.isnan(found.others[np.arange(len(who)), who]).all()
    assert found.nearest_other.shape == (120,)


def test_a_cut_lets_at_most_the_share_asked_for_pass_and_the_next_step_lets_more() -> None:
    found = distances_between(*crowd(2, spread=1.2))
    flat = found.others[~np.isnan(found.others)]
    for proposal in propose(found, 0.01):
        if proposal.name == "match":
            assert (flat <= proposal.rates.cut).mean() <= 0.01 < (flat <= proposal.rates.cut + 0.01).mean()
            assert proposal.rates == cut_rates(proposal.rates.cut, flat, found.own)
            assert proposal.held_out.compared > 0
            assert proposal.held_out.false_match < 0.03


def test_people_named_and_confirmed_are_measured_and_nothing_is_written_unasked(home: Home) -> None:
    with pytest.raises(UsageError, match="0 people are known by 5 faces"):
        people.calibrate(home.workspace, home.registry)
    people.confirm(home.workspace, home.registry, [ONE, TWO])
    people.name(home.workspace, home.registry, TWO, "Berta")
    text = (home.workspace.root / "facesets.toml").read_text()
    answer = home.cli("calibrate", "--json").json
    assert answer["people"] == [{"name": "Berta", "faces": 9}, {"set": ONE, "faces": 9}]
    assert set(answer["proposals"]) == {"match", "likely", "cluster"}
    assert answer["doubtful"] == []
    assert answer["written"] == {}
    assert (home.workspace.root / "facesets.toml").read_text() == text
    page = (home.workspace.root / "reports/calibration.html").read_text()
    assert 'class="own"' in page
    assert "2 people" in page


def test_written_the_settings_have_the_distances_and_keep_everything_else(home: Home) -> None:
    people.confirm(home.workspace, home.registry, [ONE, TWO, THREE])
    before = (home.workspace.root / "facesets.toml").read_text().splitlines()
    answer = home.cli("calibrate", "--write", "--json").json
    settings = load(home.workspace.root / "facesets.toml", {})
    assert {name: getattr(settings.cluster, name) for name in answer["written"]} == answer["written"]
    after = (home.workspace.root / "facesets.toml").read_text().splitlines()
    assert [line for line in after if line in before] == before
    assert len(after) == len(before) + 3
    home.cli("calibrate", "--write", "--false-match", "0.05")
    assert len((home.workspace.root / "facesets.toml").read_text().splitlines()) == len(after), "a value is replaced, not added"


def test_a_share_that_is_none_is_refused(home: Home) -> None:
    assert "--false-match 2" in home.cli("calibrate", "--false-match", "2").line
