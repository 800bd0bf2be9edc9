"""The documentation says what is true: its links lead somewhere, its commands exist, and CI finds the two that it runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from facesets.cli import facesets

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_MARKED = re.compile(r"^<!-- ci: (\w+) -->\n```sh\n(.*?)\n```", re.MULTILINE | re.DOTALL)


def _calls(page: Path) -> list[list[str]]:
    """Every call of facesets in a page's shell blocks, as words, without ``-C FOLDER``."""
    parts = [part for block in _BLOCK.findall(page.read_text(encoding="utf-8")) for part in re.split(r"&&|#.*|\n", block)]
    calls = [words[1:] for words in map(shlex.split, parts) if words[:1] == ["facesets"]]
    return [words[2:] if words[0] == "-C" else words for words in calls]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_command_shown_is_one_that_exists(page: Path) -> None:
    for verb, *words in _calls(page):
        with click.Context(facesets) as ctx:
            command = facesets.get_command(ctx, verb)
        assert command is not None, verb
        options = {name for option in command.params for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= options, (verb, words)


def test_the_readme_marks_the_two_commands_that_ci_runs_as_they_stand() -> None:
    blocks = dict(_MARKED.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    assert set(blocks) == {"demo", "tests"}
    assert "facesets demo" in blocks["demo"]
    assert "pytest" in blocks["tests"]
    assert all("\n" not in command for command in blocks.values())


def test_constraints_are_names_and_versions_only() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert len(lines) > 20
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*==[0-9][0-9a-z.]*", line)] == []
    assert lines == sorted(lines)
