"""No test is about how long something takes: a busy machine would decide it. Events and counts say what a stopwatch would."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CLOCKS = {"monotonic", "perf_counter", "process_time", "time"}
# a loop that waits for something real may end by the clock, and so may a report of a measurement that nothing hangs on
MODULES = sorted(Path(__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(Path(__file__).parent).as_posix())
def test_nothing_is_asserted_of_a_clock(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assert):
            asked = {
                n.func.attr for n in ast.walk(node) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and not n.args
            }
            assert not asked & CLOCKS, f"line {node.lineno} asserts how long something took"
