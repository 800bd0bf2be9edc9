from __future__ import annotations

import facesets.embedding as room


def test_the_door_of_the_room_is_what_others_rely_on() -> None:
    assert room.__all__ == [
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
    assert all(hasattr(room, name) for name in room.__all__)
