"""Sets on disk: numbered folders, the manifest, and the proof that they are intact."""

from __future__ import annotations

from facesets.export.adopt import adopt
from facesets.export.described import DescribedSet, described_set
from facesets.export.existing_sets import (
    FACES,
    ExistingSet,
    Stamp,
    existing_sets,
    file_facts,
    highest_number,
    ignored_folders,
    renamed_folder,
    stamped,
    stamps,
    tree_stamps,
)
from facesets.export.folders import DESCRIPTION, Member, SetPlan, crop_name, describe_entries, face_entry, measured_entry, write_set
from facesets.export.manifest import (
    EraEntry,
    ManifestEntry,
    eras_in_manifest,
    files_hash,
    merge_manifest,
    name_in_manifest,
    rename_in_manifest,
    retire_in_manifest,
    unretire_in_manifest,
)
from facesets.export.verify import VerifyReport, verify

__all__ = [
    "DESCRIPTION",
    "FACES",
    "DescribedSet",
    "EraEntry",
    "ExistingSet",
    "ManifestEntry",
    "Member",
    "SetPlan",
    "Stamp",
    "VerifyReport",
    "adopt",
    "crop_name",
    "describe_entries",
    "described_set",
    "eras_in_manifest",
    "existing_sets",
    "face_entry",
    "file_facts",
    "files_hash",
    "highest_number",
    "ignored_folders",
    "measured_entry",
    "merge_manifest",
    "name_in_manifest",
    "rename_in_manifest",
    "renamed_folder",
    "retire_in_manifest",
    "stamped",
    "stamps",
    "tree_stamps",
    "unretire_in_manifest",
    "verify",
    "write_set",
]
