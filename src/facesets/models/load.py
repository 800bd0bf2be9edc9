"""Model packs by name or folder. The one place that knows where packs are found."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from facesets import extras
from facesets.errors import PackUnavailable
from facesets.models.engine_choice import ENGINES, on_engine
from facesets.models.engines import Engine, Network
from facesets.models.fetch import fetch_pack
from facesets.models.immich_db import NAME as IMMICH_DB
from facesets.models.immich_db import from_database
from facesets.models.immich_ml import immich_ml_pack
from facesets.models.insightface_pack import insight_pack, model_files
from facesets.models.open_pack import mobileface_pack, open_pack
from facesets.models.pack import ModelPack, Pack
from facesets.models.published import PUBLISHED
from facesets.photos import trim

__all__ = ["ENGINES", "INSIGHTFACE_PACKS", "Pack", "load_network", "load_pack", "pack_folder", "pack_loader"]

#: InsightFace's published packs that give landmarks and ArcFace vectors.
INSIGHTFACE_PACKS = ("buffalo_l", "buffalo_m", "buffalo_s", "buffalo_sc", "antelopev2")


def load_pack(
    name: str | Path,
    *,
    threads: int = 1,
    engine: Engine | str = "cpu",
    urls: Sequence[str] = (),
    fetch: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> Pack:
    """The pack called ``name``: ``open``, ``auto``, ``mobileface``, one of :data:`INSIGHTFACE_PACKS`, ``immich-ml``
    (``immich-ml:MODEL``) at ``urls``, or a folder with an InsightFace pack's files.

    ``auto`` is buffalo_l where it can be had here, else ``open``; ``note`` gets which. ``engine`` is one of :data:`ENGINES`,
    ``auto`` for this machine's own, or an engine itself. ``threads`` is per call of a network.
    With ``fetch`` one of InsightFace's packs that is not here is downloaded. Raises errors.PackUnavailable, which says how to get it.
    """
    if fetch and str(name) in INSIGHTFACE_PACKS and pack_folder(str(name)) is None:
        fetch_pack(str(name), note=note, how_else=_how_to_get(str(name)))
    if from_database(str(name)):
        raise PackUnavailable(
            f"{IMMICH_DB} is no model but the vectors that Immich has made: it serves the steps of facesets run, for users of an Immich"
        )
    if str(name).partition(":")[0] == "immich-ml":
        return immich_ml_pack(str(name), urls, note=note)
    _, load = pack_loader(str(name), note=note)
    pack = on_engine(engine, load, threads=threads, note=note) if isinstance(engine, str) else load(engine)
    trim()
    return pack


def load_network(path: Path) -> Network:
    """A network of its own, on the processor with one thread. Raises errors.PackUnavailable."""
    return ENGINES["cpu"](1).load(path)


def pack_loader(wanted: str, *, note: Callable[[str], None] = lambda _: None) -> tuple[str, Callable[[Engine], ModelPack]]:
    """The name of the pack that ``wanted`` means here, and what makes it on an engine. Raises errors.PackUnavailable."""
    if wanted == "auto":
        folder = pack_folder("buffalo_l")
        if folder is None:
            note(
                "pack: open; buffalo_l tells people apart better, and is not on this machine "
                "(facesets run --pack buffalo_l says how to get it)"
            )
            return "open", open_pack
        note(f"pack: buffalo_l, from {folder}")
        return "buffalo_l", lambda engine: insight_pack(folder, engine, name="buffalo_l")
    if wanted == "open":
        return "open", open_pack
    if wanted in PUBLISHED:
        PUBLISHED[wanted].weights()
        return wanted, mobileface_pack
    if wanted in INSIGHTFACE_PACKS:
        place = pack_folder(wanted)
        if place is None:
            raise PackUnavailable(_how_to_get(wanted))
        return wanted, lambda engine: insight_pack(place, engine, name=wanted)
    given = Path(wanted).expanduser()
    if not given.is_dir():
        raise PackUnavailable(
            f"there is no model pack {wanted!r}: choose open, auto, {', '.join((*PUBLISHED, *INSIGHTFACE_PACKS))}, immich-ml, "
            f"{IMMICH_DB}, or a folder with the .onnx files of an InsightFace pack"
        )
    return given.name, lambda engine: insight_pack(given, engine)


def pack_folder(name: str) -> Path | None:
    """Where the InsightFace pack ``name`` lies on this machine: InsightFace's own folder, else Immich's model cache."""
    places = [Path("~/.insightface/models").expanduser() / name]
    caches = (os.environ.get("MACHINE_LEARNING_CACHE_FOLDER"), "/cache")  # Immich's setting, and its default
    places += [Path(cache) / "facial-recognition" / name for cache in caches if cache]
    return next((place for place in places if model_files(place)), None)


def _how_to_get(name: str) -> str:
    return (
        f"the model pack {name} is not on this machine. InsightFace fetches it (its weights are for non-commercial research "
        f"only): {extras.get('insightface')}, then python -c \"from insightface.app import FaceAnalysis; FaceAnalysis('{name}')\". "
        f"Or copy Immich's own, <its model cache>/facial-recognition/{name}, and pass that folder as --pack. "
        "Or use --pack open, which needs neither."
    )
