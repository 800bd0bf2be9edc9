"""Embedding room: photos to faces and vectors. This is its door; the modules behind it are its own affair.

It reads photos, model packs and its own file formats; it knows no server, no registry and no workspace.
"""

from facesets.embedding.apart import Decoders
from facesets.embedding.cache import Cache, face_of, load_cache, meta_of, save_cache
from facesets.embedding.decode import Decoded, decode
from facesets.embedding.faces import PhotoFaces
from facesets.embedding.packs import INSIGHTFACE_PACKS, Pack, load_pack
from facesets.embedding.packs.detection import Detection
from facesets.embedding.packs.recognizer import Embedded
from facesets.embedding.queue import Queue, QueueEntry, append_queue, read_queue
from facesets.embedding.split import embed_queue
from facesets.embedding.worker import EmbedResult, embed_photos, find_faces, read_image

__all__ = [
    "INSIGHTFACE_PACKS",
    "Cache",
    "Decoded",
    "Decoders",
    "Detection",
    "EmbedResult",
    "Embedded",
    "Pack",
    "PhotoFaces",
    "Queue",
    "QueueEntry",
    "append_queue",
    "decode",
    "embed_photos",
    "embed_queue",
    "face_of",
    "find_faces",
    "load_cache",
    "load_pack",
    "meta_of",
    "read_image",
    "read_queue",
    "save_cache",
]
