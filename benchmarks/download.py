"""Originals, verified, against what a bare concurrent downloader reaches on the same server: at least 90 % of it, in flat memory.

    python -m benchmarks.download [--files 100] [--size 3000000] [--connections 8] [--latency 20] [--link 1000] [--rounds 3]

The server (the testing Immich) and each client are processes of their own, run by turns. The bare one streams with httpx into
files and checks nothing; ours checks length and SHA-1, computes the SHA-256, syncs each file to the disk and renames it. That is
measured twice: over loopback as it is, where two digests of every byte compete with the server for the same processor, and as
if a link of ``--link`` megabits a second lay between (the server keeps each answer back for as long as its share of the link takes).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.synthetic import SyntheticLibrary
from facesets.immich import Client, originals
from facesets.staging.download import SYNCING
from facesets.testing import faults, immich_server

_ROUTE = "GET /api/assets/{id}/original"


def serve(files: int, size: int, latency: float) -> None:
    """Serve until stdin ends; the first line on stdout says where, by which key, and what there is, the last one what it took."""
    library = SyntheticLibrary(files, file_size=size, twins=0)
    assets = [(asset.id, asset.sha1.hex()) for asset in map(library.at, range(files))]
    with immich_server(library) as server:
        server.faults.add(faults.slow(latency / 1000), _ROUTE)
        print(json.dumps({"url": server.url + "/api", "key": server.key_for(library.owner), "assets": assets}), flush=True)
        begun = time.process_time()
        sys.stdin.read()
        print(json.dumps({"cpu": time.process_time() - begun}), flush=True)


def bare(told: dict[str, Any], folder: Path, connections: int) -> Iterator[Callable[[tuple[str, str]], int]]:
    """Streams into files."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    with httpx.Client(headers={"x-api-key": told["key"]}, limits=limits, timeout=30) as client:

        def fetch(asset: tuple[str, str]) -> int:
            with client.stream("GET", f"{told['url']}/assets/{asset[0]}/original") as answer, (folder / asset[0]).open("wb") as file:
                answer.raise_for_status()
                for chunk in answer.iter_bytes():
                    file.write(chunk)
            return answer.num_bytes_downloaded

        yield fetch


def ours(told: dict[str, Any], folder: Path, connections: int) -> Iterator[Callable[[tuple[str, str]], int]]:
    """What staging does, with its threads more than connections for syncing."""
    slots = threading.BoundedSemaphore(connections)
    with Client(told["url"], told["key"], connections=connections) as client:
        yield lambda asset: originals.download(client, asset[0], folder / asset[0], sha1=asset[1], slot=slots).size


def measure(how: str, told: dict[str, Any], connections: int) -> None:
    """Download everything once and print seconds, bytes and the peak of memory."""
    with (
        tempfile.TemporaryDirectory() as folder,
        contextmanager({"bare": bare, "ours": ours}[how])(told, Path(folder), connections) as fetch,
        ThreadPoolExecutor(connections + SYNCING * (how == "ours")) as pool,
    ):
        begun, before = time.perf_counter(), time.process_time()
        total = sum(pool.map(fetch, [tuple(asset) for asset in told["assets"]]))
        seconds = time.perf_counter() - begun
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"seconds": seconds, "bytes": total, "peak": peak, "cpu": used.ru_utime + used.ru_stime - before}))


def ask(how: str, told: dict[str, Any], connections: int) -> dict[str, float]:
    """:func:`measure` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.download", "--measure", how, "--connections", str(connections)]
    done = subprocess.run(command, input=json.dumps(told), capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


@contextmanager
def server(files: int, size: int, latency: float) -> Iterator[dict[str, Any]]:
    """A server in a process of its own; yields what it says of itself."""
    command = [sys.executable, "-m", "benchmarks.download", "--serve", "--files", str(files), "--size", str(size)]
    with subprocess.Popen([*command, "--latency", str(latency)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdin
        told = json.loads(process.stdout.readline())
        yield told
        process.stdin.close()
        told |= json.loads(process.stdout.readline())


def hashing(size: int) -> float:
    """Seconds of processor that SHA-1 and SHA-256 of so many bytes take by themselves."""
    block, begun = bytes(1 << 20), time.process_time()
    for digest in (hashlib.sha1(usedforsecurity=False), hashlib.sha256()):
        for _ in range(size >> 20):
            digest.update(block)
    return time.process_time() - begun


def disk(files: int, size: int, threads: int) -> float:
    """Bytes a second that the disk takes in, where each file is synced before the next is begun."""
    data = os.urandom(size)

    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(threads) as pool:
        begun = time.perf_counter()
        list(pool.map(write, [Path(folder) / str(n) for n in range(files)]))
        return files * size / (time.perf_counter() - begun)


def compare(where: str, args: argparse.Namespace) -> None:
    """Both by turns, and the ratio of their medians."""
    with server(args.files, args.size, args.latency) as told:
        ask("bare", told, args.connections)  # warms the server up
        rounds = [{how: ask(how, told, args.connections) for how in ("bare", "ours")} for _ in range(args.rounds)]
    speed = {how: statistics.median(one[how]["bytes"] / one[how]["seconds"] for one in rounds) for how in ("bare", "ours")}
    for how, what in (("bare", "bare httpx, nothing checked"), ("ours", "facesets, verified and synced")):
        done = rounds[0][how]
        print(
            f"{where:<18} {what:<32} {speed[how] / 1e6:7.1f} MB/s  {args.files} requests  {done['seconds']:5.2f} s  "
            f"{done['cpu']:5.2f} s of processor  {done['peak'] / 1e6:5.1f} MB peak"
        )
    served, cores = told["cpu"] / (2 * args.rounds + 1), os.cpu_count() or 1
    busy = {how: (rounds[0][how]["cpu"] + served) / rounds[0][how]["seconds"] / cores for how in speed}
    print(
        f"{where:<18} the server takes {served:.2f} s of processor each time, both digests of these bytes alone "
        f"{hashing(args.files * args.size):.2f} s; {cores} cores are busy to {busy['bare']:.0%} and {busy['ours']:.0%}"
    )
    synced = disk(args.files, args.size, args.connections)
    print(
        f"{where:<18} ratio: {speed['ours'] / speed['bare']:.2f} of the bare downloader (wanted: 0.90), "
        f"{speed['ours'] / synced:.2f} of what the disk takes in of such files, synced ({synced / 1e6:.1f} MB/s)"
    )


def main() -> None:
    """Compare, and show that neither more nor larger files cost memory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--size", type=int, default=3_000_000)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--latency", type=float, default=20.0, help="milliseconds before each answer")
    parser.add_argument("--link", type=float, default=1000.0, help="megabits a second of the emulated link")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--measure", choices=("bare", "ours"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.files, args.size, args.latency)
        return
    if args.measure:
        measure(args.measure, json.loads(sys.stdin.read()), args.connections)
        return
    print(f"{args.files} files of {args.size / 1e6:g} MB, {args.connections} connections, {args.latency:g} ms latency")
    compare("loopback", args)
    share = args.size * 8 * args.connections / (args.link * 1e3)  # milliseconds that one answer's bytes take on a full link
    compare(f"as over {args.link:g} Mbit/s", argparse.Namespace(**{**vars(args), "latency": args.latency + share}))
    for files, size in ((args.files * 4, args.size), (max(args.files // 10, 8), args.size * 10)):
        with server(files, size, args.latency) as told:
            peak = ask("ours", told, args.connections)["peak"]
        print(f"memory with {files} files of {size / 1e6:g} MB: {peak / 1e6:.1f} MB peak")


if __name__ == "__main__":
    main()
