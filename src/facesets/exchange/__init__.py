"""Files that others read: the queue for another machine, .npz caches in and out."""

from __future__ import annotations

from facesets.exchange.cache import Cache, face_of, load_cache, meta_of, save_cache, stored_model, stored_state
from facesets.exchange.merge import merge_caches
from facesets.exchange.old_cache import read_old_cache
from facesets.exchange.paths import to_ours, to_worker
from facesets.exchange.queue import Queue, QueueEntry, append_queue, read_queue

__all__ = [
    "Cache",
    "Queue",
    "QueueEntry",
    "append_queue",
    "face_of",
    "load_cache",
    "merge_caches",
    "meta_of",
    "read_old_cache",
    "read_queue",
    "save_cache",
    "stored_model",
    "stored_state",
    "to_ours",
    "to_worker",
]
