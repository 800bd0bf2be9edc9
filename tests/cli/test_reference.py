"""The reference pages of the documentation are those that the code would make today."""

from __future__ import annotations

from pathlib import Path

import pytest

from facesets.cli import reference

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", sorted(reference.pages()))
def test_the_committed_page_is_current(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == reference.pages()[name], (
        "made anew by: python -m facesets.cli.reference docs/reference"
    )


def test_the_command_writes_every_page(tmp_path: Path) -> None:
    reference.main(tmp_path / "new")
    assert {p.name: p.read_text(encoding="utf-8") for p in (tmp_path / "new").iterdir()} == reference.pages()
