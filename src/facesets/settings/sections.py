"""The sections of facesets.toml: every setting with its default, its range and its reason. One frozen record a section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from facesets.settings.fields import (
    Distance,
    Pixels,
    Seconds,
    between,
    checked_database,
    expand_path,
    expand_paths,
    expand_prefixes,
    setting,
)
from facesets.settings.targets import (
    CompreFaceSettings,
    DoubleTakeSettings,
    FolderSettings,
    FrigateSettings,
    FszSettings,
    LoraSettings,
    ReactorSettings,
    TargetSettings,
    XmpSettings,
)

SETTINGS_FILE = "facesets.toml"

_EXCLUDED = (
    "**/thumbs/**",  # Immich's own thumbnails and previews, indexed as photos by an external library
    "**/encoded-video/**",
    "**/@eaDir/**",  # Synology's thumbnails
    "**/.thumbnails/**",
    "**/.@__thumb/**",  # QNAP's
    "**/#recycle/**",
    "**/.Trash*/**",
    "**/.stversions/**",
    "**/__MACOSX/**",
    "**/._*",  # macOS resource forks
    "**/$RECYCLE.BIN/**",  # Windows' recycle bin, by its two spellings
    "**/$Recycle.Bin/**",
    "**/@Recycle/**",  # QNAP's
    "**/.recycle/**",  # Samba's
    "**/.dtrash/**",  # digiKam's
    "**/.trashed-*",  # Android: deleted, and not yet whole
    "**/.pending-*",
    "**/#snapshot/**",  # Synology's, QNAP's, NetApp's and ZFS's earlier states
    "**/@Recently-Snapshot/**",
    "**/.snapshot/**",
    "**/.zfs/**",
    "**/*.photoslibrary/resources/**",  # what Apple Photos made of its originals
    "**/*.photoslibrary/private/**",
    "**/*.photoslibrary/Previews/**",
    "**/*.photoslibrary/Thumbnails/**",
    "**/*.photolibrary/Previews/**",  # iPhoto
    "**/*.photolibrary/Thumbnails/**",
)


@dataclass(frozen=True, slots=True)
class ImmichSettings:
    """Where the server is and how it is spoken to."""

    url: str = setting("", "Address of your Immich server, e.g. https://photos.example.org (IMMICH_URL wins over this).")
    timeout: Seconds = setting(30.0, "Seconds without a byte before a request counts as failed (and is tried again).")
    attempts: Annotated[int, between(1, 100)] = setting(5, "How often one request is tried before its item is left for the next run.")
    ca_file: str = setting("", "A PEM file with your own certificate authority; empty: the system's.", check=expand_path)
    connections: Annotated[int, between(1, 256)] = setting(
        32, "Requests at a time at most; fewer are sent where the server's answers slow down."
    )
    bandwidth: Annotated[float, between(0, 100_000)] = setting(
        0.0, "Megabytes a second to take at most, all downloads together; 0: no limit."
    )
    archived: bool = setting(False, "Take archived photos too.")
    stacked: bool = setting(False, "Take all photos of a stack, not only the one on top (of a burst, or of a RAW file and its JPEG).")
    faces_within: Annotated[int, between(1, 1000)] = setting(
        30,
        "Immich marks no photo whose faces change. So with a key on 3.x each run asks one photo in so many for its faces again, and on "
        "2.x one run in so many lists everything: within so many runs every change is seen. A login, the database and --full see all.",
    )
    partners: bool = setting(False, "Take photos that partners show in your timeline too; those of a user here stay that user's own.")


@dataclass(frozen=True, slots=True)
class ImmichDbSettings:
    """Immich's Postgres, read only, where it can be reached: everything is listed in one query, with boxes. Needs facesets[db]."""

    url: str = setting(
        "",
        "Its address, e.g. postgresql://reader@localhost/immich (IMMICH_DB_URL wins over this); leave the password to PGPASSWORD or "
        "~/.pgpass. Empty: everything is asked through the API.",
        check=checked_database,
        secret=True,
    )


@dataclass(frozen=True, slots=True)
class ImmichDumpSettings:
    """Immich's nightly dump of its database: boxes, people and vectors as of then, where the database itself is out of reach."""

    file: str = setting(
        "",
        "A dump (.sql or .sql.gz), a folder of dumps (the newest is read), or server: the newest that the server has, by an "
        "administrator's key (IMMICH_DUMP wins over this). Empty: none.",
    )
    accept_old: bool = setting(False, "Read a dump although more than one in a hundred of its photos are in the library no longer.")


@dataclass(frozen=True, slots=True)
class PathSettings:
    """Where things lie."""

    facesets: str = setting(
        "facesets", "The folder of sets: relative to the workspace, or a folder anywhere (~ is your home).", check=expand_path
    )
    map: Mapping[str, str] = setting(
        {}, 'For embedding on another machine: our path prefix = its, e.g. "/mnt/x/" = "X:\\\\".', check=expand_prefixes
    )


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """Embedding caches of other runs."""

    read: tuple[str, ...] = setting(
        (), "v2 .npz caches of other runs: photos in them count as embedded and are not downloaded for it.", check=expand_paths
    )


@dataclass(frozen=True, slots=True)
class StageSettings:
    """Which photos, and their bytes."""

    min_face_short: Pixels = setting(
        90, "Short side in original pixels that at least one face must have; smaller ones blur when enlarged."
    )
    workers: Annotated[int, between(1, 64)] = setting(8, "Downloads at a time; more rarely helps and a home server feels it.")
    page_size: Annotated[int, between(1, 1000)] = setting(
        1000, "Assets a listing page; Immich allows 1 to 1000, and 1000 is by far the quickest."
    )
    verify_duplicates: bool = setting(
        False, "Download photos of external libraries that look like copies, instead of trusting size, look and samples of bytes."
    )
    keep_originals: bool = setting(
        True, "Keep downloaded originals; false: each is removed once its faces are embedded, and crops and vectors stay."
    )
    exclude: tuple[str, ...] = setting(_EXCLUDED, "Paths never staged (globs over the original path), counted as excluded_path.")


@dataclass(frozen=True, slots=True)
class EmbedSettings:
    """Faces and vectors."""

    pack: str = setting(
        "auto",
        "Model pack: auto, open, mobileface, buffalo_l (or another InsightFace pack), immich-ml, immich-db (the vectors that Immich "
        "has made), or a folder of .onnx files.",
        check=expand_path,
    )
    immich_ml: tuple[str, ...] = setting(
        (), "For pack immich-ml: addresses of Immich machine-learning services that share the work, e.g. http://192.168.1.5:3003."
    )
    workers: Annotated[int, between(0, 256)] = setting(
        0,
        "Photos decoded and embedded at a time; 0: one for each core, up to six: below 1.5 GB of memory. A photo of more than 100 "
        "megapixels waits until it is alone; the largest take 2.2 GB.",
    )
    engine: str = setting("auto", "What runs the networks: auto, cpu, or another of facesets bench providers (FACESETS_ENGINE wins).")
    known_boxes: bool = setting(True, "Look around the source's own face boxes first, and at the whole photo where that fails.")


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Another machine that embeds."""

    command: str = setting(
        "",
        "What embeds instead of this process: {queue} is the file to read, {out} the cache to write ({worker_queue}, {worker_out}: "
        'as the worker sees them, through [paths] map), e.g. "embed.sh {queue} {out}". Its cache is imported.',
    )


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Who is who. Distances are cosine distances from 0 to 2; "pack": the distance that suits the model pack."""

    classic: bool = setting(False, "Plain average linkage, as in the original scripts: fragments of a person stay apart.")
    match: Distance | Literal["pack"] = setting("pack", "A face this near to an existing set's centroid is that set's.")
    cluster: Distance | Literal["pack"] = setting("pack", "Average linkage joins groups below this distance.")
    consolidate: Distance | Literal["pack"] = setting(
        "pack", "Groups join whose mean similarity exceeds what is usual around both by this; 0: never."
    )
    likely: Distance | Literal["pack"] = setting("pack", "A face up to this far from a set's centroid is offered for a look.")
    margin: Distance | Literal["pack"] = setting("pack", "A sure face is so much nearer to its person than to anybody else.")
    near_duplicate: Distance | Literal["pack"] = setting("pack", "Faces of a group this near are one exposure (burst, copy).")


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What a group must have to become a set, and a face to be in one."""

    min_faces: Annotated[int, between(1, 10_000)] = setting(
        5, "Faces a set needs; fewer tell little about a person, and trainers want 5 to 10 at least."
    )
    min_photos: Annotated[int, between(1, 10_000)] = setting(
        4, "Distinct photos a set needs, bursts and copies counted once: one exposure is no person."
    )
    min_face_short: Annotated[float, between(0, 10_000)] = setting(
        90.0, "Short side of a face in original pixels; 0 switches the gate off."
    )
    min_det_score: Annotated[float, between(0, 1)] = setting(
        0.6, "How sure the detector must be; below are profiles, backs of heads and patterns."
    )
    min_sharpness: Annotated[float, between(0, 1_000_000)] = setting(
        0.0, "Scale-normalised sharpness a face needs; 0 switches the gate off."
    )


@dataclass(frozen=True, slots=True)
class SetsSettings:
    """What becomes of sets that exist."""

    on_match: Literal["record", "extend"] = setting(
        "record",
        'Faces that a run recognises: "record" leaves folders as they are, until facesets extend; "extend" is your standing order '
        "to put them into their sets at the end of each run, one decision a set, which can be undone.",
    )


@dataclass(frozen=True, slots=True)
class ErasSettings:
    """Eras: parts of a person whose looks moved, in folders beside the set, which stays as it is."""

    enabled: bool = setting(False, "Make eras of the new sets of each run; of sets that exist facesets eras makes them.")
    min_faces: Annotated[int, between(1, 10_000)] = setting(
        8, "Faces an era needs, as swapping tools want 8 to 12; one of fewer lies below _thin/."
    )
    change: Annotated[float, between(0.01, 1)] = setting(
        0.15, "How far looks must have moved for another era to begin: 0 is the same face, 1 somebody else's."
    )
    scan_day: Annotated[int, between(0, 1_000_000)] = setting(
        400, "A day with more photos than this was one of scanning: its date tells nothing. 0: every date counts."
    )


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """Sets on disk."""

    size: Annotated[int, between(32, 4096)] = setting(
        512, "Width and height of the aligned crops in pixels; 512 suits roop-unleashed and most trainers."
    )
    margin: Annotated[float, between(0, 4)] = setting(
        0.5, "Room around the aligned face, as a share of its size, half of it on each side: detectors need it."
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a workspace. Keys are not in here: see :mod:`facesets.secrets`."""

    immich: ImmichSettings = field(default_factory=ImmichSettings)
    users: Mapping[str, str] = field(default_factory=dict)
    immich_db: ImmichDbSettings = field(default_factory=ImmichDbSettings)
    immich_dump: ImmichDumpSettings = field(default_factory=ImmichDumpSettings)
    paths: PathSettings = field(default_factory=PathSettings)
    caches: CacheSettings = field(default_factory=CacheSettings)
    stage: StageSettings = field(default_factory=StageSettings)
    embed: EmbedSettings = field(default_factory=EmbedSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    gates: GateSettings = field(default_factory=GateSettings)
    sets: SetsSettings = field(default_factory=SetsSettings)
    eras: ErasSettings = field(default_factory=ErasSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    targets: TargetSettings = field(default_factory=TargetSettings)


SECTIONS: Mapping[str, type] = {
    "immich": ImmichSettings,
    "sources.immich_db": ImmichDbSettings,
    "sources.immich_dump": ImmichDumpSettings,
    "paths": PathSettings,
    "caches": CacheSettings,
    "stage": StageSettings,
    "embed": EmbedSettings,
    "worker": WorkerSettings,
    "cluster": ClusterSettings,
    "gates": GateSettings,
    "sets": SetsSettings,
    "eras": ErasSettings,
    "export": ExportSettings,
    "targets.frigate": FrigateSettings,
    "targets.compreface": CompreFaceSettings,
    "targets.doubletake": DoubleTakeSettings,
    "targets.xmp": XmpSettings,
    "targets.lora": LoraSettings,
    "targets.fsz": FszSettings,
    "targets.reactor": ReactorSettings,
    "targets.folder": FolderSettings,
}
