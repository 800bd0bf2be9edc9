"""Embedding room: model packs by name or folder. The one place that knows where packs are found."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from facesets.embedding.engines import Engine
from facesets.embedding.engines.ort import OnnxRuntime
from facesets.embedding.packs.insight import insight_pack, model_files
from facesets.embedding.packs.model import ModelPack, Pack
from facesets.embedding.packs.open import open_pack
from facesets.errors import PackUnavailable

__all__ = ["INSIGHTFACE_PACKS", "Pack", "load_pack", "pack_folder"]

#: InsightFace's published packs that give landmarks and ArcFace vectors.
INSIGHTFACE_PACKS = ("buffalo_l", "buffalo_m", "buffalo_s", "buffalo_sc", "antelopev2")


def load_pack(
    name: str | Path, *, threads: int = 1, engine: Engine | None = None, note: Callable[[str], None] = lambda _: None
) -> ModelPack:
    """The pack called ``name``: ``open``, ``auto``, one of :data:`INSIGHTFACE_PACKS`, or a folder with an InsightFace pack's files.

    ``auto`` is buffalo_l where it can be had here, else ``open``; ``note`` is told which. ``threads`` is per call of a network.
    Raises errors.PackUnavailable, which says how to get the pack.
    """
    wanted = str(name)
    engine = engine or OnnxRuntime(threads=threads)
    if wanted == "auto":
        folder = pack_folder("buffalo_l")
        if folder is None:
            note("pack: open (buffalo_l is not on this machine; it separates people better, see the documentation of --pack)")
            return open_pack(engine)
        note(f"pack: buffalo_l, from {folder}")
        return insight_pack(folder, engine, name="buffalo_l")
    if wanted == "open":
        return open_pack(engine)
    if wanted in INSIGHTFACE_PACKS:
        folder = pack_folder(wanted)
        if folder is None:
            raise PackUnavailable(_how_to_get(wanted))
        return insight_pack(folder, engine, name=wanted)
    folder = Path(wanted).expanduser()
    if not folder.is_dir():
        raise PackUnavailable(
            f"there is no model pack {wanted!r}: choose open, auto, {', '.join(INSIGHTFACE_PACKS)}, or a folder with the "
            ".onnx files of an InsightFace pack"
        )
    return insight_pack(folder, engine)


def pack_folder(name: str) -> Path | None:
    """Where the InsightFace pack ``name`` lies on this machine: InsightFace's own folder, else Immich's model cache."""
    places = [Path("~/.insightface/models").expanduser() / name]
    caches = (os.environ.get("MACHINE_LEARNING_CACHE_FOLDER"), "/cache")  # Immich's setting, and its default
    places += [Path(cache) / "facial-recognition" / name for cache in caches if cache]
    return next((place for place in places if model_files(place)), None)


def _how_to_get(name: str) -> str:
    return (
        f"the model pack {name} is not on this machine. InsightFace fetches it (its weights are for non-commercial research "
        f"only): pip install insightface, then python -c \"from insightface.app import FaceAnalysis; FaceAnalysis('{name}')\". "
        f"Or copy Immich's own, <its model cache>/facial-recognition/{name}, and pass that folder as --pack. "
        "Or use --pack open, which needs neither."
    )
