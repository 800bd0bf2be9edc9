"""Exact average linkage against what one would use instead, in one run: time, memory, and whether the partitions are the same.

    python -m benchmarks.cluster                                   12,000 faces, with scikit-learn, fastcluster and DBSCAN
    python -m benchmarks.cluster --faces 100000 --kind family flat --peers
    python -m benchmarks.cluster --faces 1000000 --methods facesets default --keep docs/explanation/clustering.json
    python -m benchmarks.cluster --plot docs/explanation/clustering.json docs/explanation/clustering.svg
    python -m benchmarks.cluster --table docs/explanation/clustering.json

Each measurement is a process of its own: a warm-up call, then CPU seconds (all threads) and the most memory above what it had before.
"Half product" is the yardstick: n^2/2 pairs of float32 dot products as blocked A.B^T with B a copy of A; above 20,000 faces an even
sample of its blocks is timed and scaled. Faces come from :mod:`benchmarks.families`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.families import families
from benchmarks.plots import growth
from facesets.cli.progress import ConsoleProgress
from facesets.clustering.cluster import cluster
from facesets.clustering.linkage import average_linkage

THRESHOLD = 0.55
WARM = 1600
BLOCK = 2048

Vectors = NDArray[np.float32]


def half_product(x: Vectors) -> None:
    """n^2/2 dot products; returns nothing, so time is all there is to it."""
    other = x.copy()
    for a in range(0, len(x), BLOCK):
        for b in range(a, len(x), BLOCK):
            x[a : a + BLOCK] @ other[b : b + BLOCK].T


def scikit_learn(x: Vectors) -> Any:
    """Labels of AgglomerativeClustering."""
    from sklearn.cluster import AgglomerativeClustering  # noqa: PLC0415

    model = AgglomerativeClustering(n_clusters=None, distance_threshold=THRESHOLD, linkage="average", metric="cosine")
    return model.fit(x).labels_


def fastcluster_(x: Vectors) -> Any:
    """Labels of fastcluster's linkage, its distances included."""
    import fastcluster  # noqa: PLC0415
    from scipy.cluster.hierarchy import fcluster  # noqa: PLC0415

    y = x.astype(np.float64)
    full = y @ y.T
    condensed = np.concatenate([1 - full[i, i + 1 :] for i in range(len(y))])
    del full
    return fcluster(fastcluster.linkage(condensed, "average", preserve_input=False), THRESHOLD, "distance")


def dbscan(x: Vectors) -> Any:
    """Labels of DBSCAN as Immich sets it."""
    from sklearn.cluster import DBSCAN  # noqa: PLC0415

    return DBSCAN(eps=0.5, min_samples=3, metric="cosine").fit(x).labels_


METHODS: dict[str, Callable[[Vectors], Any]] = {
    "facesets": lambda x: average_linkage(x, THRESHOLD, progress=ConsoleProgress()),
    "default": lambda x: cluster(x, progress=ConsoleProgress()),
    "half product": half_product,
    "scikit-learn": scikit_learn,
    "fastcluster": fastcluster_,
    "DBSCAN": dbscan,
}
PEERS = {"scikit-learn": 12_000, "fastcluster": 20_000, "DBSCAN": 100_000}  # the most faces each is asked for


def memory_now() -> int:
    """Resident bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) << 10
    raise RuntimeError("the system tells no resident memory")


def measure(method: str, n: int, kind: str, seed: int, out: Path) -> dict[str, Any]:
    """Run ``method`` once after a warm-up, here, and leave its labels in ``out``."""
    few = families(WARM, seed=seed + 1).vectors
    METHODS[method](few)
    x = families(n, seed=seed, flat=kind == "flat").vectors
    scale = 1.0
    work = x
    if method == "half product" and n > 20_000:
        work = x[:20_000]
        scale = (n / 20_000) ** 2
    before = memory_now()
    peak = [before]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], memory_now())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    wall, cpu = time.perf_counter(), time.process_time()
    labels = METHODS[method](work)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    done.set()
    watcher.join()
    if labels is not None:
        np.save(out, labels)
    return {
        "method": method, "faces": n, "kind": kind, "cpu": round(cpu * scale, 3), "wall": round(wall * scale, 3),
        "above": max(peak[0] - before, 0), "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10, "vectors": x.nbytes,
    }  # fmt: skip


def run(method: str, n: int, kind: str, seed: int, work: Path, times: int) -> dict[str, Any]:
    """Measure in a process of its own, ``times`` over; the measurement in the middle."""
    return sorted((_run(method, n, kind, seed, work) for _ in range(times)), key=lambda row: float(row["cpu"]))[times // 2]


def _run(method: str, n: int, kind: str, seed: int, work: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.cluster", "--one", method, "--faces", str(n), "--kind", kind]
    done = subprocess.run(
        [*command, "--seed", str(seed), "--work", str(work)], check=True, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def labels_file(work: Path, method: str, n: int, kind: str) -> Path:
    """Where a measurement leaves its labels."""
    return work / f"{method.replace(' ', '-')}-{n}-{kind}.npy"


def same(a: Any, b: Any) -> bool:
    """Whether two labelings are one partition."""
    pairs = np.unique(np.stack([a, b]), axis=1).shape[1]
    return bool(pairs == len(np.unique(a)) == len(np.unique(b)))


def compare(n: int, kind: str, methods: list[str], seed: int, work: Path, times: int) -> list[dict[str, Any]]:
    """Measure each of ``methods`` and print them beside the first."""
    rows = [run(method, n, kind, seed, work, times) for method in methods]
    exact = labels_file(work, "facesets", n, kind)  # of this run, or of an earlier one in the same folder
    ours = np.load(exact) if exact.exists() else None
    base = next((r["cpu"] for r in rows if r["method"] == "facesets"), None)
    print(f"\n{n:,} faces, {kind}\n| method | CPU s | wall s | x | MB above the vectors | |\n| --- | ---: | ---: | ---: | ---: | --- |")
    for row in rows:
        theirs = labels_file(work, row["method"], n, kind)
        says = ""
        if ours is not None and row["method"] in ("scikit-learn", "fastcluster"):
            row["identical"] = same(ours, np.load(theirs))
            says = "identical partition" if row["identical"] else "ANOTHER PARTITION"
        ratio = f"{row['cpu'] / base:.2f}" if base else ""
        print(f"| {row['method']} | {row['cpu']:.2f} | {row['wall']:.2f} | {ratio} | {row['above'] / 1e6:,.0f} | {says} |", flush=True)
    return rows


def keep(path: Path, rows: list[dict[str, Any]]) -> None:
    """Put ``rows`` into a file of measurements, in place of older ones of the same kind."""
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    table = {(r["kind"], r["faces"], r["method"]): r for r in [*old, *rows]}
    lines = [json.dumps(table[key], sort_keys=True) for key in sorted(table)]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def table(rows: list[dict[str, Any]]) -> None:
    """Print kept measurements beside ours and the half product of the same faces."""
    print("| faces | | method | CPU s | times facesets | half products | MB above the vectors | |")
    print("| ---: | --- | --- | ---: | ---: | ---: | ---: | --- |")
    cpu = {(r["kind"], r["faces"], r["method"]): r["cpu"] for r in rows}
    for r in rows:
        bases = [cpu.get((r["kind"], r["faces"], name)) for name in ("facesets", "half product")]
        ratios = [f"{r['cpu'] / base:.2f}" if base else "" for base in bases]
        says = "identical partition" if r.get("identical") else ""
        cells = [f"{r['faces']:,}", r["kind"], r["method"], f"{r['cpu']:,.2f}", *ratios, f"{r['above'] / 1e6:,.0f}", says]
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    """Measure, compare, keep or draw, as asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, nargs="+", default=[12_000])
    parser.add_argument("--kind", nargs="+", choices=["family", "flat"], default=["family"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--times", type=int, default=1, help="how often each is measured; the one in the middle counts")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS))
    parser.add_argument("--work", type=Path, help="folder for labels; a temporary one if not given")
    parser.add_argument("--keep", type=Path, metavar="JSON", help="keep the measurements there")
    parser.add_argument("--plot", type=Path, nargs=2, metavar=("JSON", "SVG"), help="draw kept measurements, measure nothing")
    parser.add_argument("--table", type=Path, metavar="JSON", help="print kept measurements, measure nothing")
    parser.add_argument("--one", choices=list(METHODS), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.plot:
        growth(json.loads(asked.plot[0].read_text(encoding="utf-8")), asked.plot[1])
        return
    if asked.table:
        table(json.loads(asked.table.read_text(encoding="utf-8")))
        return
    if asked.one:
        (n,), (kind,) = asked.faces, asked.kind
        print(json.dumps(measure(asked.one, n, kind, asked.seed, labels_file(asked.work, asked.one, n, kind))))
        return
    import tempfile  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as made:
        work = asked.work or Path(made)
        work.mkdir(parents=True, exist_ok=True)
        rows = []
        for n in asked.faces:
            for kind in asked.kind:
                methods = asked.methods or ["facesets", "half product"]
                if not asked.methods:
                    methods += [peer for peer, most in PEERS.items() if asked.peers and n <= most]
                rows += compare(n, kind, methods, asked.seed, work, asked.times)
                if asked.keep:
                    keep(asked.keep, rows)
    if any(r.get("identical") is False for r in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
