"""Prints what a test run saw of each room, and fails where a room is below a floor: ``python .ci/coverage_by_room.py [--floor 70]``.

Reads ``.coverage`` as ``pytest --cov=facesets --cov-report=`` leaves it. What runs in a child process is not seen.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from coverage import Coverage

import facesets


def main() -> int:
    """One line a room; the exit code is 1 where one is below the floor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--floor", type=float, default=0.0, help="percent that each room needs")
    floor = parser.parse_args().floor
    measured = Coverage()
    measured.load()
    root = Path(facesets.__file__).parent
    statements: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for path in sorted(root.rglob("*.py")):
        _, lines, _, missing, _ = measured.analysis2(str(path))
        first, *rest = path.relative_to(root).parts
        room = first if rest else "(ground floor)"
        statements[room] += len(lines)
        missed[room] += len(missing)
    low = []
    for room in sorted(statements):
        seen = 100 * (1 - missed[room] / max(1, statements[room]))
        below = seen < floor
        low += [room] if below else []
        print(f"{room:<16} {seen:5.1f} % of {statements[room]:5d} statements{'  below the floor' if below else ''}")
    total = 100 * (1 - missed.total() / max(1, statements.total()))
    print(f"{'all rooms':<16} {total:5.1f} % of {statements.total():5d} statements")
    if low:
        print(f"below {floor:g} %: {', '.join(low)}")
    return bool(low)


if __name__ == "__main__":
    sys.exit(main())
