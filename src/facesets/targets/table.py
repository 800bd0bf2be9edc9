"""The targets: one row a consumer. Adding one is a module, a row here and a test."""

from __future__ import annotations

from facesets.targets import compreface, doubletake, folder, frigate, fsz, imagefolder, lora, parquet, reactor, xmp
from facesets.targets.job import Target
from facesets.targets.names import frigate_name, tag_name
from facesets.targets.terms import Purpose

READ_BACK_ON = "2026-11-30"  # when the tests last ran with all of these consumers at hand

_ROWS = (
    Target(
        "frigate", Purpose.RECOGNISE, "files", "Frigate's folder clips/faces: the images by which it knows a person best.",
        frigate.files, "own server, from the facts of 0.18", named=True, calls=frigate_name,
    ),
    Target(
        "frigate-api", Purpose.RECOGNISE, "service", "The same through Frigate's API (--url).", frigate.api,
        "own server, from the facts of 0.18", named=True, calls=frigate_name,
    ),
    Target(
        "compreface", Purpose.RECOGNISE, "service", "CompreFace's API (--url; COMPREFACE_API_KEY).", compreface.api,
        "own server, from the facts of 1.2", named=True, calls=tag_name,
    ),
    Target(
        "doubletake", Purpose.RECOGNISE, "service", "double-take's API (--url).", doubletake.api, "own server", named=True,
    ),
    Target(
        "xmp", Purpose.RECOGNISE, "sidecars", "Names and boxes in XMP sidecars: digiKam, PhotoPrism, Immich.", xmp.sidecars,
        "exiftool 12.57", named=True, calls=tag_name,
    ),
    Target(
        "lora", Purpose.GENERATE, "files", "A training folder for kohya, ai-toolkit, OneTrainer and SimpleTuner.", lora.files,
        "own reader",
    ),
    Target("fsz", Purpose.GENERATE, "files", "roop-unleashed's face set.", fsz.files, "own reader"),
    Target(
        "reactor", Purpose.GENERATE, "files", "ReActor's face model; buffalo_l alone.", reactor.files,
        "insightface 2.1, safetensors 0.8.0; on twins of the pack's networks",
    ),
    Target("folder", Purpose.GENERATE, "files", "Plain images: facefusion, InstantID, PuLID.", folder.files, "own reader"),
    Target("imagefolder", Purpose.GENERATE, "files", "Hugging Face's imagefolder.", imagefolder.files, "datasets 5.2.0"),
    Target("parquet", Purpose.GENERATE, "files", "Parquet with images and vectors.", parquet.files, "datasets 5.2.0, pyarrow 26.0.1"),
)  # fmt: skip
TARGETS = {row.name: row for row in _ROWS}
