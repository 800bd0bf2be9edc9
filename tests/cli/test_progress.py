"""Where there is no terminal, long work says now and then how far it is."""

from __future__ import annotations

import logging

import pytest

from facesets.cli.progress import ConsoleProgress
from facesets.progress import Logged, Silent


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_line_every_thirty_seconds_with_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with ConsoleProgress(clock=clock).task("staging", 7200, "photos") as task:
        for _ in range(100):
            clock.now += 1
            task.advance(2)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "staging: 60 of 7,200 photos, 2.0/s, 60 min left",
        "staging: 120 of 7,200 photos, 2.0/s, 59 min left",
        "staging: 180 of 7,200 photos, 2.0/s, 58 min left",
    ]


@pytest.mark.parametrize(
    ("total", "said"),
    [
        (None, "listing: 30 assets, 1.0/s"),
        (31, "listing: 30 of 31 assets, 1.0/s, 1 s left"),
        (30_000, "8 h 20 min left"),
        (30, "1.0/s"),
    ],
)
def test_the_time_left_is_said_where_it_is_known(capsys: pytest.CaptureFixture[str], total: int | None, said: str) -> None:
    clock = Clock()
    with ConsoleProgress(clock=clock).task("listing", unit="assets") as task:
        if total:
            task.total(total)
        clock.now += 30
        task.advance(30)
    assert capsys.readouterr().err.strip().endswith(said)


def test_quick_work_and_work_that_stands_still_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with ConsoleProgress(clock=Clock()).task("reading", 3) as task:
        for _ in range(3):
            task.advance()
    assert capsys.readouterr().err == ""


def test_notes_and_what_tasks_came_to_go_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    shown = Silent()
    progress = Logged(shown)
    with caplog.at_level(logging.INFO, "facesets"):
        progress.note("falling back to the CPU")
        with progress.task("staging", 2, "photos") as task:
            task.total(3)
            task.advance()
            task.advance(2)
    assert shown.notes == ["falling back to the CPU"]
    note, counted = caplog.messages
    assert note == "falling back to the CPU"
    assert counted.startswith("staging: 3 photos in ")
