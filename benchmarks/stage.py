"""How long staging takes, originals included, beside the plain way on the same server.

    python -m benchmarks.stage [--assets 2000] [--latency 0.02] [--version 2.7.2 ...]

The server runs in a process of its own; starting processes is not counted. Both ways fetch the photos with a face of 90 pixels.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from .immich import Ours, Spec, plain_way, serving

_BIG = 90


def compare(version: str, assets: int, latency: float, size: int) -> None:
    """Print the plain way and ours, first and second run."""
    print(f"\nImmich {version}, {assets:,} assets, {latency * 1000:.0f} ms latency, files of {size / 1e6:g} MB")
    with serving(Spec(version, assets, latency, size)) as where, tempfile.TemporaryDirectory() as folder:
        plain = plain_way(where, big=_BIG)
        print(plain.line("plain: httpx, 8 threads"), f"  {plain.files:,} files", flush=True)
        ours = Ours(where, Path(folder) / "w", big=_BIG)
        for name in ("first", "second"):
            took = ours.stage()
            print(took.line(f"facesets, {name} run", plain), f"  {took.files:,} files", flush=True)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--assets", type=int, default=2000)
    parser.add_argument("--latency", type=float, default=0.02)
    parser.add_argument("--size", type=int, default=200_000)
    parser.add_argument("--version", action="append", default=[])
    given = parser.parse_args()
    for version in given.version or ["2.7.2", "3.1.0", "3.2.2"]:
        compare(version, given.assets, given.latency, given.size)


if __name__ == "__main__":
    main()
