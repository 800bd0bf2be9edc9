"""Every place where a person's data lie. ``forget`` goes by this list, and a test holds it to the schema. Pure."""

from __future__ import annotations

from collections.abc import Mapping

#: Table -> its columns that hold, or lead to, faces, names, photos or what was said of them.
TABLES: Mapping[str, tuple[str, ...]] = {
    "assets": ("original_path", "file_name", "boxes", "thumbhash", "sha1", "detail", "photo_id"),
    "failures": ("asset",),
    "earlier_photos": ("asset", "photo_id"),
    "photos": ("sha256", "source_key", "path"),
    "embedded": ("photo_id", "detail", "digest"),
    "faces": ("photo_id", "x1", "y1", "x2", "y2", "source_face_id", "source_person_id"),
    "measurements": ("face_id", "photo_id", "key", "x1", "y1", "x2", "y2", "landmarks", "signals", "vector"),
    "memberships": ("face_id", "person_id", "runner_up_id", "better_key", "was_for", "note", "evidence"),
    "people": ("number", "name", "birth_date", "merged_into"),
    "sets": ("person_id", "name"),
    "set_faces": ("set_id", "measurement_id", "file"),
    "set_files": ("set_id", "path", "sha256"),
    "centroids": ("person_id", "vector"),
    "own_images": ("set_id", "sha256", "vector"),
    "decisions": ("payload",),
    "changes": ("payload", "inverse", "reason", "decision_id"),
    "change_steps": ("change_id", "arguments"),
    "source_faces": ("face_id", "asset_id", "person_id", "box"),
    "source_people": ("person_id", "name", "birth_date"),
    "published": ("decision_id", "number", "wanted", "before", "result", "reason"),
    "users": ("user_id", "name"),
    "facts": ("value",),
    "journal": ("data",),
    "runs": ("counters",),
}
#: Below the workspace: folders and files that hold faces, names or photos.
FOLDERS = ("photos", "crops", "thumbnails", "queue", "caches", "exports", "reports", "logs", "backups", ".dump")
#: Below the folder of sets.
SETS = ("faceset_*", "_thin", ".history", ".faceset_*.partial", "manifest.json")
#: The registry and what SQLite lays beside it.
REGISTRY = ("registry.sqlite", "registry.sqlite-wal", "registry.sqlite-shm")
