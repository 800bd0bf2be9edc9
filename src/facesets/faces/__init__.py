"""Faces: photo in, faces with vectors out; on this machine, on another one, or as Immich has them already."""

from __future__ import annotations

from facesets.faces.concurrent import concurrent_embed
from facesets.faces.crop_store import crop_file, crop_keeper, remove_originals
from facesets.faces.describe import GUESSED, PhotoFaces
from facesets.faces.embed import EmbedResult, embed_photos, find_faces, read_image
from facesets.faces.export_cache import export_cache
from facesets.faces.immich_vectors import import_immich_vectors
from facesets.faces.import_cache import import_cache
from facesets.faces.job import ask_for_originals, embed, known_in_caches, queue_staged
from facesets.faces.known_boxes import landmarks_at
from facesets.faces.new_boxes import stage_again, to_look_at
from facesets.faces.pack_choice import WORKER_MODEL, choose_pack, folders_of_pack, reads_database
from facesets.faces.queue_worker import embed_queue
from facesets.faces.remote_worker import embed_on_worker
from facesets.faces.second_look import Looked, second_look

__all__ = [
    "GUESSED",
    "WORKER_MODEL",
    "EmbedResult",
    "Looked",
    "PhotoFaces",
    "ask_for_originals",
    "choose_pack",
    "concurrent_embed",
    "crop_file",
    "crop_keeper",
    "embed",
    "embed_on_worker",
    "embed_photos",
    "embed_queue",
    "export_cache",
    "find_faces",
    "folders_of_pack",
    "import_cache",
    "import_immich_vectors",
    "known_in_caches",
    "landmarks_at",
    "queue_staged",
    "read_image",
    "reads_database",
    "remove_originals",
    "second_look",
    "stage_again",
    "to_look_at",
]
