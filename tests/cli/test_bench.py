from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from facesets.cli import App, facesets
from facesets.models.engine_choice import ENGINES
from facesets.testing.twins import twin_pack


def test_every_engine_has_a_line_and_the_cpu_is_what_the_others_are_held_to(tmp_path: Path) -> None:
    folder = twin_pack(tmp_path / "twin", others=False)
    done = CliRunner().invoke(facesets, ["bench", "providers", "--pack", str(folder), "--repeats", "1", "--json"], obj=App())
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert answer["pack"] == "twin"
    lines = {line["engine"]: line for line in answer["engines"]}
    assert list(lines) == list(ENGINES)
    assert lines["cpu"]["runs"] == "onnxruntime/CPU"
    assert lines["cpu"]["cosine"] == pytest.approx(1)
    assert lines["cpu"]["detection_ms"] > 0 < lines["cpu"]["recognition_ms"]
    for line in lines.values():
        assert bool(line["runs"]) == bool(line["recognition_ms"])
        assert line["runs"] or line["problem"]


def test_the_table_says_what_runs_and_why_the_others_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facesets.models.engine_speed.ENGINES", {name: ENGINES[name] for name in ("cpu", "cuda")})
    folder = twin_pack(tmp_path / "twin", others=False)
    done = CliRunner().invoke(facesets, ["bench", "providers", "--pack", str(folder), "--repeats", "1"], obj=App())
    assert done.exit_code == 0, done.output
    assert "onnxruntime/CPU" in done.stdout
    if "cuda: this onnxruntime has no" not in done.stdout:
        assert "onnxruntime/CUDA" in done.stdout
