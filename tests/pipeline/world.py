"""A small world for whole runs: people that a twin pack can tell apart, photos of them, and the command line in this process."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facesets.cli import main
from facesets.testing import Box, Library, User
from facesets.testing.twins import twin_photo
from tests.json_keys import check_keys

SIDE = 128  # of a face in a 640 px photo: the pack sees it, and the size gate lets it pass
CHANGE = 0.3  # how much of a face is the exposure's and not the person's
PLACES = ((128, 256), (320, 256), (512, 256))


def jpeg(people: list[int], seed: int) -> bytes:
    """A photo of one to three people; another seed is another exposure: they look a little different each time."""
    return _drawn(tuple(people), seed)


@functools.cache
def _drawn(people: tuple[int, ...], seed: int) -> bytes:
    places = list(zip(people, PLACES, strict=False))
    photo = twin_photo([(x, y, SIDE, person) for person, (x, y) in places], seed=seed).astype(np.float64)
    inside = SIDE // 2 - SIDE // 8
    for person, (x, y) in places:
        look = np.random.default_rng((person, seed)).integers(0, 256, (6, 6, 3)).repeat(inside // 3, 0).repeat(inside // 3, 1)
        photo[y - inside : y + inside, x - inside : x + inside] *= 1 - CHANGE
        photo[y - inside : y + inside, x - inside : x + inside] += CHANGE * look
    out = io.BytesIO()
    Image.fromarray(photo.astype(np.uint8)).save(out, "JPEG", quality=95)
    return out.getvalue()


def boxes(people: list[int]) -> list[Box]:
    """What Immich would say of such a photo."""
    return [Box(x - SIDE / 2, y - SIDE / 2, x + SIDE / 2, y + SIDE / 2) for _, (x, y) in zip(people, PLACES, strict=False)]


def add_photos(library: Library, owner: User, people: list[int], count: int, *, first: int = 0) -> None:
    """``count`` photos of the same people, a week apart."""
    for n in range(first, first + count):
        taken = datetime.fromisoformat("2020-01-01T12:00:00+00:00") + timedelta(days=7 * n + people[0])
        name = "-".join(map(str, people))
        data = jpeg(people, 1000 * people[0] + n)
        library.photo(owner, data=data, file_name=f"p{name}_{n}.jpg", taken_at=taken, faces=boxes(people))


@dataclass
class Answer:
    """What a call of the command line came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return check_keys(json.loads(self.out))

    @property
    def line(self) -> str:
        """The one line that says what went wrong."""
        lines = [line for line in self.err.splitlines() if line.startswith("facesets: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


class CommandLine:
    """``facesets -C workspace ...`` in this process."""

    def __init__(self, workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.workspace, self.capsys = workspace, capsys

    def __call__(self, *words: str | Path) -> Answer:
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(["-C", str(self.workspace), *map(str, words)])
        text = self.capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return Answer(stopped.value.code, text.out, text.err)

    def set(self, line: str) -> None:
        """Give a setting of the template another value."""
        put(self.workspace, line)


def configure(workspace: Path, pack: Path) -> None:
    """What all workspaces here are told: the twin pack, and small crops, which are quickly written."""
    put(workspace, f'pack = "{pack}"')
    put(workspace, "size = 64")


def put(workspace: Path, line: str) -> None:
    """Give a setting of the template, whose default stands there commented out, another value; in the first section that has it."""
    path, key = workspace / "facesets.toml", line.split(" = ", maxsplit=1)[0]
    text, times = re.subn(rf"^# {key} = .*$", line.replace("\\", "\\\\"), path.read_text(), count=1, flags=re.MULTILINE)
    assert times == 1, key
    path.write_text(text)


def tree(folder: Path) -> dict[str, str]:
    """Every file below ``folder`` with its hash."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
