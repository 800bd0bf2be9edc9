-- Assets are keyed by the server's user id and asset id, photos by the SHA-256 of their bytes, faces by content. Where a source has
-- told vectors before any byte came, what stands for the bytes (assets.content) takes the place of a photo's SHA-256 with its faces.
-- A state is never stored: it follows from the reason (records.Reason.state).

CREATE TABLE users (
    label TEXT PRIMARY KEY,
    user_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    command TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    exit_code INTEGER,
    counters TEXT NOT NULL DEFAULT '{}'
) STRICT;

CREATE TABLE assets (
    id INTEGER PRIMARY KEY,
    owner_id TEXT NOT NULL,
    asset_id TEXT NOT NULL,
    label TEXT NOT NULL,
    source TEXT NOT NULL,
    type TEXT NOT NULL,
    original_path TEXT NOT NULL,
    file_name TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    sha1 TEXT,
    library_id TEXT,
    size_bytes INTEGER,
    width INTEGER,
    height INTEGER,
    taken_at TEXT,
    updated_at TEXT,
    thumbhash TEXT,
    visibility TEXT NOT NULL,
    is_trashed INTEGER NOT NULL,
    is_offline INTEGER NOT NULL,
    is_edited INTEGER NOT NULL,
    boxes TEXT,
    reason TEXT NOT NULL,
    detail TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    sha256 TEXT,
    path TEXT,           -- of the staged original: relative to the workspace, or absolute for a folder's photo
    kept_id INTEGER REFERENCES assets (id),
    seen_run INTEGER NOT NULL,
    pixels TEXT NOT NULL DEFAULT 'original',  -- which picture of it is here, or wanted: original, fullsize, preview; none: nothing else to have
    content TEXT,        -- what stands for its bytes where its faces were told with their vectors: sha1:... of uploads, asset:... else
    is_stacked INTEGER NOT NULL DEFAULT 0,  -- beneath another photo of its stack
    UNIQUE (owner_id, asset_id)
) STRICT;
CREATE INDEX assets_by_label ON assets (label, reason);
CREATE INDEX assets_by_sha256 ON assets (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX assets_by_sha1 ON assets (sha1) WHERE sha1 IS NOT NULL;
CREATE INDEX assets_by_content ON assets (content) WHERE content IS NOT NULL;
CREATE INDEX assets_stacked ON assets (owner_id, source, taken_at, visibility) WHERE is_stacked = 1;
CREATE INDEX assets_by_look ON assets (size_bytes, thumbhash) WHERE sha256 IS NOT NULL;

-- What a source has of each month, compared with its own counts at every run.
CREATE INDEX assets_by_time ON assets (owner_id, source, taken_at, visibility, is_trashed, asset_id, seen_run) WHERE seen_run > 0;

-- One row for each photo that a pack has been through, with or without faces.
CREATE TABLE embedded (
    sha256 TEXT NOT NULL,
    pack TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT,
    width INTEGER,
    height INTEGER,
    told TEXT,           -- a digest of what a source told of its faces; NULL: measured here, or to be asked again
    PRIMARY KEY (sha256, pack)
) STRICT, WITHOUT ROWID;

CREATE TABLE faces (
    face_id TEXT PRIMARY KEY,
    sha256 TEXT NOT NULL,  -- of the photo's bytes, or its assets.content
    pack TEXT NOT NULL,
    idx INTEGER NOT NULL,
    x1 REAL NOT NULL,
    y1 REAL NOT NULL,
    x2 REAL NOT NULL,
    y2 REAL NOT NULL,
    landmarks TEXT NOT NULL,
    det_score REAL NOT NULL,  -- -1: not known
    face_short REAL NOT NULL,
    sharpness REAL NOT NULL,  -- -1: not known
    signals TEXT NOT NULL,
    vector BLOB NOT NULL,  -- float32; empty where the source has none that can be used
    reason TEXT NOT NULL,
    detail TEXT,
    set_name TEXT,
    distance REAL,
    UNIQUE (sha256, pack, idx)
) STRICT;
CREATE INDEX faces_by_pack ON faces (pack, reason);
CREATE INDEX faces_by_set ON faces (set_name) WHERE set_name IS NOT NULL;

CREATE TABLE sets (
    name TEXT PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE,
    origin TEXT NOT NULL CHECK (origin IN ('made', 'adopted')),
    pack TEXT NOT NULL,
    person_name TEXT,
    written INTEGER NOT NULL,   -- 0: planned, its folder is still to be written
    run_id INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE set_faces (
    set_name TEXT NOT NULL REFERENCES sets (name),
    rank INTEGER NOT NULL,
    face_id TEXT NOT NULL,
    distance REAL NOT NULL,
    PRIMARY KEY (set_name, rank)
) STRICT, WITHOUT ROWID;
CREATE INDEX set_faces_by_face ON set_faces (face_id);

CREATE TABLE set_files (
    set_name TEXT NOT NULL REFERENCES sets (name),
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (set_name, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE centroids (
    set_name TEXT NOT NULL REFERENCES sets (name),
    pack TEXT NOT NULL,
    n INTEGER NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (set_name, pack)
) STRICT, WITHOUT ROWID;

-- Faces and people as a login session's stream told them, under their own ids, as its increments name them.
CREATE TABLE streamed_faces (
    label TEXT NOT NULL,
    face_id TEXT NOT NULL,
    asset_id TEXT NOT NULL,
    person_id TEXT,
    box TEXT NOT NULL,
    PRIMARY KEY (label, face_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX streamed_faces_by_asset ON streamed_faces (label, asset_id);

CREATE TABLE streamed_people (
    label TEXT NOT NULL,
    person_id TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (label, person_id)
) STRICT, WITHOUT ROWID;

-- Facts of the workspace itself: the highest number ever given, the fingerprint of what the last plan saw.
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    run_id INTEGER,
    at TEXT NOT NULL,
    event TEXT NOT NULL,
    data TEXT NOT NULL DEFAULT '{}'
) STRICT;
