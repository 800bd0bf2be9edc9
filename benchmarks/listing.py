"""How many requests and seconds it takes to know every asset and its faces, beside the plain way on the same server.

    python -m benchmarks.listing [--assets 20000] [--latency 0.02] [--version 2.7.2 ...]
    python -m benchmarks.listing --million      # resident memory of the client with 1,000,000 assets

The server runs in a process of its own and waits ``latency`` seconds before every answer. Nothing is downloaded: no face is that big.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

from .immich import Ours, Spec, plain_way, serving

_NONE_SO_BIG = 1150  # of photos of 1600 x 1200, whose faces have 400 pixels at most


def compare(version: str, assets: int, latency: float) -> None:
    """Print the plain way and ours, first and second run, with a key and with a login."""
    print(f"\nImmich {version}, {assets:,} assets, {latency * 1000:.0f} ms latency")
    with serving(Spec(version, assets, latency)) as where, tempfile.TemporaryDirectory() as folder:
        plain = plain_way(where, big=None)
        print(plain.line("plain: httpx, 8 threads"), flush=True)
        ours = Ours(where, Path(folder) / "key", big=_NONE_SO_BIG)
        print(ours.stage().line("facesets, first run", plain), flush=True)
        print(ours.stage().line("facesets, second run", plain), flush=True)
        ours = Ours(where, Path(folder) / "login", big=_NONE_SO_BIG)
        ours.log_in()
        print(ours.stage().line("facesets with a login, first run", plain), flush=True)
        print(ours.stage().line("facesets with a login, second run", plain), flush=True)


def million(version: str, assets: int) -> None:
    """Print how much memory the client needs for a library of this size."""
    with serving(Spec(version, assets, 0.0)) as where, tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        ours = Ours(where, Path(folder) / "w", big=_NONE_SO_BIG)
        for name in ("first", "second"):
            took = ours.stage()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"Immich {version}: {took.line(f'{name} run')}, peak resident {peak:,.0f} MB ({before:,.0f} MB before)", flush=True)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--assets", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.02)
    parser.add_argument("--version", action="append", default=[])
    parser.add_argument("--million", action="store_true")
    given = parser.parse_args()
    for version in given.version or ["2.7.2", "3.1.0", "3.2.2"]:
        if given.million:
            million(version, given.assets or 1_000_000)
        else:
            compare(version, given.assets or 20_000, given.latency)


if __name__ == "__main__":
    main()
