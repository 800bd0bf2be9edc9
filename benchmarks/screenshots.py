"""Pictures of the report for the documentation: the demo's, blurred; light, dark, on a phone and on paper.

    python -m benchmarks.screenshots docs/images

Needs Chromium on the PATH. Every face but that of the astronaut (NASA, public domain) is blurred in the pixels.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.chromium import browser, program
from facesets.demo import demo
from facesets.progress import Silent


def main(folder: Path) -> None:
    """Make the demo, and its pictures in ``folder``."""
    path = program()
    if path is None:
        raise SystemExit("Chromium is not on the PATH: apt-get install chromium")
    with tempfile.TemporaryDirectory() as place, browser(path) as page:
        report = demo(Path(place) / "demo", blur=True, progress=Silent()).report
        first, pages = report.as_uri(), report.with_suffix("").as_uri()
        for name, address, size, dark in (
            ("report", first, (1240, 1420), False),
            ("report-dark", first, (1240, 1420), True),
            ("report-phone", first, (360, 900), False),
            ("report-set", f"{pages}/faceset_007.html", (1240, 640), False),
            ("report-face", f"{pages}/faceset_007.html#f0002", (1240, 700), True),
        ):
            page.size(*size, dark=dark)
            page.open(address)
            page.picture(folder / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
